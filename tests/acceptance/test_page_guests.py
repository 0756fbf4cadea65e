"""People without a signer on the page: by a name, and by a personal link, from the link to the room."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import pytest
import pytest_asyncio

from podium_daemon.client.podium import PodiumClient
from podium_daemon.demo.people import Participant, open_wire
from podium_protocol.addresses import Address
from podium_protocol.keys import SecretKey
from podium_protocol.live.rsvp import RsvpStatus, write_rsvp
from podium_protocol.nips import nip49
from podium_protocol.nips.nip19 import encode_npub
from tests.support.browsers import Visitor
from tests.support.page import Here, is_true, page_house, press, press_start, seen
from tests.support.until import until

pytestmark = [pytest.mark.real_peer, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[Here]:
    """One daemon and one browser for all."""
    async with page_house() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def here(house: Here) -> AsyncIterator[Here]:
    """The house, with no page left open afterwards."""
    yield house
    await house.close_pages()


def foreign(here: Here, *visitors: Visitor) -> list[str]:
    """Whatever went wrong in these browsers, or went elsewhere."""
    base = here.stage.base_url
    return [text for one in visitors for text in (*one.errors, *one.dialogs, *one.foreign(base))]


async def test_a_name_is_enough_to_answer_ask_and_come(here: Here) -> None:
    """No signer anywhere: a name, an answer, a question, the door where guests wait, the room, and the way back."""
    url = await here.scheduled(guests="anyone", waitingRoom=True)
    visitor, lead = await here.person(), await here.person(here.instructor)
    page, desk = await visitor.open(url), await lead.open(url)
    await press(page, "Continue without a Nostr key")
    await page.get_by_label("Your name", exact=True).fill("Ana")
    await page.keyboard.press("Enter")
    await seen(page, "You are here as a guest: Ana")
    await is_true(page, "document.activeElement?.textContent === 'You are here as a guest: Ana'", "focus is not lost")
    assert not await page.get_by_text("To answer or join you need a Nostr signer").is_visible()
    await press(page, "Confirm")
    await seen(page, "Your answer: confirmed.")
    await seen(page, "Your answer is not published")
    await seen(page, "Your question is not published")
    await page.get_by_label("Your question").fill("Which rope?")
    await press(page, "Ask")
    await seen(page, "Which rope?")

    await press(desk, "Sign in")
    await press_start(desk)
    await press(page, "Join")
    await press(page, "Join now")
    await seen(page, "The instructor will let you in.")
    await seen(desk, "came as a guest and gave this name")
    await desk.get_by_role("button", name="Let in: Ana").click()
    await seen(page, "You are in the room.")
    await press(page, "Leave")

    await page.reload()
    await seen(page, "You are here as a guest: Ana")
    await seen(page, "Your answer: confirmed.")
    other = await (await here.person()).open(url)
    await press(other, "Continue without a Nostr key")
    await other.get_by_label("Your name", exact=True).fill("ana")
    await press(other, "Continue as a guest")
    await seen(other, "Somebody here has this name already.")
    await other.get_by_label("Your name", exact=True).fill("Bea")
    await press(other, "Continue as a guest")
    await seen(other, "You are here as a guest: Bea")
    await seen(other, "Which rope?")
    assert not await other.get_by_role("button", name="Upvote").is_visible(), "it takes a key of one's own"
    assert foreign(here, lead) == []
    assert visitor.foreign(here.stage.base_url) == []


async def test_a_guest_takes_their_key_along(here: Here) -> None:
    """Under a password of theirs, as every Nostr program reads it (NIP-49)."""
    url = await here.scheduled(guests="anyone")
    page = await (await here.person(locale="de-DE")).open(url)
    await press(page, "Ohne Nostr-Schlüssel weiter")
    await page.get_by_label("Dein Name", exact=True).fill("Ana")
    await press(page, "Als Gast weiter")
    await seen(page, "Du bist als Gast hier: Ana")
    await page.get_by_text("Deinen Schlüssel mitnehmen").click()
    await page.get_by_label("Ein Passwort dafür").fill("correct horse")
    await press(page, "Meinen verschlüsselten Schlüssel zeigen")
    shown = page.locator("podium-guest details output")
    await shown.get_by_text("ncryptsec1").wait_for()
    secret: SecretKey = nip49.decrypt(await shown.inner_text(), "correct horse").secret
    kept = await page.evaluate("Object.values(localStorage).find((one) => one.includes('guest'))")
    assert encode_npub(secret.pubkey) in kept


async def _links(desk: Any, *names: str) -> list[str]:
    await desk.get_by_label("Names of people to invite").fill("\n".join(names))
    await press(desk, "Make personal links")
    rows = desk.locator("podium-guests li")
    await rows.nth(len(names) - 1).locator("code").wait_for()
    return [await rows.nth(number).locator("code").inner_text() for number in range(len(names))]


async def test_a_personal_link_is_for_one_person_and_one_browser(here: Here) -> None:
    """It leaves the address bar at once, opens once, is renewed for another device, and ends when it is taken back."""
    url = await here.scheduled()
    lead = await here.person(here.instructor)
    desk = await lead.open(url)
    await press(desk, "Sign in")
    ana, bea = await _links(desk, "Ana", "Bea")

    visitor = await here.person()
    page = await visitor.open(ana)
    await seen(page, "You are here by your personal link: Ana")
    assert "#" not in page.url
    secret = ana.partition("#guest=")[2]
    assert not [request for request in visitor.requests if secret in request]
    await press(page, "Confirm")
    await seen(page, "Your answer: confirmed.")
    again = await visitor.open(ana)
    await seen(again, "You are here by your personal link: Ana")

    thief = await (await here.person()).open(ana)
    await seen(thief, "This personal link was opened in another browser before")
    await seen(thief, "Will you come?")

    await desk.get_by_role("button", name="Take back: Bea").click()
    await desk.locator("podium-guests").get_by_text("taken back").wait_for()
    late = await (await here.person(locale="de-DE")).open(bea)
    await seen(late, "Die Leitung hat diesen persönlichen Link zurückgenommen.")
    other = await here.scheduled(title="Another one")
    wrong = await (await here.person()).open(f"{other}#guest={secret}")
    await seen(wrong, "This personal link is not one of this session.")
    assert foreign(here, lead) == []


async def test_a_private_session_opens_by_its_link(here: Here) -> None:
    """Where there is nothing for strangers, a personal link shows the session, also when the page is loaded again."""
    lesson_id = await here.submitted(title="Behind closed doors", visibility="private", invited=[])
    lead = await here.person(here.instructor)
    desk = await lead.open(f"{here.stage.base_url}/s/{lesson_id}")
    await press(desk, "Sign in")
    (ana,) = await _links(desk, "Ana")
    page = await (await here.person()).open(ana)
    await seen(page, "Behind closed doors")
    await press(page, "Confirm")
    await seen(page, "Your answer: confirmed.")
    await page.reload()
    await seen(page, "Behind closed doors")


async def _certificate(page: Any) -> str:
    """The file of the certificate that the page shows."""
    await press(page, "Show my certificate")
    picture = page.get_by_role("img", name="Your certificate of attendance")
    await picture.wait_for()
    return unquote(await picture.get_attribute("src"))


async def _joined(page: Any) -> None:
    await page.get_by_role("button", name="Join", exact=True).click()
    await page.get_by_label("Yes, I may be recorded").check()
    await press(page, "Join now")
    await seen(page, "You are in the room.")


async def test_from_a_message_and_from_a_name_to_the_certificate(here: Here) -> None:
    """Nobody but the instructor has a signer: one comes by the link in a message, really unwrapped, one by a name.

    Both answer, agree to the recording, come, are counted once each, and have their certificate.
    """
    session = await here.submitted(guests="anyone", allowRecording=True)
    address, shown = Address.parse(session), await here.shown(session)
    assert address is not None
    url = f"{here.stage.base_url}/s/{shown['naddr']}"
    async with open_wire(here.stage.relay_url) as wire:
        person = Participant("Bea", wire, here.stage.base_url)
        await person.open_inbox(here.stage.relay_url, here.stage.service_pubkey)
        now = int(time.time())
        await person.publish(write_rsvp(address, RsvpStatus.TENTATIVE, pubkey=person.secret.pubkey, now=now))
        message = await person.letter(lambda one: "#guest=" in one.text, 30)
        await person.podium.close()
    link = re.findall(r"http\S+#guest=\S+", message.text)[-1]
    lead, reader, visitor = await here.person(here.instructor), await here.person(), await here.person()
    desk, bea, ana = await lead.open(url), await reader.open(link), await visitor.open(url)
    await seen(bea, "You are here by your personal link")
    await seen(bea, "Your answer: tentative.")
    assert "#" not in bea.url
    secret = link.partition("#guest=")[2]
    assert not [request for request in reader.requests if secret in request]
    thief = await (await here.person(locale="de-DE")).open(link)
    await seen(thief, "Dieser persönliche Link wurde schon in einem anderen Browser geöffnet")
    await thief.close()
    await press(ana, "Continue without a Nostr key")
    await ana.get_by_label("Your name", exact=True).fill("Ana")
    await press(ana, "Continue as a guest")
    await seen(ana, "You are here as a guest: Ana")
    for page in (bea, ana):
        await press(page, "Confirm")
        await seen(page, "Your answer: confirmed.")
    assert (await here.shown(session))["counts"] == {"confirmed": 2, "tentative": 0, "declined": 0}

    await press(desk, "Sign in")
    await press_start(desk)
    for page in (bea, ana):
        await _joined(page)
    leader = PodiumClient(here.stage.base_url, here.instructor)

    async def are_there() -> bool:
        rows = await leader.attendance(session)
        return sum(one.joined_at is not None and one.joined_at < time.time() - 2 for one in rows) == 2

    await until(are_there, "both are counted")
    await press(desk, "End now")
    found = [await _certificate(page) for page in (bea, ana)]
    assert [encode_npub(person.secret.pubkey) in one for one in found] == [True, False]
    assert ["personal link" in one for one in found] == [True, False]
    counted = {one.pubkey: one.assurance for one in await leader.attendance(session)}
    assert counted.pop(person.secret.pubkey) == "link"
    assert list(counted.values()) == ["guest"]
    await leader.close()
    assert foreign(here, lead) == []
    for one in (reader, visitor):
        assert one.foreign(here.stage.base_url) == []

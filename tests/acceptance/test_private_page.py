"""A private session on the page: it is not there for strangers, and one signature away for its guests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from podium_protocol.addresses import Address
from podium_protocol.nips.nip19 import encode_naddr, encode_npub, encode_nsec
from tests.support.page import Here, page_house, press, seen
from tests.support.relays import new_key

pytestmark = [pytest.mark.real_peer, pytest.mark.asyncio(loop_scope="module")]

TITLE = "Leases, behind closed doors"


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


async def _scheduled(here: Here, *guests: str) -> str:
    """A private session; the URL of its page."""
    session_address = await here.submitted(title=TITLE, visibility="private", invited=list(guests))
    address = Address.parse(session_address)
    assert address is not None
    return f"{here.stage.base_url}/s/{encode_naddr(address)}"


async def test_guests_sign_in_answer_and_come(here: Here) -> None:
    """A guest signs in where there seems to be nothing, answers in private, loads the page again, and takes a seat."""
    ada, eve = new_key(), new_key()
    url = await _scheduled(here, ada.pubkey)

    stranger = await here.person(eve)
    page = await stranger.open(url)
    await seen(page, "There is no such session here")
    await press(page, "Sign in")
    await page.get_by_role("alert").get_by_text("There is no such session here.").wait_for(state="visible")
    assert TITLE not in await page.content()

    guest = await here.person(ada)
    page = await guest.open(url)
    await seen(page, "If it is a private session that you were invited to")
    await press(page, "Sign in")
    await seen(page, TITLE)
    await seen(page, "This session is private")
    await press(page, "Confirm")
    await seen(page, "Your answer: confirmed.")

    signed = len(guest.signed)
    await page.reload()
    await seen(page, "Your answer: confirmed.")
    assert len(guest.signed) == signed, "the login is enough"

    await press(page, "Join")
    await press(page, "Join with one signature")
    await seen(page, "You will be let in when the session starts.")
    assert guest.foreign(here.stage.base_url) == []


async def test_an_instructor_schedules_one_and_finds_it_again(here: Here) -> None:
    """The form takes public keys and nothing else; the index shows private sessions to those who sign for it."""
    ada = new_key()
    lead = await here.person(here.instructor)
    desk = await lead.open(here.stage.base_url)
    await desk.get_by_text("Schedule a session").click()
    await desk.get_by_label("Title").fill(TITLE)
    await desk.get_by_label("Private: only the people I invite see it").check()
    await seen(desk, "is told to the people you invite only")
    assert await desk.get_by_role("option", name="Anybody, by a name").is_disabled()
    for wrong, words in ((encode_nsec(ada), "This is a secret key."), ("npub1nobody", "This is no public key")):
        await desk.get_by_label("Invite people").fill(wrong)
        await press(desk, "Sign and publish")
        await seen(desk, words)
    await desk.get_by_label("Invite people").fill(f"{encode_npub(ada.pubkey)}\nnostr:{encode_npub(ada.pubkey)}")
    await press(desk, "Sign and publish")
    await desk.wait_for_url("**/s/naddr1*")
    await seen(desk, "Lead this session")
    assert await desk.locator("h1").inner_text() == TITLE
    assert len(lead.signed) == 2, "the session, and the login to its page"

    guest = await here.person(ada)
    page = await guest.open(here.stage.base_url)
    await seen(page, "Schedule a session")
    assert TITLE not in await page.content()
    await press(page, "Show private sessions that name me")
    await seen(page, TITLE)
    signed = len(guest.signed)
    await page.get_by_role("link", name=TITLE).click()
    await page.wait_for_url("**/s/naddr1*")
    assert signed == 1
    assert lead.dialogs == guest.dialogs == []

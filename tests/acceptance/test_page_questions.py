"""Questions and raised hands on the page: real browsers, and a stranger's client (nostr-sdk) on the relay."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import Pubkey
from podium_protocol.live.questions import write_question
from podium_protocol.nips.nip19 import encode_npub
from tests.acceptance.test_page_hostile import PAYLOADS
from tests.support.outsiders import Event, outsiders
from tests.support.page import Here, page_house, press, press_start, seen
from tests.support.relays import new_key
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


def named(page: Any, name: str) -> Any:
    """A button by the beginning of its name."""
    return page.get_by_role("button", name=name)


async def ask(page: Any, text: str) -> None:
    """Write a question and send it, by keyboard alone."""
    await page.get_by_label("Your question").fill(text)
    await page.get_by_label("Your question").focus()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")


async def gone(page: Any, text: str) -> None:
    """Wait until nobody sees this text any more."""
    await page.get_by_text(text).first.wait_for(state="hidden")


async def test_questions_and_hands(here: Here) -> None:
    """A person asks, the instructor pins, answers, hides; a hand goes up and is taken down; strangers read it all."""
    ada = new_key()
    lead, visitor = await here.person(here.instructor), await here.person(ada)
    url = await here.scheduled()
    desk, page = await lead.open(url), await visitor.open(url)
    await press(desk, "Sign in")
    await press_start(desk)
    await seen(desk, "Mute everybody in the meeting itself")
    assert await desk.get_by_role("button", name="Mute everybody").is_disabled()

    await seen(page, "Nobody has asked anything yet.")
    await ask(page, "May I ask?")
    await seen(page, "Questions are for those who come")
    assert await page.get_by_label("Your question").input_value() == "May I ask?", "what was typed stays"
    assert ["409" in error for error in visitor.errors] == [True], "the browser's own words about the refusal"
    visitor.errors.clear()
    await press(page, "Confirm")
    await seen(page, "Your answer: confirmed.")
    await ask(page, "Why a bowline?")
    await seen(page, "Why a bowline?")
    assert await page.get_by_label("Your question").input_value() == ""
    await _moderate(desk, page)
    await _vote(desk, page, "Why a bowline?")
    await _raise_hand(desk, page, encode_npub(ada.pubkey))
    await _read_by_others(here, url, ada.pubkey)
    assert await named(page, "Upvote: ").count() == 0, "not for one's own"
    await press(page, "Take back: Why a bowline?")
    await gone(desk, "Why a bowline?")
    for person in (lead, visitor):
        assert person.errors == []
        assert person.dialogs == []
        assert person.foreign(here.stage.base_url) == []


async def _moderate(desk: Any, page: Any) -> None:
    await named(desk, "Pin: Why a bowline?").click()
    await page.locator(".questions > li.pinned").wait_for()
    await named(desk, "Answer: Why a bowline?").click()
    await desk.get_by_label("Your answer").fill("It holds, and opens again.")
    await press(desk, "Send the answer")
    await seen(page, "It holds, and opens again.")
    assert "instructor" in await page.locator(".answers .who").inner_text()
    assert await named(page, "Hide").count() == await named(page, "Answer: ").count() == 0
    await named(desk, "Hide: Why a bowline?").click()
    await gone(page, "Why a bowline?")
    await seen(desk, "hidden")
    await named(desk, "Show: Why a bowline?").click()
    await seen(page, "Why a bowline?")
    await named(desk, "Pin: Why a bowline?").click()
    await page.locator(".questions > li.pinned").wait_for()


async def _vote(desk: Any, page: Any, text: str) -> None:
    vote = named(desk, f"Upvote: {text}")
    await vote.click()
    await seen(page, "1 vote")
    assert await vote.get_attribute("aria-pressed") == "true"
    await desk.reload()
    await until(lambda: _pressed(vote), "the vote is still there")
    await named(desk, f"Mark as answered: {text}").click()
    await page.locator(".questions > li.answered").wait_for()
    assert await vote.count() == 0
    await named(desk, f"Not answered yet: {text}").click()
    await vote.click()
    await page.get_by_text("1 vote").wait_for(state="hidden")


async def _pressed(button: Any) -> bool:
    return await button.count() == 1 and await button.get_attribute("aria-pressed") == "true"


async def _raise_hand(desk: Any, page: Any, npub: str) -> None:
    await press(page, "Join")
    await press(page, "Join with one signature")
    await seen(page, "You are in the room.")
    hand = page.get_by_role("button", name="Raise your hand")
    await hand.focus()
    await page.keyboard.press("Space")
    await seen(page, "Your hand is up.")
    assert await hand.get_attribute("aria-pressed") == "true"
    lower = desk.get_by_role("button", name=f"Lower: {npub[:10]}")
    await lower.click()
    await seen(page, "Your hand is down.")
    assert await hand.get_attribute("aria-pressed") == "false"
    await hand.click()
    await lower.wait_for()
    await press(page, "Leave")
    await lower.wait_for(state="hidden")


async def _read_by_others(here: Here, url: str, asker: str) -> None:
    session = await here.shown(url.rsplit("/", 1)[1])
    meeting = f"30313:{here.stage.service_pubkey}:{session['conferenceRoomId']}"
    async with outsiders(here.stage.relay_url, 1) as (stranger,):
        chat = await stranger.find(kinds.LIVE_CHAT, a=meeting)
        by_author = {event["pubkey"]: event for event in chat}
        assert by_author[asker]["content"] == "Why a bowline?"
        assert ["e", by_author[asker]["id"], "", "reply"] in by_author[here.instructor.pubkey]["tags"]

        async def pinned() -> bool:
            (status,) = await stranger.find(
                kinds.MEETING, author=here.stage.service_pubkey, d=meeting.rpartition(":")[2]
            )
            return ["pinned", by_author[asker]["id"]] in status["tags"]

        await until(pinned, "the live status names the pinned question")


async def test_a_question_of_another_client_is_shown(here: Here) -> None:
    """A stranger's question comes by the relay, waits, and is shown to everybody once the stranger has answered."""
    url = await here.scheduled()
    lead, reader = await here.person(here.instructor), await here.person()
    desk, page = await lead.open(url), await reader.open(url)
    await press(desk, "Sign in")
    session = await here.shown(url.rsplit("/", 1)[1])
    meeting = ["a", f"30313:{here.stage.service_pubkey}:{session['conferenceRoomId']}", "", "root"]
    async with outsiders(here.stage.relay_url, 1) as (stranger,):
        asked: Event = await stranger.publish(kinds.LIVE_CHAT, [meeting], "Which rope?")
        await seen(desk, "Which rope?")
        await seen(desk, "not shown: neither answered nor came")
        assert not await page.get_by_text("Which rope?").is_visible()
        await stranger.answer(session["lessonId"], "accepted")
        await seen(page, "Which rope?")
        await stranger.publish(kinds.DELETION, [["e", asked["id"]], ["k", "1311"]])
        await gone(page, "Which rope?")


async def test_hostile_questions_stay_text(here: Here) -> None:
    """No payload in a question runs, loads anything or makes an element."""
    url = await here.scheduled(starts_in=7200)
    await _ask_all(here, url)
    visitor = await here.person(here.instructor)
    await visitor.context.add_init_script("window.pwned = () => { window.isPwned = true; };")
    page = await visitor.open(url)
    texts = page.locator(".questions > li > .text")
    await texts.nth(len(PAYLOADS) - 1).wait_for()
    assert await texts.all_text_contents() == list(PAYLOADS)
    await press(page, "Sign in")
    await named(page, "Hide: ").nth(len(PAYLOADS) - 1).wait_for()
    elements = (
        "podium-questions :is(script, img, svg, iframe, object, embed, video, audio, style, link, meta, base, template)"
    )
    assert await page.evaluate("window.isPwned") is None
    assert await page.locator(elements).count() == 0
    assert await page.locator("podium-questions a").count() == 0
    assert visitor.dialogs == visitor.errors == []
    assert visitor.foreign(here.stage.base_url) == []


async def _ask_all(here: Here, url: str) -> None:
    session = await here.shown(url.rsplit("/", 1)[1])
    meeting = Address(kinds.MEETING, Pubkey(here.stage.service_pubkey), session["conferenceRoomId"])
    target = f"{here.stage.base_url}/api/sessions/{quote(session['naddr'])}/questions"
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        for payload in PAYLOADS:
            draft = write_question(meeting, payload, pubkey=here.instructor.pubkey, now=int(time.time()))
            event = json.loads(here.instructor.sign(draft, os.urandom(32)).to_json())
            (await client.post(target, json={"event": event})).raise_for_status()

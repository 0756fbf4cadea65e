"""Raised hands: the list's rules alone, and over the room's real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from podium_daemon.services.rooms.hands import CHANGES, WINDOW, Hand, RaisedHands
from podium_protocol.events import Pubkey
from podium_protocol.keys import SecretKey
from podium_storage.table.models import LiveSessionRow
from tests.support.relays import new_key
from tests.support.seat_server import Page
from tests.support.site import WITHIN, Site, reading, site

one_loop = pytest.mark.asyncio(loop_scope="module")
ADA, BEN = Pubkey("a" * 64), Pubkey("b" * 64)
UP, DOWN = {"type": "hand", "up": True}, {"type": "hand", "up": False}


def book(*seated: Pubkey) -> RaisedHands:
    """People in the room `x`, nobody with a hand up."""
    hands = RaisedHands()
    for pubkey in seated:
        hands.add_seat("x", pubkey)
    return hands


def test_the_first_to_raise_is_the_first() -> None:
    """Hands stand in the order of raising; again is no new place, lowered and raised is one."""
    hands = book(ADA, BEN)
    for pubkey, up in ((ADA, True), (BEN, True), (ADA, True)):
        assert hands.set_hand("x", pubkey, up=up, at=7, monotonic=0)
    assert hands.hands_in("x") == [Hand(ADA, 7, 1), Hand(BEN, 7, 2)]
    hands.set_hand("x", ADA, up=False, at=8, monotonic=1)
    hands.set_hand("x", ADA, up=True, at=9, monotonic=2)
    assert hands.hands_in("x") == [Hand(BEN, 7, 2), Hand(ADA, 9, 3)]
    assert hands.hands_in("y") == []


def test_the_last_device_takes_the_hand_along() -> None:
    """A hand stays up while one of a person's devices is in the room, and is gone with the last."""
    hands = book(ADA, ADA)
    hands.set_hand("x", ADA, up=True, at=7, monotonic=0)
    hands.remove_seat("x", ADA)
    assert hands.is_raised("x", ADA)
    hands.remove_seat("x", ADA)
    assert hands.hands_in("x") == []


def test_a_hand_that_waves_is_not_followed() -> None:
    """So many changes in the window and no more; afterwards the hand is free again."""
    hands = book(ADA)
    for number in range(CHANGES):
        assert hands.set_hand("x", ADA, up=number % 2 == 0, at=7, monotonic=1)
    assert not hands.set_hand("x", ADA, up=True, at=7, monotonic=WINDOW)
    assert hands.hands_in("x") == []
    assert hands.set_hand("x", ADA, up=True, at=7, monotonic=WINDOW + 1)


def test_lowering_says_whether_it_was_up() -> None:
    """Lowering a hand that is not up is no news."""
    hands = book(ADA)
    assert not hands.lower("x", ADA)
    hands.set_hand("x", ADA, up=True, at=7, monotonic=0)
    assert hands.lower("x", ADA)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Site]:
    async with site() as running:
        yield running


async def live(here: Site) -> LiveSessionRow:
    """A session that runs."""
    row = await here.here.schedule(starts_in=0)
    await here.here.turn()
    return await here.here.row(row.session_address)


async def raised(here: Site, row: LiveSessionRow, by: SecretKey | None = None) -> list[str]:
    """The list as a person sees it."""
    answer = await here.get(here.path_of(row, "room"), by or here.here.instructor)
    return [hand["pubkey"] for hand in answer.json()["hands"]]


async def say(page: Page, message: object) -> None:
    """The page sends JSON."""
    await page.socket.send(json.dumps(message))


async def told(page: Page) -> object:
    """What the room says about the person's hand."""
    message = await reading(page)
    assert message["type"] == "hand", message
    return message["up"]


@one_loop
async def test_a_hand_in_the_room(here: Site) -> None:
    """Two raise their hands; the instructor sees them in order and takes one down, then all; each person is told."""
    row = await live(here)
    ada, ben = new_key(), new_key()
    adas, bens = await here.enter(ada, row), await here.enter(ben, row)
    for page in (bens, adas):
        await say(page, UP)
        assert await told(page) is True
    assert await raised(here, row) == [ben.pubkey, ada.pubkey]
    assert await raised(here, row, ada) == [], "who has a hand up is for those who lead"
    lower = here.path_of(row, "room", "hands", "lower")
    assert (await here.post(lower, ada, {"everybody": True})).status_code == 403
    answer = await here.post(lower, here.here.instructor, {"pubkeys": [ben.pubkey]})
    assert [hand["pubkey"] for hand in answer.json()["hands"]] == [ada.pubkey]
    assert await told(bens) is False
    await here.post(lower, here.here.instructor, {"everybody": True})
    assert await told(adas) is False
    assert await raised(here, row) == []


@one_loop
async def test_who_leaves_takes_the_hand_along(here: Site) -> None:
    """A hand goes with its person, whether they say goodbye or are gone."""
    row = await live(here)
    key = new_key()
    for goodbye in ({"type": "leave"}, None):
        page = await here.enter(key, row)
        await say(page, UP)
        assert await told(page) is True
        if goodbye:
            await say(page, goodbye)
        else:
            page.socket.transport.abort()
        async with asyncio.timeout(WITHIN):
            while await raised(here, row):
                await asyncio.sleep(0)


@one_loop
async def test_every_device_of_a_person_shows_the_same_hand(here: Site) -> None:
    """Raised on the laptop, lowered on the phone: both are told each time."""
    row, key = await live(here), new_key()
    laptop, phone = await here.enter(key, row), await here.enter(key, row, "phone")
    for page, message, up in ((laptop, UP, True), (phone, DOWN, False)):
        await say(page, message)
        assert [await told(laptop), await told(phone)] == [up, up]


@one_loop
async def test_a_hand_is_a_sign_of_life_and_flawed_ones_are_dropped(here: Site) -> None:
    """A hand counts as a beat; what is no hand message changes nothing and ends nothing."""
    row, key = await live(here), new_key()
    page = await here.enter(key, row)
    for flawed in ({"type": "hand"}, {"type": "hand", "up": 1}, {"type": "hand", "up": True, "x": 0}, "hand"):
        await say(page, flawed)
    await page.socket.send('{"type":"hand","type":"hand","up":true}')
    await here.here.clock.advance(12)
    await say(page, DOWN)
    assert await told(page) is False
    await here.here.clock.advance(12)
    await here.here.engine.sweep()
    room = (await here.get(here.path_of(row, "room"), here.here.instructor)).json()
    assert (room["participantCount"], room["hands"]) == (1, [])

"""The people in a room as all in it are told: who is there, who leads, whose hand is up."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from podium_daemon.services.rooms import people
from podium_storage.table.models import LiveSessionRow
from tests.support.relays import new_key
from tests.support.seat_server import Page
from tests.support.site import Site, site

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Site]:
    async with site() as running:
        yield running


async def live(here: Site) -> LiveSessionRow:
    """A session that runs."""
    row = await here.here.schedule(starts_in=0)
    await here.here.turn()
    return await here.here.row(row.session_address)


async def seen(here: Site, page: Page, *keys: str) -> dict[str, tuple[str, int]]:
    """Who is in the room, once it is these people."""
    await here.here.rooms.people.tell()
    while set(page.people) != set(keys):
        await page.read_people()
    return page.people


async def test_all_are_told_who_is_in_the_room(here: Site) -> None:
    """Those who came before and after, with their role; one person on two devices is one; who left is gone."""
    row, ada, ben = await live(here), new_key(), new_key()
    instructor = here.here.instructor
    adas, desk = await here.enter(ada, row), await here.enter(instructor, row)
    keys = (ada.pubkey, instructor.pubkey)
    assert await seen(here, adas, *keys) == {
        ada.pubkey: ("participant", 0),
        instructor.pubkey: ("instructor", 0),
    }
    phone, bens = await here.enter(ada, row, "phone"), await here.enter(ben, row)
    for page in (adas, desk, phone, bens):
        await seen(here, page, *keys, ben.pubkey)
    await phone.say("leave")
    await phone.closed()
    await bens.say("leave")
    await bens.closed()
    await seen(here, desk, *keys)
    assert adas.people.keys() >= {ada.pubkey}


async def test_hands_are_told_in_their_order(here: Site) -> None:
    """The first has the lowest number, also for who comes later; what the instructor takes down is down for all."""
    row, ada, ben = await live(here), new_key(), new_key()
    adas, bens = await here.enter(ada, row), await here.enter(ben, row)
    for page in (bens, adas):
        await page.socket.send(json.dumps({"type": "hand", "up": True}))
        assert (await page.read())["up"] is True
    late = await here.enter(new_key(), row)
    await here.here.rooms.people.tell()
    for page in (adas, bens, late):
        while not (page.people.get(ada.pubkey, ("", 0))[1] and page.people.get(ben.pubkey, ("", 0))[1]):
            await page.read_people()
        assert page.people[ben.pubkey][1] < page.people[ada.pubkey][1]
    lower = await here.post(here.path_of(row, "room", "hands", "lower"), here.here.instructor, {"everybody": True})
    assert lower.status_code == 200
    await here.here.rooms.people.tell()
    while late.people[ada.pubkey][1] or late.people[ben.pubkey][1]:
        await late.read_people()


async def test_a_large_room_tells_of_some(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What each is told of all is bounded, and comes in pieces that a slow page can read."""
    monkeypatch.setattr(people, "MAX_SHOWN", 3)
    monkeypatch.setattr(people, "_CHUNK", 2)
    row, first = await live(here), [new_key() for _ in range(3)]
    pages = [await here.enter(key, row) for key in (*first, new_key(), new_key())]
    await here.here.rooms.people.tell()
    await seen(here, pages[-1], *(key.pubkey for key in first))

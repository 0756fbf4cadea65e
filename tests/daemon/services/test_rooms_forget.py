"""What a daemon holds of rooms in memory: nothing of a session that is over, however many there were."""

from __future__ import annotations

import asyncio

import msgspec

from podium_daemon.runtime.supervisor import Stop
from podium_daemon.services.rooms.controls import RoomControls
from podium_protocol.events import Pubkey
from podium_protocol.live.session import Visibility
from podium_storage.table.models import LiveSessionRow
from tests.support.able_engine import AbleEngine
from tests.support.relays import new_key
from tests.support.site import Site, site
from tests.support.soon import soon
from tests.support.world import world

SESSIONS = 5


def _kept_by(here: Site) -> list[object]:
    """Every map that is kept by session or by room."""
    rooms, world = here.here.rooms, here.here
    hands = rooms._hands._hands
    takes = world.recorder._segments
    return [
        *(rooms._keys._rooms, rooms.door.waiting._waiting, rooms.door.locks),
        *(hands._raised, hands._seats, hands._changes),
        *(world.controls._muted, world.recorder._commands, takes._live, takes._only, takes._agreed),
    ]


async def _held(here: Site) -> LiveSessionRow:
    """A session with everything that is remembered of one: seats, a hand, a key, mute-all, a spotlight, a command."""
    key = new_key()
    row = await here.here.schedule(
        starts_in=60, e2ee_required=True, visibility=Visibility.PRIVATE, invited=(key.pubkey,)
    )
    await (
        here.here.store.sessions.where("lessonId")
        .equals(row.session_address)
        .modify(state="active", runs=((here.here.now, None),), started_at=here.here.now)
    )
    row = await here.here.row(row.session_address)
    page = await here.enter(key, row)
    await page.socket.send('{"type":"hand","up":true}')
    await soon(lambda: bool(here.here.rooms.hands(row)))
    await here.here.rooms.put_spotlight(row, key.pubkey, here.here.instructor.pubkey)
    await here.here.controls.mute_all(row, here.here.instructor.pubkey, wanted=True)
    await here.here.recorder.record(row, here.here.instructor.pubkey, wanted=True)
    return row


async def test_after_many_sessions_nothing_is_kept() -> None:
    """Doors, commands, keys, hands, mute-all and spotlights of sessions that are over are gone."""
    async with world(engine=AbleEngine) as found:
        stop = Stop(found.clock)
        async with site(found) as here:
            controls = asyncio.create_task(found.controls.run(stop))
            rows = [await _held(here) for _ in range(SESSIONS)]
            assert len(here.here.rooms._keys._rooms) == len(here.here.controls._muted) == SESSIONS
            for row in rows:
                await here.here.lifecycle.end(row.session_address, Pubkey(row.instructor_pubkey))
            await soon(lambda: not any(map(len, _kept_by(here))))  # type: ignore[arg-type]  # all are sized
            stop.set()
            await controls


async def test_mute_all_sticks_to_a_session_that_is_opened_again() -> None:
    """It is forgotten with the room, and known again when the room opens; another daemon knows it from its start."""
    async with world(engine=AbleEngine) as here:
        row = await here.schedule(starts_in=0)
        await here.turn()
        row = await here.row(row.session_address)
        engine = here.engine
        assert isinstance(engine, AbleEngine)
        engine.said = []
        stop = Stop(here.clock)
        running = asyncio.create_task(here.controls.run(stop))
        await here.controls.mute_all(row, here.instructor.pubkey, wanted=True)
        await here.lifecycle.end(row.session_address, here.instructor.pubkey)
        await soon(lambda: not here.controls._muted)
        another = RoomControls(store=here.store, engine=engine)
        assert await another._all_remembered() == {}, "of a session that is over"
        await here.lifecycle.reopen(row.session_address, here.instructor.pubkey)
        await soon(lambda: here.controls.is_muted(row))
        assert len(await another._all_remembered()) == 1
        stop.set()
        await running


async def test_people_are_warned_of_the_end_once_even_if_nobody_hears_it() -> None:
    """The warning is written down before it is said: what fails to be said is not said twice."""
    async with world() as here:
        row = await here.schedule(starts_in=0, minutes=10)
        await here.turn()
        told: list[int | None] = []

        async def notify(session_address: str, _text: str) -> None:
            told.append((await here.row(session_address)).warned_at)

        here.lifecycle._notify = notify
        await here.advance(301)
        await here.advance(30)
        assert told == [here.now - 30]
        stale = msgspec.structs.replace(row, version=row.version + 7)
        await here.lifecycle._warn(stale, row.ends_at, here.now)
        assert len(told) == 1, "somebody else has changed the session meanwhile: they decide"

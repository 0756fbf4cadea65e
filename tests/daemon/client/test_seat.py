"""Seats against the real door and the real link engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.server import ServerConnection, serve

from podium_daemon.client import (
    ApiProblem,
    DaemonUnreachable,
    DraftRefused,
    PodiumClient,
    RoomSeat,
    StillWaiting,
    TurnedAway,
)
from podium_daemon.client.seat import RoomMessage
from podium_daemon.conference.engine import RoomId, Snapshot
from podium_protocol.errors import LocalProtocolError
from podium_protocol.keys import SecretKey
from podium_storage.table.models import LiveSessionRow
from tests.support.site import Site, site
from tests.support.until import until
from tests.support.world import new_key


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    """A running server."""
    async with site() as running:
        yield running


@pytest.fixture
async def live(here: Site) -> LiveSessionRow:
    """A session that has begun."""
    row = await here.here.schedule(starts_in=600)
    started = await here.here.lifecycle.start(row.session_address, here.here.instructor.pubkey)
    assert isinstance(started, LiveSessionRow)
    return started


def client(here: Site, key: SecretKey) -> PodiumClient:
    """A person's client."""
    return PodiumClient(here.base, key, now=here.here.clock.now)


async def present(here: Site, row: LiveSessionRow) -> int:
    """How many connections the engine sees."""
    snapshot = await here.here.engine.snapshot(RoomId(row.conference_room_id or ""))
    return len(snapshot.present) if isinstance(snapshot, Snapshot) else 0


async def test_a_join_takes_a_seat_and_leaving_frees_it(here: Site, live: LiveSessionRow) -> None:
    """One signature, the meeting's address, and a goodbye that the engine notices."""
    async with client(here, new_key()) as podium:
        seat = await podium.join(live.session_address)
        assert seat.meeting_url == "https://meet.example.org/room"
        assert await present(here, live) == 1
        assert (await podium.room(live.session_address)).participant_count == 1
        await seat.leave()
        assert seat.closed.is_set()
        await until(lambda: _is(here, live, 0), "nobody is there")


async def test_a_person_says_what_to_call_them(here: Site, live: LiveSessionRow) -> None:
    """The name stands in the room's list; one that another person has, or that is none, is refused in words."""
    async with (
        client(here, new_key()) as ada,
        client(here, new_key()) as eve,
        client(here, here.here.instructor) as boss,
    ):
        seat = await ada.join(live.session_address, name="Ada")
        assert [one.name for one in (await boss.room(live.session_address)).people] == ["Ada"]
        with pytest.raises(ApiProblem, match="already a person called") as caught:
            await eve.join(live.session_address, name="ADA")
        assert caught.value.slug == "name-taken"
        with pytest.raises(LocalProtocolError, match="1 to 40 characters"):
            await eve.join(live.session_address, name="x" * 41)
        await seat.leave()


async def test_a_person_agrees_to_the_policy_that_they_saw(here: Site) -> None:
    """A policy that changed since it was shown is not agreed to."""
    row = await here.here.schedule(starts_in=60, recording_allowed=True)
    async with client(here, new_key()) as podium:
        shown = await podium.challenge(row.session_address)
        old = shown.model_copy(update={"recording_policy_hash": "0" * 64})
        with pytest.raises(DraftRefused, match="policy has changed"):
            await podium.join(row.session_address, consent=True, shown=old)
        assert await here.here.store.members.where("lessonId").equals(row.session_address).count() == 0


async def _is(here: Site, row: LiveSessionRow, count: int) -> bool:
    return await present(here, row) == count


async def test_a_lost_seat_is_taken_again_without_a_signature(here: Site, live: LiveSessionRow) -> None:
    """The resume secret is good for one return, and the new seat has one of its own."""
    async with client(here, new_key()) as podium:
        seat = await podium.join(live.session_address)
        with pytest.raises(LocalProtocolError):
            await seat.come_back()
        await seat.drop()
        await until(lambda: _is(here, live, 0), "the seat is lost")
        again = await seat.come_back()
        assert await present(here, live) == 1
        await again.drop()
        third = await again.come_back()
        await third.leave()


async def test_an_end_and_a_removal_are_told(here: Site, live: LiveSessionRow) -> None:
    """A program that stays until the socket closes knows why it closed."""
    boss = client(here, here.here.instructor)
    ada_key = new_key()
    async with boss, client(here, ada_key) as ada, client(here, new_key()) as ben:
        heard: list[RoomMessage] = []
        removed, stays = await ada.join(live.session_address), await ben.join(live.session_address, heard=heard.append)
        await boss.remove(live.session_address, ada_key.pubkey, "Please come back rested.")
        await removed.until_closed()
        assert removed.removed_because == "Please come back rested."
        assert not removed.has_ended
        await boss.end(live.session_address)
        await stays.until_closed()
        assert (stays.has_ended, stays.removed_because) == (True, None)
        assert [message.type for message in heard][-1] == "ended"
        with pytest.raises(ApiProblem):
            await ada.join(live.session_address)


async def test_who_waits_is_told_when_the_door_says_no(here: Site) -> None:
    """A person who is removed while they wait learns the reason at once."""
    row = await here.here.schedule(starts_in=600, waiting_room=True)
    key = new_key()
    async with client(here, key) as podium, client(here, here.here.instructor) as boss:
        joining = asyncio.create_task(podium.join(row.session_address))
        await until(lambda: _somebody_waits(boss, row), "somebody waits")
        await boss.remove(row.session_address, key.pubkey)
        with pytest.raises(TurnedAway) as caught:
            await joining
        assert caught.value.reason == "denied"


async def test_the_waiting_room_is_left_when_patience_ends(here: Site) -> None:
    """Nobody opens: the error has the door's last reason, and the socket does not stay behind."""
    row = await here.here.schedule(starts_in=600, waiting_room=True)
    async with client(here, new_key()) as podium, client(here, here.here.instructor) as boss:
        with pytest.raises(StillWaiting) as caught:
            await podium.join(row.session_address, patience=0.3)
        assert caught.value.reason == "not_started"
        await until(lambda: _nobody_waits(boss, row), "nobody waits")


async def _nobody_waits(boss: PodiumClient, row: LiveSessionRow) -> bool:
    return (await boss.room(row.session_address)).waiting_count == 0


async def test_who_waits_is_seated_when_let_in(here: Site) -> None:
    """The join goes on where it was as soon as the instructor opens."""
    row = await here.here.schedule(starts_in=600, waiting_room=True)
    await here.here.lifecycle.start(row.session_address, here.here.instructor.pubkey)
    async with client(here, new_key()) as podium, client(here, here.here.instructor) as boss:
        joining = asyncio.create_task(podium.join(row.session_address))
        await until(lambda: _somebody_waits(boss, row), "somebody waits")
        await boss.admit(row.session_address)
        seat = await joining
        assert seat.waits_for == "instructor"
        await seat.leave()


async def _somebody_waits(boss: PodiumClient, row: LiveSessionRow) -> bool:
    return (await boss.room(row.session_address)).waiting_count == 1


async def test_a_seat_beats_and_drops_what_is_no_message() -> None:
    """Beats go out by the heartbeat that was told; frames that nobody understands are counted, and end nothing."""
    beats: asyncio.Queue[str] = asyncio.Queue()

    async def room(socket: ServerConnection) -> None:
        await socket.recv()
        for frame in ("{", "[]", b"\xff", '{"type": 1}', "[" * 5000, '{"type":"news"}'):
            await socket.send(frame)
        await socket.send(json.dumps({"type": "welcome", "connection": "c", "heartbeat": 1}))
        await socket.send(json.dumps({"type": "resume", "secret": "s", "seconds": 120}))
        async for frame in socket:
            beats.put_nowait(str(frame))

    async with serve(room, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        seat = await RoomSeat.take(f"ws://127.0.0.1:{port}", {"type": "hello", "token": "t"}, patience=5)
        assert [await beats.get() for _ in range(2)] == ['{"type":"beat"}'] * 2
        assert seat.flaws == 5
        await seat.leave()


async def test_a_room_that_closes_without_a_word_is_unreachable() -> None:
    """A ticket that is not taken, and a port where nobody listens, are errors and no endless wait."""

    async def room(socket: ServerConnection) -> None:
        await socket.recv()

    async with serve(room, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(DaemonUnreachable):
            await RoomSeat.take(f"ws://127.0.0.1:{port}", {"type": "hello", "token": "t"}, patience=5)
    with pytest.raises(DaemonUnreachable):
        await RoomSeat.take(f"ws://127.0.0.1:{port}", {"type": "hello", "token": "t"}, patience=5)

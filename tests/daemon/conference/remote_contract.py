"""What every engine promises whose rooms are on another program's server; its rig has the server in its hands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import pytest

from podium_daemon.conference.engine import (
    ConnectionId,
    EngineHealth,
    EngineUnavailable,
    LeaveReason,
    Left,
    Person,
    RoomRole,
    RoomSpec,
    Snapshot,
)
from podium_daemon.conference.redirect import Entrance, RedirectEngine
from podium_daemon.conference.remote_server import RemoteServerEngine
from podium_daemon.conference.seats import Signalling
from podium_daemon.runtime.outcomes import Rejection
from podium_daemon.runtime.supervisor import Stop
from tests.daemon.conference.contract import EngineContract, Guest
from tests.support.clock import ManualClock
from tests.support.conference import new_person, reading
from tests.support.http_stage import Call, Reply
from tests.support.soon import soon


class PlayedServer(Protocol):
    """A server played on a socket."""

    spoil: Callable[[Call], Awaitable[Reply | None]] | None
    secret: str

    @property
    def calls(self) -> list[str]:
        """The names of the calls so far."""
        ...


class RemoteRig(Protocol):
    """A `Rig` with a played server."""

    clock: ManualClock

    @property
    def engine(self) -> RemoteServerEngine: ...

    @property
    def server(self) -> PlayedServer: ...

    @property
    def spec(self) -> RoomSpec: ...

    async def join(self, person: Person) -> Guest | Rejection:
        """See `Rig`."""
        ...

    async def visit(self, person: Person) -> Entrance | Rejection:
        """Take a seat and click on its address."""
        ...

    async def pass_time(self, seconds: int) -> None:
        """See `Rig`."""
        ...

    def runs(self) -> list[object]:
        """The rooms on the server, each run of one being another object."""
        ...

    def forgive(self) -> None:
        """Forget that calls were refused because of their secret; a rig fails at its end otherwise."""
        ...

    def after_restart(self) -> RemoteServerEngine:
        """The engine of a daemon that was started again, on the same server."""
        ...


async def _fail(_call: Call) -> Reply | None:
    return Reply(500)


async def _inside(rig: RemoteRig, person: Person | None = None) -> Guest:
    await rig.engine.open_room(rig.spec)
    guest = await rig.join(person or new_person())
    assert not isinstance(guest, Rejection), guest
    return guest


async def _present(rig: RemoteRig) -> set[ConnectionId]:
    snapshot = await rig.engine.snapshot(rig.spec.room)
    assert isinstance(snapshot, Snapshot)
    return {one.connection.id for one in snapshot.present}


class RemoteServerContract(EngineContract):
    """The suite. Subclasses say what they call the list of a room's people, and how often they ask for it."""

    list_call: str
    poll: int

    def test_the_server_is_the_evidence(self, rig: RemoteRig) -> None:
        """People are sent on from a seat; what the server says counts, and it remembers nothing for us."""
        assert isinstance(rig.engine, RedirectEngine)
        assert isinstance(rig.engine, Signalling)
        assert (rig.engine.evidence, rig.engine.history) == ("engine", False)  # type: ignore[attr-defined]  # of each engine

    async def test_a_restart_of_the_daemon_finds_who_is_there(self, rig: RemoteRig) -> None:
        """A second engine on the same room takes over its people, with their roles, as connections of its own."""
        person = new_person(role=RoomRole.INSTRUCTOR)
        guest = await _inside(rig, person)
        second = rig.after_restart()
        await second.open_room(rig.spec)
        await second.poll()
        snapshot = await second.snapshot(rig.spec.room)
        assert isinstance(snapshot, Snapshot)
        (one,) = snapshot.present
        assert (one.connection.pubkey, one.connection.role) == (person.pubkey, RoomRole.INSTRUCTOR)
        assert one.connection.id != guest.connection
        assert await _present(rig) == {guest.connection}
        await second.close_connections()

    async def test_a_wrong_secret_is_said_in_those_words(self, rig: RemoteRig) -> None:
        """The commonest mistake has its own sentence."""
        own, rig.server.secret = rig.server.secret, "another secret of that length!!!"
        with pytest.raises(EngineUnavailable, match="secret_file"):
            await rig.engine.open_room(rig.spec)
        rig.server.secret = own
        rig.forgive()
        await rig.engine.open_room(rig.spec)

    async def test_an_outage_is_told_and_ends_with_a_list(self, rig: RemoteRig) -> None:
        """Three polls without an answer make presence unknown, not absent; the first answer brings it back."""
        guest = await _inside(rig)
        rig.server.spoil = _fail
        async with reading(rig.engine) as reader:
            await rig.pass_time(3 * self.poll)
            down = await reader.until(EngineHealth, lambda event: not event.up)
            assert down.detail
            rig.server.spoil = None
            await rig.pass_time(self.poll)
            await reader.until(EngineHealth, lambda event: event.up and event != reader.kept[0])
            assert reader.all_of(Left) == []
        assert await _present(rig) == {guest.connection}

    async def test_one_lost_answer_is_no_outage(self, rig: RemoteRig) -> None:
        """A packet that got lost changes nothing."""
        await rig.engine.open_room(rig.spec)
        answers = iter([Reply(500)])

        async def spoil(_call: Call) -> Reply | None:
            return next(answers, None)

        rig.server.spoil = spoil
        await rig.pass_time(2 * self.poll)
        async with reading(rig.engine) as reader:
            await reader.until(EngineHealth)
            assert [event.up for event in reader.all_of(EngineHealth)] == [True]

    async def test_a_room_that_could_not_be_ended_is_ended_later(self, rig: RemoteRig) -> None:
        """Here it is over at once, with its people; the server is told when it answers again."""
        guest = await _inside(rig)
        for again in (rig.engine.poll, lambda: rig.engine.open_room(rig.spec)):
            rig.server.spoil = _fail
            await rig.engine.close_room(rig.spec.room)
            assert isinstance(await rig.engine.snapshot(rig.spec.room), Rejection)
            assert isinstance(await rig.visit(new_person()), Rejection)
            before = rig.runs()
            assert len(before) == 1
            rig.server.spoil = None
            await again()
            assert rig.runs() != before
            await rig.engine.open_room(rig.spec)
        async with reading(rig.engine) as reader:
            assert (await reader.left(guest.connection)).reason is LeaveReason.ROOM_CLOSED

    async def test_it_asks_at_once_and_then_at_its_pace(self, rig: RemoteRig) -> None:
        """The daemon hears of a wrong address when it starts, and of people every few seconds."""
        await rig.engine.open_room(rig.spec)
        rig.server.calls.clear()
        stop = Stop(rig.clock)
        running = asyncio.create_task(rig.engine.run(stop))
        await soon(lambda: rig.server.calls == [self.list_call])
        await rig.clock.until_sleeping()
        await rig.clock.advance(self.poll)
        await soon(lambda: rig.server.calls == [self.list_call] * 2)
        stop.set()
        await running

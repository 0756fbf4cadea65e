"""The common part of engines whose door is the daemon's own WebSocket: rooms, seats, heartbeats, events.

A seat is a WebSocket with heartbeats. The daemon's restart ends every seat, and nothing of them is
remembered. An engine adds what is behind the door: `link` hands out a URL, `embedded` moves media.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Mapping
from typing import Final

import structlog

from podium_daemon.conference.engine import (
    Capabilities,
    Capability,
    ControlDone,
    Person,
    Present,
    RandomBytes,
    RoomOpen,
    RoomSpec,
    Snapshot,
    Unsupported,
)
from podium_daemon.conference.events import (
    Connection,
    ConnectionId,
    EngineEvent,
    EngineHealth,
    Joined,
    LeaveReason,
    Left,
    RoomClosed,
    RoomId,
    RoomOpened,
)
from podium_daemon.conference.journal import EventJournal
from podium_daemon.conference.seats import SeatedRoom, SeatSettings, SocketSeat
from podium_daemon.conference.signaling import Removed, RoomEnded, SeatFrameFlaw, ServerMessage, Welcome
from podium_daemon.conference.unsupported_controls import UnsupportedControls
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.runtime.supervisor import Stop
from podium_protocol.events import Pubkey

_log = structlog.get_logger(__name__)

_BATCH: Final = 256  # seats ended before the event loop gets a turn: under 1 ms

_SEEN_TO_GO: Final = frozenset({LeaveReason.LEFT, LeaveReason.REMOVED, LeaveReason.ROOM_CLOSED})


class OwnSignallingEngine(UnsupportedControls, ABC):
    """Most of a `ConferenceEngine` and all of a `Signalling`."""

    def __init__(
        self,
        name: str,
        capabilities: Capabilities,
        advice: Mapping[Capability, str],
        *,
        settings: SeatSettings,
        clock: Clock,
        random_bytes: RandomBytes,
    ) -> None:
        """`random_bytes` returns unguessable bytes; `advice` is that of `UnsupportedControls`."""
        super().__init__(name, capabilities, advice)
        self._seating = settings
        self._clock = clock
        self._random_bytes = random_bytes
        self._rooms: dict[RoomId, SeatedRoom] = {}
        self._doors = asyncio.Lock()  # a room must be closed completely before one of the same name opens
        self._silence: OrderedDict[ConnectionId, SocketSeat] = OrderedDict()  # longest silent first
        self.flaws: Counter[str] = Counter()  # frames dropped, by reason; metrics read it
        self._run = random_bytes(8).hex()
        self._journal = EventJournal(self._run, settings.remembered_events)
        self._journal.append(EngineHealth(id=f"{self._run}/up", at=int(clock.now()), up=True))

    # -- what an engine adds

    @abstractmethod
    def check_spec(self, spec: RoomSpec) -> Unsupported | None:
        """See `ConferenceEngine`."""

    def meeting_of(self, room: SeatedRoom) -> str | None:  # noqa: ARG002  (for engines with rooms on other servers)
        """The address of a meeting on another server, sent with the welcome message."""
        return None

    def new_seat(self, connection: Connection, person: Person) -> SocketSeat:  # noqa: ARG002  (for engines with media)
        """The seat of a new connection."""
        return SocketSeat(connection, self, wall=self._clock.now(), monotonic=self._clock.monotonic())

    def room_opened(self, room: SeatedRoom) -> None:
        """Called when a room was opened, before the event is reported."""

    def room_closed(self, room: SeatedRoom) -> None:
        """Called when all people have left a room, before its end is reported."""

    def seat_taken(self, seat: SocketSeat) -> None:
        """Called when a person has taken a seat and the event was reported."""

    def seat_left(self, seat: SocketSeat) -> None:
        """Called when a seat has ended."""

    # -- the seats' own work

    async def run(self, stop: Stop) -> None:
        """End silent seats, once a heartbeat, until the stop."""
        before, skipped = self._clock.monotonic(), False
        while not await stop.wait_for(self._seating.heartbeat):
            now = self._clock.monotonic()
            # if this process slept, heartbeats wait in the sockets' buffers: read them before any seat is judged
            skipped = now - before > 2 * self._seating.heartbeat and not skipped
            if skipped:
                _log.warning("the daemon was stalled; seats get another heartbeat", action=f"{self._name}.stalled")
            else:
                await self.sweep()
            before = now

    async def sweep(self) -> int:
        """End every seat that was silent for too long; return their number."""
        now, ended = self._clock.monotonic(), 0
        while (seat := next(iter(self._silence.values()), None)) is not None and self._is_silent(seat, now):
            self.end(seat, LeaveReason.TIMEOUT)
            ended += 1
            if ended % _BATCH == 0:
                await asyncio.sleep(0)
        return ended

    async def open_room(self, spec: RoomSpec) -> RoomOpen | Unsupported:
        """See `ConferenceEngine`. A changed spec counts for those who join from now on."""
        if objection := self.check_spec(spec):
            return objection
        async with self._doors:
            room = self._rooms.get(spec.room)
            if room is not None:
                room.spec = spec
                return RoomOpen(spec.room, created=False)
            room = SeatedRoom(spec, self._random_bytes(8).hex(), devices=self._seating.devices)
            self._rooms[spec.room] = room
            self.room_opened(room)
            self._journal.append(RoomOpened(id=f"{room.run}/opened", at=self._now(), room=spec.room))
            return RoomOpen(spec.room, created=True)

    async def close_room(self, room: RoomId) -> ControlDone:
        """See `ConferenceEngine`."""
        async with self._doors:
            closed = self._rooms.pop(room, None)
            if closed is None:
                return ControlDone()
            ended = await self._end_all(closed.seats(), LeaveReason.ROOM_CLOSED, RoomEnded())
            self.room_closed(closed)
            self._journal.append(RoomClosed(id=f"{closed.run}/closed", at=self._now(), room=room))
            return ControlDone(ended)

    async def take_seat(self, room: RoomId, person: Person) -> SocketSeat | Rejection:
        """See `Signalling`."""
        opened = self._rooms.get(room)
        if opened is None:
            return no_room(room)
        if refusal := opened.too_many_devices(person):
            return refusal
        replaced = opened.seat_of(person)
        if replaced is not None:
            self.end(replaced, LeaveReason.REPLACED, Removed("This device joined again in another page."))
        return self._seat(opened, person)

    async def send_message(self, room: RoomId, message: ServerMessage, pubkey: Pubkey | None = None) -> int:
        """See `Signalling`."""
        seats = self._seats_of(room, pubkey)
        for done, seat in enumerate(seats, start=1):
            seat.send(message)
            if done % _BATCH == 0:
                await asyncio.sleep(0)
        return len(seats)

    async def remove(self, room: RoomId, pubkey: Pubkey, reason: str) -> ControlDone | Rejection:
        """See `ConferenceEngine`. Where a kick does not reach into the room, says what is left to do there."""
        if room not in self._rooms:
            return no_room(room)
        ended = await self._end_all(self._seats_of(room, pubkey), LeaveReason.REMOVED, Removed(reason))
        return ControlDone(ended, self._advice.get(Capability.KICK, ""))

    async def snapshot(self, room: RoomId) -> Snapshot | Rejection:
        """See `ConferenceEngine`."""
        if room not in self._rooms:
            return no_room(room)
        present = tuple(
            Present(seat.connection, seat.unix_time(seat.joined), seat.unix_time(seat.evidence), seat.has_media)
            for seat in self._seats_of(room)
        )
        return Snapshot(room, self._now(), present)

    def events(self) -> AsyncIterator[EngineEvent]:
        """See `ConferenceEngine`."""
        return self._journal.follow()

    def heard(self, seat: SocketSeat) -> None:
        """See `SeatHost`."""
        seat.evidence = self._clock.monotonic()
        self._silence.move_to_end(seat.connection.id)

    def flawed(self, flaw: SeatFrameFlaw) -> None:
        """See `SeatHost`."""
        self.flaws[flaw] += 1

    def end(self, seat: SocketSeat, reason: LeaveReason, last: ServerMessage | None = None) -> None:
        """End a seat, once, with a last message. A seat that was silent for too long ends at its last evidence."""
        if seat.over is not None:
            return
        now, connection = self._clock.monotonic(), seat.connection
        was_there = reason in _SEEN_TO_GO and not self._is_silent(seat, now)
        seat.finish(reason, last)
        del self._silence[connection.id]
        if connection.room in self._rooms:  # else the whole room is being closed
            self._rooms[connection.room].clear(seat)
        left_at = seat.unix_time(now if was_there else seat.evidence)
        self._journal.append(Left(id=f"{connection.id}/left", at=left_at, connection=connection, reason=reason))
        self.seat_left(seat)

    async def _end_all(
        self, seats: list[SocketSeat], reason: LeaveReason, last: ServerMessage
    ) -> tuple[ConnectionId, ...]:
        for done, seat in enumerate(seats, start=1):
            self.end(seat, reason, last)
            if done % _BATCH == 0:
                await asyncio.sleep(0)
        return tuple(seat.connection.id for seat in seats)

    def _seat(self, room: SeatedRoom, person: Person) -> SocketSeat:
        connection = Connection(
            ConnectionId(self._random_bytes(16).hex()), room.spec.room, person.pubkey, person.device, person.role
        )
        seat = self.new_seat(connection, person)
        room.add_seat(seat)
        self._silence[connection.id] = seat
        seat.send(Welcome(connection.id, self._seating.heartbeat, self.meeting_of(room)))
        self._journal.append(
            Joined(id=f"{connection.id}/joined", at=seat.unix_time(seat.joined), connection=connection)
        )
        self.seat_taken(seat)
        return seat

    def _seats_of(self, room: RoomId, pubkey: Pubkey | None = None) -> list[SocketSeat]:
        return self._rooms[room].seats(pubkey) if room in self._rooms else []

    def _is_silent(self, seat: SocketSeat, now: float) -> bool:
        return now - seat.evidence > self._seating.heartbeat * self._seating.missed_heartbeats

    def _now(self) -> int:
        return int(self._clock.now())


def no_room(room: RoomId) -> Rejection:
    """The rejection for a room that is not open."""
    return Rejection(Slug.NO_ROOM, f"the room {room!r} is not open", "Open it, then ask again.")

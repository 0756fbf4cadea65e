"""Seats: the daemon's own WebSocket, one per browser, as the way into an engine's room.

An engine whose door is our socket (link; embedded and Janus, which send their signalling through it) is a `Signalling`
beside being a `ConferenceEngine`. The web layer adapts its socket to `SeatSocket` and calls `run_seat`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, Protocol, runtime_checkable

import msgspec

from podium_daemon.conference.engine import Person, RoomSpec
from podium_daemon.conference.events import Connection, LeaveReason, RoomId
from podium_daemon.conference.journal import REMEMBERED_EVENTS
from podium_daemon.conference.signaling import CLOSE_CODES, Beat, Leave, SeatFrameFlaw, ServerMessage, decode, encode
from podium_daemon.conference.values import MAX_DEVICES
from podium_daemon.runtime.allowances import Buckets, Rate
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_protocol.errors import InvalidInput
from podium_protocol.events import Pubkey


class Seat(Protocol):
    """One browser's place in a room. It ends once, for one reason; later frames are ignored."""

    @property
    def connection(self) -> Connection: ...

    @property
    def over(self) -> LeaveReason | None:
        """Why the seat has ended, or None while it is taken."""
        ...

    async def receive(self, frame: str | bytes) -> None:
        """Take one frame from the browser. A flawed one is counted and dropped."""
        ...

    def outgoing(self) -> AsyncIterator[str]:
        """The text frames for the browser, in order; ends with the seat. For one reader only."""
        ...

    def send(self, message: ServerMessage) -> None:
        """Queue a message for the browser; a browser that does not read loses its seat."""
        ...

    async def leave(self, reason: LeaveReason) -> None:
        """End the seat from the socket's side: LEFT if the browser said so, DROPPED if the socket died."""
        ...


@runtime_checkable
class Signalling(Protocol):
    """The additional methods of an engine that seats people on the daemon's own socket."""

    async def take_seat(self, room: RoomId, person: Person) -> Seat | Rejection:
        """Seat one device of a person whom the daemon has admitted; an older seat of the same device ends.

        Refused where the room is not open (`no-room`), or the person is in it on as many devices as may be
        (`too-many-devices`).
        """
        ...

    async def send_message(self, room: RoomId, message: ServerMessage, pubkey: Pubkey | None = None) -> int:
        """Send a message to all people in a room, or to one person's devices; return the number of seats."""
        ...


class SocketGone(Exception):
    """The browser's socket is closed. `clean`: the browser sent the first close frame, so it was alive then."""

    def __init__(self, *, clean: bool) -> None:
        super().__init__("closed" if clean else "lost")
        self.clean = clean


class SeatSocket(Protocol):
    """The methods that a seat needs of a WebSocket.

    The server underneath caps the size of frames, and pings: that is what ends a `send` into a half-open connection.
    """

    async def receive(self) -> str | bytes:
        """The next data frame.

        Raises:
            SocketGone: there will be none.
        """
        ...

    async def send(self, frame: str) -> None:
        """Send a text frame.

        Raises:
            SocketGone: it cannot be sent any more.
        """
        ...

    async def close(self, code: int, reason: str) -> None:
        """Close; does nothing if it is closed."""
        ...


async def run_seat(seat: Seat, socket: SeatSocket) -> LeaveReason:
    """Pump frames between a seat and its socket until either ends, then end both; return the reason.

    On cancellation it ends the seat as DROPPED: the browser did not say that it leaves.
    """
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_write(seat, socket))
            await _read(seat, socket)
    finally:
        await seat.leave(LeaveReason.DROPPED)
    return seat.over or LeaveReason.UNKNOWN


async def _read(seat: Seat, socket: SeatSocket) -> None:
    while seat.over is None:
        try:
            frame = await socket.receive()
        except SocketGone as gone:
            await seat.leave(LeaveReason.LEFT if gone.clean else LeaveReason.DROPPED)
            return
        await seat.receive(frame)


async def _write(seat: Seat, socket: SeatSocket) -> None:
    try:
        async for frame in seat.outgoing():
            await socket.send(frame)
    except SocketGone:
        await seat.leave(LeaveReason.DROPPED)
        return
    reason = seat.over or LeaveReason.UNKNOWN
    await socket.close(CLOSE_CODES[reason], reason.value)


MAX_UNREAD: Final = 64  # a browser with this many unread messages has stopped reading


class SeatHost(Protocol):
    """The methods of its engine that a seat calls."""

    def heard(self, seat: SocketSeat) -> None:
        """Note a sign of life from the seat's browser."""

    def flawed(self, flaw: SeatFrameFlaw) -> None:
        """Count a dropped frame."""

    def end(self, seat: SocketSeat, reason: LeaveReason) -> None:
        """End the seat."""


FRAMES: Final = Rate(burst=200, per_second=16.0)
"""Of one socket. A page beats every few seconds and says what its person does; some dozen others may come at once."""


class MeteredSocket:
    """A room socket that is read no faster than `FRAMES`: what comes beyond waits with the sender, by TCP."""

    def __init__(self, socket: SeatSocket, clock: Clock) -> None:
        self._socket = socket
        self._clock = clock
        self._bucket = Buckets[None](FRAMES, at_most=1)

    async def receive(self) -> str | bytes:
        """See `SeatSocket`."""
        while not self._bucket.take_tokens(None, self._clock.monotonic()):
            await self._clock.sleep(1 / FRAMES.per_second)
        return await self._socket.receive()

    async def send(self, frame: str) -> None:
        """See `SeatSocket`."""
        await self._socket.send(frame)

    async def close(self, code: int, reason: str) -> None:
        """See `SeatSocket`."""
        await self._socket.close(code, reason)


class SocketSeat:
    """A `Seat`. Times are monotonic inside, and reported as the join's wall time plus the seconds since.

    So a clock that jumps while a person is seated changes neither how long they were present nor the order of events.
    """

    def __init__(self, connection: Connection, host: SeatHost, *, wall: float, monotonic: float) -> None:
        self.connection = connection
        self.joined = monotonic
        self.evidence = monotonic
        self.over: LeaveReason | None = None
        self.has_media = False
        self._wall = wall
        self._host = host
        self._unread: deque[str] = deque()
        self._changed = asyncio.Event()

    def unix_time(self, monotonic: float) -> int:
        """A moment of this seat in Unix seconds."""
        return int(self._wall + monotonic - self.joined)

    def beat(self) -> None:
        """Note a sign of life from the browser."""
        if self.over is None:
            self._host.heard(self)

    async def receive(self, frame: str | bytes) -> None:
        """See `Seat`. A message of an unknown type, from a newer page, is a sign of life; other flaws are not."""
        match decode(frame):
            case Beat():
                self.beat()
            case Leave():
                await self.leave(LeaveReason.LEFT)
            case flaw:
                self._host.flawed(flaw)
                if flaw is SeatFrameFlaw.UNKNOWN_TYPE:
                    self.beat()

    async def leave(self, reason: LeaveReason) -> None:
        """See `Seat`."""
        if reason is LeaveReason.LEFT:  # a message or a close frame shows that the browser was alive
            self.beat()
        self._host.end(self, reason)

    def send(self, message: ServerMessage) -> None:
        """See `Seat`."""
        self.pass_on(encode(message))

    def pass_on(self, frame: str) -> None:
        """Queue a text frame for the browser; a browser that does not read loses its seat."""
        if self.over is not None:
            return
        if len(self._unread) >= MAX_UNREAD:
            self._host.end(self, LeaveReason.DROPPED)
            return
        self._unread.append(frame)
        self._changed.set()

    def finish(self, reason: LeaveReason, last: ServerMessage | None) -> None:
        """End the seat with a last message, if any. The engine calls it once."""
        if last is not None:
            self._unread.append(encode(last))
        self.over = reason
        self._changed.set()

    async def outgoing(self) -> AsyncIterator[str]:
        """See `Seat`."""
        while True:
            while self._unread:
                yield self._unread.popleft()
            if self.over is not None:
                return
            self._changed.clear()
            await self._changed.wait()


class SeatedRoom:
    """`run` makes the ids of this opening's events differ from those of an earlier one."""

    def __init__(self, spec: RoomSpec, run: str, *, devices: int) -> None:
        self.spec = spec
        self._devices = devices
        self.run = run
        self._people: dict[Pubkey, dict[str, SocketSeat]] = {}

    def seats(self, pubkey: Pubkey | None = None) -> list[SocketSeat]:
        """The seats of one person, or all."""
        people = self._people.values() if pubkey is None else (self._people.get(pubkey, {}),)
        return [seat for devices in people for seat in devices.values()]

    def seat_of(self, person: Person) -> SocketSeat | None:
        """The seat of this device of this person, or None."""
        return self._people.get(person.pubkey, {}).get(person.device)

    def add_seat(self, seat: SocketSeat) -> None:
        """Add a seat; its device must have none."""
        self._people.setdefault(seat.connection.pubkey, {})[seat.connection.device] = seat

    def clear(self, seat: SocketSeat) -> None:
        """Remove a seat."""
        devices = self._people[seat.connection.pubkey]
        del devices[seat.connection.device]
        if not devices:
            del self._people[seat.connection.pubkey]

    def too_many_devices(self, person: Person) -> Rejection | None:
        """Reject a device beyond the limit, but never one that is seated: it may return and replace itself."""
        devices = self._people.get(person.pubkey, {})
        if person.device in devices or len(devices) < self._devices:
            return None
        # the newest is refused: if the oldest were ended, a forgotten page that rejoins by itself would end the others
        detail = f"this key is on all the devices that may be in the room: {self._devices}"
        return Rejection(Slug.TOO_MANY_DEVICES, detail, "Leave on one of them, then join again.")


class SeatSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`heartbeat` is in seconds; `devices` are of one person.

    A seat that is silent for longer than `missed_heartbeats * heartbeat` ends.

    Raises:
        InvalidInput: a number below 1.
    """

    heartbeat: int = 5
    missed_heartbeats: int = 3
    devices: int = MAX_DEVICES
    remembered_events: int = REMEMBERED_EVENTS

    def __post_init__(self) -> None:
        if min(self.heartbeat, self.missed_heartbeats, self.devices, self.remembered_events) < 1:
            raise InvalidInput("conference: heartbeat, missed heartbeats, devices and remembered events are 1 or more")

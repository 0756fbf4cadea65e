"""Seats: a room's socket brings its ticket, waits at the door, is seated by the engine, and speaks until it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from podium_daemon.conference.engine import ConferenceEngine, EngineUnavailable, Person, RoomRole, RoomSpec
from podium_daemon.conference.events import LeaveReason
from podium_daemon.conference.seats import MeteredSocket, Seat, SeatSocket, Signalling, SocketGone
from podium_daemon.conference.signaling import CLOSE_CODES, Resume
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection
from podium_daemon.services.rooms.door import ADMITTED, REFUSE_TEXTS, WAIT_TEXTS, RoomDoor, role_of
from podium_daemon.services.rooms.entry import (
    EntryRefused,
    Hello,
    Return,
    TicketHolder,
    Waiter,
    Waiting,
    read_greeting,
)
from podium_daemon.services.rooms.joining import Joining
from podium_daemon.services.rooms.resume_tokens import ResumeTokens
from podium_daemon.services.rooms.room_messages import RoomTalk
from podium_protocol.events import Pubkey
from podium_protocol.live.admission import Admit, AwaitDoor, DoorPolicy, Refuse, RefuseReason
from podium_protocol.live.lifecycle import OVER
from podium_storage.table.models import LiveSessionRow

_CLOSE_REFUSED: Final = 4010
_CLOSE_GREETING: Final = 4011
_CLOSE_REPLACED: Final = CLOSE_CODES[LeaveReason.REPLACED]
_NO_RETURN: Final = (LeaveReason.LEFT, LeaveReason.REMOVED, LeaveReason.ROOM_CLOSED, LeaveReason.REPLACED)


class RoomSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`resume` and `greeting` (time for a socket's first message) in seconds; the texts are shown before a join."""

    door: DoorPolicy
    resume: int
    notice: str
    recording_policies: Mapping[str, str]
    room_of: Callable[[LiveSessionRow], RoomSpec]
    greeting: float = 10.0


class Seating:
    """Serves the sockets of rooms, for engines whose door is our socket."""

    def __init__(
        self,
        settings: RoomSettings,
        door: RoomDoor,
        *,
        engine: ConferenceEngine,
        clock: Clock,
        joining: Joining,
        returns: ResumeTokens,
        talk: RoomTalk,
        name_of: Callable[[LiveSessionRow, Pubkey], Awaitable[str]],
    ) -> None:
        """`name_of`: what to call a person in a session, for engines with a server that shows names."""
        assert isinstance(engine, Signalling), "engines whose door is not our socket come with their own hand-over"
        self.settings = settings
        self._door = door
        self._engine = engine
        self._seats: Signalling = engine
        self._clock = clock
        self._joining = joining
        self._returns = returns
        self._talk = talk
        self._name_of = name_of

    async def serve(self, session_address: str, socket: SeatSocket) -> None:
        """Serve one room socket from its first message to its end: the door, the waiting room, the seat."""
        socket = MeteredSocket(socket, self._clock)
        entry = await self._greeted(session_address, socket)
        if entry is None:
            await socket.close(_CLOSE_GREETING, "send a fresh ticket first")
            return
        try:
            seat = await self._seated(entry, socket)
        except SocketGone:
            return
        if seat is not None:
            await self._hold_seat(session_address, seat, socket, entry.fingerprint)

    async def _greeted(self, session_address: str, socket: SeatSocket) -> TicketHolder | None:
        try:
            async with asyncio.timeout(self.settings.greeting):
                greeting = read_greeting(await socket.receive())
        except (TimeoutError, SocketGone):
            return None
        match greeting:
            case Hello(token):
                entry = self._joining.redeem(token)
            case Return(secret):
                entry = await self._returning(session_address, secret)
            case None:
                return None
        return entry if entry is not None and entry.session_address == session_address else None

    async def _returning(self, session_address: str, secret: str) -> TicketHolder | None:
        kept = await self._returns.redeem(secret)
        row = await self._door.keeper.session(session_address)
        if kept is None or row is None or kept.connection.room != row.conference_room_id:
            return None
        connection = kept.connection
        role = role_of(row, connection.pubkey)
        if role.is_staff and await self._joining.came_by_link(row, connection.pubkey):
            return None  # they were named as a leader since, and the seat may be their link's: a key has to prove it
        return TicketHolder(
            session_address=session_address,
            pubkey=connection.pubkey,
            device=connection.device,
            role=role,
            returning=True,
            fingerprint=kept.fingerprint,
        )

    async def _seated(self, entry: TicketHolder, socket: SeatSocket) -> Seat | None:
        """Hold the socket until its person has a seat, or is turned away (None)."""
        waiter = Waiter(entry, int(self._clock.now()))
        reading = asyncio.create_task(_read_until_gone(socket))
        self._door.waiting.enter(waiter)
        try:
            while True:
                waiter.bell.clear()
                match await self._asked(waiter):
                    case EntryRefused() as refusal:
                        await _say(socket, refusal)
                        await socket.close(_CLOSE_REPLACED if waiter.replaced else _CLOSE_REFUSED, refusal.reason)
                        return None
                    case AwaitDoor(reason):
                        if reason != waiter.reason:
                            await _say(socket, Waiting(reason, WAIT_TEXTS[reason]))
                            waiter.reason = reason
                    case seat:
                        return seat
                await waiter.next_look(reading)
        finally:
            self._door.waiting.leave(waiter)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _asked(self, waiter: Waiter) -> Seat | AwaitDoor | EntryRefused:
        """Ask the door for one person at a time: two who ask for the last seat must not both get it."""
        async with self._door.locks.hold(waiter.entry.session_address):
            if waiter.replaced:
                return EntryRefused("replaced", "This device joined again in another page.")
            row = await self._door.keeper.session(waiter.entry.session_address)
            decision = Refuse(RefuseReason.ENDED) if row is None else await self._door.decide(row, waiter.entry, waiter)
            match decision:
                case Refuse(reason):
                    return EntryRefused(reason, REFUSE_TEXTS[reason])
                case Admit() if row is not None:
                    return await self._take_seat(row, waiter.entry)
                case AwaitDoor():
                    return decision
        raise AssertionError("every decision was looked at")

    async def _take_seat(self, row: LiveSessionRow, entry: TicketHolder) -> Seat | EntryRefused:
        spec = self.settings.room_of(row)
        try:
            await self._engine.open_room(spec)  # staff may come before the doors open
        except EngineUnavailable:
            return EntryRefused("engine", "The room's server does not answer. Join again in a moment.")
        person = Person(
            pubkey=entry.pubkey,
            device=entry.device,
            role=RoomRole(entry.role.value),
            fingerprint=entry.fingerprint,
            name=await self._name_of(row, entry.pubkey),
        )
        seat = await self._seats.take_seat(spec.room, person)
        if isinstance(seat, Rejection):
            return EntryRefused(seat.slug, seat.detail)
        await self._door.set_member_state(row, {entry.pubkey}, ADMITTED)
        now = await self._door.keeper.session(entry.session_address)
        if now is None or now.state in OVER:
            # the session ended while they came in, and its room was closed before we opened it again
            await self._engine.close_room(spec.room)
        return seat

    async def _hold_seat(self, session_address: str, seat: Seat, socket: SeatSocket, fingerprint: str | None) -> None:
        connection = seat.connection
        seat.send(Resume(self._returns.mint(connection, fingerprint), self.settings.resume))
        row = await self._door.keeper.session(session_address)
        encrypted = row is not None and row.e2ee_required
        reason: LeaveReason | None = None
        watched = _WatchedSocket(socket)
        try:
            reason = await self._talk.run_seat(session_address, seat, watched, encrypted=encrypted)
        finally:
            # a page that is loaded again closes its socket, and has not said that its person leaves
            is_reload = reason is LeaveReason.LEFT and watched.was_closed
            self._returns.connection_ended(connection.id, for_good=reason in _NO_RETURN and not is_reload)
            self._door.waiting.wake_some(session_address)


class _WatchedSocket:
    """A seat's socket, which knows afterwards whether the browser closed it."""

    def __init__(self, socket: SeatSocket) -> None:
        self._socket = socket
        self.was_closed = False

    async def receive(self) -> str | bytes:
        """See `SeatSocket`."""
        try:
            return await self._socket.receive()
        except SocketGone as gone:
            self.was_closed = gone.clean
            raise

    async def send(self, frame: str) -> None:
        """See `SeatSocket`."""
        await self._socket.send(frame)

    async def close(self, code: int, reason: str) -> None:
        """See `SeatSocket`."""
        await self._socket.close(code, reason)


async def _read_until_gone(socket: SeatSocket) -> None:
    while True:  # heartbeats of people who wait tell nothing new
        await socket.receive()


async def _say(socket: SeatSocket, message: Waiting | EntryRefused) -> None:
    await socket.send(msgspec.json.encode(message).decode())

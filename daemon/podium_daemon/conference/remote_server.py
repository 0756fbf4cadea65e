"""The common part of engines whose rooms are on another program's server: lobby, roster, polling, health, ends.

The server reports who is there, by webhook and when it is asked; the lobby is the connection to the browsers. An engine
adds the server's own API.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final, Protocol, TypeAlias, TypeVar
from weakref import WeakValueDictionary

import structlog

from podium_daemon.conference.engine import (
    Capabilities,
    Capability,
    ControlDone,
    EngineEvent,
    EngineUnavailable,
    Person,
    RandomBytes,
    RoomId,
    RoomOpen,
    RoomSpec,
    Snapshot,
    Unsupported,
)
from podium_daemon.conference.redirect import ENTERED_ALREADY, Entrance, RedirectSeats
from podium_daemon.conference.roster import Roster, no_room
from podium_daemon.conference.seats import Seat
from podium_daemon.conference.signaling import ServerMessage
from podium_daemon.conference.unsupported_controls import UnsupportedControls
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection
from podium_daemon.runtime.supervisor import Stop
from podium_protocol.events import Pubkey

T = TypeVar("T")

Call: TypeAlias = Callable[[], Awaitable[None]]

_log = structlog.get_logger(__name__)

DOWN_AFTER: Final = 3  # polls without an answer: one lost packet is not an outage
_AT_ONCE: Final = 8  # calls of one poll: a server that hangs over one meeting must not delay the others
_REMEMBERED_WEBHOOKS: Final = 4096


class RemoteServerSettings(Protocol):
    """The common settings of these engines; see the engines' own settings."""

    @property
    def public_url(self) -> str: ...
    @property
    def poll(self) -> int: ...
    @property
    def devices(self) -> int: ...
    @property
    def remembered_events(self) -> int: ...


class RemoteServerEngine(UnsupportedControls, ABC):
    """Most of a `ConferenceEngine`, all of a `Signalling`, and half of a `RedirectEngine`."""

    def __init__(
        self,
        name: str,
        capabilities: Capabilities,
        advice: Mapping[Capability, str],
        *,
        settings: RemoteServerSettings,
        clock: Clock,
        random_bytes: RandomBytes,
        keys_return: bool,
    ) -> None:
        """`random_bytes` returns unguessable bytes; `keys_return` is that of `Roster`."""
        super().__init__(name, capabilities, advice)
        self._pace = settings.poll
        self._random_bytes = random_bytes
        self.roster = Roster(
            clock=clock,
            random_bytes=random_bytes,
            devices=settings.devices,
            remembered=settings.remembered_events,
            keys_return=keys_return,
        )
        self._lobby = RedirectSeats(clock=clock, random_bytes=random_bytes, public_url=settings.public_url)
        # a room must be closed completely before one of its name opens; a lock exists as long as a task uses it
        self._doors: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._names: dict[str, RoomId] = {}  # by the server's name for them
        self._unended: set[str] = set()  # names of rooms that were closed here, but not yet on the server
        self._seen: OrderedDict[str, None] = OrderedDict()  # webhooks that were taken
        self._silent = 0  # polls in a row without an answer
        self.flaws: Counter[str] = Counter()  # webhooks refused, strangers seen, people sent out, by reason

    # -- what an engine adds

    @abstractmethod
    def name_of(self, room: RoomId) -> str:
        """The server's name for a room."""

    @abstractmethod
    async def reach(self) -> None:
        """Make any call to the server, to see that it answers."""

    @abstractmethod
    async def make_room(self, spec: RoomSpec) -> None:
        """Make the room on the server, unless it is there already."""

    @abstractmethod
    async def end_room(self, name: str) -> None:
        """End a room on the server; a missing one counts as ended."""

    @abstractmethod
    async def compare_room(self, room: RoomId) -> None:
        """Compare an open room with the server's own list."""

    @abstractmethod
    async def entrance(self, room: RoomId, person: Person) -> Entrance:
        """Make the server's entrance for one person; the room is open, and made again if the server dropped it."""

    @abstractmethod
    async def close_connections(self) -> None:
        """Close the connections to the server when the daemon stops."""

    async def look_further(self) -> None:
        """Make the engine's further calls of a poll."""

    async def room_closing(self, room: RoomId) -> None:
        """Called before a room is closed."""

    # -- the server's work

    async def run(self, stop: Stop) -> None:
        """Ask the server who is there, now and every `poll` seconds, until the stop."""
        try:
            await self.poll()
            while not await stop.wait_for(self._pace):
                await self.poll()
        finally:
            await self.close_connections()

    async def poll(self) -> None:
        """Compare every open room with the server's own list. A missing answer is reported as bad health."""
        # each separately: one meeting that the server refuses to end, or hangs over, must not affect the others
        ends: list[Call] = [partial(self._end_at_last, name) for name in self._unended]
        looks: list[Call] = [partial(self._look, room) for room in self.roster.rooms]
        if not looks and not self.roster.is_up:
            looks = [self._reach]
        _, looked, further = await asyncio.gather(
            self._try_each(ends), self._try_each(looks), self._try_each([self.look_further])
        )
        failed = [each for each in (looked or further) if each is not None]
        if failed and len(failed) == len(looked or further):
            self._missed(str(failed[0]))

    def check_spec(self, spec: RoomSpec) -> Unsupported | None:
        """See `ConferenceEngine`."""
        return self.unsupported(Capability.E2EE) if spec.e2ee else None

    async def open_room(self, spec: RoomSpec) -> RoomOpen | Unsupported:
        """See `ConferenceEngine`. The room is made now, so that a wrong secret is noticed before people come."""
        if objection := self.check_spec(spec):
            return objection
        async with self._door(self.name_of(spec.room)):
            if spec.room not in self.roster.rooms:
                await self._make(spec)
            return self.roster.open(spec)

    async def close_room(self, room: RoomId) -> ControlDone:
        """See `ConferenceEngine`. The room is closed here in any case; the server is told when it answers."""
        name = self.name_of(room)
        async with self._door(name):
            if room not in self.roster.rooms:
                return ControlDone()
            await self.room_closing(room)
            self._names.pop(name, None)  # the server's report of this end is no news
            self._unended.add(name)
            try:
                await self._end(name)
            except EngineUnavailable as error:
                _log.warning("a room could not be ended yet", action=f"{self._name}.not_ended", reason=str(error))
            self._lobby.close(room)
            return self.roster.close(room)

    async def take_seat(self, room: RoomId, person: Person) -> Seat | Rejection:
        """See `Signalling`. A seat in the lobby: the entrance is made at the click, the server reports who is in."""
        if refusal := self.roster.too_many_devices(room, person, self._lobby.devices(room, person.pubkey)):
            return refusal
        return self._lobby.seat_device(room, person)

    async def send_message(self, room: RoomId, message: ServerMessage, pubkey: Pubkey | None = None) -> int:
        """See `Signalling`."""
        return self._lobby.send_message(room, message, pubkey)

    async def enter(self, token: str) -> Entrance | Rejection:
        """See `RedirectEngine`."""
        seated = self._lobby.enter(token)
        if seated is None:
            return ENTERED_ALREADY
        room, person = seated
        async with self._door(self.name_of(room)):
            opened = self.roster.rooms.get(room)
            if opened is None:
                return no_room(room)
            await self._make(opened.spec)
            return await self.entrance(room, person)

    async def snapshot(self, room: RoomId) -> Snapshot | Rejection:
        """See `ConferenceEngine`. As of the last poll and the webhooks since."""
        return self.roster.snapshot(room)

    def events(self) -> AsyncIterator[EngineEvent]:
        """See `ConferenceEngine`."""
        return self.roster.journal.follow()

    # -- for engines

    def is_new(self, webhook: str) -> bool:
        """Whether a webhook is new: the server repeats those without an answer."""
        if webhook in self._seen:
            return False
        self._seen[webhook] = None
        if len(self._seen) > _REMEMBERED_WEBHOOKS:
            self._seen.popitem(last=False)
        return True

    async def answered(self, call: Awaitable[T]) -> T:
        """Await a call to the server, and note whether the server answered."""
        answer = await call
        self._silent = 0
        self.roster.say_health(up=True)
        return answer

    def _door(self, name: str) -> asyncio.Lock:
        door = self._doors.get(name)
        if door is None:
            door = self._doors[name] = asyncio.Lock()
        return door

    async def _try_each(self, calls: Sequence[Call]) -> list[EngineUnavailable | None]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._try(call)) for call in calls]
        return [task.result() for task in tasks]

    async def _try(self, call: Call) -> EngineUnavailable | None:
        async with self._at_once:
            try:
                await call()
            except EngineUnavailable as error:
                return error
        return None

    async def _reach(self) -> None:
        await self.answered(self.reach())

    async def _look(self, room: RoomId) -> None:
        if room in self.roster.rooms:  # the room may have been closed meanwhile
            await self.answered(self.compare_room(room))

    async def _end_at_last(self, name: str) -> None:
        async with self._door(name):
            if name in self._unended:
                await self._end(name)

    async def _make(self, spec: RoomSpec) -> None:
        name = self.name_of(spec.room)
        if name in self._unended:
            await self._end(name)  # else people of the former run would be in this one
        await self.answered(self.make_room(spec))
        self._names[name] = spec.room

    async def _end(self, name: str) -> None:
        await self.answered(self.end_room(name))
        self._unended.discard(name)

    def _missed(self, why: str) -> None:
        self._silent += 1
        if self._silent == DOWN_AFTER:
            _log.warning("the engine's server does not answer", action=f"{self._name}.down", reason=why)
            self.roster.say_health(up=False, detail=why)

"""The past of each subscription on each relay: read page by page, stored before what is new, and marked as read."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import structlog

from podium_daemon.relays.incoming import Incoming
from podium_daemon.relays.judgement import Arrival
from podium_daemon.relays.paged_fetch import FetchedFromRelay
from podium_daemon.relays.pool import RelayPool
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.tasks import Watched
from podium_protocol.filters import Filter
from podium_protocol.relay import backoff
from podium_storage.mirror.mirror import Watermarks

_log = structlog.get_logger(__name__)

_READ_WITHIN: Final = 60.0  # seconds for the past of one subscription on one relay
_READ_AT_MOST: Final = 200_000  # events
_BATCH: Final = 500  # events of the past that are queued in one step: 3 ms
_PARTS: Final = 8  # batches of the past of one relay that are under way
_HELD_AT_MOST: Final = 2_000  # events of one subscription on one relay that wait for its past
OWN: Final = "own"
_FIRST: Final = (OWN, "sessions-0")
"""Subscriptions that tell what happened before: our own status and records, and the instructors' sessions."""

TakeIn = Callable[[Sequence[Arrival]], Awaitable[object]]
"""Checks events and returns when the good ones are stored; raises what the store raised."""


class Past:
    """Reads what relays have stored, and holds what is new until then. Keys: the URL of a relay, and a subscription.

    `caught_up` is set once the past of every read relay was read, or the relay was too slow.
    """

    def __init__(
        self, take_in: TakeIn, *, watermarks: Watermarks, patience: float, clock: Clock, tasks: Watched
    ) -> None:
        """`patience`: seconds to wait for a silent relay."""
        self.take_in = take_in
        self._watermarks = watermarks
        self._patience = patience
        self._clock = clock
        self._tasks = tasks
        self._pool: RelayPool | None = None
        self.relays: tuple[str, ...] = ()
        """The URLs of the relays that are read."""
        self.asked: dict[str, tuple[Filter, ...]] = {}
        """What is asked for now, by subscription."""
        self.marks: dict[tuple[str, str], int] = {}
        """When the past had been read, in Unix seconds."""
        self._outstanding: set[tuple[str, str]] = set()  # what has to be read before the daemon acts
        self._once: set[str] = set()  # what is read and not subscribed to
        self._held: dict[tuple[str, str], list[Arrival]] = {}  # new events: they are stored after the past
        self._readings: dict[tuple[str, str], asyncio.Task[None] | None] = {}
        self._partial: dict[tuple[str, str], str] = {}  # why it was read only in part; it is asked for again
        self.caught_up = asyncio.Event()

    # -- which relays and subscriptions --------------------------------------------------------------------------------

    def join(self, pool: RelayPool) -> None:
        """Set the pool whose relays are read."""
        self._pool = pool
        self.relays = pool.urls("read")
        self._outstanding = {(relay, name) for relay in self.relays for name in _FIRST}
        if not self._outstanding:
            self._catch_up("no relay is to be read")

    def relays_changed(self) -> None:
        """Follow a change of the pool's relays: the past of new ones is read, the state of removed ones is dropped."""
        assert self._pool is not None, "the composition root joins the pool"
        before, self.relays = set(self.relays), self._pool.urls("read")
        now = set(self.relays)
        self._keep_relays(before, now)
        self._held |= {(relay, name): [] for relay in now - before for name in self.asked}
        if not self.caught_up.is_set():
            self._outstanding |= {(relay, name) for relay in now - before for name in _FIRST}
        for name in self._once:
            self._start_reading(name, now - before)
        if not self._outstanding:
            self._catch_up("no relay is left whose past is not read")

    def _keep_relays(self, before: set[str], now: set[str]) -> None:
        self.marks = {key: mark for key, mark in self.marks.items() if key[0] in now & before}
        self._held = {key: held for key, held in self._held.items() if key[0] in now}
        self._partial = {key: why for key, why in self._partial.items() if key[0] in now}
        for key in [key for key in self._readings if key[0] not in now]:
            if (reading := self._readings.pop(key)) is not None:
                reading.cancel()
        self._outstanding = {key for key in self._outstanding if key[0] in now}

    def ask(self, name: str, filters: tuple[Filter, ...]) -> None:
        """Note a subscription that is about to be asked for, with new filters or once more."""
        if name in self.asked:
            # the additional part of a changed filter was never read: the marks of the old filter do not cover it
            self.marks = {key: mark for key, mark in self.marks.items() if key[1] != name}
        self.asked[name] = filters
        # new events wait until the past was read, so that they are stored after it
        for relay in self.relays:
            if (relay, name) not in self.marks:
                self._held.setdefault((relay, name), [])

    def read_only(self, name: str) -> None:
        """Read the past of what was just noted by `ask`; no relay is asked to go on telling it."""
        self._once.add(name)
        self._start_reading(name, self.relays)

    def drop(self, name: str) -> None:
        """Forget a subscription that has ended."""
        del self.asked[name]
        self._once.discard(name)
        self._held = {key: held for key, held in self._held.items() if key[1] != name}
        self._readings = {key: task for key, task in self._readings.items() if key[1] != name}
        self._partial = {key: why for key, why in self._partial.items() if key[1] != name}

    # -- what is known -------------------------------------------------------------------------------------------------

    def has_read(self, name: str) -> bool:
        """Whether the past of a subscription was read on every relay."""
        return all((relay, name) in self.marks for relay in self.relays)

    def relays_behind(self) -> list[str]:
        """The read relays that have not told yet what happened before."""
        return sorted({relay for relay, _ in self._outstanding})

    def told_in_part(self) -> dict[str, dict[str, str]]:
        """By relay and subscription: why the past was read only in part, in words."""
        found: dict[str, dict[str, str]] = {}
        for (relay, name), why in self._partial.items():
            found.setdefault(relay, {})[name] = why
        return found

    async def remember_marks(self) -> None:
        """Read the marks of subscriptions whose filters do not depend on what is stored; the others are read anew."""
        marks: dict[tuple[str, str], int] = {}
        for relay in self.relays:
            at = await self._watermarks.get(relay, OWN)
            if at is not None:
                marks[relay, OWN] = at
        self.marks = marks

    async def lose_patience(self) -> None:
        """Wait for the relays as long as patience allows; then go on without those that were too slow."""
        await self._clock.sleep(self._patience)
        if self._outstanding:
            _log.warning("going on without some relays' past", action="sync.impatient", relays=self.relays_behind())
            self._catch_up("patience ended")

    # -- reading -------------------------------------------------------------------------------------------------------

    def hold(self, name: str, arrival: Arrival) -> bool:
        """Hold a new event until its past was read, if that is not so yet; whether it was held."""
        held = self._held.get((arrival.relay, name))
        if held is None or len(held) >= _HELD_AT_MOST:
            return False
        held.append(arrival)
        return True

    async def on_eose(self, name: str, relay: str, partial: bool) -> None:
        """The pool's EOSE listener: one relay says that it has no more stored events for one subscription.

        A relay gives a few hundred events for one REQ and then EOSE, even if it has more. So the past is read page by
        page if nothing was read before, or if no EOSE came in time.
        """
        filters = self.asked.get(name)
        if filters is None or partial or (relay, name) in self.marks:
            await self._is_read(name, relay, partial=partial)
        if filters is not None and (relay, name) not in self.marks:
            self._start_reading(name, (relay,))

    def _start_reading(self, name: str, relays: Iterable[str]) -> None:
        for relay in relays:
            if (before := self._readings.get((relay, name))) is not None:
                before.cancel()
            read = functools.partial(self._read_past, name, relay, self.asked[name])
            self._readings[relay, name] = self.persist(f"reading {name} of {relay}", read)

    def persist(self, what: str, read: Callable[[], Awaitable[object]]) -> asyncio.Task[None] | None:
        """Start a reading that is tried again until it succeeds; `what` names it where trouble is shown."""
        return self._tasks.start(self._tasks.persist(what, read, clock=self._clock), what)

    async def read(self, relay: str | None, filters: tuple[Filter, ...]) -> tuple[FetchedFromRelay, ...]:
        """Read all events that match `filters` on one relay or on all, and store them."""
        assert self._pool is not None, "the composition root joins the pool"
        relays = None if relay is None else [relay]
        result = await self._pool.fetch(relays, filters, within=_READ_WITHIN, at_most=_READ_AT_MOST)
        for answer in result.answers:
            # relays give the newest first; seats go to those who came first, so the oldest is taken in first
            oldest_first = answer.events[::-1]
            parts = [oldest_first[start : start + _BATCH] for start in range(0, len(oldest_first), _BATCH)]
            for start in range(0, len(parts), _PARTS):  # some at once: one is checked while another is stored
                await asyncio.gather(*(self._store(part, filters) for part in parts[start : start + _PARTS]))
        return result.answers

    async def _read_past(self, name: str, relay: str, filters: tuple[Filter, ...]) -> None:
        """Read the past of one subscription on one relay and store it, unless its filters change meanwhile."""
        pauses = backoff.rate_limit_delays()
        while self.asked.get(name) == filters and relay in self.relays:
            (answer,) = await self.read(relay, filters)
            if self.asked.get(name) == filters:  # else the present filters were not read
                await self._is_read(name, relay, partial=answer.is_partial)
            if answer.problem is None:
                return
            _log.warning("not all was read", action="sync.partial", relay=relay, subscription=name, why=answer.problem)
            if not answer.is_worth_retrying:
                return
            self._partial[relay, name] = answer.problem
            await self._clock.sleep(next(pauses))

    async def _store(self, events: Sequence[Incoming], filters: tuple[Filter, ...]) -> None:
        await self.take_in([Arrival(event.relay_url, filters, bytes(event.raw)) for event in events])

    async def _is_read(self, name: str, relay: str, *, partial: bool) -> None:
        await self._let_in(relay, name)
        if not partial:
            now = int(self._clock.now())
            await self._watermarks.set(relay, name, now)
            if relay in self.relays:  # it may have been dropped meanwhile
                self.marks[relay, name] = now
            self._partial.pop((relay, name), None)
        self._outstanding.discard((relay, name))
        if not self._outstanding:
            self._catch_up("every relay has told its past")

    async def _let_in(self, relay: str, name: str) -> None:
        """Store the events that waited for the past; those that cannot be stored go on waiting."""
        key = relay, name
        while held := self._held.get(key):
            self._held[key] = []
            try:
                await self.take_in(held[::-1])
            except BaseException:
                self._held[key] = [*held, *self._held.get(key, [])]
                raise
        self._held.pop(key, None)

    def _catch_up(self, why: str) -> None:
        if not self.caught_up.is_set():
            _log.info("caught up", action="sync.caught_up", why=why)
            self.caught_up.set()

"""Keeps the mirror in step with the relays: asks for the events that matter, and knows when the past has been read."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple, Protocol

from podium_daemon.relays.incoming import Incoming
from podium_daemon.relays.ingest import Good, Ingest, Judges
from podium_daemon.relays.interests import (
    FACE,
    PEOPLE,
    FollowedSession,
    Interests,
    ParticipantIndex,
    SessionIndex,
    StableOrder,
    interests_in,
    stands,
)
from podium_daemon.relays.judgement import Arrival
from podium_daemon.relays.past import OWN, Past
from podium_daemon.relays.pool import RelayPool
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.reconcile_loop import run_reconcile_loop
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import Watched
from podium_daemon.runtime.wakeups import Wakeups
from podium_protocol import kinds
from podium_protocol.events import EventId, Pubkey, VerifiedEvent
from podium_protocol.filters import Filter
from podium_protocol.live.retention import is_past
from podium_storage.changes import Batch
from podium_storage.mirror.fold import IngestOutcome
from podium_storage.mirror.mirror import Mirror, Watermarks
from podium_storage.slices import in_slices
from podium_storage.store import Store

FULL_READ_EVERY: Final = 24 * 3600  # seconds: all is read again once a day, in case a relay lost its newest events
_LOOK_BACK: Final = 15 * 24 * 3600  # sessions that began longer ago get no more answers or messages
_ROWS_PER_SECOND: Final = 2_000  # above it, relays are not asked anew for each single answer of a flood
_REST: Final = 5  # seconds between two questions to relays at most

Outdated = Callable[[Sequence[VerifiedEvent], str], Awaitable[None]]
"""Called with events that were replaced, and the URL of the relay that gave them."""


async def _nothing_against_it(_event: VerifiedEvent) -> str | None:
    return None


class EventWatch(Protocol):
    """Sees new events before they are stored."""

    async def __call__(self, events: Sequence[VerifiedEvent], *, live: bool) -> None:
        """`live`: they came after the relay's EOSE for our own events."""
        ...


async def _watch_nothing(events: Sequence[VerifiedEvent], *, live: bool) -> None:
    """The default `EventWatch`, which does nothing."""


class SyncHooks(NamedTuple):
    """What else decides on events, or is told of them.

    `kept_from` (Unix seconds): sessions that ended before are forgotten, and no relay brings them back.
    `outdated`: called with the events of a relay that newer ones have replaced.
    `reads_presence`: whether presence events (kind 10312) are evidence of attendance here.
    `objection`: why a stranger's event is not stored now (`Strangers.objection`).
    """

    kept_from: Callable[[], int] = lambda: 0
    outdated: Outdated | None = None
    reads_presence: Callable[[], bool] = lambda: False
    objection: Callable[[VerifiedEvent], Awaitable[str | None]] = _nothing_against_it


NO_HOOKS: Final = SyncHooks()


class Syncer:
    """Feeds the mirror. `caught_up` is set once the past of every read relay was read, or the relay was too slow."""

    name = "syncer"

    def __init__(
        self,
        *,
        mirror: Mirror,
        store: Store,
        watermarks: Watermarks,
        instructors: Callable[[], Collection[Pubkey]],
        service: Pubkey,
        patience: float,
        doors: int,
        clock: Clock,
        hooks: SyncHooks = NO_HOOKS,
        judges: Judges | None = None,
    ) -> None:
        """`patience`: seconds to wait for a silent relay. `doors`: seconds before the start when a session opens.

        `judges`: worker processes that check events while there is a backlog.
        """
        self._mirror = mirror
        self._store = store
        self._instructors = instructors
        self._service = service
        self.doors = doors
        """Seconds before the start at which a session opens; a reload replaces it."""
        self._clock = clock
        self._hooks = hooks
        self._read_again_at = clock.now() + FULL_READ_EVERY
        self._pool: RelayPool | None = None
        self._name_of: dict[Pubkey, str] = {}  # people whose lists of relays are asked for: by which subscription
        self.interests: Interests | None = None
        """The people and sessions of interest, as of the last turn."""
        self._doors: Wakeups[str] = Wakeups()  # when sessions start whose answers are read once more at the doors
        self._doors_seen: dict[str, int] = {}  # by session: the epoch in which they were
        self._sessions = SessionIndex(store, look_back=_LOOK_BACK)
        self._participants = ParticipantIndex(store)
        self._order = {name: StableOrder() for name in ("addresses", "people", "invited", "meetings", "attendees")}
        self._led_by: frozenset[Pubkey] = frozenset()
        self._is_stale = True  # something of interest changed since the relays were asked
        self._rests_until = 0.0
        self.watch: EventWatch = _watch_nothing
        """Looks at what is new before it is stored."""
        self.ingest = Ingest(self._keep, clock.now, judges)
        self.tasks = Watched(self.name)
        self._past = Past(self.ingest.take_in, watermarks=watermarks, patience=patience, clock=clock, tasks=self.tasks)
        self.caught_up = self._past.caught_up

    def join(self, pool: RelayPool) -> None:
        """Set the pool whose sink and EOSE listener this is."""
        self._pool = pool
        self._past.join(pool)

    def relays_changed(self) -> None:
        """Follow a change of the pool's relays: the past of new ones is read, the state of removed ones is dropped."""
        self._past.relays_changed()

    async def run(self, stop: Stop) -> None:
        """Follow the sessions and their people until the stop."""
        await self._past.remember_marks()
        await self.tasks.guard(self._follow(stop))

    async def _follow(self, stop: Stop) -> None:
        self.tasks.start(self._past.lose_patience(), "patience")
        store = self._store
        tables = (store.sessions.name, store.rsvps.name, store.questions.name, store.members.name, store.guests.name)
        with self._store.changes.subscribe(*tables) as changes:
            await run_reconcile_loop(self.name, self._turn, changes, clock=self._clock, stop=stop)

    def apply_events(self, events: Sequence[Incoming]) -> Awaitable[None]:
        """The pool's sink: queue a batch to be checked; what is returned is done when the good events are stored."""
        arrivals: list[Arrival] = []
        for event in events:
            filters = self._past.asked.get(event.subscription)
            if filters is None:
                self.ingest.dropped["unknown_subscription"] += 1
                continue
            is_live = (event.relay_url, OWN) in self._past.marks
            arrival = Arrival(event.relay_url, filters, bytes(event.raw), is_live=is_live)
            if not self._past.hold(event.subscription, arrival):
                arrivals.append(arrival)
        return self.ingest.take_in(arrivals)

    async def admit(self, arrivals: Sequence[Arrival]) -> None:
        """Check events that did not come by a subscription, and store the good ones."""
        await self.ingest.take_in(arrivals)

    async def _keep(self, batch: Sequence[Good]) -> list[EventId]:
        """Store verified events; return those that need not come again, stored or not."""
        for is_live, alike in groupby(batch, lambda one: one.arrival.is_live):
            await self.watch([one.event for one in alike], live=is_live)
        kept_from = self._hooks.kept_from()
        past: list[EventId] = []
        kept: list[Good] = []
        async for part in in_slices(batch):
            for one in part:
                if is_past(one.event, kept_from):
                    self.ingest.dropped["past_retention"] += 1
                    past.append(one.event.id)
                elif (why := await self._hooks.objection(one.event)) is None:
                    kept.append(one)
                else:  # not done with: it may come again when there is room
                    self.ingest.dropped[f"too_much_{why}"] += 1
        if kept:
            outcomes = await self._mirror.ingest([one.event for one in kept], received_at=int(self._clock.now()))
            await self._tell_outdated(kept, outcomes)
        return [*past, *(one.event.id for one in kept)]

    async def _tell_outdated(self, batch: Sequence[Good], outcomes: Sequence[IngestOutcome]) -> None:
        """Report the events that newer ones have replaced, relay by relay."""
        if self._hooks.outdated is None:
            return
        old: dict[str, list[VerifiedEvent]] = {}
        for one, outcome in zip(batch, outcomes, strict=True):
            if outcome is IngestOutcome.SUPERSEDED:
                old.setdefault(one.arrival.relay, []).append(one.event)
        for relay, events in old.items():
            await self._hooks.outdated(events, relay)

    async def on_eose(self, name: str, relay: str, partial: bool) -> None:
        """The pool's EOSE listener: one relay says that it has no more stored events for one subscription."""
        await self._past.on_eose(name, relay, partial)

    def relays_behind(self) -> list[str]:
        """The read relays that have not told yet what happened before."""
        return self._past.relays_behind()

    def told_in_part(self) -> dict[str, dict[str, str]]:
        """By relay and subscription: why the past was read only in part, in words."""
        return self._past.told_in_part()

    def has_read_lists(self, pubkey: str) -> bool | None:
        """Whether all relays were read for the person's message relays; None: they are not asked for it.

        A person without message relays may still have named some on a relay that was not read completely.
        """
        if (name := self._name_of.get(Pubkey(pubkey))) is None:
            return None
        return self._past.has_read(name)

    def has_read_face(self) -> bool:
        """Whether every relay was read since the start for a profile of the service's key."""
        return bool(self._past.relays) and self._past.has_read(FACE)

    async def _turn(self, batch: Batch) -> float | None:
        now = self._clock.now()
        people = len(self._participants)
        touched = self._participants.apply(batch)
        if batch.resync:
            self._doors = Wakeups()
            await self._sessions.read(now)
            changed: Mapping[str, FollowedSession | None] = {one.session_address: one for one in self._sessions}
        else:
            changed = self._sessions.apply(batch, now)
        self._note_doors(changed)
        self._read_at_the_doors(now)
        anew = now >= self._read_again_at  # a relay may have lost events and got them back, with old dates
        instructors = frozenset(self._instructors())
        others = len(self._participants) != people or self._participants.has_doubts or self._is_present(touched)
        self._is_stale |= batch.resync or anew or others or bool(changed) or instructors != self._led_by
        if self._is_stale and now >= self._rests_until:
            self._is_stale, self._led_by = False, instructors
            await self._follow_interests(anew=anew)
        opens = None if self._doors.next_at is None else self._doors.next_at - self.doors
        times = (self._read_again_at, opens, self._sessions.next_end, self._rests_until if self._is_stale else None)
        return min(at for at in times if at is not None)

    def _is_present(self, touched: Iterable[str]) -> bool:
        """Whether one of these sessions is live, and presence events count."""
        sessions = (self._sessions.get(one) for one in touched) if self._hooks.reads_presence() else ()
        return any(one is not None and one.state == "active" for one in sessions)

    async def _follow_interests(self, *, anew: bool) -> None:
        """Ask the relays for what is of interest now."""
        now = self._clock.now()
        self.interests = await self._interests()
        if anew:
            self._read_again_at = now + FULL_READ_EVERY
        self._ask(self.interests.subscriptions(), anew=anew)
        self._rests_until = now + min((len(self._participants) + len(self._sessions)) // _ROWS_PER_SECOND, _REST)

    def _note_doors(self, changed: Mapping[str, FollowedSession | None]) -> None:
        for session_address, session in changed.items():
            if session is None or session.state != "scheduled" or session.is_private:
                self._doors.discard(session_address)
                self._doors_seen.pop(session_address, None)
            elif self._doors_seen.get(session_address) != session.epoch:
                self._doors.set(session_address, session.scheduled_at)

    def _read_at_the_doors(self, now: float) -> None:
        """Read a session's answers again as a whole when its doors open."""
        for session_address in self._doors.due(now + self.doors):
            self._doors.discard(session_address)
            session = self._sessions.get(session_address)
            if session is None:
                continue
            self._doors_seen[session_address] = session.epoch
            answers = Filter(kinds=(kinds.RSVP,), tags=(("a", (session_address,)),))
            read = functools.partial(self._past.read, None, (answers,))
            self._past.persist(f"reading the answers to {session_address}", read)

    def _ask(self, wanted: dict[str, tuple[Filter, ...]], *, anew: bool) -> None:
        assert self._pool is not None, "the composition root joins the pool"
        for name in self._past.asked.keys() - wanted.keys():
            self._pool.unsubscribe(name)
            self._past.drop(name)
            self._name_of = {author: asked for author, asked in self._name_of.items() if asked != name}
        for name, filters in wanted.items():
            if not anew and self._past.asked.get(name) == filters:
                continue
            self._past.ask(name, filters)
            if name.startswith(PEOPLE):
                self._name_of |= {author: name for one in filters for author in one.authors or ()}
            if stands(name):
                self._pool.subscribe(name, filters, since_for=self._since_for(name))
            else:
                self._past.read_only(name)

    def _since_for(self, name: str) -> Callable[[str], int | None]:
        return lambda relay: self._past.marks.get((relay, name))

    async def _interests(self) -> Interests:
        await self._participants.track([one.session_address for one in self._sessions if one.is_open])
        found = await interests_in(
            self._sessions,
            self._participants,
            service=self._service,
            instructors=self._instructors(),
            reads_presence=self._hooks.reads_presence(),
        )
        return found.in_order(self._order)

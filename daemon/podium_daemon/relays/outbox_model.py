"""Reads people's own relays: their relay lists, and on the listed relays their answers, deletions and inboxes.

Sources: NIP-65 (the outbox model), NIP-17 (kind 10050). Strangers choose these relays: they are guarded as recipients'
relays are (`addresses`, `places`), have a few seconds to answer, and their events pass the same checks as all others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from typing import Final, TypeVar

import msgspec
import structlog

from podium_daemon.relays.addresses import AddressRefused, Network, leads_outside
from podium_daemon.relays.interests import PER_FILTER, Interests
from podium_daemon.relays.judgement import Arrival
from podium_daemon.relays.outbox_plan import Errand, Plan
from podium_daemon.relays.paged_fetch import FetchedFromRelay
from podium_daemon.relays.pool import RelayPool
from podium_daemon.relays.syncer import Syncer
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import wait_for_first
from podium_protocol import kinds
from podium_protocol.errors import PodiumError
from podium_protocol.events import Pubkey
from podium_protocol.filters import Filter
from podium_protocol.nips import nip65
from podium_storage.errors import StoreDamaged
from podium_storage.mirror.queries import EventQueries

_log = structlog.get_logger(__name__)

T = TypeVar("T")

LOOK_EVERY: Final = 5.0
"""Seconds between two checks of what is due."""

WITHIN: Final = 10.0
"""Seconds that a relay has for its answer."""

AT_ONCE: Final = 16
"""Relays asked at the same time: relays that hang block no more places than that."""

MAX_BYTES: Final = 4 * 1024 * 1024
"""Bytes of one relay's answer about one group of people."""

_EVENTS_EACH: Final = 10  # of each author, on average
_EVENTS: Final = 200
_ASKED_AT_MOST: Final = 24  # questions to one relay in a round: a group whose answer is too large is halved
_PART: Final = 500  # events a transaction
_DELETED_SINCE: Final = 15 * 24 * 3600

Spread = Callable[[Sequence[str]], Awaitable[None]]
"""Publishes the service's own lists to those of these relays that do not have them."""


class OutboxSettings(msgspec.Struct, frozen=True):
    """`enabled`: whether other people's relays are read. `indexers`: asked for lists, besides our own relays."""

    enabled: bool = False
    indexers: tuple[str, ...] = ()


class OutboxModel:
    """The service that reads people's own relays."""

    name = "outbox model"

    def __init__(
        self,
        settings: OutboxSettings,
        *,
        pool: RelayPool,
        syncer: Syncer,
        mirror: EventQueries,
        spread: Spread,
        clock: Clock,
        within: float = WITHIN,
        permitted: Iterable[Network] = (),
    ) -> None:
        """`within`: seconds for a relay to answer. `permitted`: networks that count as public, as for the pool."""
        self.settings = settings
        """A reload replaces it."""
        self._pool = pool
        self._syncer = syncer
        self._mirror = mirror
        self._spread = spread
        self._clock = clock
        self._within = within
        self._permitted = tuple(permitted)
        self._plan = Plan()
        self._planned_for: tuple[Interests, tuple[str, ...]] | None = None
        self._places = asyncio.Semaphore(AT_ONCE)

    @property
    def is_on(self) -> bool:
        """Whether other relays are asked: with private relays only, and no indexer, no other relay is."""
        given = self.settings
        return given.enabled and bool(given.indexers or any(leads_outside(url, self._permitted) for url in self._own()))

    def has_looked(self, pubkey: str) -> bool | None:
        """Whether the person's own relays were read as far as possible; None: the person is not of interest (yet)."""
        return self._plan.has_looked(Pubkey(pubkey)) if self.is_on else True

    async def run(self, stop: Stop) -> None:
        """Read until the stop."""
        await wait_for_first(self._look(), stop.wait())

    async def _look(self) -> None:
        while True:
            try:
                await self._round()
            except StoreDamaged:
                raise
            except PodiumError as error:
                _log.warning("a service will try again", action="service.retry", service=self.name, error=str(error))
            await self._clock.sleep(LOOK_EVERY)

    async def _round(self) -> None:
        interests = self._syncer.interests
        if interests is None or not self.is_on:
            return
        if self._planned_for != (interests, own := self._own()):
            self._planned_for = interests, own
            self._plan.concern(interests.instructors, (*interests.invited, *interests.people), own)
        await self._spread(self.settings.indexers)
        await self._look_up_lists()
        errands = self._plan.relays_due(self._clock.now())
        await _all_of([self._run_errand(errand, interests) for errand in errands])
        await self._learn([author for errand in errands for author in errand.authors])

    async def _look_up_lists(self) -> None:
        people = self._plan.lists_due(self._clock.now())
        if not people:
            return
        sources = dict.fromkeys((*self._pool.urls("read"), *self.settings.indexers))
        told = await _all_of(
            [
                self._ask(url, (Filter(kinds=(kinds.RELAY_LIST, kinds.DM_RELAY_LIST), authors=part),), len(part))
                for url in sources
                for part in _parts(people)
            ]
        )
        await self._learn(people)
        answered = all(answer is not None and not answer.is_partial for answer in told)
        self._plan.lists_were_asked(people, self._clock.now(), of_all=answered)

    async def _run_errand(self, errand: Errand, interests: Interests) -> None:
        """Ask one relay about the people who write to it; one author with too many events does not hide the others."""
        refused = self._pool.ensure(errand.url)
        if isinstance(refused, AddressRefused) and refused.retry_after is not None:
            return  # no free place now: the errand stays due
        groups, answered = list(_parts(errand.authors)), False
        for _ in range(max(_ASKED_AT_MOST, 2 * len(groups))):
            if not groups:
                break
            authors = groups.pop(0)
            filters = tuple(_filters(interests, authors, int(self._clock.now())))
            answer = await self._ask(errand.url, filters, len(authors))
            if answer is None or answer.is_worth_retrying:
                break
            answered = True
            if answer.is_partial and len(authors) > 1:
                middle = len(authors) // 2
                groups += authors[:middle], authors[middle:]
        self._plan.was_asked(errand, self._clock.now(), answered=answered)

    async def _ask(self, url: str, filters: Sequence[Filter], people: int) -> FetchedFromRelay | None:
        """Ask one relay and store its answer; None: it may not be asked, or was too slow."""
        at_most = len(filters) * _EVENTS + _EVENTS_EACH * people
        async with self._places:
            if isinstance(self._pool.ensure(url), AddressRefused):
                return None
            try:
                async with asyncio.timeout(2 * self._within):
                    result = await self._pool.fetch(
                        [url], filters, within=self._within, at_most=at_most, max_bytes=MAX_BYTES
                    )
            except TimeoutError:
                return None
            (answer,) = result.answers
            # the oldest first, as everywhere: seats go to those who came first
            oldest_first = [Arrival(one.relay_url, tuple(filters), bytes(one.raw)) for one in answer.events[::-1]]
            for start in range(0, len(oldest_first), _PART):
                await self._syncer.admit(oldest_first[start : start + _PART])
        return answer

    async def _learn(self, people: Collection[Pubkey]) -> None:
        """Read from the mirror to which relays people write."""
        for part in _parts(tuple(dict.fromkeys(people)), 1_000):
            events = await self._mirror.by_filter(Filter(kinds=(kinds.RELAY_LIST,), authors=part))
            self._plan.write_to({event.pubkey: nip65.read_relay_list(event).write for event in events})

    def _own(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(url for flag in _FLAGS for url in self._pool.urls(flag)))


_FLAGS: Final = ("read", "write", "dm")


def _filters(interests: Interests, authors: tuple[Pubkey, ...], now: int) -> Iterator[Filter]:
    """The filters for people who write to a relay; the relay is told of no private session."""
    yield Filter(kinds=(kinds.RELAY_LIST, kinds.DM_RELAY_LIST), authors=authors)
    for part in _parts(interests.addresses):
        yield Filter(kinds=(kinds.RSVP,), authors=authors, tags=(("a", part),))
    if leading := tuple(author for author in authors if author in interests.instructors):
        yield Filter(kinds=(kinds.SESSION, kinds.CALENDAR, kinds.METADATA), authors=leading)
    # people delete many other things too: deletions come last, and only recent ones
    yield Filter(kinds=(kinds.DELETION,), authors=authors, since=now - _DELETED_SINCE)


def _parts(values: Sequence[T], size: int = PER_FILTER) -> Iterator[tuple[T, ...]]:
    for start in range(0, len(values), size):
        yield tuple(values[start : start + size])


async def _all_of(work: Sequence[Awaitable[T]]) -> list[T]:
    """Await all, and only then raise the first exception: no failure goes unnoticed."""
    ended = await asyncio.gather(*work, return_exceptions=True)
    for one in ended:
        if isinstance(one, BaseException):
            raise one
    return [one for one in ended if not isinstance(one, BaseException)]

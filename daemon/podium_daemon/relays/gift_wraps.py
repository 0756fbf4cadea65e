"""Private messages to the service, from its own message relays: verified like all events, then handed on.

They are kept out of the mirror: their content is private, and most of what strangers send is noise.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import structlog

from podium_daemon.relays.incoming import Incoming
from podium_daemon.relays.ingest import Good, Ingest, Judges
from podium_daemon.relays.interests import wraps_for
from podium_daemon.relays.judgement import Arrival
from podium_daemon.relays.paged_fetch import NEVER_A_CAP
from podium_daemon.relays.pool import RelayPool
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import Watched
from podium_protocol.events import EventId, Pubkey, VerifiedEvent
from podium_protocol.filters import backfill
from podium_storage.mirror.mirror import Watermarks

SUBSCRIPTION: Final = "wraps"
_READ_WITHIN: Final = 60.0  # seconds for what one relay kept
_READ_AT_MOST: Final = 50_000  # wraps: strangers may write as many as they like
_BATCH: Final = 500  # wraps a transaction

_log = structlog.get_logger(__name__)

Deliver = Callable[[Sequence[VerifiedEvent]], Awaitable[None]]
"""Takes gift wraps whose signatures are good; returns once their content is stored."""


PastIsRead = Callable[[], Awaitable[None]]
"""Called once, when the past of every message relay is read or was too slow; returns once that is stored."""


async def _ignore_past() -> None:
    """The default: no caller waits for the past."""


async def _unread(_wraps: Sequence[VerifiedEvent]) -> None:
    raise AssertionError("the composition root names the reader of the wraps")


class GiftWraps:
    """The service that asks for gift wraps.

    `caught_up` is set once the past is read, or was waited for long enough, and `past_is_read` has returned.
    `remembered` is set once it is also sure that we have what we sealed for ourselves, such as who said `stop`: on a
    disk that has never read a message relay, the past of at least one must be read, however long that takes.
    """

    name = "gift wraps"

    def __init__(
        self,
        *,
        service: Pubkey,
        deliver: Deliver = _unread,
        watermarks: Watermarks,
        clock: Clock,
        past_is_read: PastIsRead = _ignore_past,
        patience: float = 12.0,
        judges: Judges | None = None,
    ) -> None:
        """`patience`: seconds after which a silent relay is no longer waited for. `judges`: see `Ingest`."""
        self._filters = wraps_for(service)
        self.deliver = deliver
        """Takes the wraps. It is set later: the part that answers them needs what is read here."""
        self._watermarks = watermarks
        self._clock = clock
        self._marks: dict[str, int] = {}
        self._stored: Counter[str] = Counter()  # by relay: stored events since its last EOSE
        self._readings: dict[str, asyncio.Task[None]] = {}
        self._pool: RelayPool | None = None
        self._known: set[str] = set()
        self._outstanding: set[str] = set()
        self._past_is_read = past_is_read
        self._patience = patience
        self._read_now: dict[str, int] = {}  # by relay: when its past was read, until that is stored
        self.caught_up = asyncio.Event()
        self.remembered = asyncio.Event()
        self.tasks = Watched(self.name)
        self.ingest = Ingest(self._keep, clock.now, judges)

    def join(self, pool: RelayPool) -> None:
        """Set the pool that delivers the wraps."""
        self._pool = pool
        self._known = set(pool.urls("dm"))
        self._outstanding = set(self._known)

    async def run(self, stop: Stop) -> None:
        """Ask the message relays for wraps since the last time, and for new ones, until the stop."""
        assert self._pool is not None, "the composition root joins the pool"
        self._marks = await self._watermarks.watermarks_of(SUBSCRIPTION)
        # the relays go on for a moment after the stop; what they send is read at the next start
        await self.tasks.guard(self._ask(self._pool, stop))

    async def _ask(self, pool: RelayPool, stop: Stop) -> None:
        self.tasks.start(self._lose_patience(), "patience")
        self._subscribe(pool)
        await stop.wait()

    def _subscribe(self, pool: RelayPool) -> None:
        if relays := pool.urls("dm"):
            pool.subscribe(SUBSCRIPTION, self._filters, relays=relays, since_for=self._marks.get)
        else:
            pool.unsubscribe(SUBSCRIPTION)

    def relays_changed(self) -> None:
        """Follow a change of the pool's message relays: new ones are read from their beginning, old ones are left."""
        assert self._pool is not None, "the composition root joins the pool"
        before, self._known = self._known, set(self._pool.urls("dm"))
        self._outstanding &= self._known
        if not self.caught_up.is_set():
            self._outstanding |= self._known - before
        for relay in set(self._readings) - self._known:
            self._readings.pop(relay).cancel()
        self._subscribe(self._pool)

    def apply_events(self, events: Sequence[Incoming]) -> asyncio.Future[None]:
        """Queue events of our subscription; the future is done when the good ones are stored."""
        self._stored.update(one.relay_url for one in events)
        return self._take(events)

    async def on_eose(self, name: str, relay: str, partial: bool) -> None:
        """The pool's EOSE listener: from here on a restart need not read further back than two days.

        A relay gives a few hundred wraps for one REQ and then EOSE, even if more came while the daemon was down: if it
        may have more, the rest is read page by page first.
        """
        if name != SUBSCRIPTION or partial:
            return
        now = int(self._clock.now())
        if self._stored.pop(relay, 0) < NEVER_A_CAP:
            await self._is_read(relay, now)
            return
        if (before := self._readings.pop(relay, None)) is not None:
            before.cancel()
        what = f"reading the messages of {relay}"
        work = self.tasks.persist(what, lambda: self._read_past(relay, now), clock=self._clock)
        if (reading := self.tasks.start(work, what)) is not None:
            self._readings[relay] = reading

    async def _read_past(self, relay: str, now: int) -> None:
        """Read the relay's stored wraps and store them; `now` is the time of its EOSE."""
        if await self._read(relay):
            await self._is_read(relay, now)

    async def _read(self, relay: str) -> bool:
        """Read all wraps up to our limit; whether that was completed."""
        assert self._pool is not None, "the composition root joins the pool"
        filters = backfill(self._filters, self._marks.get(relay))
        result = await self._pool.fetch([relay], filters, within=_READ_WITHIN, at_most=_READ_AT_MOST)
        (answer,) = result.answers
        for start in range(0, len(answer.events), _BATCH):
            await self._take(answer.events[start : start + _BATCH])
        if answer.problem is not None:
            _log.warning("not all messages were read", action="wraps.partial", relay=relay, why=answer.problem)
        return answer.problem is None or len(answer.events) >= _READ_AT_MOST

    async def _is_read(self, relay: str, now: int) -> None:
        self._read_now[relay] = now
        self._outstanding.discard(relay)
        if self.caught_up.is_set():
            await self._write_marks()
        elif not self._outstanding:
            await self._catch_up()

    async def _catch_up(self) -> None:
        if not self.caught_up.is_set():
            await self._past_is_read()
            self.caught_up.set()
        await self._write_marks()

    async def _write_marks(self) -> None:
        """Store the marks, only now: wraps that wait for the rest of the past are in memory, and a crash loses them."""
        for relay, now in list(self._read_now.items()):
            self._marks[relay] = now
            await self._watermarks.set(relay, SUBSCRIPTION, now)
            self._read_now.pop(relay, None)
        if self._marks or not self._pool or not self._pool.urls("dm"):
            self.remembered.set()
        elif not self.remembered.is_set():
            _log.warning("nobody is written to before a message relay has told its past", action="wraps.unread")

    async def _lose_patience(self) -> None:
        """Go on without silent relays; a service without message relays has no past to read."""
        if self._outstanding:
            await self._clock.sleep(self._patience)
        await self.tasks.persist("looking at what waited", self._catch_up, clock=self._clock)

    def _take(self, events: Iterable[Incoming]) -> asyncio.Future[None]:
        return self.ingest.take_in([Arrival(one.relay_url, self._filters, bytes(one.raw)) for one in events])

    async def _keep(self, batch: Sequence[Good]) -> list[EventId]:
        await self.deliver([one.event for one in batch])
        return [one.event.id for one in batch]  # only now: a wrap whose effects were not stored comes again


def split_wraps(events: Sequence[Incoming]) -> tuple[list[Incoming], list[Incoming]]:
    """The events of the subscription for wraps, and the rest; both in their order."""
    own = [one for one in events if one.subscription == SUBSCRIPTION]
    return own, [one for one in events if one.subscription != SUBSCRIPTION] if own else list(events)

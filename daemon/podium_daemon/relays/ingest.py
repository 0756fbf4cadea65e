"""The ingest: what relays sent becomes verified events in a store, or counted drops.

Arrivals wait in a queue for each relay. Copies are told by the id that they claim and wait for the verdict on the first
one; the rest is judged, in turns of the relays, and what is good is stored, many events in one transaction. A single
event goes through at once. Nothing counts as seen before it is stored.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from podium_daemon.relays.judgement import Arrival, judge_all
from podium_protocol.events import EventId, RejectReason, VerifiedEvent

MAX_SEEN: Final = 100_000  # ids remembered; a forgotten one costs a verification, and the mirror knows it again
_INLINE: Final = 64  # events judged on the loop: 3 ms; more go to a thread, where libsecp256k1 needs no GIL
_JUDGED_AT_ONCE: Final = 256
_WORTH_ANOTHER: Final = 128  # events that wait before a further batch is judged beside those under way
_STORED_AT_ONCE: Final = 1_000  # events a transaction; other writers wait meanwhile
_BACKLOG: Final = 512  # events that wait: from here on worker processes are worth their start

Item = TypeVar("Item")


class Good(msgspec.Struct, frozen=True, gc=False):
    """An arrival whose event was found good."""

    arrival: Arrival
    event: VerifiedEvent


Keep = Callable[[Sequence[Good]], Awaitable[Collection[EventId]]]
"""Stores good events, in order, and returns once that is durable: the ids of which no copy need be looked at again."""


class Judges(Protocol):
    """Worker processes that judge for the daemon."""

    def start(self) -> None:
        """Start them, if they do not run; they end by themselves when there is nothing to do."""

    @property
    def free(self) -> int:
        """How many further batches they can take now; 0 while none runs."""

    async def judge(self, arrivals: Sequence[Arrival], now: float) -> list[VerifiedEvent | str] | None:
        """Judge as `judge_all` does; None if the worker died."""


class _Copies(Generic[Item]):
    """The copies of one event: how many are being judged or stored, and those that wait for the verdict."""

    __slots__ = ("under_way", "waiting")

    def __init__(self) -> None:
        self.under_way = 1
        self.waiting: list[Item] = []


class CopyGate(Generic[Item]):
    """Tells copies by the ids that they claim: one is judged, the others wait for its verdict.

    A claim is no proof. So an id is done only once its event was stored; and when the copy under way turns out to be
    bad, all that waited are judged at once: a relay cannot hide an event, nor delay it, by sending it broken.
    """

    def __init__(self) -> None:
        """Know no event yet."""
        self._done: OrderedDict[str, None] = OrderedDict()
        self._copies: dict[str, _Copies[Item] | None] = {}  # None: one is under way and none waits, as nearly always

    def is_done(self, claimed: str) -> bool:
        """Whether the event with this id was stored: copies need no check."""
        return claimed in self._done

    def admit(self, claimed: str, item: Item) -> bool:
        """Whether to judge this copy now; else it waits. Ask `is_done` first."""
        if claimed not in self._copies:
            self._copies[claimed] = None
            return True
        self._copies_of(claimed).waiting.append(item)
        return False

    def put_back(self, claimed: str, item: Item) -> None:
        """Let a copy that was judged wait as well: another one is being stored."""
        copies = self._copies_of(claimed)
        copies.under_way -= 1
        copies.waiting.append(item)

    def settle(self, claimed: str, *, is_done: bool) -> list[Item]:
        """Take the verdict on one copy under way; returns those that waited for it: done as well, or to be judged."""
        if is_done:
            self._remember(claimed)
        copies = self._copies[claimed]
        if copies is None:
            del self._copies[claimed]
            return []
        copies.under_way -= 1
        if copies.under_way and not is_done:
            return []  # another one may still be good
        released, copies.waiting = copies.waiting, []
        if not is_done:
            copies.under_way = len(released)
        if not copies.under_way:
            del self._copies[claimed]
        return released

    def _copies_of(self, claimed: str) -> _Copies[Item]:
        copies = self._copies[claimed]
        if copies is None:
            copies = self._copies[claimed] = _Copies()
        return copies

    def _remember(self, claimed: str) -> None:
        self._done[claimed] = None
        while len(self._done) > MAX_SEEN:
            self._done.popitem(last=False)


class _Delivery:
    """The events of one call: it is over when each of them is stored or dropped."""

    __slots__ = ("future", "left")

    def __init__(self, size: int) -> None:
        self.left = size
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not size:
            self.future.set_result(None)

    def settle(self, error: Exception | None = None) -> None:
        self.left -= 1
        if self.future.done():
            return  # the caller is gone, or was told of another error
        if error is not None:
            self.future.set_exception(error)
        elif not self.left:
            self.future.set_result(None)


class _Entry(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One arrival on its way, and the id that it claims; "" if it claims none that could be one."""

    arrival: Arrival
    claimed: str
    delivery: _Delivery


class _Claim(msgspec.Struct, gc=False):
    id: str


_claim: Final = msgspec.json.Decoder(_Claim).decode


def claimed_id(raw: bytes) -> str:
    """The id that an unchecked event claims to have, or "" if it claims none that could be one."""
    try:
        claimed = _claim(raw).id
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""
    return claimed if len(claimed) == 64 else ""


class Ingest:
    """Takes arrivals in. `dropped` counts the refused ones by reason, `accepted` those that were good and new.

    Its tasks run only while there is something to do.
    """

    def __init__(self, keep: Keep, now: Callable[[], float], judges: Judges | None = None) -> None:
        """`keep` stores what is good, one batch after the other; without `judges` a thread judges large batches."""
        self._keep = keep
        self._now = now
        self._judges = judges
        self._gate: CopyGate[_Entry] = CopyGate()
        self._waiting = _Turns()
        self._judging: deque[asyncio.Task[None]] = deque()
        self._good: deque[tuple[_Entry, VerifiedEvent]] = deque()
        self._storing: asyncio.Task[None] | None = None
        self.dropped: Counter[str] = Counter()
        self.accepted = 0

    def has_seen(self, event_id: EventId) -> bool:
        """Whether a good event with this id was stored: copies of it need no check."""
        return self._gate.is_done(event_id)

    def take_in(self, arrivals: Sequence[Arrival]) -> asyncio.Future[None]:
        """Queue arrivals at once; the future is done when each is stored or dropped, and raises what `keep` raised.

        A caller that is cancelled does not take its arrivals back.
        """
        delivery = _Delivery(len(arrivals))
        for arrival in arrivals:
            self._enter(_Entry(arrival, claimed_id(arrival.raw), delivery))
        self._judge_on()
        return delivery.future

    def _enter(self, entry: _Entry) -> None:
        claimed = entry.claimed
        if claimed and self._gate.is_done(claimed):
            self._drop(entry, "duplicate")
        elif not claimed or self._gate.admit(claimed, entry):
            self._waiting.add(entry)

    def _drop(self, entry: _Entry, reason: str) -> None:
        self.dropped[reason] += 1
        entry.delivery.settle()

    # -- judging -------------------------------------------------------------------------------------------------------

    def _judge_on(self) -> None:
        """Judge what waits, if it is time to."""
        while self._is_due(len(self._waiting)):
            before = self._judging[-1] if self._judging else None
            batch = self._waiting.take(_JUDGED_AT_ONCE)
            self._judging.append(asyncio.create_task(self._judge(batch, before), name="judge events"))
        if self._judges is not None and len(self._waiting) >= _BACKLOG:
            self._judges.start()

    def _is_due(self, waiting: int) -> bool:
        """Whether to begin a batch: few events wait while others are stored, so that they become one batch."""
        if self._judging:
            return waiting >= _WORTH_ANOTHER and self._judges is not None and self._judges.free > 0
        return waiting > (_INLINE if self._storing is not None else 0)

    async def _judge(self, batch: Sequence[_Entry], before: asyncio.Task[None] | None) -> None:
        try:
            verdicts: Sequence[VerifiedEvent | str | Exception] = await self._verdicts(batch)
        except Exception as error:  # noqa: BLE001  (handed to those who brought the events)
            verdicts = [error] * len(batch)
        if before is not None:
            await asyncio.wait([before])  # in the order in which they came
        for entry, verdict in zip(batch, verdicts, strict=True):
            self._judged(entry, verdict)
        self._judging.popleft()
        if self._good and self._storing is None:
            self._storing = asyncio.create_task(self._store_on(), name="store events")
        self._judge_on()

    async def _verdicts(self, batch: Sequence[_Entry]) -> list[VerifiedEvent | str]:
        arrivals, now = [entry.arrival for entry in batch], self._now()
        if len(arrivals) <= _INLINE:
            return judge_all(arrivals, now)
        if self._judges is not None and self._judges.free > 0:
            verdicts = await self._judges.judge(arrivals, now)
            if verdicts is not None:
                return verdicts
        return await asyncio.to_thread(judge_all, arrivals, now)

    def _judged(self, entry: _Entry, verdict: VerifiedEvent | str | Exception) -> None:
        if isinstance(verdict, VerifiedEvent) and verdict.id == entry.claimed:
            self._good.append((entry, verdict))
            return
        if isinstance(verdict, Exception):
            entry.delivery.settle(verdict)
        else:
            self._drop(entry, verdict if isinstance(verdict, str) else RejectReason.BAD_ID.value)
        self._settle(entry, is_done=False)

    def _settle(self, entry: _Entry, *, is_done: bool) -> None:
        if not entry.claimed:
            return
        for copy in self._gate.settle(entry.claimed, is_done=is_done):
            if is_done:
                self._drop(copy, "duplicate")
            else:
                self._waiting.add(copy)

    # -- storing -------------------------------------------------------------------------------------------------------

    async def _store_on(self) -> None:
        try:
            while self._good:
                if batch := list(self._next_good()):
                    self.accepted += len(batch)
                    await self._store(batch)
        finally:
            self._storing = None
        self._judge_on()

    def _next_good(self) -> Iterator[tuple[_Entry, VerifiedEvent]]:
        """The next events to store: each id once, and none that was stored meanwhile."""
        taken: set[str] = set()
        while self._good and len(taken) < _STORED_AT_ONCE:
            entry, event = self._good.popleft()
            if self._gate.is_done(entry.claimed):
                self._settle(entry, is_done=True)
                self._drop(entry, "duplicate")
            elif entry.claimed in taken:
                self._gate.put_back(entry.claimed, entry)
            else:
                taken.add(entry.claimed)
                yield entry, event

    async def _store(self, batch: Sequence[tuple[_Entry, VerifiedEvent]]) -> None:
        """Store a batch; if that fails, each relay's part by itself, so that one relay's events fail alone."""
        failure: Exception | None = None
        done: AbstractSet[EventId] = frozenset()
        try:
            done = set(await self._keep([Good(entry.arrival, event) for entry, event in batch]))
        except Exception as error:  # noqa: BLE001  (handed to those who brought the events)
            failure = error
        relays = dict.fromkeys(entry.arrival.relay for entry, _ in batch)
        if failure is not None and len(relays) > 1:
            for relay in relays:
                await self._store([one for one in batch if one[0].arrival.relay == relay])
            return
        for entry, event in batch:
            entry.delivery.settle(failure)
            self._settle(entry, is_done=event.id in done)


class _Turns:
    """Entries that wait, by relay. Each relay has its turn, so that one that sends much does not hold up the others."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[_Entry]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, entry: _Entry) -> None:
        """Add an entry behind the others of its relay."""
        self._queues.setdefault(entry.arrival.relay, deque()).append(entry)
        self._count += 1

    def take(self, at_most: int) -> list[_Entry]:
        """Take entries: equal shares of all relays, of each in order."""
        taken: list[_Entry] = []
        while self._queues and len(taken) < at_most:
            share = max(1, (at_most - len(taken)) // len(self._queues))
            for relay in list(self._queues):
                queue = self._queues[relay]
                taken += [queue.popleft() for _ in range(min(share, len(queue), at_most - len(taken)))]
                if not queue:
                    del self._queues[relay]
        self._count -= len(taken)
        return taken

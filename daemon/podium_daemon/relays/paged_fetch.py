"""Reading everything a relay has stored for a filter, although it answers one REQ with a few hundred events at most.

No I/O: `Pager` says what to ask next. Events are only peeked at, so a relay that lies about times or ids spoils only
its own answer. Sources: NIP-01 ("Newer events should appear first"; `since` and `until` are inclusive).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from podium_daemon.relays.incoming import Incoming
from podium_protocol.filters import Filter
from podium_protocol.relay.verdicts import Violation

PAGE: Final = 500  # what relays commonly give for one REQ
NEVER_A_CAP: Final = 20
"""An answer with fewer events is a relay's last: no relay is known to give so few at a time."""

MAX_BYTES: Final = 128 * 1024 * 1024  # of one relay's answer to one filter


class FetchedFromRelay(msgspec.Struct, frozen=True):
    """One relay's events. `problem`: why it may have more; None if the answer is complete."""

    relay_url: str
    events: tuple[Incoming, ...]
    problem: str | None = None
    is_worth_retrying: bool = False  # it refused, was slow or could not be reached: another time it may give more

    @property
    def is_partial(self) -> bool:
        """Whether the relay may have more."""
        return self.problem is not None


class FetchResult(msgspec.Struct, frozen=True):
    """One answer for each relay asked. The same event may be in several, and not every copy need be valid."""

    answers: tuple[FetchedFromRelay, ...]

    @property
    def events(self) -> Iterator[Incoming]:
        """The events of all relays, unverified."""
        return (event for answer in self.answers for event in answer.events)

    @property
    def is_partial(self) -> bool:
        """Whether any relay may have more."""
        return any(answer.is_partial for answer in self.answers)


class _Peeked(msgspec.Struct):
    id: str
    created_at: int


_peek = msgspec.json.Decoder(_Peeked).decode


class Pager:
    """Asks for the stored events of one filter, newest first, page after page.

    The next page starts at the second of the oldest event seen, not before it: a page may end within a second.
    """

    def __init__(
        self,
        wanted: Filter,
        *,
        at_most: int,
        seen: set[str] | None = None,
        page: int = PAGE,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """`seen`: ids from other filters of the same relay, which are skipped. `page`: events in one REQ."""
        self._max_bytes = max_bytes
        self._wanted = wanted
        self._page = page
        self._left = at_most if wanted.limit is None else min(at_most, wanted.limit)
        self._is_our_cap = wanted.limit is None or at_most < wanted.limit
        self._until = wanted.until
        self._seen: set[str] = set() if seen is None else seen
        self._largest = 0
        self._bytes = 0
        self._is_over = self._left <= 0
        self.problem: str | None = None

    def next_filter(self) -> Filter | None:
        """The next filter to ask for, or None when all is read."""
        if self._is_over:
            return None
        # later pages repeat a second of the page before, so only the first may ask for exactly the rest
        limit = self._page if self._largest else min(self._page, self._left)
        return msgspec.structs.replace(self._wanted, until=self._until, limit=limit)

    def add_page(self, page: Iterable[msgspec.Raw]) -> tuple[list[msgspec.Raw], list[Violation]]:
        """Take a page: return its new events and the relay's faults in it. Then `next_filter` moves on."""
        fresh: list[msgspec.Raw] = []
        faults: list[Violation] = []
        times: dict[str, int] = {}  # by id: a relay may begin a page again after a login
        for raw in page:
            peeked = _peeked(raw)
            if peeked is None:
                faults.append(Violation.BAD_EVENT)
            elif not self._is_in_time(peeked.created_at):
                faults.append(Violation.OUTSIDE_FILTER)
            else:
                times[peeked.id] = peeked.created_at
                if peeked.id not in self._seen and len(fresh) < self._left:
                    self._seen.add(peeked.id)
                    self._bytes += memoryview(raw).nbytes
                    fresh.append(raw)
        self._left -= len(fresh)
        self._move(times.values(), len(fresh))
        return fresh, faults

    def _move(self, times: Collection[int], fresh: int) -> None:
        self._largest = max(self._largest, len(times))
        if self._left == 0 or self._bytes > self._max_bytes:
            self._is_over = True
            if self._is_our_cap or self._left:
                self.problem = "it has more events than were asked for at most"
        elif len(times) < min(NEVER_A_CAP, self._page):
            self._is_over = True
        elif fresh or self._until is None or min(times) < self._until:
            self._until = min(times)
        elif len(times) < self._largest:
            self._is_over = True  # all of one second, all known, and fewer than it can give
        else:
            self._leave_second(self._until)

    def _leave_second(self, second: int) -> None:
        """Skip a second that fills a page by itself: the rest of it cannot be asked for."""
        self.problem = "it has more events of one second than it gives at once"
        self._until = second - 1
        self._is_over = self._until < (self._wanted.since or 0)

    def _is_in_time(self, created_at: int) -> bool:
        since, until = self._wanted.since or 0, self._until
        return since <= created_at and (until is None or created_at <= until)


def _peeked(raw: msgspec.Raw) -> _Peeked | None:
    try:
        return _peek(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


if TYPE_CHECKING:
    from podium_daemon.relays.connection import RelayConnection

_numbers = itertools.count(1)


class _Page:
    """Collects the answer to one REQ."""

    def __init__(self, room: int) -> None:
        """`room`: bytes; a relay that sends more than that is not read any further."""
        self._room = room
        self.events: list[msgspec.Raw] = []
        self.ended: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    def on_event(self, raw: msgspec.Raw) -> None:
        if self.ended.done():
            return
        self._room -= memoryview(raw).nbytes
        if self._room < 0:
            self.ended.set_result("it sends more than is read of it at once")
        else:
            self.events.append(raw)

    def on_end(self, problem: str | None) -> None:
        if not self.ended.done():
            self.ended.set_result(problem)


class FetchQueue:
    """The queue for one relay: first come, first served, with as many fetches at once as it has room for."""

    def __init__(self, room: Callable[[], int]) -> None:
        """`room`: how many at once. When it changes, call `look_again`."""
        self._room = room
        self._asking: list[object] = []
        self._changed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def wait_turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and keep it while the block runs."""
        self._asking.append(ticket := object())
        try:
            while self._asking.index(ticket) >= self._room():
                await self._changed.wait()
            yield
        finally:
            self._asking.remove(ticket)
            self.look_again()

    def look_again(self) -> None:
        """Check again how much room there is."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class PagedFetch:
    """One fetch from one relay."""

    def __init__(
        self, connection: RelayConnection, filters: Sequence[Filter], at_most: int, max_bytes: int = MAX_BYTES
    ) -> None:
        """`at_most`: events in all. `max_bytes`: of the answer to each filter."""
        self._max_bytes = max_bytes
        self._connection = connection
        self._filters = filters
        self._left = at_most
        self._seen: set[str] = set()
        self._events: list[Incoming] = []
        self._problem: str | None = None
        self._is_worth_retrying = False

    async def run(self, within: float) -> FetchedFromRelay:
        """Read and return the relay's answer within `within` seconds, counted from its turn in the queue."""
        try:
            async with self._connection.turns.wait_turn(), asyncio.timeout(within):
                for wanted in self._filters:
                    if not await self._read(wanted):
                        break
        except TimeoutError:
            self._problem, self._is_worth_retrying = f"it was not done within {within:g} s", True
        return FetchedFromRelay(self._connection.url, tuple(self._events), self._problem, self._is_worth_retrying)

    async def _read(self, wanted: Filter) -> bool:
        """Read one filter to its end; whether it is worth going on with others."""
        page = min(PAGE, self._connection.limits.max_limit or PAGE)
        pager = Pager(wanted, at_most=self._left, seen=self._seen, page=page, max_bytes=self._max_bytes)
        while (page_filter := pager.next_filter()) is not None:
            if (problem := await self._read_page(page_filter, pager)) is not None:
                self._problem, self._is_worth_retrying = problem, True
                return False
        self._problem = self._problem or pager.problem
        return True

    async def _read_page(self, wanted: Filter, pager: Pager) -> str | None:
        name, page = f"fetch:{next(_numbers)}", _Page(2 * self._max_bytes)
        try:
            self._connection.open_query(name, wanted, page)
            problem = await page.ended
        finally:
            self._connection.withdraw(name)
            self._take(name, page, pager)
        return problem

    def _take(self, name: str, page: _Page, pager: Pager) -> None:
        fresh, faults = pager.add_page(page.events)
        self._connection.report_violation(*faults)
        self._left -= len(fresh)
        self._events += (Incoming(self._connection.url, name, raw) for raw in fresh)

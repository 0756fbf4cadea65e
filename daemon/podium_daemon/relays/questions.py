"""Asking one relay for all it has: pages are asked for one after the other and collected (`fetching.Pager`)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from podium_daemon.relays.fetching import MAX_BYTES, PAGE, Pager, RelayAnswer
from podium_daemon.relays.incoming import Incoming
from podium_protocol.filters import Filter

if TYPE_CHECKING:
    from podium_daemon.relays.connection import RelayConnection

_numbers = itertools.count(1)


class _Page:
    """Collects the answer to one REQ."""

    def __init__(self, room: int) -> None:
        """`room`: bytes; a relay that sends more, whatever it was asked for, is heard no further."""
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


class Turns:
    """Who may ask one relay now: first come, first served, as many at once as it leaves room for."""

    def __init__(self, room: Callable[[], int | None]) -> None:
        """`room`: how many at once; None: as many as one likes. It may change at any time: then `look_again`."""
        self._room = room
        self._asking: list[object] = []
        self._changed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one's turn, and have it for as long as the block runs."""
        self._asking.append(ticket := object())
        try:
            while (room := self._room()) is not None and self._asking.index(ticket) >= room:
                await self._changed.wait()
            yield
        finally:
            self._asking.remove(ticket)
            self.look_again()

    def look_again(self) -> None:
        """There may be more room."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class Fetch:
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

    async def run(self, within: float) -> RelayAnswer:
        """The relay's answer, after `within` seconds at most from when it could be asked: some allow few at once."""
        try:
            async with self._connection.turns.turn(), asyncio.timeout(within):
                for wanted in self._filters:
                    if not await self._read(wanted):
                        break
        except TimeoutError:
            self._problem, self._is_worth_retrying = f"it was not done within {within:g} s", True
        return RelayAnswer(self._connection.url, tuple(self._events), self._problem, self._is_worth_retrying)

    async def _read(self, wanted: Filter) -> bool:
        """Read one filter to its end. Whether it is worth going on with others."""
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
            self._connection.ask(name, wanted, page)
            problem = await page.ended
        finally:
            self._connection.withdraw(name)
            self._take(name, page, pager)
        return problem

    def _take(self, name: str, page: _Page, pager: Pager) -> None:
        fresh, faults = pager.take(page.events)
        self._connection.blame(*faults)
        self._left -= len(fresh)
        self._events += (Incoming(self._connection.url, name, raw) for raw in fresh)

"""Asking one relay for all it has: pages are asked for one after the other and collected (`fetching.Pager`)."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

import msgspec

from podium_daemon.relays.connection import RelayConnection
from podium_daemon.relays.fetching import Pager, RelayAnswer
from podium_daemon.relays.incoming import Incoming
from podium_protocol.filters import Filter

_numbers = itertools.count(1)


class _Page:
    """Collects the answer to one REQ."""

    def __init__(self) -> None:
        self.events: list[msgspec.Raw] = []
        self.ended: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    def on_event(self, raw: msgspec.Raw) -> None:
        if not self.ended.done():
            self.events.append(raw)

    def on_end(self, problem: str | None) -> None:
        if not self.ended.done():
            self.ended.set_result(problem)


class Fetch:
    """One fetch from one relay."""

    def __init__(self, connection: RelayConnection, filters: Sequence[Filter], at_most: int) -> None:
        """`at_most`: events in all."""
        self._connection = connection
        self._filters = filters
        self._left = at_most
        self._seen: set[str] = set()
        self._events: list[Incoming] = []
        self._problem: str | None = None

    async def run(self, within: float) -> RelayAnswer:
        """The relay's answer, after `within` seconds at most."""
        try:
            async with asyncio.timeout(within):
                for wanted in self._filters:
                    if not await self._read(wanted):
                        break
        except TimeoutError:
            self._problem = f"it was not done within {within:g} s"
        return RelayAnswer(self._connection.url, tuple(self._events), self._problem)

    async def _read(self, wanted: Filter) -> bool:
        """Read one filter to its end. Whether it is worth going on with others."""
        pager = Pager(wanted, at_most=self._left, seen=self._seen)
        while (page_filter := pager.next_filter()) is not None:
            if (problem := await self._read_page(page_filter, pager)) is not None:
                self._problem = problem
                return False
        self._problem = self._problem or pager.problem
        return True

    async def _read_page(self, wanted: Filter, pager: Pager) -> str | None:
        name, page = f"fetch:{next(_numbers)}", _Page()
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

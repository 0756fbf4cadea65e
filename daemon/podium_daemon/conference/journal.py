"""The events of one engine, remembered for a while, read by each reader at its own pace.

Memory is bounded once for all readers. A reader that starts (or starts again after a crash) is told what is still
remembered, so nothing between two runs of it is lost; it drops ids it has seen. A reader too slow to be told
everything hears `EngineHealth(up=False)` and takes a snapshot after the `up=True` that follows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from podium_daemon.conference.events import EngineEvent, EngineHealth

REMEMBERED_EVENTS: Final = 16_384  # all people of a room of 5,000 join, drop and return; about 10 MB


class EventJournal:
    """An append-only log with a bounded tail."""

    def __init__(self, run: str, remembered: int = REMEMBERED_EVENTS) -> None:
        """Remember the last `remembered` events; `run` is different for each start of the engine."""
        self._run = run
        self._remembered = remembered
        self._events: dict[int, EngineEvent] = {}
        self._first = 0
        self._end = 0
        self._grown = asyncio.Event()

    def append(self, event: EngineEvent) -> None:
        """Add an event; never waits, never fails for want of a reader."""
        self._events[self._end] = event
        self._end += 1
        if len(self._events) > self._remembered:
            del self._events[self._first]
            self._first += 1
        self._grown.set()
        self._grown = asyncio.Event()

    def follow(self) -> AsyncIterator[EngineEvent]:
        """Every event remembered at this call, then every new one, for as long as the caller reads."""
        return self._from(self._first)

    async def _from(self, position: int) -> AsyncIterator[EngineEvent]:
        while True:
            if position < self._first:
                lost, position = position, self._first
                for notice in self._lost(lost, position):
                    yield notice
            elif position == self._end:
                await self._grown.wait()
            else:
                event = self._events[position]
                position += 1
                yield event

    def _lost(self, start: int, end: int) -> tuple[EngineHealth, EngineHealth]:
        at = self._events[end].at
        name = f"{self._run}/lost/{start}-{end}"
        detail = f"{end - start} events were not read in time: take a snapshot"
        down = EngineHealth(id=f"{name}/down", at=at, up=False, detail=detail)
        return down, EngineHealth(id=f"{name}/up", at=at, up=True)

"""Guests, rooms and readers for tests of conference engines."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from podium_daemon.conference.engine import ConferenceEngine, Person
from podium_daemon.conference.events import EngineEvent, Joined, Left, RoomRole
from podium_protocol.events import Pubkey
from podium_protocol.keys import SecretKey

T = TypeVar("T", bound=EngineEvent)


def new_pubkey() -> Pubkey:
    """The public key of a new person."""
    return SecretKey(os.urandom(32)).pubkey


def new_person(pubkey: Pubkey | None = None, device: str = "laptop", role: RoomRole = RoomRole.PARTICIPANT) -> Person:
    """A person on one device."""
    return Person(pubkey=pubkey or new_pubkey(), device=device, role=role)


def seeded_bytes(seed: int = 1) -> Callable[[int], bytes]:
    """A random source that a failing test can repeat."""
    return random.Random(seed).randbytes


class EventReader:
    """Reads an engine's events as the daemon does: it keeps the first of each id and counts the copies."""

    def __init__(self, engine: ConferenceEngine) -> None:
        self.kept: list[EngineEvent] = []
        self.copies: Counter[str] = Counter()
        self._engine = engine
        self._news = asyncio.Condition()

    async def run(self) -> None:
        """Read until cancelled."""
        ids = {event.id for event in self.kept}
        async for event in self._engine.events():
            if event.id in ids:
                self.copies[event.id] += 1
                continue
            ids.add(event.id)
            self.kept.append(event)
            async with self._news:
                self._news.notify_all()

    async def until(self, kind: type[T], wanted: Callable[[T], bool] = lambda _: True) -> T:
        """Wait for the first event of a kind for which `wanted` holds."""

        def found() -> T | None:
            return next((event for event in self.kept if isinstance(event, kind) and wanted(event)), None)

        async with self._news:
            event = await self._news.wait_for(found)
        assert event is not None
        return event

    async def left(self, connection: str) -> Left:
        """Wait for the end of a connection."""
        return await self.until(Left, lambda event: event.connection.id == connection)

    async def joined(self, connection: str) -> Joined:
        """Wait for the beginning of a connection."""
        return await self.until(Joined, lambda event: event.connection.id == connection)

    def all_of(self, kind: type[T]) -> list[T]:
        """What was kept of one kind."""
        return [event for event in self.kept if isinstance(event, kind)]


@contextlib.asynccontextmanager
async def reading(engine: ConferenceEngine, reader: EventReader | None = None) -> AsyncIterator[EventReader]:
    """A reader at work; pass one again to start it a second time."""
    reader = reader or EventReader(engine)
    task = asyncio.create_task(reader.run())
    try:
        yield reader
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

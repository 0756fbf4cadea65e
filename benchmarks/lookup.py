"""lookup: `where("[lessonId+pubkey]").equals(...)` among many rows, on an idle store and beside an ingest."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import aiosqlite

from benchmarks import signed_load
from benchmarks.feed import Feed, running_feed
from benchmarks.frame_server import frame_server
from benchmarks.interleave import Contestant, Progress, Result, Row, compared, interleaved, quantile
from benchmarks.settings import Settings
from benchmarks.signed_load import part
from podium_protocol import kinds
from podium_storage.store import Store
from podium_storage.table.models import RsvpRow

_LESSONS: Final = 1_000
_ROWS_OF_ONE: Final = 10  # sessions that one person answered
_ROWS_AT_ONCE: Final = 5_000
_PAUSE: Final = 0.002  # seconds between two lookups beside an ingest: a visitor reads a page
_LONGEST_STEP: Final = 20_000.0  # microseconds for which the event loop may be held up
_SQL: Final = """
SELECT * FROM trainingLiveSessionRSVPs
WHERE lessonId = (SELECT id FROM atoms WHERE value = ?) AND pubkey = (SELECT id FROM atoms WHERE value = ?)"""
_NOTE: Final = (
    "lookup: among {rows:,} rows. The limit is sqlite3 with neither thread nor event loop, idle in every line; beside "
    "an ingest a lookup of ours waits for the event loop. The limit of the loop's lag is the 20 ms that are allowed."
)

Pair = tuple[str, str]
Latencies = list[float]
"""Microseconds."""


async def run(settings: Settings, progress: Progress) -> Result:
    """The work."""
    with TemporaryDirectory() as folder:
        database, load = Path(folder) / "podium.sqlite", Path(folder) / "events"
        progress(f"signing {settings.events:,} events")
        signed_load.write(load, settings.events)
        async with (
            await Store.open(database) as store,
            frame_server(load) as relays,
            running_feed(store, relays, with_projections=True) as feed,
        ):
            there = _There(store, feed, await _fill(store, settings.rows, progress), settings)
            async with there.others(database) as others:
                samples = await interleaved(there.contestants() | others, settings.rounds, progress)
    return _result(samples, there.lags, settings)


class _There:
    """A filled store, and who looks things up in it."""

    def __init__(self, store: Store, feed: Feed, pairs: Sequence[Pair], settings: Settings) -> None:
        self._store = store
        self._feed = feed
        self._pairs = pairs
        self._count = settings.lookups
        self._part = settings.events // settings.rounds
        self._parts = itertools.count()
        self.lags: list[Latencies] = []
        """How much longer than asked for the pauses beside an ingest took, by round."""

    def contestants(self) -> dict[str, Contestant[Latencies]]:
        """Ourselves."""
        return {"ours": lambda: self._timed(self._ours), "ours, beside an ingest": self._beside_ingest}

    @contextlib.asynccontextmanager
    async def others(self, database: Path) -> AsyncIterator[dict[str, Contestant[Latencies]]]:
        """The driver without a thread or a loop, and the way most people would write it."""
        plain = sqlite3.connect(database)
        async with aiosqlite.connect(database) as connection:

            async def with_sqlite3(pair: Pair) -> object:
                return plain.execute(_SQL, pair).fetchone()

            async def with_aiosqlite(pair: Pair) -> object:
                async with connection.execute(_SQL, pair) as cursor:
                    return await cursor.fetchone()

            yield {
                "sqlite3": lambda: self._timed(with_sqlite3),
                "aiosqlite": lambda: self._timed(with_aiosqlite),
            }
        plain.close()

    async def _ours(self, pair: Pair) -> object:
        return await self._store.rsvps.where("[lessonId+pubkey]").equals(pair).first()

    async def _timed(self, look_up: Callable[[Pair], Awaitable[object]]) -> Latencies:
        return [await self._one(look_up) for _ in range(self._count)]

    async def _beside_ingest(self) -> Latencies:
        number = next(self._parts)
        reading = asyncio.create_task(self._feed.read(f"load-{number}", part(number * self._part, self._part)))
        latencies: Latencies = []
        lags: Latencies = []
        self.lags.append(lags)
        while not reading.done():
            latencies.append(await self._one(self._ours))
            lags.append(await _lag())
        await reading
        return latencies

    async def _one(self, look_up: Callable[[Pair], Awaitable[object]]) -> float:
        pair = random.choice(self._pairs)
        began = time.perf_counter()
        found = await look_up(pair)
        took = time.perf_counter() - began
        assert found is not None
        return took * 1e6


async def _lag() -> float:
    """Pause, and return how much longer that took than it should."""
    began = time.perf_counter()
    await asyncio.sleep(_PAUSE)
    return max(0.0, time.perf_counter() - began - _PAUSE) * 1e6


async def _fill(store: Store, count: int, progress: Progress) -> list[Pair]:
    lessons = [f"{kinds.SESSION}:{os.urandom(32).hex()}:s{number}" for number in range(_LESSONS)]
    people = [os.urandom(32).hex() for _ in range(max(count // _ROWS_OF_ONE, 1))]
    pairs = list({(random.choice(lessons), random.choice(people)) for _ in range(count)})
    for start in range(0, len(pairs), _ROWS_AT_ONCE):
        progress(f"writing rows: {start:,} of {len(pairs):,}")
        await store.rsvps.bulk_add([_row(*pair) for pair in pairs[start : start + _ROWS_AT_ONCE]])
    return pairs


def _row(session_address: str, pubkey: str) -> RsvpRow:
    return RsvpRow(
        session_address=session_address,
        pubkey=pubkey,
        status="confirmed",
        rsvp_time=signed_load.FIRST_SECOND,
        event_id="0" * 64,
        first_seen=1,
        first_seen_at=signed_load.FIRST_SECOND,
    )


def _result(samples: Mapping[str, Sequence[Latencies]], lags: Sequence[Latencies], settings: Settings) -> Result:
    rows: list[Row] = []
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        ours, beside, peer, limit = (
            [quantile(latencies, share) for latencies in samples[who]]
            for who in ("ours", "ours, beside an ingest", "aiosqlite", "sqlite3")
        )
        rows += [
            compared(f"lookup {name}", "us", ours, peer=peer, peer_name="aiosqlite", limit=limit),
            compared(f"lookup {name} beside an ingest", "us", beside, limit=limit),
        ]
    lag = [quantile(one, 0.99) for one in lags]
    rows.append(compared("event loop's lag p99 beside an ingest", "us", lag, limit=[_LONGEST_STEP] * len(lag)))
    return Result(
        tuple(rows),
        (_NOTE.format(rows=settings.rows),),
    )

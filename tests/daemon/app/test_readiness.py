"""`/readyz` while the database takes no writes, and once it does again."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from podium_daemon.app.readiness import CHECK_AGAIN, READ_WITHIN, WAIT, Readiness, WriteCheck
from podium_storage.meta import Meta
from podium_storage.store import Store
from tests.support.clock import ManualClock
from tests.support.full_disk import full_disk
from tests.support.world import world


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store in a file of its own."""
    async with await Store.open(tmp_path / "podium.sqlite3") as opened:
        yield opened


async def test_relays_that_tell_nothing_delay_readiness_for_two_seconds() -> None:
    """What the store knows is acted upon at once, so the daemon is ready; the relays that are behind are named."""
    async with world() as here:
        here.parts.relays.syncer.caught_up.clear()
        readiness = Readiness(here.parts, tuple, ())
        assert (await readiness.trouble() or "").startswith("reading the relays")
        await here.clock.advance(READ_WITHIN)
        assert await readiness.trouble() is None


@pytest.mark.faults
async def test_a_full_disk_is_told_until_there_is_room(store: Store) -> None:
    """The reason is the database's; a write that succeeds again ends it."""
    clock = ManualClock()
    check = WriteCheck(Meta(store.database), clock)
    assert await check.trouble() is None
    await clock.advance(CHECK_AGAIN)
    with full_disk(store):
        assert await check.trouble() == "the database takes no writes: no space left"
    await clock.advance(CHECK_AGAIN)
    assert await check.trouble() is None


async def test_a_database_that_became_read_only_is_told(store: Store) -> None:
    """As it does when its file system is mounted anew without the right to write."""
    clock = ManualClock()
    check = WriteCheck(Meta(store.database), clock)
    await _set_read_only(store, "ON")
    found = await check.trouble()
    assert found is not None
    assert found.startswith("the database takes no writes: ")
    assert "readonly" in found
    await clock.advance(CHECK_AGAIN)
    await _set_read_only(store, "OFF")
    assert await check.trouble() is None


async def _set_read_only(store: Store, value: str) -> None:
    await store.database._writer.fetch_all(f"PRAGMA query_only = {value}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Another process holds the write lock."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


async def test_a_locked_database_is_told_soon_and_asked_once(store: Store, tmp_path: Path) -> None:
    """The answer does not wait for the lock as long as a write does, and many who ask wait for the same write."""
    clock = ManualClock()
    check = WriteCheck(Meta(store.database), clock)
    with _locked(tmp_path / "podium.sqlite3") as other:
        asking = asyncio.gather(check.trouble(), check.trouble())
        await clock.until_sleeping(2)
        await clock.advance(WAIT)
        assert await asking == [f"the database takes no writes: one has waited for {WAIT:.0f} s"] * 2
        other.execute("ROLLBACK")
    assert await check.trouble() is None


async def test_many_who_ask_cause_one_write(store: Store) -> None:
    """The route needs no login, so what it costs does not depend on how often it is called."""
    clock = ManualClock()
    check = WriteCheck(Meta(store.database), clock)
    before = await _writes(store)
    for _ in range(100):
        assert await check.trouble() is None
    assert await _writes(store) == before + 1
    await clock.advance(CHECK_AGAIN)
    assert await check.trouble() is None
    assert await _writes(store) == before + 2


async def _writes(store: Store) -> int:
    row = await store.database._writer.fetch_one("SELECT total_changes()")
    assert row is not None
    assert isinstance(row[0], int)
    return row[0]

"""Locks by key."""

from __future__ import annotations

import asyncio

import pytest

from podium_daemon.runtime.keyed_locks import KeyedLocks


async def test_one_at_a_time_for_each_key_and_nothing_is_kept() -> None:
    """Those who want the same key take turns, others are not held up, and afterwards no lock is left."""
    locks, inside, together = KeyedLocks(), {"a": 0, "b": 0}, set[tuple[int, int]]()

    async def work(key: str) -> None:
        async with locks.hold(key):
            inside[key] += 1
            together.add((inside["a"], inside["b"]))
            await asyncio.sleep(0)
            inside[key] -= 1

    await asyncio.gather(*(work(key) for key in "abab" * 5))
    assert (1, 1) in together
    assert max(max(pair) for pair in together) == 1
    assert len(locks) == 0


async def test_whoever_is_cancelled_or_fails_gives_it_back() -> None:
    """A wait that was given up and a block that raised leave nothing."""
    locks = KeyedLocks()
    async with locks.hold("a"):
        waiting = asyncio.ensure_future(locks.hold("a").__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    with pytest.raises(ValueError, match="no"):
        async with locks.hold("a"):
            raise ValueError("no")
    assert len(locks) == 0

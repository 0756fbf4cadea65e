"""Waiting that a cancellation cannot cut short."""

from __future__ import annotations

import asyncio

import pytest

from podium_storage.backend import settled


async def test_the_result_comes_through() -> None:
    """Without a cancellation the result, or the error, is passed on."""
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    future.set_result(3)
    assert await settled(future) == 3
    failing: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    failing.set_exception(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        await settled(failing)


async def test_a_cancellation_is_passed_on_only_when_the_work_is_over() -> None:
    """Cancelled twice, the waiter goes on waiting, and is cancelled once the future is done."""
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    waiter = asyncio.create_task(settled(future))
    for _ in range(2):
        await asyncio.sleep(0)
        waiter.cancel()
    await asyncio.sleep(0)
    assert not waiter.done()
    future.set_result(1)
    with pytest.raises(asyncio.CancelledError):
        await waiter


async def test_a_cancellation_carries_the_error_of_the_work() -> None:
    """When both happen, the error is the cause of the cancellation and is not lost."""
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    waiter = asyncio.create_task(settled(future))
    await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.sleep(0)
    future.set_exception(ValueError("no"))
    with pytest.raises(asyncio.CancelledError) as caught:
        await waiter
    assert isinstance(caught.value.__cause__, ValueError)

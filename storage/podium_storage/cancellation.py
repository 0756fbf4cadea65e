"""Waiting that a cancellation cannot cut short."""

from __future__ import annotations

import asyncio
from typing import TypeVar

T = TypeVar("T")


async def settled(future: asyncio.Future[T]) -> T:
    """Wait until `future` is done, however often the caller is cancelled meanwhile, then pass the cancellation on.

    So a caller that sees `CancelledError` knows that the work behind it has ended, in success or in failure.
    """
    try:
        await ended(future)
    except asyncio.CancelledError as cancellation:
        raise cancellation from (None if future.cancelled() else future.exception())
    return future.result()


async def ended(future: asyncio.Future[T]) -> None:
    """Wait as `settled` does, but leave the result or the error in `future`."""
    cancellation: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is not None:
        raise cancellation

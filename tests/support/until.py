"""The one way in which acceptance tests wait: look from outside until what should be there is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(look: Callable[[], Awaitable[T | None]], what: str, *, seconds: float = 60.0, pause: float = 0.1) -> T:
    """Ask `look` again and again, with a `pause` in seconds, until its answer is true; the answer.

    Raises:
        AssertionError: it was not so within `seconds`; names `what` and the last answer.
    """
    seen: T | None = None
    try:
        async with asyncio.timeout(seconds):
            while not (seen := await look()):
                await asyncio.sleep(pause)
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s: {what}; seen last: {seen!r}") from None
    return seen

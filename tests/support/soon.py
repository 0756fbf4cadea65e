"""Waiting for something that happens on this event loop, without a sleep: others run until it is so."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

WITHIN = 60.0
"""Seconds, so that what never happens fails the test and not the run."""


async def soon(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Return once the condition holds."""
    async with asyncio.timeout(WITHIN):
        while True:
            holds = condition()
            if await holds if inspect.isawaitable(holds) else holds:
                return
            await asyncio.sleep(0)

"""How every service lives: take a turn, then wait for a change, for the time the turn named, or for the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from podium_daemon.clock import Clock
from podium_daemon.supervisor import Stop
from podium_protocol.errors import PodiumError
from podium_storage.changes import Batch, Subscription

MAX_SLEEP: Final = 30.0  # seconds: a due time is wall-clock time, and the wall clock may be set meanwhile
RETRY_SECONDS: Final = 5.0

_log = structlog.get_logger(__name__)
_EVERYTHING: Final = Batch((), resync=True)

Turn = Callable[[Batch], Awaitable[float | None]]
"""Looks at what changed and does what is due; returns the wall-clock time of the next thing due, or None."""


async def take_turns(name: str, turn: Turn, changes: Subscription, *, clock: Clock, stop: Stop) -> None:
    """Run `turn` until `stop`; the first batch says `resync`, and so does the one after a failure.

    A failure that has a name (disk full, signer away) is logged and tried again; nothing was lost, since state is
    written before anything else happens.
    """
    batch = _EVERYTHING
    while not stop.is_set():
        try:
            due = await turn(batch)
        except PodiumError as error:
            _log.warning("a service will try again", action="service.retry", service=name, error=str(error))
            await _first_of(clock.sleep(RETRY_SECONDS), stop.wait())
            batch = _EVERYTHING
            continue
        batch = await _next_batch(changes, due, clock=clock, stop=stop)


async def _next_batch(changes: Subscription, due: float | None, *, clock: Clock, stop: Stop) -> Batch:
    pause = MAX_SLEEP if due is None else min(max(due - clock.now(), 0.0), MAX_SLEEP)
    if pause > 0:
        await _first_of(changes.wait(), clock.sleep(pause), stop.wait())
    else:
        await asyncio.sleep(0)  # others take their turn even when this service is never out of work
    return changes.take() or Batch(())


async def _first_of(*waits: Awaitable[object]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

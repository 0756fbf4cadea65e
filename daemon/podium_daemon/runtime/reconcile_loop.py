"""How every service lives: take a turn, then wait for a change, for the time the turn named, or for the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.supervisor import Stop
from podium_protocol.errors import PodiumError
from podium_storage.changes import Batch, Subscription
from podium_storage.errors import StoreDamaged

MAX_SLEEP: Final = 30.0  # seconds: a due time is wall-clock time, and the wall clock may be set meanwhile
RETRY_SECONDS: Final = 5.0
BURST: Final = 32  # turns in a row without a rest: a service that has more to do than that is stuck on something
BUSY_PAUSE: Final = 1.0  # seconds between its turns then

_log = structlog.get_logger(__name__)
_EVERYTHING: Final = Batch((), resync=True)

Turn = Callable[[Batch], Awaitable[float | None]]
"""Looks at what changed and does what is due; returns the wall-clock time of the next thing due, or None."""


class Moment(Protocol):
    """Something that has happened or will; an `asyncio.Event` is one."""

    async def wait(self) -> object:
        """Wait until then."""


async def comes(moment: Moment, stop: Stop) -> bool:
    """Wait for `moment`; False: the stop came first."""
    await _first_of(moment.wait(), stop.wait())
    return not stop.is_set()


async def run_reconcile_loop(name: str, turn: Turn, changes: Subscription, *, clock: Clock, stop: Stop) -> None:
    """Run `turn` until `stop`; the first batch says `resync`, and so does the one after a failure.

    What a turn writes itself is in no batch: a turn is not over before it has followed from its own writes what there
    is to follow, or named the time at which it will.

    A failure that has a name (disk full, signer away) is logged and tried again; nothing was lost, since state is
    written before anything else happens. A turn that is always due again is a mistake, and is slowed to one a second.

    Raises:
        StoreDamaged: the database is damaged, and will be so the next time.
    """
    batch, in_a_row = _EVERYTHING, 0
    while not stop.is_set():
        try:
            with changes.leaving_out_own():
                due = await turn(batch)
        except StoreDamaged:
            raise
        except PodiumError as error:
            _log.warning("a service will try again", action="service.retry", service=name, error=str(error))
            await _first_of(clock.sleep(RETRY_SECONDS), stop.wait())
            batch, in_a_row = _EVERYTHING, 0
            continue
        in_a_row += 1
        if in_a_row == BURST:
            _log.warning("a service is never done, and is slowed", action="service.busy", service=name)
        taken, rested = await _next_batch(changes, due, hurries=in_a_row < BURST, clock=clock, stop=stop)
        batch, in_a_row = taken or Batch(()), 0 if rested else in_a_row


async def _next_batch(
    changes: Subscription, due: float | None, *, hurries: bool, clock: Clock, stop: Stop
) -> tuple[Batch | None, bool]:
    """What changed until it was time for the next turn, and whether there was anything to wait for."""
    pause = MAX_SLEEP if due is None else min(max(due - clock.now(), 0.0), MAX_SLEEP)
    batch, rested = None, False
    if pause > 0:
        changed = (await _first_of(changes.wait(), clock.sleep(pause), stop.wait()))[0]
        batch = changes.take()
        rested = batch is not None or not changed  # a feed that was closed wakes with nothing, again and again
    if rested:
        return batch, True
    if hurries:
        await asyncio.sleep(0)  # others take their turn even when this service is never out of work
    else:
        # changes are not waited for: two services that answer each other's would go on for ever
        await _first_of(clock.sleep(BUSY_PAUSE), stop.wait())
    return changes.take(), False


async def _first_of(*waits: Awaitable[object]) -> list[bool]:
    """Wait for one; which of them are over then."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return [task.done() for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

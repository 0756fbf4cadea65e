"""The loop of every service: run a turn, then wait for a change, for the time the turn named, or for the stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import wait_for_first
from podium_protocol.errors import PodiumError
from podium_storage.changes import Batch, ChangeSubscription
from podium_storage.errors import StoreDamaged

MAX_SLEEP: Final = 30.0  # seconds: a due time is wall-clock time, and the wall clock may be set meanwhile
RETRY_SECONDS: Final = 5.0
BURST: Final = 32  # turns in a row without a rest: a service with more to do than that is stuck
BUSY_PAUSE: Final = 1.0  # seconds between its turns then

GRACE: Final = 1.5
"""Seconds for which a turn may go on after the stop: with thousands of sessions one may take longer."""

_log = structlog.get_logger(__name__)
_EVERYTHING: Final = Batch((), resync=True)

Turn = Callable[[Batch], Awaitable[float | None]]
"""Reads what changed and does what is due; returns the wall-clock time at which it is due again, or None."""


class Moment(Protocol):
    """An event to wait for, such as an `asyncio.Event`."""

    async def wait(self) -> object:
        """Wait until it has happened."""


async def comes(moment: Moment, stop: Stop) -> bool:
    """Wait for `moment`; False: the stop came first."""
    await wait_for_first(moment.wait(), stop.wait())
    return not stop.is_set()


async def run_reconcile_loop(
    name: str,
    turn: Turn,
    changes: ChangeSubscription,
    *,
    clock: Clock,
    stop: Stop,
    grace: float = GRACE,
    once_more: bool = False,
) -> None:
    """Run `turn` until `stop`; the first batch says `resync`, and so does the one after a failure.

    A turn that is under way for `grace` seconds after the stop is cut off: what it has not written is found by the next
    start. Its transactions are done whole or not at all. `once_more`: a turn that was done by then is followed by a
    last one, on what changed since.

    A turn's own writes are in no batch: before it returns, a turn must act on its own writes, or name the time at which
    it will.

    A failure that has a name (disk full, signer away) is logged and tried again; nothing was lost, since state is
    written before anything else happens. A turn that is always due again is a bug, and is slowed to one a second.

    Raises:
        StoreDamaged: the database is damaged; trying again is no use.
    """
    batch, in_a_row = _EVERYTHING, 0
    while not stop.is_set():
        try:
            due = await _taken(name, turn(batch), changes, stop, grace)
        except StoreDamaged:
            raise
        except _CutOff:
            return
        except PodiumError as error:
            _log.warning("a service will try again", action="service.retry", service=name, error=str(error))
            await wait_for_first(clock.sleep(RETRY_SECONDS), stop.wait())
            batch, in_a_row = _EVERYTHING, 0
            continue
        in_a_row += 1
        if in_a_row == BURST:
            _log.warning("a service is never done, and is slowed", action="service.busy", service=name)
        taken, rested = await _next_batch(changes, due, hurries=in_a_row < BURST, clock=clock, stop=stop)
        batch, in_a_row = taken or Batch(()), 0 if rested else in_a_row
    if once_more:
        more = changes.take_changes() or Batch(())
        rest = Batch((*batch.changes, *more.changes), resync=batch.resync or more.resync)
        await _take_the_rest(name, turn(rest), changes, stop, grace)


async def _take_the_rest(
    name: str, turn: Awaitable[float | None], changes: ChangeSubscription, stop: Stop, grace: float
) -> None:
    try:
        await _taken(name, turn, changes, stop, grace)
    except StoreDamaged:
        raise
    except _CutOff:
        return
    except PodiumError as error:
        _log.warning("a service left work behind", action="service.left_behind", service=name, error=str(error))


class _CutOff(Exception):
    """The stop came, and the turn took too long."""


async def _taken(
    name: str, turn: Awaitable[float | None], changes: ChangeSubscription, stop: Stop, grace: float
) -> float | None:
    try:
        with changes.leaving_out_own():
            async with stop.cutting(grace):
                return await turn
    except TimeoutError:
        if not stop.is_set():
            raise
        _log.info("a turn was cut off by the stop", action="service.cut_off", service=name)
        raise _CutOff from None


async def _next_batch(
    changes: ChangeSubscription, due: float | None, *, hurries: bool, clock: Clock, stop: Stop
) -> tuple[Batch | None, bool]:
    """Return what changed until the next turn is due, and whether there was anything to wait for."""
    pause = MAX_SLEEP if due is None else min(max(due - clock.now(), 0.0), MAX_SLEEP)
    batch, rested = None, False
    if pause > 0:
        changed = (await wait_for_first(changes.wait(), clock.sleep(pause), stop.wait()))[0]
        batch = changes.take_changes()
        rested = batch is not None or not changed  # a closed feed wakes again and again without a batch
    if rested:
        return batch, True
    if hurries:
        await asyncio.sleep(0)  # others take their turn even when this service is never out of work
    else:
        # do not wait for changes: two services that react to each other would go on for ever
        await wait_for_first(clock.sleep(BUSY_PAUSE), stop.wait())
    return changes.take_changes(), False

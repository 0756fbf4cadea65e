"""Empties the outbox: each relay gets the due events at its own pace, and its answers are stored in batches."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Final

import structlog

from podium_daemon.relays.pool import RelayPool
from podium_daemon.relays.publishing import Prepared, PublishOutcome
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.reconcile_loop import run_reconcile_loop
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import uncancelled
from podium_protocol.errors import PodiumError
from podium_protocol.relay import backoff
from podium_protocol.relay.verdicts import is_final
from podium_storage.changes import Batch
from podium_storage.errors import StoreDamaged
from podium_storage.outbox import outbox as outbox_module
from podium_storage.outbox.outbox import Outbox
from podium_storage.outbox.values import OutboxRow, PublishResult, RelayAccepted, RelayRefused, TryAgain
from podium_storage.store import Store

_log = structlog.get_logger(__name__)

_PER_RELAY: Final = 1_000  # rows under way to one relay; the pool's own window paces the sending
_AT_ONCE: Final = 2_000  # rows that a turn takes, of all relays together
_WRITE_DOWN: Final = 1_000  # answers a transaction
_GATHER: Final = 0.02  # seconds: answers that come within it share a transaction, while others are awaited


class Publisher:
    """The outbox loop. State was written first: an attempt that is lost here is simply due again."""

    name = "publisher"

    def __init__(
        self,
        *,
        outbox: Outbox,
        store: Store,
        pool: RelayPool,
        clock: Clock,
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        """`may_send`: whether events may be sent at all; otherwise due rows wait."""
        self._may_send = may_send
        self._outbox = outbox
        self._store = store
        self._pool = pool
        self._clock = clock
        self._flying: set[int] = set()  # rows handed to the pool whose answer is not stored yet
        self._unanswered: Counter[str] = Counter()
        self._answers: list[PublishResult] = []
        self._answered = asyncio.Event()
        self._nothing_awaited = asyncio.Event()

    async def run(self, stop: Stop) -> None:
        """Publish until the stop; rows whose answer is still missing then are due again at the next start."""
        tasks: set[asyncio.Task[None]] = set()
        try:
            async with asyncio.TaskGroup() as group:
                tasks.add(
                    group.create_task(uncancelled(self._keep_writing_down(), self.name), name="publisher answers")
                )
                turn = partial(self._turn, group, tasks)
                with self._store.changes.subscribe(outbox_module.TABLE) as changes:
                    await run_reconcile_loop(self.name, turn, changes, clock=self._clock, stop=stop)
                for task in tasks:
                    task.cancel()
        finally:
            await self._write_down()

    async def _turn(self, group: asyncio.TaskGroup, tasks: set[asyncio.Task[None]], _batch: Batch) -> float | None:
        now = int(self._clock.now())
        await self._outbox.expire(now)
        if not self._may_send():
            return None
        # a late answer delays nothing: rows that fall due meanwhile are sent in a flight of their own
        full = [relay for relay, count in self._unanswered.items() if count >= _PER_RELAY]
        rows = await self._outbox.due(now, limit=_AT_ONCE, per_relay=_PER_RELAY, in_flight=self._flying, paused=full)
        by_relay: dict[str, list[OutboxRow]] = {}
        for row in rows:
            by_relay.setdefault(row.relay, []).append(row)
        for relay, own in by_relay.items():
            self._flying.update(row.id for row in own)
            self._unanswered[relay] += len(own)
            self._nothing_awaited.clear()
            flight = group.create_task(self._fly(relay, own), name=f"publish to {relay}")
            tasks.add(flight)
            flight.add_done_callback(tasks.discard)
        return await self._outbox.next_due(now)

    async def _fly(self, relay: str, rows: Sequence[OutboxRow]) -> None:
        unanswered = {row.event_id: row for row in rows}
        try:
            prepared = [Prepared(row.event_id, row.event_json) for row in rows]
            async for outcome in self._pool.publish_many(relay, prepared):
                row = unanswered.pop(outcome.event_id)
                self._answers.append(self._result(row, outcome))
                self._no_longer_awaited(relay, 1)
                self._answered.set()
        finally:
            self._no_longer_awaited(relay, len(unanswered))
            self._flying.difference_update(row.id for row in unanswered.values())

    def _no_longer_awaited(self, relay: str, count: int) -> None:
        self._unanswered[relay] -= count
        if not self._unanswered[relay]:
            del self._unanswered[relay]
            if not self._unanswered:
                self._nothing_awaited.set()

    def _result(self, row: OutboxRow, outcome: PublishOutcome) -> PublishResult:
        words = outcome.verdict.message
        if not outcome.was_tried and outcome.retry_after is not None:
            # without a free place a row waits, however often, and is never given up
            return TryAgain(row.id, int(self._clock.now() + outcome.retry_after) + 1, words)
        if outcome.is_done:
            return RelayAccepted(row.id, words)
        if is_final(outcome.verdict) and outcome.retry_after is None:
            _log.warning("a relay refused an event", action="publish.refused", relay=outcome.relay_url, words=words)
            return RelayRefused(row.id, words)
        # outcome unknown: send the same bytes again, with growing pauses
        wait = next(islice(backoff.delays(random.random), min(row.attempts, 10), None))
        at = int(self._clock.now() + max(wait, outcome.retry_after or 0.0)) + 1
        return TryAgain(row.id, at, words)

    async def _keep_writing_down(self) -> None:
        while True:
            await self._answered.wait()
            self._answered.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GATHER):
                    await self._nothing_awaited.wait()
            await self._write_down()

    async def _write_down(self) -> None:
        while self._answers:
            batch, self._answers = self._answers[:_WRITE_DOWN], self._answers[_WRITE_DOWN:]
            try:
                await self._outbox.record(batch, now=int(self._clock.now()))
            except StoreDamaged:
                raise  # waiting is no use
            except PodiumError as error:
                # a row whose answer was not stored is due again; the relay answers a copy with `duplicate:`
                _log.warning("answers were not written down", action="publish.retry", error=str(error))
            finally:
                self._flying.difference_update(answer.row for answer in batch)

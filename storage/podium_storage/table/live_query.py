"""Live queries: run again when, and only when, a row changed in the ranges that the last run read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

from podium_storage.database import Database, Transaction
from podium_storage.errors import StoreClosed
from podium_storage.transaction import ReadLog

T = TypeVar("T")


async def live_query(database: Database, querier: Callable[[Transaction], Awaitable[T]]) -> AsyncGenerator[T, None]:
    """Yield what `querier` returns, now and after each change that may alter it; ends when the database closes.

    Each run is one snapshot. The querier is given its transaction and reads through it, with table handles bound to
    it; SQL of its own makes every change count. Changes that come while the consumer is busy are answered by one run.

    Raises:
        StoreError: what the database said, and whatever the querier raised; the iteration is then over.
    """
    with database.changes.subscribe() as changes:
        while True:
            # subscribed before the snapshot, and to every table: what is committed in between is seen twice, not never
            changes.watch(None)
            try:
                log, result = await _run(database, querier)
            except StoreClosed:
                return
            changes.watch(log.tables)
            yield result
            async for batch in changes:
                if log.is_touched_by(batch):
                    break
            else:
                return


async def _run(database: Database, querier: Callable[[Transaction], Awaitable[T]]) -> tuple[ReadLog, T]:
    log = ReadLog()

    async def scope(tx: Transaction) -> T:
        tx.reads = log
        return await querier(tx)

    return log, await database.snapshot(scope)

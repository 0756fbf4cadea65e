"""Which gift wraps were dealt with already, in the transaction that dealt with them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from podium_protocol.events import EventId
from podium_storage.database import Database, Transaction

_KNOWN: Final = "SELECT eventId FROM openedWraps WHERE eventId IN (SELECT value FROM json_each(?))"
_ADD: Final = "INSERT INTO openedWraps (eventId, openedAt) VALUES (?, ?) ON CONFLICT DO NOTHING"
_SWEEP: Final = "DELETE FROM openedWraps WHERE openedAt < ?"


class OpenedWraps:
    """The ids of opened gift wraps, and when they were opened (Unix seconds)."""

    def __init__(self, database: Database) -> None:
        """Keep them in this database."""
        self._database = database

    async def known(self, ids: Collection[EventId]) -> frozenset[EventId]:
        """Those of `ids` that were opened."""
        return await self._database.snapshot(lambda tx: self.known_within(tx, ids))

    async def known_within(self, tx: Transaction, ids: Collection[EventId]) -> frozenset[EventId]:
        """The same, as the caller's transaction sees it."""
        rows = await tx.fetch_all(_KNOWN, (msgspec.json.encode(list(ids)).decode(),))
        return frozenset(EventId(str(row[0])) for row in rows)

    async def add_within(self, tx: Transaction, ids: Collection[EventId], *, now: int) -> None:
        """Remember `ids` in the transaction that writes down what was in them."""
        await tx.execute_many(_ADD, ((event_id, now) for event_id in ids))

    async def sweep(self, before: int) -> int:
        """Forget those opened before a time; their number. A wrap read once more changes nothing that is newer."""
        return await self._database.transact(lambda tx: tx.execute(_SWEEP, (before,)))

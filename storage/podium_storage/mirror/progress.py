"""How far each relay has been read, and which gift wraps were dealt with, so that a restart asks for the gap only."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from podium_protocol.events import EventId
from podium_storage.database import Database, Transaction

_GET: Final = "SELECT eoseAt FROM watermarks WHERE relay = ? AND subscription = ?"
_GET_ALL: Final = "SELECT relay, eoseAt FROM watermarks WHERE subscription = ?"
# Not the maximum of both: a clock that was ahead must not hide what came after it was put right.
_SET: Final = """
INSERT INTO watermarks (relay, subscription, eoseAt) VALUES (?, ?, ?)
ON CONFLICT (relay, subscription) DO UPDATE SET eoseAt = excluded.eoseAt"""
_FORGET: Final = "DELETE FROM watermarks WHERE relay = ?"


class Watermarks:
    """The last EOSE by (relay, name of the subscription). Times are Unix seconds of our clock."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, relay: str, subscription: str) -> int | None:
        """When the relay last had no more stored events for the subscription, or None if it never said so."""
        row = await self._database.fetch_one(_GET, (relay, subscription))
        return row[0] if row is not None and isinstance(row[0], int) else None

    async def of(self, subscription: str) -> dict[str, int]:
        """The last EOSE of this subscription for each relay that sent one."""
        rows = await self._database.fetch_all(_GET_ALL, (subscription,))
        return {str(relay): eose_at for relay, eose_at in rows if isinstance(eose_at, int)}

    async def set(self, relay: str, subscription: str, eose_at: int) -> None:
        """Store an EOSE. Call it after the events before it are committed, else a crash loses them."""
        await self._database.transact(lambda tx: tx.execute(_SET, (relay, subscription, eose_at)))

    async def forget(self, relay: str) -> None:
        """Read everything of this relay again next time."""
        await self._database.transact(lambda tx: tx.execute(_FORGET, (relay,)))


MAX_UNOPENED: Final = 100_000
"""Most wraps remembered that could not be opened; the oldest are dropped, and tried again if they come again."""

_KNOWN: Final = """
SELECT eventId FROM openedWraps WHERE eventId IN (SELECT value FROM json_each(?1))
UNION ALL SELECT eventId FROM unopenedWraps WHERE eventId IN (SELECT value FROM json_each(?1))"""
_ADD_UNOPENED: Final = "INSERT INTO unopenedWraps (eventId, seenAt) VALUES (?, ?) ON CONFLICT DO NOTHING"
_DROP_OLDEST: Final = "DELETE FROM unopenedWraps WHERE id <= (SELECT max(id) FROM unopenedWraps) - ?"
_SWEEP_UNOPENED: Final = "DELETE FROM unopenedWraps WHERE seenAt < ?"
_ADD: Final = "INSERT INTO openedWraps (eventId, openedAt) VALUES (?, ?) ON CONFLICT DO NOTHING"
_SWEEP: Final = "DELETE FROM openedWraps WHERE openedAt < ?"


class OpenedWraps:
    """The ids of opened gift wraps, and when they were opened (Unix seconds)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def known(self, ids: Collection[EventId]) -> frozenset[EventId]:
        """Those of `ids` that were opened, or could not be."""
        return await self._database.snapshot(lambda tx: self.known_within(tx, ids))

    async def known_within(self, tx: Transaction, ids: Collection[EventId]) -> frozenset[EventId]:
        """As `known`, but as the caller's transaction sees it."""
        rows = await tx.fetch_all(_KNOWN, (msgspec.json.encode(list(ids)).decode(),))
        return frozenset(EventId(str(row[0])) for row in rows)

    async def add_within(self, tx: Transaction, ids: Collection[EventId], *, now: int) -> None:
        """Remember `ids` in the transaction that stores the wraps' content."""
        await tx.execute_many(_ADD, ((event_id, now) for event_id in ids))

    async def add_unopened(self, ids: Collection[EventId], *, now: int, at_most: int = MAX_UNOPENED) -> None:
        """Remember wraps that could not be opened, so that they are not decrypted again; keep the newest `at_most`."""

        async def scope(tx: Transaction) -> None:
            await tx.execute_many(_ADD_UNOPENED, ((event_id, now) for event_id in ids))
            await tx.execute(_DROP_OLDEST, (at_most,))

        if ids:
            await self._database.transact(scope)

    async def sweep(self, before: int) -> int:
        """Forget those opened before a time (Unix seconds) and return their number.

        A wrap that is read again afterwards changes nothing that is newer.
        """

        async def scope(tx: Transaction) -> int:
            return await tx.execute(_SWEEP, (before,)) + await tx.execute(_SWEEP_UNOPENED, (before,))

        return await self._database.transact(scope)

"""How far each subscription has been read on each relay, so that a restart asks for the gap only."""

from __future__ import annotations

from typing import Final

from podium_storage.database import Database

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
        """Keep them in this database."""
        self._database = database

    async def get(self, relay: str, subscription: str) -> int | None:
        """When the relay last had no more stored events for the subscription, or None if it never said so."""
        row = await self._database.fetch_one(_GET, (relay, subscription))
        return row[0] if row is not None and isinstance(row[0], int) else None

    async def of(self, subscription: str) -> dict[str, int]:
        """The same for all relays."""
        rows = await self._database.fetch_all(_GET_ALL, (subscription,))
        return {str(relay): eose_at for relay, eose_at in rows if isinstance(eose_at, int)}

    async def set(self, relay: str, subscription: str, eose_at: int) -> None:
        """Write down an EOSE. Do so once the events before it are committed, else a crash loses them."""
        await self._database.transact(lambda tx: tx.execute(_SET, (relay, subscription, eose_at)))

    async def forget(self, relay: str) -> None:
        """Read everything of this relay again next time."""
        await self._database.transact(lambda tx: tx.execute(_FORGET, (relay,)))

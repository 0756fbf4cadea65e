"""Ways back into rooms, kept over the end of a daemon: digests of secrets, never a secret."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from podium_storage.backend import SqlRow
from podium_storage.database import Database, Transaction

_PUT: Final = """
INSERT INTO returns (digest, connection, room, pubkey, device, role, until) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (digest) DO UPDATE SET until = excluded.until"""
_DROP: Final = "DELETE FROM returns WHERE digest = ?"
_ALL: Final = """
SELECT r.digest, r.connection, r.room, r.pubkey, r.device, r.role, r.until,
  (SELECT i.lastEvidence FROM attendanceIntervals AS i WHERE i.connectionId = r.connection)
FROM returns AS r ORDER BY r.id"""


class StoredReturn(msgspec.Struct, frozen=True, kw_only=True):
    """One way back. Unix seconds.

    Args:
        digest: SHA-256 of the secret.
        connection: the one that is returned from, in `room`, of `pubkey` with `device` and `role`.
        until: when it ends; None while the connection is open.
        last_evidence: when the person was last seen on that connection, if that was written down.
    """

    digest: bytes
    connection: str
    room: str
    pubkey: str
    device: str
    role: str
    until: int | None = None
    last_evidence: int | None = None


class Returns:
    """The ways back of one database."""

    def __init__(self, database: Database) -> None:
        """Keep them in this database."""
        self._database = database

    async def all(self) -> list[StoredReturn]:
        """Every one, the oldest first."""
        return [_read(row) for row in await self._database.fetch_all(_ALL)]

    async def write(self, kept: Sequence[StoredReturn], gone: Collection[bytes]) -> None:
        """Keep some, with their new ends, and forget those with the digests `gone`, in one transaction."""

        async def scope(tx: Transaction) -> None:
            await tx.execute_many(_DROP, ((digest,) for digest in gone))
            await tx.execute_many(
                _PUT,
                ((one.digest, one.connection, one.room, one.pubkey, one.device, one.role, one.until) for one in kept),
            )

        await self._database.transact(scope)


def _read(row: SqlRow) -> StoredReturn:
    fields = dict(zip(StoredReturn.__struct_fields__, row, strict=True))
    return msgspec.convert(fields, StoredReturn, builtin_types=(bytes,))

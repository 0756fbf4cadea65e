"""Open players of recordings, kept over the end of a daemon: digests of secrets, never a secret."""

from __future__ import annotations

from typing import Final

import msgspec

from podium_storage.backend import SqlRow
from podium_storage.database import Database, Transaction

_COLUMNS: Final = "digest, lesson, pubkey, sha256, length, until"
_PUT: Final = f"INSERT INTO viewings ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608  (our own names)
_GET: Final = f"SELECT {_COLUMNS} FROM viewings WHERE digest = ? AND until > ?"  # noqa: S608  (our own names)
_SWEEP: Final = "DELETE FROM viewings WHERE until <= ?"
_BOUND: Final = "DELETE FROM viewings WHERE id <= (SELECT max(id) FROM viewings) - ?"


class StoredViewing(msgspec.Struct, frozen=True, kw_only=True):
    """One open player.

    Args:
        digest: SHA-256 of its secret.
        lesson: address of the session.
        pubkey: whose it is.
        sha256: the recording, in hex.
        length: of the recording, in milliseconds.
        until: Unix seconds.
    """

    digest: bytes
    lesson: str
    pubkey: str
    sha256: str
    length: int
    until: int


class Viewings:
    """The open players of one database; anybody may open one, so the oldest of too many are forgotten."""

    def __init__(self, database: Database, *, at_most: int) -> None:
        """Keep `at_most`."""
        self._database = database
        self._at_most = at_most

    async def add(self, tx: Transaction, viewing: StoredViewing, *, now: int) -> None:
        """Keep one more in the caller's transaction, and forget those whose time is over."""
        await tx.execute(_SWEEP, (now,))
        await tx.execute(
            _PUT, (viewing.digest, viewing.lesson, viewing.pubkey, viewing.sha256, viewing.length, viewing.until)
        )
        await tx.execute(_BOUND, (self._at_most,))

    async def get(self, digest: bytes, *, now: int) -> StoredViewing | None:
        """The player with this digest, unless its time is over."""
        row = await self._database.fetch_one(_GET, (digest, now))
        return None if row is None else _read(row)


def _read(row: SqlRow) -> StoredViewing:
    fields = dict(zip(StoredViewing.__struct_fields__, row, strict=True))
    return msgspec.convert(fields, StoredViewing, builtin_types=(bytes,))

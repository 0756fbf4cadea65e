"""Resume tokens for rooms and for recordings, kept when the daemon restarts: digests of secrets, never a secret."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from podium_storage.backend import SqlRow
from podium_storage.database import Database, Transaction

_PUT: Final = """
INSERT INTO returns (digest, connection, room, pubkey, device, role, until, fingerprint, began)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (digest) DO UPDATE SET until = excluded.until"""
_DROP: Final = "DELETE FROM returns WHERE digest = ?"
_ALL: Final = """
SELECT r.digest, r.connection, r.room, r.pubkey, r.device, r.role, r.until,
  (SELECT i.lastEvidence FROM attendanceIntervals AS i WHERE i.connectionId = r.connection), r.fingerprint, r.began
FROM returns AS r ORDER BY r.id"""


class StoredReturn(msgspec.Struct, frozen=True, kw_only=True):
    """One resume token. Times are Unix seconds.

    Args:
        digest: SHA-256 of the secret.
        connection: the one to resume, in `room`, of `pubkey` with `device` and `role`.
        until: when the token expires; None while the connection is open.
        last_evidence: when the person was last seen on that connection, if that was recorded.
        fingerprint: of the certificate that the join proof of that connection names ("sha-256 AB:...").
        began: when the token was first stored, which is when the seat was taken.
    """

    digest: bytes
    connection: str
    room: str
    pubkey: str
    device: str
    role: str
    until: int | None = None
    last_evidence: int | None = None
    fingerprint: str | None = None
    began: int | None = None


class Returns:
    """The resume tokens of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[StoredReturn]:
        """Return all tokens, the oldest first."""
        return [_read(row) for row in await self._database.fetch_all(_ALL)]

    async def write(self, kept: Sequence[StoredReturn], gone: Collection[bytes]) -> None:
        """Store `kept` and delete the tokens with the digests `gone`, in one transaction."""

        async def scope(tx: Transaction) -> None:
            await tx.execute_many(_DROP, ((digest,) for digest in gone))
            await tx.execute_many(
                _PUT,
                (
                    (
                        *(one.digest, one.connection, one.room, one.pubkey, one.device),
                        *(one.role, one.until, one.fingerprint, one.began),
                    )
                    for one in kept
                ),
            )

        await self._database.transact(scope)


def _read(row: SqlRow) -> StoredReturn:
    fields = dict(zip(StoredReturn.__struct_fields__, row, strict=True))
    return msgspec.convert(fields, StoredReturn, builtin_types=(bytes,))


_COLUMNS: Final = "digest, lesson, pubkey, sha256, length, until, leads"
_PUT_VIEWINGS: Final = f"INSERT INTO viewings ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
_GET: Final = f"SELECT {_COLUMNS} FROM viewings WHERE digest = ? AND until > ?"
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
        leads: it was opened by the instructor or a co-host, who signed in with their key.
    """

    digest: bytes
    lesson: str
    pubkey: str
    sha256: str
    length: int
    until: int
    leads: bool = False


class Viewings:
    """The open players of one database. Any visitor may open one, so beyond `at_most` the oldest are forgotten."""

    def __init__(self, database: Database, *, at_most: int) -> None:
        """Keep at most `at_most` players."""
        self._database = database
        self._at_most = at_most

    async def add(self, tx: Transaction, viewing: StoredViewing, *, now: int) -> None:
        """Store one more in the caller's transaction, and delete expired ones; `now` is Unix seconds."""
        await tx.execute(_SWEEP, (now,))
        await tx.execute(
            _PUT_VIEWINGS,
            (
                *(viewing.digest, viewing.lesson, viewing.pubkey, viewing.sha256, viewing.length, viewing.until),
                viewing.leads,
            ),
        )
        await tx.execute(_BOUND, (self._at_most,))

    async def get(self, digest: bytes, *, now: int) -> StoredViewing | None:
        """The player with this digest, or None if there is none or it has expired."""
        row = await self._database.fetch_one(_GET, (digest, now))
        return None if row is None else _read_viewings(row)


def _read_viewings(row: SqlRow) -> StoredViewing:
    fields = dict(zip(StoredViewing.__struct_fields__, row, strict=True))
    return msgspec.convert(fields | {"leads": bool(fields["leads"])}, StoredViewing, builtin_types=(bytes,))

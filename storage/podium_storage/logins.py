"""Logins, kept when the daemon restarts: digests of tokens, never a token."""

from __future__ import annotations

from typing import Final

import msgspec

from podium_storage.backend import SqlRow
from podium_storage.database import Database, Transaction

MAX_OF_ONE_KEY: Final = 50
"""The most logins of one person; beyond it the oldest is deleted."""

_COLUMNS: Final = "id, digest, pubkey, assurance, lesson, createdAt, expiresAt, revokedAt"
_PUT: Final = """
INSERT INTO logins (digest, pubkey, assurance, lesson, createdAt, expiresAt) VALUES (?, ?, ?, ?, ?, ?)"""
_GET: Final = f"SELECT {_COLUMNS} FROM logins WHERE digest = ?"
_SWEEP: Final = "DELETE FROM logins WHERE expiresAt <= ?"
_BOUND: Final = """
DELETE FROM logins WHERE pubkey = ? AND id NOT IN (SELECT id FROM logins WHERE pubkey = ? ORDER BY id DESC LIMIT ?)"""
_REVOKE_ONE: Final = "UPDATE logins SET revokedAt = ? WHERE id = ? AND revokedAt IS NULL"
_REVOKE: Final = "UPDATE logins SET revokedAt = ? WHERE pubkey = ? AND revokedAt IS NULL"
_END_LINKS: Final = """
INSERT INTO endedLinks (pubkey, lesson, endedAt) VALUES (?, ?, ?)
ON CONFLICT (pubkey, lesson) DO UPDATE SET endedAt = excluded.endedAt"""
_ENDED_LINKS: Final = "SELECT max(endedAt) FROM endedLinks WHERE pubkey = ? AND lesson IN ('', ?)"
_SWEEP_LINKS: Final = "DELETE FROM endedLinks WHERE endedAt < ?"
_LINKS_KEPT: Final = 2 * 365 * 24 * 3600  # seconds; no session is planned so far ahead
_REVOKE_OF_A_SESSION: Final = f"{_REVOKE} AND lesson = ?"


class StoredLogin(msgspec.Struct, frozen=True, kw_only=True):
    """One login. Times are Unix seconds.

    Args:
        id: the row's; None before it is stored.
        digest: SHA-256 of the token.
        pubkey: the person's.
        assurance: how the person proved who they are: `key`, `link` or `guest`.
        lesson: address of the session to which it is limited, or None.
        created_at: when they signed in.
        expires_at: when it ends.
        revoked_at: when it was revoked, or None.
    """

    id: int | None = None
    digest: bytes
    pubkey: str
    assurance: str
    lesson: str | None
    created_at: int
    expires_at: int
    revoked_at: int | None = None


class Logins:
    """The logins of one database."""

    def __init__(self, database: Database) -> None:
        """Keep them in this database."""
        self._database = database

    async def add(self, login: StoredLogin) -> None:
        """Store a login, and delete expired ones."""

        async def scope(tx: Transaction) -> None:
            await self.add_within(tx, login)

        await self._database.transact(scope)

    async def add_within(self, tx: Transaction, login: StoredLogin) -> None:
        """As `add`, in the caller's transaction."""
        await tx.execute(_SWEEP, (login.created_at,))
        fields = (login.digest, login.pubkey, login.assurance, login.lesson, login.created_at, login.expires_at)
        await tx.execute(_PUT, fields)
        await tx.execute(_BOUND, (login.pubkey, login.pubkey, MAX_OF_ONE_KEY))

    async def find(self, digest: bytes) -> StoredLogin | None:
        """The login whose token has this digest, even an expired one; None if there is none."""
        row = await self._database.fetch_one(_GET, (digest,))
        return None if row is None else _read(row)

    async def revoke(self, login_id: int, now: int) -> None:
        """Revoke a login at `now` (Unix seconds)."""
        await self._database.transact(lambda tx: tx.execute(_REVOKE_ONE, (now, login_id)))

    async def revoke_all(self, pubkey: str, now: int, *, lesson: str | None = None) -> None:
        """Revoke all logins of a person, or only those limited to one session."""
        if lesson is None:
            await self._database.transact(lambda tx: tx.execute(_REVOKE, (now, pubkey)))
        else:
            await self._database.transact(lambda tx: revoke_for_session(tx, pubkey, now, lesson))

    async def end_links(self, pubkey: str, now: int, *, lesson: str | None = None) -> None:
        """End the personal links that a person was sent before `now`, all of them or those to one session."""

        async def scope(tx: Transaction) -> None:
            await tx.execute(_SWEEP_LINKS, (now - _LINKS_KEPT,))
            await tx.execute(_END_LINKS, (pubkey, lesson or "", now))

        await self._database.transact(scope)


async def revoke_for_session(tx: Transaction, pubkey: str, now: int, lesson: str) -> None:
    """Revoke a person's logins that are limited to one session."""
    await tx.execute(_REVOKE_OF_A_SESSION, (now, pubkey, lesson))


async def links_ended_at(tx: Transaction, pubkey: str, lesson: str) -> int | None:
    """When (Unix seconds) the person last ended the personal links to this session, or None."""
    ((ended_at,),) = await tx.query(_ENDED_LINKS, (pubkey, lesson))
    return None if ended_at is None else int(str(ended_at))


def _read(row: SqlRow) -> StoredLogin:
    fields = dict(zip(StoredLogin.__struct_fields__, row, strict=True))
    return msgspec.convert(fields, StoredLogin, builtin_types=(bytes,))

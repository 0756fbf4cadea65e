"""Named migrations: each is applied in one transaction, which also records its name and the hash of its text.

A migration is a file `NNNN_name.sql` beside this module; numbers start at 1 and leave no gap.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from importlib import resources
from typing import Final

import msgspec

from podium_storage.backend import Backend, BackendConnection
from podium_storage.errors import BadSchema, WrongDatabase
from podium_storage.sqlite import SqliteDialect

_RECORD: Final = (
    "CREATE TABLE IF NOT EXISTS migrations ("
    "number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, digest TEXT NOT NULL, appliedAt INTEGER NOT NULL)"
    f"{SqliteDialect.TABLE_SUFFIX}"
)


class Migration(msgspec.Struct, frozen=True):
    """One step of the schema, named `NNNN_what_it_does`."""

    name: str
    sql: str

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the text, to notice when an applied migration was edited."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def shipped() -> tuple[Migration, ...]:
    """The migrations of this version of Podium, in order.

    Raises:
        BadSchema: a file has no number, or the numbers leave a gap or repeat.
    """
    files = sorted((file for file in resources.files(__name__).iterdir() if file.name.endswith(".sql")), key=str)
    found = tuple(Migration(file.name.removesuffix(".sql"), file.read_text(encoding="utf-8")) for file in files)
    return checked(found)


def checked(migrations: Sequence[Migration]) -> tuple[Migration, ...]:
    """The same migrations, if they are named `0001_...`, `0002_...` and so on without a gap."""
    for number, migration in enumerate(migrations, start=1):
        if not re.fullmatch(rf"{number:04}_[a-z0-9_]+", migration.name):
            raise BadSchema(f"migration {migration.name!r} is out of order: expected a name like '{number:04}_what'")
    return tuple(migrations)


async def migrate(backend: Backend, connection: BackendConnection, migrations: Sequence[Migration]) -> None:
    """Bring the database to the newest of `migrations`, each in its own transaction.

    Raises:
        WrongDatabase: the file is another program's or a newer Podium's, or an applied migration was edited since.
    """
    await _refuse_strangers(backend, connection, len(migrations))
    for number in range(1, len(migrations) + 1):
        await _step(backend, connection, migrations, number)


async def _refuse_strangers(backend: Backend, connection: BackendConnection, newest: int) -> None:
    identity = await backend.read_identity(connection)
    if not (identity.is_ours or identity.is_empty):
        raise WrongDatabase("the database belongs to another program: give the path of a Podium database or a new one")
    if identity.version > newest:
        raise WrongDatabase(
            f"the database is at version {identity.version} and this Podium knows up to {newest}: "
            "run the newer Podium, or restore a backup made before the upgrade"
        )


async def _step(backend: Backend, connection: BackendConnection, migrations: Sequence[Migration], number: int) -> None:
    migration = migrations[number - 1]
    await connection.begin(write=True)
    try:
        # looked up inside the transaction: another process may be migrating the same file
        await _refuse_strangers(backend, connection, len(migrations))
        await connection.execute(_RECORD)
        if not await _is_applied(connection, migration, number):
            await _apply(backend, connection, migration, number)
        await connection.commit()
    except BaseException:
        connection.interrupt()  # a cancelled step of a large database would go on for as long as its statement takes
        await connection.rollback()
        raise


async def _is_applied(connection: BackendConnection, migration: Migration, number: int) -> bool:
    applied = await connection.fetch_one("SELECT name, digest FROM migrations WHERE number = ?", (number,))
    if applied is not None and applied != (migration.name, migration.digest):
        raise WrongDatabase(
            f"migration {number} was applied as {applied[0]!r} and is not the {migration.name!r} of this version: "
            "restore the original file, and put the change into a new migration"
        )
    return applied is not None


async def _apply(backend: Backend, connection: BackendConnection, migration: Migration, number: int) -> None:
    for statement in backend.statements(migration.sql):
        await connection.execute(statement)
    await connection.execute(
        "INSERT INTO migrations (number, name, digest, appliedAt) VALUES (?, ?, ?, ?)",
        (number, migration.name, migration.digest, int(time.time())),
    )
    await backend.write_identity(connection, number)

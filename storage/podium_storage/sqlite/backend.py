"""A SQLite file: how it is opened, whose it is, how a migration is split."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Final

import msgspec

from podium_protocol.errors import InvalidInput
from podium_storage import errors
from podium_storage.backend import BackendConnection
from podium_storage.sqlite.connection import SqliteConnection, SqliteReader

APPLICATION_ID: Final = 0x506F6469  # "Podi", in the header of the file: `file` and our own check read it
BUSY_TIMEOUT_MS: Final = 5_000
_OPENINGS: Final = 50  # tries to open a file that another opens as well
_BETWEEN_OPENINGS: Final = 0.1  # seconds

_WRITER_PRAGMAS: Final = (
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    "PRAGMA journal_mode = WAL",  # readers neither wait for the writer nor hold it up
    "PRAGMA synchronous = FULL",  # a commit that returned survives a power cut
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",  # a file from elsewhere cannot make the schema call functions
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -32768",  # KiB; indexes on random keys touch pages everywhere
    "PRAGMA wal_autocheckpoint = 4000",  # pages: the same page is written back once for many commits
    "PRAGMA journal_size_limit = 67108864",  # bytes: after a long snapshot the -wal file shrinks again
)
_READER_PRAGMAS: Final = (
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    "PRAGMA query_only = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -8192",
)


class SqliteIdentity(msgspec.Struct, frozen=True):
    """What the header of a file says."""

    is_empty: bool
    is_ours: bool
    version: int


class SqliteBackend:
    """A file on a local disk, in WAL mode."""

    def __init__(self, path: Path | str) -> None:
        """Take the path of the file; it is made, for its owner only, when it does not exist.

        Raises:
            InvalidInput: the path is ":memory:", which two connections cannot share.
        """
        if str(path) in {":memory:", ""}:
            raise InvalidInput('the store needs a file, not ":memory:": readers and the writer are two connections')
        self.path = Path(path).absolute()  # absolute, so that no name is taken for a "file:" URI

    async def open_writer(self) -> SqliteConnection:
        """Open the connection that writes."""
        try:
            await asyncio.to_thread(_create_private, self.path)
        except OSError as error:
            raise InvalidInput(f"cannot open the database {self.path}: {error.strerror}") from error
        for _ in range(_OPENINGS - 1):
            # the change to WAL answers SQLITE_BUSY at once while another opens the file: busy_timeout is not for it
            with contextlib.suppress(errors.StoreBusy):
                return await SqliteConnection.open(self.path, _WRITER_PRAGMAS)
            await asyncio.sleep(_BETWEEN_OPENINGS)
        return await SqliteConnection.open(self.path, _WRITER_PRAGMAS)

    async def open_reader(self) -> SqliteReader:
        """Open a connection that only reads."""
        return await SqliteReader.open(self.path, _READER_PRAGMAS)

    async def read_identity(self, connection: BackendConnection) -> SqliteIdentity:
        """Read application_id and user_version."""
        row = await connection.fetch_one(
            "SELECT a.application_id, v.user_version, NOT EXISTS (SELECT 1 FROM sqlite_schema)"
            " FROM pragma_application_id AS a, pragma_user_version AS v"
        )
        assert row is not None
        application, version, empty = row
        assert isinstance(version, int)
        return SqliteIdentity(
            is_empty=bool(empty) and application == 0, is_ours=application == APPLICATION_ID, version=version
        )

    async def write_identity(self, connection: BackendConnection, version: int) -> None:
        """Write application_id and user_version; both are rolled back with the transaction."""
        await connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        await connection.execute(f"PRAGMA user_version = {int(version)}")

    def statements(self, script: str) -> list[str]:
        """Split a script into statements: the driver's `executescript` would commit the open transaction first."""
        statements, current = [], ""
        for line in script.splitlines(keepends=True):
            if not current and (not line.strip() or line.lstrip().startswith("--")):
                continue
            current += line
            if sqlite3.complete_statement(current):
                statements.append(current.strip().removesuffix(";"))
                current = ""
        if current.strip():
            raise errors.BadSchema(f"a migration ends inside a statement: {current.strip()[:60]!r}")
        return statements


def _create_private(path: Path) -> None:
    # SQLite gives -wal and -shm the mode of the database itself, so the first file decides
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))

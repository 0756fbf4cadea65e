"""The plans of the statements that a database is asked: for tests that refuse a walk through a table that grows."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from podium_storage.database import MAX_SNAPSHOTS, Database
from podium_storage.sqlite.connection import SqliteConnection

_LITERAL: Final = re.compile(r"x?'(?:[^']|'')*'|\b\d+(?:\.\d+)?\b", re.IGNORECASE)
_NOT_PLANNED: Final = re.compile(
    r"\s*(?:--|(?:PRAGMA|BEGIN|COMMIT|ROLLBACK|CREATE|DROP)\b)", re.IGNORECASE
)  # "--": what SQLite runs by itself
_WALK: Final = re.compile(r"SCAN (\w+)|SEARCH (\w+) USING INTEGER PRIMARY KEY \(rowid>\?\)")


class Walk(msgspec.Struct, frozen=True):
    """A statement that looks at every row of a table, or of an index of it."""

    table: str
    statement: str


class Statements:
    """The statements that were run, one of each form, with the values that it had."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._forms: dict[str, str] = {}

    @property
    def forms(self) -> list[str]:
        """The statements without their values."""
        return list(self._forms)

    def note(self, statement: str) -> None:
        """Keep a statement as the driver traces it."""
        if not _NOT_PLANNED.match(statement):
            self._forms.setdefault(" ".join(_LITERAL.sub("?", statement).split()), statement)

    async def walks(self) -> list[Walk]:
        """Every walk through a table in their plans; the rows of the database play no part in them."""
        tables = {str(name) for (name,) in await self._database.fetch_all("SELECT name FROM sqlite_schema")}
        found: set[Walk] = set()
        for form, statement in self._forms.items():
            # on the connection that writes, since it has the temporary tables
            for _, _, _, step in await self._database._writer.fetch_all(f"EXPLAIN QUERY PLAN {statement}"):
                if (match := _WALK.match(str(step))) is not None:
                    alias = match[1] or match[2]
                    named = re.search(rf'(\w+)"? AS {alias}\b', form)
                    table = named[1] if named is not None else alias
                    found |= {Walk(table, form)} if table in tables else set()
        return sorted(found, key=lambda walk: (walk.table, walk.statement))


@asynccontextmanager
async def tracing(database: Database) -> AsyncIterator[Statements]:
    """Keep what is asked of a database in this scope, on each of its connections."""
    statements = Statements(database)
    while len(database._idle) < MAX_SNAPSHOTS:  # else those that are opened later would not be seen
        database._idle.append(await database._backend.open_reader())
    connections = [database._writer, database._reader, *database._idle]
    await _trace(connections, statements)
    try:
        yield statements
    finally:
        await _trace(connections, None)


async def _trace(connections: list[object], statements: Statements | None) -> None:
    def hook(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(None if statements is None else statements.note)

    for connection in connections:
        assert isinstance(connection, SqliteConnection)
        await connection._thread.run(hook)

"""The declared tables, in Dexie's words, and the SQL that makes them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final, Generic, TypeVar

from podium_storage.errors import BadSchema
from podium_storage.sqlite import SqliteDialect, quoted
from podium_storage.table import index_spec
from podium_storage.table import models as rows
from podium_storage.table.columns import Column, ColumnKind, StoredRow, columns_of
from podium_storage.table.index_spec import Index

Row_co = TypeVar("Row_co", bound=StoredRow, covariant=True)

# The texts of interned columns, and the last key each table gave out: IndexedDB never gives a key twice.
SUPPORT: Final = (
    f'CREATE TABLE "atoms" ("id" INTEGER PRIMARY KEY, "value" TEXT NOT NULL UNIQUE){SqliteDialect.TABLE_SUFFIX}',
    f'CREATE TABLE "sequences" ("name" TEXT PRIMARY KEY, "last" INTEGER NOT NULL){SqliteDialect.TABLE_SUFFIX}',
)


class TableSchema(Generic[Row_co]):
    """One table: its name, its row struct and its indexes, checked against each other."""

    def __init__(self, name: str, row_type: type[Row_co], stores: str) -> None:
        """Declare a table; `stores` is Dexie's string, such as `++id, &lessonId, [a+b]`.

        Raises:
            BadSchema: the string cannot be parsed, or names what the row does not have.
        """
        self.name = name
        self.row_type = row_type
        self.spec = index_spec.parse(stores)
        self.columns = columns_of(row_type)
        self._backing: dict[tuple[str, ...], str | None] = {}
        self._check()

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """The columns by their camelCase names."""
        return {column.name: column for column in self.columns}

    @cached_property
    def by_path(self) -> dict[str, Index]:
        """The indexes a query can name, the primary key among them.

        The leading columns of a compound index are an index too (Dexie: "virtual index").
        """
        paths = {index.path: index for index in (self.spec.primary, *self.spec.indexes)}
        for index in self.spec.indexes:
            for size in range(1, len(index.columns)):
                prefix = Index(index.columns[:size])
                paths.setdefault(prefix.path, prefix)
        return paths

    def backing(self, columns: tuple[str, ...]) -> str | None:
        """Name of the real index for these columns: their own, or a compound one that begins with them."""
        if columns not in self._backing:
            indexes = [index for index in self.spec.indexes if not index.is_multi]
            exact = [index for index in indexes if index.columns == columns]
            longer = [index for index in indexes if index.columns[: len(columns)] == columns]
            found = next(iter([*exact, *longer]), None)
            self._backing[columns] = None if found is None else f"{self.name}.{found.path}"
        return self._backing[columns]

    def side_table(self, index: Index) -> str:
        """Name of the table that keeps a multi-entry index: one row for each element."""
        return f"{self.name}.{index.path}"

    def statements(self) -> Iterator[str]:
        """The DDL of the table, its indexes and the tables of its multi-entry indexes."""
        body = ",\n".join(f"  {self._column_sql(column)}" for column in self.columns)
        yield f"CREATE TABLE {quoted(self.name)} (\n{body}\n){SqliteDialect.TABLE_SUFFIX}"
        for index in self.spec.indexes:
            yield self._multi_sql(index) if index.is_multi else self._index_sql(index)

    def _column_sql(self, column: Column) -> str:
        name, sql_type = quoted(column.name), SqliteDialect.TYPES[column.kind]
        if column.name == self.spec.primary.path:
            return f"{name} {sql_type} PRIMARY KEY"
        sql = f"{name} {sql_type}" + ("" if column.is_nullable else " NOT NULL")
        if column.kind is ColumnKind.BOOLEAN:
            sql += f" CHECK ({name} IN (0, 1))"
        if column.kind is ColumnKind.ATOM:
            sql += ' REFERENCES "atoms" ("id")'
        return sql

    def _index_sql(self, index: Index) -> str:
        unique = "UNIQUE " if index.is_unique else ""
        columns = ", ".join(map(quoted, index.columns))
        return f"CREATE {unique}INDEX {quoted(f'{self.name}.{index.path}')} ON {quoted(self.name)} ({columns})"

    def _multi_sql(self, index: Index) -> str:
        name = quoted(self.side_table(index))
        key = '"value"' if index.is_unique else '"value", "id"'
        return (
            f"CREATE TABLE {name} (\n"
            f'  "value" {SqliteDialect.TYPES[self.element_kind(index)]} NOT NULL,\n'
            f'  "id" INTEGER NOT NULL REFERENCES {quoted(self.name)} ("id") ON DELETE CASCADE,\n'
            f'  PRIMARY KEY ({key}),\n  UNIQUE ("id", "value")\n){SqliteDialect.TABLE_SUFFIX}'
        )

    def element_kind(self, index: Index) -> ColumnKind:
        """How the elements of a multi-entry column are kept.

        Raises:
            BadSchema: the column is no tuple of texts or of integers.
        """
        annotation = self.by_name[index.path].annotation
        if annotation == tuple[str, ...]:
            return ColumnKind.TEXT
        if annotation == tuple[int, ...]:
            return ColumnKind.INTEGER
        raise BadSchema(f"bad index '*{index.path}': the column is no tuple[str, ...] or tuple[int, ...]")

    def _check(self) -> None:
        if not self.spec.is_auto or self.spec.primary.path != "id":
            raise BadSchema(f"bad key {self.spec.primary.path!r} of {self.name}: rows are kept under '++id'")
        for index in self.spec.indexes:
            self._check_index(index)

    def _check_index(self, index: Index) -> None:
        for name in index.columns:
            if name not in self.by_name:
                raise BadSchema(f"bad index {index.path!r} of {self.name}: {self.row_type.__name__} has no {name!r}")
            if not (index.is_multi or self.by_name[name].can_be_indexed):
                raise BadSchema(
                    f"bad index {index.path!r} of {self.name}: {name!r} is a list or bytes (lists take '*')"
                )
        if index.is_multi:
            self.element_kind(index)


SESSIONS: Final = TableSchema(
    "trainingLiveSessions", rows.LiveSessionRow, "++id, &lessonId, conferenceRoomId, scheduledAt"
)
RSVPS: Final = TableSchema(
    "trainingLiveSessionRSVPs", rows.RsvpRow, "++id, lessonId, pubkey, status, &[lessonId+pubkey]"
)
ATTENDANCE: Final = TableSchema(
    "trainingLiveSessionAttendance", rows.AttendanceRow, "++id, lessonId, pubkey, joinedAt, &[lessonId+pubkey]"
)
LEDGER: Final = TableSchema(
    "reminderLedger", rows.LedgerRow, "++id, lessonId, pubkey, [state+dueAt], &[lessonId+epoch+message+pubkey]"
)
INTERVALS: Final = TableSchema(
    "attendanceIntervals", rows.IntervalRow, "++id, &connectionId, lessonId, [lessonId+pubkey]"
)
MEMBERS: Final = TableSchema("roomMembers", rows.RoomMemberRow, "++id, lessonId, &[lessonId+pubkey]")
OPT_OUTS: Final = TableSchema("optOuts", rows.OptOutRow, "++id, pubkey, &[pubkey+lessonId]")
QUESTIONS: Final = TableSchema("liveQuestions", rows.QuestionRow, "++id, &eventId, state, [lessonId+pubkey]")
ROOM_CONTROLS: Final = TableSchema("roomControls", rows.RoomControlsRow, "++id, &lessonId")
LETTERS: Final = TableSchema(
    "privateLetters", rows.LetterRow, "++id, lessonId, pubkey, [state+dueAt], &[lessonId+pubkey+topic]"
)

RECORDINGS: Final = TableSchema("recordings", rows.RecordingRow, "++id, state, sha256, &[lessonId+run]")
RECORDING_CONSENTS: Final = TableSchema(
    "recordingConsents", rows.RecordingConsentRow, "++id, &eventId, [lessonId+pubkey]"
)
WATCHES: Final = TableSchema("recordingWatches", rows.WatchRow, "++id, pubkey, &[lessonId+pubkey+sha256]")
CALENDAR_ENTRIES: Final = TableSchema("calendarEntries", rows.CalendarEntryRow, "++id, lessonId, &[pubkey+lessonId]")

TABLES: Final = (
    *(SESSIONS, RSVPS, ATTENDANCE, LEDGER, INTERVALS, MEMBERS, OPT_OUTS, QUESTIONS, ROOM_CONTROLS, LETTERS),
    *(RECORDINGS, RECORDING_CONSENTS, WATCHES, CALENDAR_ENTRIES),
)


def script(tables: Iterable[TableSchema[StoredRow]]) -> str:
    """The text of a first migration that makes these tables and what they stand on."""
    statements = [*SUPPORT, *(sql for table in tables for sql in table.statements())]
    return ";\n\n".join(statements) + ";\n"


if __name__ == "__main__":
    # until the first release, `python -m podium_storage.table.schema > .../0001_initial.sql` renews the first migration
    sys.stdout.write(
        f"-- The declared tables. A test holds this text against `podium_storage.table.schema`.\n\n{script(TABLES)}"
    )

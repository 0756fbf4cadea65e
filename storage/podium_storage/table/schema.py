"""The declared tables, in Dexie's words, and the SQL that makes them.

A declaration reads like `++id, &lessonId, *tags, [a+b], &[a+b]`: `++` counts up by itself, `&` is unique, `*` has one
entry for each element of a list, `[a+b]` is compound. The first entry is the primary key. Source: Dexie's documentation
of `Version.stores()`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final, Generic, NoReturn, TypeVar

import msgspec

from podium_storage.errors import BadSchema
from podium_storage.sqlite import SqliteDialect, quoted
from podium_storage.table import models as rows
from podium_storage.table.columns import Column, ColumnKind, StoredRow, columns_of

_ENTRY: Final = re.compile(r"(?P<marks>[+&*]*)(?P<body>.*)", re.DOTALL)
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*")  # becomes an SQL identifier, so nothing else is let through
_MARKS: Final = frozenset({"", "++", "&", "*", "&*"})


class Index(msgspec.Struct, frozen=True):
    """One index: its columns in order, and what holds for its entries."""

    columns: tuple[str, ...]
    is_unique: bool = False
    is_multi: bool = False

    @property
    def path(self) -> str:
        """The name by which a query asks for it: `lessonId` or `[lessonId+pubkey]`."""
        return self.columns[0] if len(self.columns) == 1 else f"[{'+'.join(self.columns)}]"


class IndexSpec(msgspec.Struct, frozen=True):
    """A parsed declaration: the primary key and the indexes in their order."""

    primary: Index
    is_auto: bool
    indexes: tuple[Index, ...]


def parse_indexes(text: str) -> IndexSpec:
    """Parse one table's declaration.

    Raises:
        BadSchema: naming the bad token and what was expected.
    """
    entries = [entry.strip() for entry in text.split(",")]
    primary, is_auto = _primary(entries[0])
    indexes = tuple(_index(entry) for entry in entries[1:])
    seen = {primary.path}
    for index in indexes:
        if index.path in seen:
            _refuse(index.path, "it is declared twice")
        seen.add(index.path)
    return IndexSpec(primary, is_auto, indexes)


def _primary(token: str) -> tuple[Index, bool]:
    marks, columns = _split(token)
    if marks not in {"", "&", "++"}:
        _refuse(token, 'a primary key is written "++id" or "id"')
    if marks == "++" and len(columns) > 1:
        _refuse(token, "a compound key cannot count up by itself")
    return Index(columns, is_unique=True), marks == "++"


def _index(token: str) -> Index:
    marks, columns = _split(token)
    if "++" in marks:
        _refuse(token, "only the primary key, which comes first, counts up by itself")
    if "*" in marks and len(columns) > 1:
        _refuse(token, "a compound index cannot be multi-entry")
    return Index(columns, is_unique="&" in marks, is_multi="*" in marks)


def _split(token: str) -> tuple[str, tuple[str, ...]]:
    if not token:
        _refuse(token, "an entry is empty: is there a comma too many?")
    match = _ENTRY.fullmatch(token)
    assert match is not None
    marks, body = match["marks"], match["body"]
    if marks not in _MARKS:
        _refuse(token, f'the marks {marks!r} do not go together: "++", "&", "*" or "&*" may stand before a name')
    return marks, _compound(token, body) if body.startswith("[") else (_name(token, body),)


def _compound(token: str, body: str) -> tuple[str, ...]:
    if not body.endswith("]"):
        _refuse(token, 'the bracket is not closed: a compound index is written "[a+b]"')
    columns = tuple(_name(token, part) for part in body[1:-1].split("+"))
    if len(columns) == 1:
        _refuse(token, "a compound index needs two columns or more")
    if len(set(columns)) < len(columns):
        _refuse(token, "a column is repeated")
    return columns


def _name(token: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        _refuse(token, f"{name!r} is no column: letters and digits only, a letter first")
    return name


def _refuse(token: str, why: str) -> NoReturn:
    raise BadSchema(f"bad index {token!r}: {why}")


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
        self.spec = parse_indexes(stores)
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
    "trainingLiveSessions", rows.LiveSessionRow, "++id, &lessonId, conferenceRoomId, scheduledAt, [state+scheduledAt]"
)
RSVPS: Final = TableSchema(
    "trainingLiveSessionRSVPs", rows.RsvpRow, "++id, lessonId, pubkey, status, &[lessonId+pubkey]"
)
ATTENDANCE: Final = TableSchema(
    "trainingLiveSessionAttendance", rows.AttendanceRow, "++id, lessonId, pubkey, joinedAt, &[lessonId+pubkey]"
)
LEDGER: Final = TableSchema(
    "reminderLedger",
    rows.LedgerRow,
    "++id, pubkey, [lessonId+pubkey], [state+dueAt], &[lessonId+epoch+message+pubkey]",
)
INTERVALS: Final = TableSchema(
    "attendanceIntervals", rows.IntervalRow, "++id, &connectionId, lessonId, leftAt, [lessonId+pubkey]"
)
MEMBERS: Final = TableSchema("roomMembers", rows.RoomMemberRow, "++id, lessonId, &[lessonId+pubkey]")
OPT_OUTS: Final = TableSchema("optOuts", rows.OptOutRow, "++id, pubkey, lessonId, &[pubkey+lessonId]")
QUESTIONS: Final = TableSchema("liveQuestions", rows.QuestionRow, "++id, &eventId, state, [lessonId+pubkey]")
QUESTION_VOTES: Final = TableSchema("questionVotes", rows.QuestionVoteRow, "++id, [lessonId+pubkey], &[eventId+pubkey]")
ROOM_CONTROLS: Final = TableSchema("roomControls", rows.RoomControlsRow, "++id, &lessonId")
CHAT_LINES: Final = TableSchema("chatLines", rows.ChatLineRow, "++id, lessonId")
POLLS: Final = TableSchema("polls", rows.PollRow, "++id, lessonId, stage")
POLL_VOTES: Final = TableSchema("pollVotes", rows.PollVoteRow, "++id, lessonId, &[pollId+pubkey]")
BADGES: Final = TableSchema("badges", rows.BadgeRow, "++id, lessonId, &[lessonId+pubkey]")
LETTERS: Final = TableSchema(
    "privateLetters", rows.LetterRow, "++id, lessonId, pubkey, [state+dueAt], &[lessonId+pubkey+topic]"
)

RECORDINGS: Final = TableSchema("recordings", rows.RecordingRow, "++id, state, sha256, &[lessonId+run]")
RECORDING_CONSENTS: Final = TableSchema(
    "recordingConsents", rows.RecordingConsentRow, "++id, &eventId, [lessonId+pubkey]"
)
WATCHES: Final = TableSchema("recordingWatches", rows.WatchRow, "++id, pubkey, &[lessonId+pubkey+sha256]")
CALENDAR_ENTRIES: Final = TableSchema("calendarEntries", rows.CalendarEntryRow, "++id, lessonId, &[pubkey+lessonId]")
GUESTS: Final = TableSchema("sessionGuests", rows.GuestRow, "++id, lessonId, &pubkey, linkDigest, person")

TABLES: Final = (
    *(SESSIONS, RSVPS, ATTENDANCE, LEDGER, INTERVALS, MEMBERS, OPT_OUTS, QUESTIONS, ROOM_CONTROLS, LETTERS),
    *(RECORDINGS, RECORDING_CONSENTS, WATCHES, CALENDAR_ENTRIES, GUESTS, CHAT_LINES, POLLS, POLL_VOTES),
    QUESTION_VOTES,
    BADGES,
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

"""The pieces of SQL in which SQLite differs from others."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from podium_storage import errors
from podium_storage.backend import Value
from podium_storage.table.columns import ColumnKind

DRIVER_ERRORS: Final = (sqlite3.Error, OverflowError, UnicodeEncodeError)

_Kind = type[errors.StoreError] | type[errors.BadRow]
_KINDS: Final[dict[int, _Kind]] = {
    sqlite3.SQLITE_BUSY: errors.StoreBusy,
    sqlite3.SQLITE_LOCKED: errors.StoreBusy,
    sqlite3.SQLITE_CONSTRAINT: errors.ConstraintViolated,
    sqlite3.SQLITE_FULL: errors.StoreFull,
    sqlite3.SQLITE_IOERR: errors.StoreFailed,
    sqlite3.SQLITE_NOMEM: errors.StoreFailed,
    sqlite3.SQLITE_CANTOPEN: errors.StoreFailed,
    sqlite3.SQLITE_READONLY: errors.StoreFailed,
    sqlite3.SQLITE_PERM: errors.StoreFailed,
    sqlite3.SQLITE_CORRUPT: errors.StoreDamaged,
    sqlite3.SQLITE_NOTADB: errors.StoreDamaged,
    sqlite3.SQLITE_TOOBIG: errors.BadRow,
    sqlite3.SQLITE_MISMATCH: errors.BadRow,
}
_NOT_UNIQUE: Final = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
    sqlite3.SQLITE_CONSTRAINT_ROWID,
}


def classified(error: Exception, doing: str) -> errors.StoreError | errors.BadRow:
    """The store's own error for one of the driver's; `doing` is the statement, and never its parameters."""
    if isinstance(error, OverflowError | UnicodeEncodeError):
        # neither text is passed on whole: the second one quotes the value
        return errors.BadRow("a value does not fit: integers have 64 bits, and text has no lone surrogates")
    code = getattr(error, "sqlite_errorcode", None)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    kind: _Kind = errors.StoreError
    if isinstance(code, int):
        kind = errors.NotUnique if code in _NOT_UNIQUE else _KINDS.get(code & 0xFF, errors.StoreError)
    return kind(f"{error} ({name}) in: {' '.join(doing.split())[:200]}")


def quoted(name: str) -> str:
    """An identifier of the declared schema, quoted: camelCase is kept, and a keyword is a name like any other."""
    return '"' + name.replace('"', '""') + '"'


class SqliteDialect:
    """The pieces of SQL in which SQLite differs from others."""

    TABLE_SUFFIX: Final = " STRICT"  # else a column takes values of any type
    TYPES: Final = {
        ColumnKind.INTEGER: "INTEGER",
        ColumnKind.BOOLEAN: "INTEGER",
        ColumnKind.TEXT: "TEXT",
        ColumnKind.ATOM: "INTEGER",
        ColumnKind.BYTES: "BLOB",
        ColumnKind.JSON: "TEXT",
    }

    @staticmethod
    def by_index(name: str) -> str:
        """After a table's name: search by this index. The statement fails where that is impossible."""
        return f"INDEXED BY {quoted(name)}"

    @staticmethod
    def values(items: Sequence[Value]) -> tuple[str, tuple[Value, ...]]:
        """A query that gives each of the items as a row, and its parameters.

        One JSON parameter, so that one prepared statement serves every length. `json_each` cuts text at U+0000, so
        that two keys could be taken for one another: such lists are bound one by one.
        """
        if _json_would_cut(items):
            return "VALUES " + ", ".join(["(?)"] * len(items)), tuple(items)
        return "SELECT value FROM json_each(?)", (_json(items),)

    @staticmethod
    def json(items: Sequence[Value]) -> str:
        """A list as one JSON parameter, for `json_each` in SQL of one's own.

        Raises:
            BadRow: a text holds U+0000, where `json_each` would cut it, or an item is bytes: use `values`.
        """
        if _json_would_cut(items):
            raise errors.BadRow("bytes and texts with U+0000 do not go into a JSON parameter")
        return _json(items)

    @staticmethod
    def key_names(size: int) -> list[str]:
        """Names of the columns of `keys`."""
        return [f"k{number}" for number in range(size)]

    @classmethod
    def keys(cls, items: Sequence[Sequence[Value]]) -> tuple[str, tuple[Value, ...]]:
        """A query that gives each of the compound keys as a row with columns `key_names`, and its parameters."""
        names = cls.key_names(len(items[0]))
        values = [value for item in items for value in item]
        if _json_would_cut(values):
            rows = ", ".join(["(" + ", ".join("?" * len(names)) + ")"] * len(items))
            columns = ", ".join(f"column{number} AS {name}" for number, name in enumerate(names, start=1))
            return f"SELECT {columns} FROM (VALUES {rows})", tuple(values)
        columns = ", ".join(f"json_extract(value, '$[{number}]') AS {name}" for number, name in enumerate(names))
        return f"SELECT {columns} FROM json_each(?)", (_json(items),)


def _json_would_cut(values: Iterable[Value]) -> bool:
    return any(isinstance(value, bytes) or (isinstance(value, str) and "\0" in value) for value in values)


def _json(items: Sequence[Value] | Sequence[Sequence[Value]]) -> str:
    try:
        return msgspec.json.encode(items).decode()
    except UnicodeEncodeError as error:
        raise classified(error, "values") from None

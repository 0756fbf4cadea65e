"""The store's own errors for those of the driver."""

from __future__ import annotations

import sqlite3
from typing import Final

from podium_storage import errors

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

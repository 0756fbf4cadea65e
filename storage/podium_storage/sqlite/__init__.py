"""All that is SQLite's own: connections on aiosqlite, pragmas, identity of the file, dialect, classes of errors.

Nothing else in the store imports `sqlite3` or `aiosqlite`.
"""

from podium_storage.sqlite.backend import SqliteBackend
from podium_storage.sqlite.dialect import SqliteDialect, quoted

__all__ = ["SqliteBackend", "SqliteDialect", "quoted"]

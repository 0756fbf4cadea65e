"""What is read of a database outside of transactions: for tests that hold the number of reads against the work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from podium_storage.backend import SqlRow, Value
from podium_storage.database import Database


class Reads:
    """Each query with the number of rows it found, in order."""

    def __init__(self) -> None:
        self.queries: list[tuple[str, int]] = []

    @property
    def count(self) -> int:
        """How many queries."""
        return len(self.queries)

    def rows_of(self, table: str) -> int:
        """How many rows of one table were read, by queries that begin with it."""
        return sum(rows for sql, rows in self.queries if f'FROM "{table}"' in sql)


@contextmanager
def reading(database: Database) -> Iterator[Reads]:
    """Count what is read in this scope; the reads themselves are the database's own."""
    reads, real = Reads(), database.fetch_all

    async def counted(sql: str, parameters: Sequence[Value] = ()) -> list[SqlRow]:
        rows = await real(sql, parameters)
        reads.queries.append((sql, len(rows)))
        return rows

    database.fetch_all = counted  # type: ignore[method-assign]
    try:
        yield reads
    finally:
        database.fetch_all = real  # type: ignore[method-assign]

"""A table with every kind of column and index, and databases to keep it in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from podium_storage.database import Database
from podium_storage.migrations import Migration
from podium_storage.table.columns import InternedText, StoredRow
from podium_storage.table.interning import Interner
from podium_storage.table.models import RsvpRow
from podium_storage.table.schema import TableSchema, script
from podium_storage.table.table import Table


class NoteRow(StoredRow, frozen=True, kw_only=True):
    """One row of the table `notes`."""

    session_address: InternedText = "lesson"
    pubkey: InternedText = "pubkey"
    status: str | None = None
    star_count: int = 0
    done: bool = False
    labels: tuple[str, ...] = ()
    body: bytes | None = None


NOTES = TableSchema(
    "notes",
    NoteRow,
    "++id, lessonId, pubkey, status, starCount, done, *labels, [lessonId+pubkey], [status+starCount], "
    "[pubkey+starCount+lessonId]",
)


class SeatRow(StoredRow, frozen=True, kw_only=True):
    """One row of the table `seats`, which has a unique index."""

    session_address: InternedText
    pubkey: InternedText
    number: int
    note: str | None = None


SEATS = TableSchema("seats", SeatRow, "++id, lessonId, &number, &[lessonId+pubkey], &note")

MIGRATION = Migration("0001_tests", script([NOTES, SEATS]))


class TestTables:
    """An open database with its tables."""

    __test__ = False

    def __init__(self, database: Database, cache_size: int) -> None:
        self.database = database
        self.interner = Interner(cache_size)
        self.notes = Table.from_schema(NOTES, database, self.interner)
        self.seats = Table.from_schema(SEATS, database, self.interner)


@asynccontextmanager
async def opened(path: Path, *, cache_size: int = 1_000) -> AsyncIterator[TestTables]:
    """The test tables in a file."""
    async with await Database.open(path, [MIGRATION]) as database:
        yield TestTables(database, cache_size)


def rsvp(session_address: str, pubkey: str, status: str = "confirmed", *, first_seen: int = 1) -> RsvpRow:
    """An RSVP of which only the given values matter."""
    return RsvpRow(
        session_address=session_address,
        pubkey=pubkey,
        status=status,
        rsvp_time=1_800_000_000,
        event_id="0" * 64,
        first_seen=first_seen,
        first_seen_at=1_800_000_000,
    )

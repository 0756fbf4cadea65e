"""Declared tables and the SQL that makes them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from podium_storage.database import Database
from podium_storage.errors import BadSchema
from podium_storage.migrations import Migration, shipped
from podium_storage.table.columns import StoredRow
from podium_storage.table.models import RsvpRow
from podium_storage.table.schema import TABLES, TableSchema, script
from tests.support.store import NOTES, NoteRow

DEXIE = {
    "trainingLiveSessions": "++id, &lessonId, conferenceRoomId, scheduledAt, [state+scheduledAt]",
    "trainingLiveSessionRSVPs": "++id, lessonId, pubkey, status, &[lessonId+pubkey]",
    "trainingLiveSessionAttendance": "++id, lessonId, pubkey, joinedAt, &[lessonId+pubkey]",
    "reminderLedger": "++id, pubkey, [lessonId+pubkey], [state+dueAt], &[lessonId+epoch+message+pubkey]",
    "attendanceIntervals": "++id, &connectionId, lessonId, leftAt, [lessonId+pubkey]",
    "roomMembers": "++id, lessonId, &[lessonId+pubkey]",
    "optOuts": "++id, pubkey, lessonId, &[pubkey+lessonId]",
    "liveQuestions": "++id, &eventId, state, [lessonId+pubkey]",
    "roomControls": "++id, &lessonId",
    "privateLetters": "++id, lessonId, pubkey, [state+dueAt], &[lessonId+pubkey+topic]",
    "recordings": "++id, state, sha256, &[lessonId+run]",
    "recordingConsents": "++id, &eventId, [lessonId+pubkey]",
    "recordingWatches": "++id, pubkey, &[lessonId+pubkey+sha256]",
    "calendarEntries": "++id, lessonId, &[pubkey+lessonId]",
    "sessionGuests": "++id, lessonId, &pubkey, linkDigest, person",
    "chatLines": "++id, lessonId",
    "polls": "++id, lessonId, stage",
    "pollVotes": "++id, lessonId, &[pollId+pubkey]",
    "questionVotes": "++id, [lessonId+pubkey], &[eventId+pubkey]",
    "badges": "++id, lessonId, &[lessonId+pubkey]",
}


async def _tables_of(database: Database) -> dict[str, str]:
    names = [table.name for table in TABLES]
    rows = await database.fetch_all("SELECT name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    ours = {"atoms", "sequences", *names}
    # SQLite writes an added column behind a comma of its own: how a text is broken into lines does not matter
    return {str(name): re.sub(r"\s*([(),])\s*", r"\1", str(sql)) for name, table, sql in rows if table in ours}


def test_the_declarations_are_the_models() -> None:
    """The tables and their indexes are declared as the design has them."""
    declared = {
        table.name: ", ".join(
            ["++id", *(("&" if index.is_unique else "") + index.path for index in table.spec.indexes)]
        )
        for table in TABLES
    }
    assert declared == DEXIE


async def test_the_migrations_make_the_declared_schema(tmp_path: Path) -> None:
    """A database made by the migrations has the same tables and indexes as one made from the declarations."""
    async with await Database.open(tmp_path / "shipped.db", shipped()) as database:
        migrated = await _tables_of(database)
    async with await Database.open(tmp_path / "declared.db", [Migration("0001_all", script(TABLES))]) as database:
        declared = await _tables_of(database)
    assert migrated == declared
    assert len(declared) > len(TABLES)


async def test_every_table_is_strict(tmp_path: Path) -> None:
    """No table takes values of another type than its columns'."""
    async with await Database.open(tmp_path / "a.db") as database:
        rows = await database.fetch_all("SELECT name FROM pragma_table_list WHERE schema = 'main' AND strict = 0")
    assert [name for (name,) in rows if not str(name).startswith("sqlite_")] == []


async def test_each_declared_index_is_a_real_one(tmp_path: Path) -> None:
    """Every index of the declaration is in the database, and unique where `&` says so."""
    async with await Database.open(tmp_path / "a.db") as database:
        for table in TABLES:
            rows = await database.fetch_all('SELECT name, "unique" FROM pragma_index_list(?)', (table.name,))
            assert {(str(name), bool(unique)) for name, unique in rows} == {
                (f"{table.name}.{index.path}", index.is_unique) for index in table.spec.indexes
            }


@pytest.mark.parametrize(
    ("row_type", "stores", "why"),
    [
        (RsvpRow, "id, lessonId", "rows are kept under"),
        (RsvpRow, "++pubkey", "rows are kept under"),
        (RsvpRow, "++id, session_address", "RsvpRow has no 'session_address'|no column"),
        (RsvpRow, "++id, lessonID", "RsvpRow has no 'lessonID'"),
        (RsvpRow, "++id, [lessonId+nobody]", "RsvpRow has no 'nobody'"),
        (RsvpRow, "++id, *status", "no tuple"),
        (NoteRow, "++id, labels", "list or bytes"),
        (NoteRow, "++id, body", "list or bytes"),
        (NoteRow, "++id, [status+labels]", "list or bytes"),
    ],
)
def test_a_declaration_must_fit_the_row(row_type: type[StoredRow], stores: str, why: str) -> None:
    """An index on what the row does not have, or on what has no order, is refused."""
    with pytest.raises(BadSchema, match=why):
        TableSchema("table", row_type, stores)


def test_the_beginning_of_a_compound_index_is_an_index() -> None:
    """As in Dexie, the leading columns of a compound index can be asked for, and no others."""
    assert {"[pubkey+starCount]", "pubkey", "[pubkey+starCount+lessonId]"} <= set(NOTES.by_path)
    assert "[starCount+lessonId]" not in NOTES.by_path

"""Migrations: recorded with what they did, and refused where they do not belong."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from podium_storage.database import Database
from podium_storage.errors import BadSchema, StoreDamaged, StoreError, WrongDatabase
from podium_storage.migrations import Migration, checked, shipped
from podium_storage.sqlite.backend import APPLICATION_ID
from podium_storage.store import Store

FIRST = Migration("0001_first", "CREATE TABLE first (id INTEGER PRIMARY KEY) STRICT;")
SECOND = Migration(
    "0002_second", "CREATE TABLE second (id INTEGER PRIMARY KEY) STRICT;\nINSERT INTO second VALUES (7);"
)
BROKEN = Migration("0002_broken", "CREATE TABLE half (id INTEGER PRIMARY KEY) STRICT;\nINSERT INTO nowhere VALUES (1);")


async def _open(path: Path, *migrations: Migration) -> None:
    await (await Database.open(path, migrations)).close()


async def _names(path: Path, *migrations: Migration) -> list[object]:
    async with await Database.open(path, migrations) as database:
        return [name for (name,) in await database.fetch_all("SELECT name FROM migrations ORDER BY number")]


async def test_each_is_applied_once_and_recorded(tmp_path: Path) -> None:
    """Opening again applies only what is new."""
    path = tmp_path / "a.db"
    assert await _names(path, FIRST) == ["0001_first"]
    assert await _names(path, FIRST, SECOND) == ["0001_first", "0002_second"]
    async with await Database.open(path, [FIRST, SECOND]) as database:
        assert await database.fetch_all("SELECT id FROM second") == [(7,)]


async def test_the_header_carries_our_mark_and_the_version(tmp_path: Path) -> None:
    """`application_id` and `user_version` say whose file it is and how far it has come."""
    await _open(tmp_path / "a.db", FIRST, SECOND)
    with sqlite3.connect(tmp_path / "a.db") as raw:
        assert raw.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert raw.execute("PRAGMA user_version").fetchone() == (2,)
    raw.close()


async def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """What a failed migration did is undone with its record, and the version stays."""
    path = tmp_path / "a.db"
    await _open(path, FIRST)
    with pytest.raises(StoreError, match="nowhere"):
        await _open(path, FIRST, BROKEN)
    async with await Database.open(path, [FIRST, SECOND]) as database:
        assert await database.fetch_all("SELECT name FROM sqlite_schema WHERE name = 'half'") == []


async def test_what_a_room_had_is_kept(tmp_path: Path) -> None:
    """Mute-all of a database from before people could be excepted goes on, and nobody is excepted or large."""
    path = tmp_path / "a.db"
    before = [one for one in shipped() if one.name < "0008"]
    await _open(path, *before)
    with sqlite3.connect(path) as raw:
        raw.execute("INSERT INTO atoms (id, value) VALUES (1, 'lesson')")
        raw.execute('INSERT INTO "roomControls" VALUES (7, 1, 1, ?)', ('["somebody"]',))
    raw.close()
    async with await Store.open(path) as store:
        (kept,) = await store.controls.to_list()
    assert (kept.id, kept.session_address, kept.muted, kept.silenced) == (7, "lesson", True, ("somebody",))
    assert (kept.speakers, kept.spotlight) == ((), None)


async def test_known_questions_are_kept(tmp_path: Path) -> None:
    """Questions of a database from before there were votes are there as they were, without any."""
    path = tmp_path / "a.db"
    await _open(path, *(one for one in shipped() if one.name < "0025"))
    with sqlite3.connect(path) as raw:
        raw.execute("INSERT INTO atoms (id, value) VALUES (1, 'lesson'), (2, 'ada')")
        values = (7, 1, 2, "ab" * 32, "Why?", 5, 6, None, "shown", None, 1)
        raw.execute(f'INSERT INTO "liveQuestions" VALUES ({",".join("?" for _ in values)})', values)  # noqa: S608  (question marks)
    raw.close()
    async with await Store.open(path) as store:
        (kept,) = await store.questions.to_list()
    assert (kept.id, kept.session_address, kept.pubkey, kept.text, kept.first_seen_at) == (
        7,
        "lesson",
        "ada",
        "Why?",
        6,
    )
    assert (kept.state, kept.pinned, kept.answered, kept.votes) == ("shown", True, False, 0)


async def test_the_attendance_of_known_sessions_stays_public(tmp_path: Path) -> None:
    """Sessions of a database from before it could be sealed keep all they had, and publish attendance as they did."""
    path = tmp_path / "a.db"
    await _open(path, *(one for one in shipped() if one.name < "0009"))
    with sqlite3.connect(path) as raw:
        raw.execute("INSERT INTO atoms (id, value) VALUES (1, 'lesson'), (2, 'instructor')")
        columns = [str(row[1]) for row in raw.execute('PRAGMA table_info("trainingLiveSessions")')]
        texts = {"lessonId": 1, "instructorPubkey": 2, "runs": "[[5,9]]", "coHosts": "[]", "invited": "[]"}
        values = [texts.get(name, "[]" if name == "revisions" else 1) for name in columns]
        marks = ",".join("?" for _ in columns)
        raw.execute(f'INSERT INTO "trainingLiveSessions" VALUES ({marks})', values)  # noqa: S608  (question marks)
    raw.close()
    async with await Store.open(path) as store:
        (kept,) = await store.sessions.to_list()
    assert (kept.session_address, kept.instructor_pubkey, kept.runs, kept.version) == (
        "lesson",
        "instructor",
        ((5, 9),),
        1,
    )
    assert kept.attendance == "public"


async def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    """A database that a newer Podium has migrated is refused, with both versions named."""
    path = tmp_path / "a.db"
    await _open(path, FIRST, SECOND)
    with pytest.raises(WrongDatabase, match=r"version 2 .* knows up to 1"):
        await _open(path, FIRST)


async def test_another_programs_database_is_refused_and_untouched(tmp_path: Path) -> None:
    """A database with another application_id, or with tables and none, is refused and not written to."""
    for mark in (0, 0x12345678):
        path = tmp_path / f"{mark}.db"
        raw = sqlite3.connect(path)
        raw.executescript(f"PRAGMA application_id = {mark}; CREATE TABLE theirs (id)")
        raw.close()
        with pytest.raises(WrongDatabase, match="another program"):
            await _open(path, FIRST)
        raw = sqlite3.connect(path)
        assert raw.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]
        raw.close()


async def test_an_edited_migration_is_refused(tmp_path: Path) -> None:
    """A migration whose text changed after it was applied is refused: nobody knows which one the tables are from."""
    path = tmp_path / "a.db"
    await _open(path, FIRST)
    with pytest.raises(WrongDatabase, match="0001_first"):
        await _open(path, Migration("0001_first", FIRST.sql + "\n-- edited"))
    with pytest.raises(WrongDatabase, match="0001_renamed"):
        await _open(path, Migration("0001_renamed", FIRST.sql))


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """A file of other content is refused as damaged and left alone."""
    path = tmp_path / "a.db"
    path.write_bytes(b"this is not a database, however long one reads" * 40)
    before = path.read_bytes()
    with pytest.raises(StoreDamaged):
        await _open(path, FIRST)
    assert path.read_bytes() == before


async def test_two_openings_at_once_apply_each_migration_once(tmp_path: Path) -> None:
    """Two that open a new file at the same time agree on who migrates it."""
    path = tmp_path / "a.db"
    await asyncio.gather(*(_open(path, FIRST, SECOND) for _ in range(4)))
    assert await _names(path, FIRST, SECOND) == ["0001_first", "0002_second"]


@pytest.mark.parametrize(
    "names", [["0002_a"], ["0001_a", "0001_b"], ["0001_a", "0003_c"], ["1_a"], ["0001_A"], ["0001_a\n"]]
)
def test_names_count_up_from_one(names: list[str]) -> None:
    """A gap, a repetition or a name without a number is refused."""
    with pytest.raises(BadSchema, match="out of order"):
        checked([Migration(name, "") for name in names])


def test_the_shipped_ones_are_in_order() -> None:
    """What is shipped begins with the declared tables."""
    assert shipped()[0].name == "0001_initial"

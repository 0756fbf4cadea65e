"""A SQLite file as the store opens it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from podium_protocol.errors import InvalidInput
from podium_storage.errors import BadSchema
from podium_storage.sqlite import SqliteBackend


async def test_the_writer_is_durable_and_checks_foreign_keys(tmp_path: Path) -> None:
    """WAL, synchronous=FULL, foreign keys and a busy time-out of 5 s hold on the writing connection."""
    connection = await SqliteBackend(tmp_path / "a.db").open_writer()
    try:
        found = [
            await connection.fetch_one(f"PRAGMA {name}")
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    finally:
        await connection.close()
    assert found == [("wal",), (2,), (1,), (5000,)]


def _modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    """The database and its companions are made with mode 0600."""
    connection = await SqliteBackend(tmp_path / "a.db").open_writer()
    try:
        await connection.execute("CREATE TABLE t (a INTEGER) STRICT")
        modes = _modes(tmp_path)
    finally:
        await connection.close()
    assert modes == {"a.db": 0o600, "a.db-wal": 0o600, "a.db-shm": 0o600}


@pytest.mark.parametrize("path", [":memory:", ""])
def test_a_database_in_memory_is_refused(path: str) -> None:
    """Two connections cannot share memory, so a file is asked for."""
    with pytest.raises(InvalidInput, match="needs a file"):
        SqliteBackend(path)


async def test_a_path_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """A folder that does not exist gives an error with the path in it."""
    with pytest.raises(InvalidInput, match=r"nowhere/a\.db"):
        await SqliteBackend(tmp_path / "nowhere" / "a.db").open_writer()


async def test_a_name_that_looks_like_a_uri_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`file:a.db?mode=memory` is the name of a file and not an instruction."""
    monkeypatch.chdir(tmp_path)
    connection = await SqliteBackend("file:a.db?mode=memory").open_writer()
    await connection.close()
    assert (tmp_path / "file:a.db?mode=memory").exists()


def test_a_script_is_split_into_statements(tmp_path: Path) -> None:
    """Comments between statements are left out; a semicolon in a text or in a trigger ends nothing."""
    script = (
        "-- what this is for; and why\n\nCREATE TABLE a (b TEXT DEFAULT ';');\n"
        "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n  DELETE FROM a;\n  DELETE FROM a;\nEND;\n\n-- the end\n"
    )
    statements = SqliteBackend(tmp_path / "a.db").statements(script)
    assert [statement.split("\n")[0] for statement in statements] == [
        "CREATE TABLE a (b TEXT DEFAULT ';')",
        "CREATE TRIGGER t AFTER INSERT ON a BEGIN",
    ]


def test_a_script_that_ends_inside_a_statement_is_refused(tmp_path: Path) -> None:
    """Half a statement at the end, where a semicolon was forgotten, is refused."""
    with pytest.raises(BadSchema, match="CREATE TABLE b"):
        SqliteBackend(tmp_path / "a.db").statements("CREATE TABLE a (b);\nCREATE TABLE b (c)\n")

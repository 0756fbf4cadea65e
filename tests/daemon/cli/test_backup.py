"""`podium backup`."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from podium_daemon.cli.daemon import copy_database
from podium_daemon.cli.failures import CommandFailed
from tests.daemon.cli.conftest import CommandLine


@pytest.fixture
def database(own_home: Path) -> Iterator[sqlite3.Connection]:
    """A database in WAL mode that another process has open, as the daemon has."""
    (own_home / "state").mkdir()
    with contextlib.closing(
        sqlite3.connect(own_home / "state" / "podium.sqlite3", check_same_thread=False)
    ) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (a INTEGER, b INTEGER)")
        connection.execute("INSERT INTO t VALUES (1, -1)")
        connection.commit()
        yield connection


@pytest.fixture
def podium(own_home: Path) -> CommandLine:
    """The command line of a person without a key or a daemon."""
    return CommandLine(own_home, None)


def rows(path: Path) -> list[tuple[int, int]]:
    """What is in a copy."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT a, b FROM t").fetchall()


def test_the_copy_has_what_was_committed_and_nothing_else(
    podium: CommandLine, database: sqlite3.Connection, tmp_path: Path
) -> None:
    """A copy beside a running daemon holds the committed rows, those in the write-ahead log too."""
    database.execute("INSERT INTO t VALUES (2, -2)")
    database.commit()
    database.execute("INSERT INTO t VALUES (3, -3)")
    done = podium("backup", str(tmp_path / "copy.sqlite3"))
    assert done.exit_code == 0, done.output
    assert rows(tmp_path / "copy.sqlite3") == [(1, -1), (2, -2)]
    assert stat.S_IMODE((tmp_path / "copy.sqlite3").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == ["copy.sqlite3"]


def test_the_copy_is_of_one_moment_while_somebody_writes(database: sqlite3.Connection, tmp_path: Path) -> None:
    """Transactions are in the copy whole or not at all."""
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            with database:
                database.execute("UPDATE t SET a = a + 1")
                database.execute("UPDATE t SET b = -a")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            copy_database(tmp_path / "state" / "podium.sqlite3", tmp_path / f"copy{number}")
    finally:
        stop.set()
        writer.join()
    for number in range(5):
        ((a, b),) = rows(tmp_path / f"copy{number}")
        assert a == -b


def test_a_database_nobody_has_open_is_copied(
    podium: CommandLine, database: sqlite3.Connection, tmp_path: Path
) -> None:
    """With the daemon stopped it works the same."""
    database.close()
    assert podium("backup", str(tmp_path / "copy")).exit_code == 0
    assert rows(tmp_path / "copy") == [(1, -1)]


@pytest.mark.usefixtures("database")
def test_an_existing_file_is_left_as_it_was(podium: CommandLine, tmp_path: Path) -> None:
    """A backup never overwrites another one."""
    (tmp_path / "copy").write_text("mine")
    done = podium("backup", str(tmp_path / "copy"))
    assert done.exit_code == 1
    assert "exists already" in done.stderr
    assert (tmp_path / "copy").read_text() == "mine"


def test_no_database_is_told(podium: CommandLine, tmp_path: Path) -> None:
    """Where nothing is to be copied nothing is written."""
    done = podium("backup", str(tmp_path / "copy"))
    assert done.exit_code == 1
    assert "there is no database" in done.stderr
    assert not (tmp_path / "copy").exists()


def test_a_damaged_database_gives_no_copy(own_home: Path, tmp_path: Path) -> None:
    """A copy that would not be sound is not left behind."""
    source = own_home / "source"
    source.write_bytes(b"SQLite format 3\0" + b"\xff" * 8192)
    with pytest.raises(CommandFailed, match="cannot be copied"):
        copy_database(source, tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.usefixtures("database")
def test_a_folder_that_is_not_there_is_told(podium: CommandLine, tmp_path: Path) -> None:
    """The file's folder must exist."""
    done = podium("backup", str(tmp_path / "none" / "copy"))
    assert done.exit_code == 1
    assert "cannot be written" in done.stderr

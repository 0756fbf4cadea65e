"""What people read when the database cannot be used."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from podium_daemon.cli.failures import Exit, exit_code_of
from podium_daemon.runtime.state_directory import DatabaseDamaged, DatabaseNotWritten, explained
from podium_daemon.runtime.supervisor import Service, Stop, Supervisor
from podium_daemon.runtime.tasks import ServiceFailed
from podium_storage.errors import StoreBusy, StoreDamaged, StoreFailed, StoreFull, WrongDatabase
from podium_storage.store import Store


class Reader:
    """A service that finds the database damaged."""

    name = "reader"

    async def run(self, _stop: Stop) -> None:
        """Read."""
        raise StoreDamaged("malformed")


async def test_a_damaged_database_is_named_with_the_next_steps(tmp_path: Path) -> None:
    """The file, the copy that `podium backup` made, and what is lost without one."""
    file = tmp_path / "podium.sqlite3"
    file.write_bytes(b"this is not a database" * 100)
    with pytest.raises(DatabaseDamaged) as caught, explained(file):
        await Store.open(file)
    said = str(caught.value)
    assert str(file) in said
    assert "podium backup" in said
    assert "relays" in said
    assert exit_code_of(caught.value) is Exit.FAILED


async def test_a_service_that_finds_it_damaged_ends_the_daemon_with_the_same_words(tmp_path: Path) -> None:
    """It is the cause that is told, and not only which service met it first."""
    services: list[Service] = [Reader()]
    with pytest.raises(DatabaseDamaged, match=r"podium\.sqlite3"), explained(tmp_path / "podium.sqlite3"):
        await Supervisor(services).run()


async def test_a_newer_database_is_named(tmp_path: Path) -> None:
    """Which file it is that only a newer Podium can open; the fault is the configuration's."""
    file = tmp_path / "podium.sqlite3"
    async with await Store.open(file):
        pass
    with contextlib.closing(sqlite3.connect(file)) as raw:
        raw.execute("PRAGMA user_version = 99")
    with pytest.raises(WrongDatabase) as caught, explained(file):
        await Store.open(file)
    assert str(caught.value).startswith(f"{file}: the database is at version 99")


@pytest.mark.parametrize("kind", [StoreFull, StoreFailed])
def test_a_disk_that_takes_nothing_is_told_with_the_file(tmp_path: Path, kind: type[StoreFull | StoreFailed]) -> None:
    """Which file, what the disk said and what to do; the statement is nothing for people."""
    file = tmp_path / "podium.sqlite3"
    with pytest.raises(DatabaseNotWritten) as caught, explained(file):
        raise kind("disk full (SQLITE_FULL) in: COMMIT")
    assert str(caught.value).startswith(f"the database {file} cannot be written (disk full (SQLITE_FULL)): make room")
    assert "COMMIT" not in str(caught.value)


def test_other_failures_stay_as_they_are(tmp_path: Path) -> None:
    """A service that failed for another reason is told as before, and so is another process that holds the lock."""
    for error in (StoreBusy("locked"), ServiceFailed("web", "ended although nobody asked it to stop")):
        with pytest.raises(type(error)) as caught, explained(tmp_path / "podium.sqlite3"):
            raise error
        assert caught.value is error

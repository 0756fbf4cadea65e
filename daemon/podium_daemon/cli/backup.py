"""`podium backup`: one consistent copy of the database, while the daemon runs or not."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import typer

from podium_daemon.cli.caller import caller_of
from podium_daemon.cli.failures import CommandFailed
from podium_daemon.cli.new_file import new_file
from podium_daemon.cli.options import NewFile, helped
from podium_daemon.cli.output import say

app = typer.Typer()


@app.command(
    short_help="Copy the database to a new file.",
    help=helped(
        "Copy the database to a new file, while the daemon runs or not. It holds RSVPs and attendance, and no keys: "
        "copy the key file by itself, to a place of its own.",
        "podium backup /media/usb/podium-2026-12-01.sqlite3",
    ),
)
def backup(context: typer.Context, file: NewFile) -> None:
    source = caller_of(context).config().database_file
    copy_database(source, file)
    say(f"Copied {source} to {file} ({file.stat().st_size} bytes, checked).")


def copy_database(source: Path, target: Path) -> None:
    """Copy in one read transaction (SQLite's online backup), check the copy, and only then give it its name.

    Raises:
        CommandFailed: no database, no room, a damaged source, or `target` exists.
    """
    if not source.is_file():
        raise CommandFailed(f"there is no database {source}: name its folder with --state")
    with new_file(target) as temporary:
        try:
            _copy(source, temporary)
        except sqlite3.Error as error:
            raise CommandFailed(f"{source} cannot be copied to {target}: {error}") from None
        finally:
            for suffix in ("-wal", "-shm", "-journal"):
                temporary.with_name(temporary.name + suffix).unlink(missing_ok=True)


def _copy(source: Path, temporary: Path) -> None:
    with (
        contextlib.closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as read,
        contextlib.closing(sqlite3.connect(temporary)) as written,
    ):
        read.backup(written)
        written.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
        verdict = written.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != ("ok",):
        raise sqlite3.DatabaseError(f"the copy is damaged ({verdict[0]})")
    with temporary.open("rb") as file:
        os.fsync(file.fileno())

"""What tests of faults share: the seed of a run, how often something is done, and whether a database is sound."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory


def seeded(name: str) -> random.Random:
    """The chances of one test; the run's seed is in the header of its output, and PODIUM_SEED repeats it."""
    return random.Random(f"{os.environ['PODIUM_SEED']} {name}")


def is_soaking() -> bool:
    """Whether this is `make soak`."""
    return os.environ.get("PODIUM_SOAK") == "1"


def rounds(few: int, *, soak: int) -> int:
    """How often: a few times in every run of the suite, many times under `make soak`."""
    return soak if is_soaking() else few


def check_database(state: Path) -> None:
    """Assert that the database of a daemon that does not run is sound; it is read as a copy, with its log."""
    with TemporaryDirectory() as name:
        for file in state.glob("podium.sqlite3*"):
            shutil.copy(file, name)
        check_open_database(Path(name))


def check_open_database(state: Path) -> None:
    """Assert that a database is sound, as another process beside the daemon reads it."""
    with closing(sqlite3.connect(state / "podium.sqlite3")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []

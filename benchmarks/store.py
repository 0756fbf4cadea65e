"""store: verified events into the mirror in batches, and the same rows by sqlite3 alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks import signed_load
from benchmarks.child import Meter
from benchmarks.interleave import Progress, Result, compared, interleaved
from benchmarks.settings import Settings
from podium_protocol.events import VerifiedEvent, verify_json
from podium_storage.mirror.mirror import Mirror
from podium_storage.sqlite import backend
from podium_storage.store import Store

_BATCH: Final = 1_000  # events a transaction
_RECEIVED: Final = signed_load.FIRST_SECOND
_TABLES: Final = ("atoms", "events", "eventTags")
_SCHEMA: Final = "SELECT sql FROM sqlite_schema WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY type DESC"
_NOTE: Final = (
    f"store: {_BATCH:,} events a transaction. The limit writes the mirror's finished rows with sqlite3's executemany, "
    "and knows neither replacement nor deletion."
)

Rows = list[Any]


async def run(settings: Settings, progress: Progress) -> Result:
    """The work."""
    verified = map(verify_json, signed_load.rsvps(settings.events))
    events = [event for event in verified if isinstance(event, VerifiedEvent)]
    with TemporaryDirectory() as folder:
        sample = Path(folder) / "sample.sqlite"
        await _ours(sample, events)
        schema, rows = _contents(sample)

    async def ours() -> float:
        with TemporaryDirectory() as folder:
            return await _ours(Path(folder) / "podium.sqlite", events)

    async def plain() -> float:
        with TemporaryDirectory() as folder:
            return _plain(Path(folder) / "plain.sqlite", schema, rows)

    found = await interleaved({"ours": ours, "sqlite3": plain}, settings.rounds, progress)
    return Result(
        (compared("store", "events/s", found["ours"], limit=found["sqlite3"]),),
        (_NOTE,),
    )


async def _ours(path: Path, events: Sequence[VerifiedEvent]) -> float:
    async with await Store.open(path) as store:
        mirror = Mirror(store.database, store.interner)
        with Meter() as meter:
            for start in range(0, len(events), _BATCH):
                await mirror.ingest(events[start : start + _BATCH], received_at=_RECEIVED)
    return len(events) / meter.seconds


def _contents(path: Path) -> tuple[list[str], dict[str, Rows]]:
    """The mirror's schema and its rows."""
    with closing(sqlite3.connect(path)) as connection:
        schema = [sql for table in _TABLES for (sql,) in connection.execute(_SCHEMA, (table,))]
        rows = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in _TABLES}  # noqa: S608 (ours)
    return schema, rows


def _plain(path: Path, schema: Sequence[str], rows: Mapping[str, Rows]) -> float:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in (*backend._WRITER_PRAGMAS, *schema):
            connection.execute(statement)
        count = len(rows["events"])
        batches = max(count // _BATCH, 1)
        with Meter() as meter:
            for number in range(batches):
                connection.execute("BEGIN IMMEDIATE")
                for table, of_table in rows.items():
                    _insert(connection, table, _share(of_table, number, batches))
                connection.execute("COMMIT")
    return count / meter.seconds


def _insert(connection: sqlite3.Connection, table: str, rows: Rows) -> None:
    marks = ", ".join("?" * len(rows[0])) if rows else ""
    connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 (ours)


def _share(rows: Rows, number: int, of: int) -> Rows:
    return rows[len(rows) * number // of : len(rows) * (number + 1) // of]

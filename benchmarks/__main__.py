"""`make bench`: measures our work beside its peers and its limits, prints one table and writes bench.json."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from benchmarks import (
    fanout,
    floods,
    ingest,
    lookup,
    many,
    media,
    reminded,
    report,
    room,
    start,
    store,
    streams,
    verify,
    wrap,
)
from benchmarks.child import ROOT, keep_quiet
from benchmarks.interleave import Result
from benchmarks.settings import Settings

WORKS: Final = {
    "verify": verify.run,
    "ingest": ingest.run,
    "floods": floods.run,
    "wrap": wrap.run,
    "fan-out": fanout.run,
    "store": store.run,
    "lookup": lookup.run,
    "reminded": reminded.run,
    "sessions": many.run,
    "streams": streams.run,
    "start": start.run,
    "media": media.run,
    "room": room.run,
}
_LEAST_ROUNDS: Final = 5


def measure(names: Iterable[str], settings: Settings) -> list[Result]:
    """Do these works one after the other."""
    keep_quiet()
    return [_measure_one(name, settings) for name in names]


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    given = _arguments().parse_args(words)
    if given.rounds < _LEAST_ROUNDS:
        sys.exit(f"fewer than {_LEAST_ROUNDS} rounds say nothing on a machine that others use too")
    settings = Settings(
        rounds=given.rounds,
        events=given.events,
        people=given.people,
        rows=given.rows,
        streams=given.streams,
        watchers=given.watchers,
        room=given.room,
        crowd=max(given.crowd, given.room + 1),
    )
    began = time.monotonic()
    results = measure(given.only or WORKS, settings)
    _say(f"done in {time.monotonic() - began:.0f} s")
    print(report.table(results, settings.rounds))
    report.write_json(given.json, results)


def _measure_one(name: str, settings: Settings) -> Result:
    return asyncio.run(WORKS[name](settings, lambda what: _say(f"{name}: {what}")))


def _arguments() -> argparse.ArgumentParser:
    usual = Settings()
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=WORKS, help="this work only; may be given again")
    parser.add_argument("--rounds", type=int, default=usual.rounds, help="at least five")
    parser.add_argument("--events", type=int, default=usual.events, help="events that are ingested")
    parser.add_argument("--people", type=int, default=usual.people, help="people who are written to, at most 5,800")
    parser.add_argument("--rows", type=int, default=usual.rows, help="rows that are looked up in")
    parser.add_argument("--streams", type=int, default=usual.streams, help="pages that listen to one session")
    parser.add_argument("--watchers", type=int, default=usual.watchers, help="people who receive one speaker")
    parser.add_argument("--room", type=int, default=usual.room, help="people in a room that a browser watches")
    parser.add_argument("--crowd", type=int, default=usual.crowd, help="people in a fuller room")
    parser.add_argument("--json", type=Path, default=ROOT / "bench.json", help="where the figures go")
    return parser


def _say(what: str) -> None:
    """Progress, on one line of a terminal that is written over; lines of their own in a log."""
    end, start = ("", "\r\x1b[K") if sys.stderr.isatty() else ("\n", "")
    print(f"{start}{what}", end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

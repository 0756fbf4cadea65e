"""ingest: signed events from a socket through connection, verifier and mirror to a commit with `synchronous=FULL`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import library_bound, signed_load
from benchmarks.child import Meter, Run, in_child
from benchmarks.frame_server import frame_server
from benchmarks.interleave import Contestant, Progress, Result, Row, compared, interleaved, paired_ratio
from benchmarks.settings import Settings
from podium_protocol import kinds

_PART_OF_LMDB: Final = 40  # one event in so many: nostr-sdk's LMDB takes more than a millisecond for each
_PART_OF_OTHERS: Final = 2
_PART_OF_BOUND: Final = 4
_RELAYS: Final = 3
_PROJECTED: Final = "ours, with projections"
_FROM_THREE: Final = f"ours, {_RELAYS} relays"
_FORGED: Final = "ours, forged events"
_OURS: Final = "benchmarks.our_runs:ingest"
_PEER: Final = "benchmarks.peer_runs:ingest"
_NOTE: Final = (
    "ingest: ours ends with durable rows; the limit is one core of libsecp256k1. nostr-sdk stores nothing, except in "
    f"LMDB. The peer of {_RELAYS} relays with the same events, and of forged ones, is ourselves with one and good ones."
)

Runs = Mapping[str, Sequence[Run]]


async def run(settings: Settings, progress: Progress) -> Result:
    """The work."""
    with TemporaryDirectory() as folder:
        file, forged = Path(folder) / "events", Path(folder) / "forged"
        progress(f"signing {settings.events:,} events")
        load = signed_load.write(file, settings.events)
        signed_load.write_forged(forged, load)
        async with frame_server(file, _RELAYS) as relays, frame_server(forged) as liars:
            forgeries: Contestant[Run] = partial(in_child, "benchmarks.our_runs:reject", relays=liars, count=len(load))
            contestants = _contestants(relays, load) | {_FORGED: forgeries}
            runs = await interleaved(contestants, settings.rounds, progress)
    return _result(runs)


def _contestants(relays: Sequence[str], load: Sequence[bytes]) -> dict[str, Contestant[Run]]:
    count = len(load)
    ours = partial(in_child, _OURS, relays=relays[:1], count=count, with_projections=False)
    peer = partial(in_child, _PEER, relay=relays[0], kind=kinds.RSVP, since=signed_load.FIRST_SECOND, count=count)
    return {
        "ours": ours,
        _PROJECTED: partial(ours, count=count // _PART_OF_OTHERS, with_projections=True),
        _FROM_THREE: partial(ours, relays=relays, count=count // _PART_OF_OTHERS),
        "libsecp256k1": _bound(load[: count // _PART_OF_BOUND]),
        "nostr-sdk, fetched": partial(peer, way="fetched"),
        "nostr-sdk, notified": partial(peer, way="notified"),
        "nostr-sdk, LMDB": partial(peer, count=max(count // _PART_OF_LMDB, 1), way="LMDB"),
    }


def _bound(load: Sequence[bytes]) -> Contestant[Run]:
    parts = library_bound.signed_parts(load)

    async def once() -> Run:
        with Meter() as meter:
            library_bound.verify(parts)
        return meter.run(len(parts))

    return once


def _result(runs: Runs) -> Result:
    rates = {name: [run.rate for run in of_one] for name, of_one in runs.items()}

    def line(work: str, ours: str, peer: str) -> Row:
        limit = rates["libsecp256k1"]
        return compared(work, "events/s", rates[ours], peer=rates[peer], peer_name=peer, limit=limit)

    rows = (
        line("ingest", "ours", "nostr-sdk, fetched"),
        line("ingest, against notifications", "ours", "nostr-sdk, notified"),
        line("ingest, against LMDB", "ours", "nostr-sdk, LMDB"),
        line("ingest, with projections", _PROJECTED, "nostr-sdk, fetched"),
        line(f"ingest, {_RELAYS} relays", _FROM_THREE, "ours"),
        line("ingest, forged events refused", _FORGED, "ours"),
    )
    notes = (
        _NOTE,
        (
            f"ingest: ours takes {_times(runs, 'cpu_us'):.1f} times the CPU of nostr-sdk's fetch and "
            f"{_times(runs, 'peak_mb'):.1f} times its memory."
        ),
        f"ingest, CPU of each event in us: {_each(runs, 'cpu_us')}.",
        f"ingest, peak memory of the process in MB: {_each(runs, 'peak_mb')}.",
    )
    return Result(rows, notes)


def _times(runs: Runs, what: str) -> float:
    ours, peer = ([getattr(run, what) for run in runs[name]] for name in ("ours", "nostr-sdk, fetched"))
    return paired_ratio(ours, peer)


def _each(runs: Runs, what: str) -> str:
    medians = {name: median(getattr(run, what) for run in of_one) for name, of_one in runs.items()}
    return ", ".join(f"{name} {value:,.0f}" for name, value in medians.items() if name != "libsecp256k1")

"""floods: forged events and gift wraps that say nothing, and how long an honest relay's events take beside them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import signed_load
from benchmarks.child import Run, in_child
from benchmarks.feed import Feed, running_feed
from benchmarks.frame_server import frame_server
from benchmarks.interleave import Contestant, Progress, Result, compared, interleaved, quantile
from benchmarks.settings import Settings
from benchmarks.signed_load import part, wraps_part
from podium_protocol.events import Pubkey
from podium_protocol.keys import SecretKey
from podium_storage.store import Store

_WRAPS, _OF_EVENTS = 2, 5  # so many gift wraps for so many forged events
_HONEST: Final = 2_000  # events of the honest relay, at most
_ALONE: Final = 100  # of them are read with nothing beside them
_PAUSE: Final = 0.002  # seconds between two of them: people do not answer all at once
_OPEN: Final = "benchmarks.our_runs:open_wraps"
_NOTE: Final = (
    "floods: half of the gift wraps do not decrypt, the others hold a seal that does not. Each costs {garbage:.0f} us "
    "of CPU, where the answer of a stranger costs {good:.0f}. Beside {wraps:,} of them and {forged:,} forged events of "
    "another relay, an honest relay is asked for its events one by one: from the REQ to the commit."
)

Latencies = list[float]
"""Microseconds."""


async def run(settings: Settings, progress: Progress) -> Result:
    """The work."""
    secret = os.urandom(32)
    wraps = settings.events * _WRAPS // _OF_EVENTS
    with TemporaryDirectory() as folder:
        progress(f"signing {settings.events:,} events and {2 * wraps:,} gift wraps")
        files = _written(Path(folder), settings.events, wraps, SecretKey(secret).pubkey)
        async with (
            frame_server(files[0]) as good,
            frame_server(files[1]) as garbage,
            frame_server(files[2]) as honest,
            frame_server(files[3]) as forged,
        ):
            opened = partial(in_child, _OPEN, count=wraps, secret=secret.hex())
            of_wraps: dict[str, Contestant[Run]] = {
                "garbage": partial(opened, relays=garbage, outcome="unreadable"),
                "answers": partial(opened, relays=good, outcome="stranger"),
            }
            runs = await interleaved(of_wraps, settings.rounds, progress)
            relays = [*honest, *forged, *garbage]
            beside = partial(_beside_floods, relays, SecretKey(secret), settings.events, wraps)
            latencies = await interleaved({"honest": beside}, settings.rounds, progress)
    return _result(runs, latencies["honest"], settings.events, wraps)


def _written(folder: Path, events: int, wraps: int, service: Pubkey) -> list[Path]:
    """Files of strangers' answers, gift wraps that say nothing, good events and forged ones."""
    good, garbage, honest, forged = files = [folder / name for name in ("answers", "garbage", "honest", "forged")]
    good.write_bytes(b"\n".join(signed_load.wraps(service, wraps)))
    garbage.write_bytes(b"\n".join(signed_load.garbage_wraps(service, wraps)))
    signed_load.write_forged(forged, list(signed_load.rsvps(events)))
    signed_load.write(honest, _HONEST)  # others: a forged copy of a stored event is dropped unread
    return files


async def _beside_floods(
    relays: Sequence[str], service: SecretKey, events: int, wraps: int
) -> tuple[Latencies, Latencies]:
    """The latencies of an honest relay's events alone, and beside the floods of the two other relays."""
    honest, forger, wrapper = relays
    with TemporaryDirectory() as folder:
        async with (
            await Store.open(Path(folder) / "podium.sqlite") as store,
            running_feed(store, relays, with_projections=True, service=service) as feed,
        ):
            alone = [await _one(feed, honest, number) for number in range(_ALONE)]
            floods = asyncio.gather(
                feed.read("forged", part(0, events), forger),
                feed.read("wraps", wraps_part(service.pubkey, wraps), wrapper),
            )
            beside: Latencies = []
            while not floods.done() and len(alone) + len(beside) < _HONEST:
                beside.append(await _one(feed, honest, len(alone) + len(beside)))
                await asyncio.sleep(_PAUSE)
            await floods
            assert (feed.dropped["bad_signature"], feed.replies["unreadable"]) == (events, wraps)
    return alone, beside


async def _one(feed: Feed, relay: str, number: int) -> float:
    began = time.perf_counter()
    await feed.read(f"honest-{number}", part(number, 1), relay)
    took = time.perf_counter() - began
    feed.forget(f"honest-{number}")
    return took * 1e6


def _result(
    runs: dict[str, list[Run]], latencies: Sequence[tuple[Latencies, Latencies]], events: int, wraps: int
) -> Result:
    rates = {name: [run.rate for run in of_one] for name, of_one in runs.items()}
    cost = {name: median(run.cpu_us for run in of_one) for name, of_one in runs.items()}
    rows = [
        compared(
            "floods, gift wraps that say nothing",
            "wraps/s",
            rates["garbage"],
            peer=rates["answers"],
            peer_name="strangers' answers",
        )
    ]
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        alone, beside = ([quantile(one[place], share) for one in latencies] for place in (0, 1))
        rows.append(
            compared(f"floods, an honest event beside them {name}", "us", beside, peer=alone, peer_name="alone")
        )
    note = _NOTE.format(garbage=cost["garbage"], good=cost["answers"], wraps=wraps, forged=events)
    return Result(tuple(rows), (note,))

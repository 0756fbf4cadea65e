"""verify: parse, id and signature of events, on one thread, on two threads and in two processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Final

import nostr_sdk as sdk
from pynostr.event import Event as PynostrEvent

from benchmarks import library_bound, signed_load
from benchmarks.interleave import Contestant, Progress, Result, compared, interleaved, timed
from benchmarks.library_bound import Signed
from benchmarks.settings import Settings
from podium_protocol.events import Rejected, verify_json

_ROUNDS_OF_ONE: Final = 4  # times the rounds: a turn on one thread takes a few milliseconds
_BATCHES_OF_TWO: Final = 10  # a turn on two cores has to outlast the handing over
_NOTE: Final = (
    "verify: the limit is libsecp256k1's parse and verify in a tight loop; on two cores, in two processes. nostr-sdk's "
    "Event copies strings byte by byte between Python and Rust; its client does not (see ingest)."
)

Part = Callable[[int, int], None]

# The load, in this process and in each worker; threads and processes are told numbers only.
_raw: list[bytes] = []
_parts: list[Signed] = []


async def run(settings: Settings, progress: Progress) -> Result:
    """The work."""
    load = list(signed_load.rsvps(settings.batch * _BATCHES_OF_TWO))
    _prepare(load)
    one = await interleaved(_on_one_thread(settings.batch), _ROUNDS_OF_ONE * settings.rounds, progress)
    with ThreadPoolExecutor(2) as threads, ProcessPoolExecutor(2, get_context("spawn"), _prepare, (load,)) as processes:
        contestants = _on_two_cores(threads, processes)
        await interleaved(contestants, 1, lambda _: None)  # the processes start when they are first used
        two = await interleaved(contestants, settings.rounds, progress)
    unit, ours, bound, bound_of_two = "events/s", one["ours"], one["libsecp256k1"], two["libsecp256k1, two processes"]
    return Result(
        (
            compared("verify", unit, ours, peer=one["nostr-sdk"], peer_name="nostr-sdk Event", limit=bound),
            compared("verify, against pynostr", unit, ours, peer=one["pynostr"], peer_name="pynostr", limit=bound),
            compared("verify, two threads", unit, two["ours, two threads"], limit=bound_of_two),
            compared("verify, two processes", unit, two["ours, two processes"], limit=bound_of_two),
        ),
        (_NOTE,),
    )


def _on_one_thread(count: int) -> dict[str, Contestant[float]]:
    texts = [raw.decode() for raw in _raw[:count]]
    return {
        "ours": timed(lambda: _verify(0, count), count),
        "libsecp256k1": timed(lambda: _bound(0, count), count),
        "nostr-sdk": timed(lambda: _agree(sdk.Event.from_json(text).verify() for text in texts), count),
        "pynostr": timed(lambda: _agree(PynostrEvent.from_dict(json.loads(text)).verify() for text in texts), count),
    }


def _on_two_cores(threads: Executor, processes: Executor) -> dict[str, Contestant[float]]:
    count = len(_raw)
    return {
        "ours, two threads": timed(lambda: _share(threads, _verify, count), count),
        "ours, two processes": timed(lambda: _share(processes, _verify, count), count),
        "libsecp256k1, two processes": timed(lambda: _share(processes, _bound, count), count),
    }


def _share(workers: Executor, work: Part, count: int) -> None:
    halves = [workers.submit(work, *bounds) for bounds in ((0, count // 2), (count // 2, count))]
    for half in halves:
        half.result()


def _prepare(load: list[bytes]) -> None:
    _raw[:] = load
    _parts[:] = library_bound.signed_parts(load)


def _verify(start: int, stop: int) -> None:
    _agree(not isinstance(verify_json(raw), Rejected) for raw in _raw[start:stop])


def _bound(start: int, stop: int) -> None:
    library_bound.verify(_parts[start:stop])


def _agree(verdicts: Iterable[bool]) -> None:
    if not all(verdicts):
        raise ValueError("a verifier refused an event that is good")

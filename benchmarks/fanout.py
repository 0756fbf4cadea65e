"""fan-out: a private message to each of many people at a real relay, until the relay has said OK to the last one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Final

from benchmarks.blast import blast
from benchmarks.child import Meter, Run, in_child
from benchmarks.interleave import Contestant, Progress, Result, compared, interleaved
from benchmarks.library_bound import WrapBound
from benchmarks.messages import TEXT, Drafts
from benchmarks.settings import Settings
from podium_daemon.relays.embedded import RelayProcess
from podium_daemon.relays.embedded_child import RelaySettings

_OURS: Final = "benchmarks.our_runs:fanout"
_OUTBOX: Final = "benchmarks.our_runs:outbox"
_PEER: Final = "benchmarks.peer_runs:fanout"
_NOTE: Final = (
    "fan-out: to {people:,} people. The limit is the curve's share of the wrapping on one core; of prepared wraps, the "
    "relay's own pace when all come in one write. nostr-sdk has 50 on their way at a time."
)

Runs = Mapping[str, Sequence[Run]]


async def run(settings: Settings, progress: Progress) -> Result:
    """The work. Each run has a relay of its own: LocalRelay drops who sends 6,000 messages a minute."""
    runs = await interleaved(_contestants(settings.people), settings.rounds, progress)
    rates = {name: [run.rate for run in of_one] for name, of_one in runs.items()}
    unit, name, relay = "messages/s", "nostr-sdk", rates["the relay's pace"]
    peer, peer_prepared = rates["nostr-sdk"], rates["nostr-sdk, prepared"]
    prepared, outbox = rates["ours, prepared"], rates["ours, from the outbox"]
    return Result(
        (
            compared("fan-out", unit, rates["ours"], peer=peer, peer_name=name, limit=rates["libsecp256k1"]),
            compared("fan-out, prepared", unit, prepared, peer=peer, peer_name=name, limit=relay),
            compared(
                "fan-out, both prepared",
                unit,
                prepared,
                peer=peer_prepared,
                peer_name="nostr-sdk, prepared",
                limit=relay,
            ),
            compared("fan-out, from the outbox", unit, outbox, peer=peer, peer_name=name, limit=relay),
        ),
        (_NOTE.format(people=settings.people), f"fan-out, CPU of each message in us: {_cpu(runs)}."),
    )


def _contestants(people: int) -> dict[str, Contestant[Run]]:
    drafts = Drafts(people)
    wraps = [wrap.to_json() for wrap in drafts.wraps()]
    bound = WrapBound(drafts.sender.expose(), [bytes.fromhex(person) for person in drafts.people])
    return {
        "ours": _at_a_new_relay(partial(in_child, _OURS, people=people, prepared=False)),
        "ours, prepared": _at_a_new_relay(partial(in_child, _OURS, people=people, prepared=True)),
        "ours, from the outbox": _at_a_new_relay(partial(in_child, _OUTBOX, people=people)),
        "nostr-sdk": _at_a_new_relay(partial(in_child, _PEER, people=people, text=TEXT, prepared=False)),
        "nostr-sdk, prepared": _at_a_new_relay(partial(in_child, _PEER, people=people, text=TEXT, prepared=True)),
        "the relay's pace": _at_a_new_relay(lambda relay: blast(relay, wraps)),
        "libsecp256k1": _bound(bound, people),
    }


def _at_a_new_relay(send: Callable[..., Awaitable[Run]]) -> Contestant[Run]:
    async def once() -> Run:
        relay = await RelayProcess.start(RelaySettings())
        try:
            return await send(relay=relay.url)
        finally:
            await relay.kill()

    return once


def _bound(bound: WrapBound, people: int) -> Contestant[Run]:
    async def once() -> Run:
        with Meter() as meter:
            bound.run(ecdhs=2)
        return meter.run(people)

    return once


def _cpu(runs: Runs) -> str:
    names = [name for name in runs if name.startswith(("ours", "nostr-sdk"))]
    return ", ".join(f"{name} {median(run.cpu_us for run in runs[name]):,.0f}" for name in names)

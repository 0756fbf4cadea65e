"""Worker processes that judge events while there is a backlog: signatures are what an ingest takes its time for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from podium_daemon.relays.judgement import Arrival
from podium_daemon.relays.judging_child import Task
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.worker_processes import WorkerProcesses
from podium_protocol.events import VerifiedEvent

_encode: Final = msgspec.msgpack.Encoder().encode
_verdicts: Final = msgspec.msgpack.Decoder(list[str | None]).decode
# only for bytes that a worker judged to be good
_event: Final = msgspec.json.Decoder(VerifiedEvent).decode


class JudgingProcesses(WorkerProcesses):
    """The service that keeps the workers while they are needed. Without them the daemon judges by itself."""

    def __init__(self, clock: Clock, count: int | None = None) -> None:
        """`count`: how many workers; None: one for each core, four at most."""
        super().__init__("event judges", "podium_daemon.relays.judging_child", clock, count=count)

    async def judge(self, arrivals: Sequence[Arrival], now: float) -> list[VerifiedEvent | str] | None:
        """Judge as `judge_all` does; None if there is no worker, or it died: nothing was decided then."""
        answer = await self.ask(_task(arrivals, now))
        if answer is None:
            return None
        pairs = zip(arrivals, _verdicts(answer), strict=True)
        return [_event(arrival.raw) if verdict is None else verdict for arrival, verdict in pairs]


def _task(arrivals: Sequence[Arrival], now: float) -> bytes:
    places: dict[int, int] = {}
    filters: list[bytes] = []
    events: list[tuple[int, bytes]] = []
    for arrival in arrivals:
        place = places.setdefault(id(arrival.filters), len(filters))
        if place == len(filters):
            filters.append(_encode(arrival.filters))
        events.append((place, arrival.raw))
    return _encode(Task(now, tuple(filters), events))

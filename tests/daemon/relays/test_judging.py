"""The worker processes of the ingest: they judge as the daemon does, and may die at any moment."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from podium_daemon.relays.ingest import Good, Ingest
from podium_daemon.relays.judgement import Arrival, judge_all
from podium_daemon.relays.judging import JudgingProcesses
from podium_daemon.runtime.clock import Clock, SystemClock
from podium_daemon.runtime.worker_processes import IDLE
from podium_protocol import kinds
from podium_protocol.events import EventId
from podium_protocol.filters import Filter
from tests.support.clock import ManualClock
from tests.support.events import NOW, key_of, signed
from tests.support.soon import soon

ADA, BEN = key_of(1), key_of(2)
LESSON = f"{kinds.SESSION}:{ADA.pubkey}:knots"
RSVPS = (Filter(kinds=(kinds.RSVP,), tags=(("a", (LESSON,)),)),)
NOTES = (Filter(kinds=(1,), authors=(ADA.pubkey, BEN.pubkey), since=NOW - 10, limit=5),)


def answer(number: int) -> Arrival:
    """An answer to the session; the number makes them differ."""
    tags = (("a", LESSON), ("d", str(number)), ("status", "accepted"))
    event = signed(BEN, kind=kinds.RSVP, tags=tags, created_at=NOW)
    return Arrival("wss://one.example", RSVPS, event.to_json())


@asynccontextmanager
async def judging(clock: Clock | None = None, count: int = 2) -> AsyncIterator[JudgingProcesses]:
    """Workers that run."""
    judges = JudgingProcesses(clock or SystemClock(), count)
    judges.start()
    try:
        await soon(lambda: len(judges.pids) == count)
        yield judges
    finally:
        await judges.close()


class Kept:
    """A store of the events that came through."""

    def __init__(self, judges: JudgingProcesses) -> None:
        self.ingest = Ingest(self._keep, lambda: NOW, judges)
        self.ids: list[str] = []

    async def _keep(self, batch: Sequence[Good]) -> list[EventId]:
        self.ids += [one.event.id for one in batch]
        return [one.event.id for one in batch]


def is_gone(pid: int) -> bool:
    """Whether there is no such process, not even as a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_workers_judge_as_the_daemon_does() -> None:
    """Good events of several filters come back as they are, and each flaw has the same name."""
    good = answer(0)
    note = signed(ADA, kind=1, content="ä", created_at=NOW)
    forged = good.raw.replace(b'"sig":"', b'"sig":"00')[:-3] + b'"}'
    arrivals = [
        good,
        Arrival("wss://two.example", NOTES, note.to_json()),
        Arrival("wss://two.example", RSVPS, note.to_json()),
        *(Arrival("wss://evil.example", RSVPS, raw) for raw in (b"", b"{}", b"\xff", b"[" * 10_000, forged)),
        Arrival("wss://evil.example", RSVPS, good.raw.replace(b"accepted", b"declined")),
    ]
    async with judging() as judges:
        verdicts = await judges.judge(arrivals, NOW)
    assert verdicts == judge_all(arrivals, NOW)
    assert [isinstance(verdict, str) for verdict in verdicts or ()] == [False, False, *[True] * 7]


async def test_a_worker_that_is_killed_loses_nothing() -> None:
    """Its batches are judged again by the daemon: each event is stored, once and in order."""
    arrivals = [answer(number) for number in range(1_500)]
    async with judging() as judges:
        kept = Kept(judges)
        for pid in judges.pids:
            os.kill(pid, signal.SIGSTOP)
        taking = kept.ingest.take_in(arrivals)
        await soon(lambda: judges.free == 0)
        for pid in judges.pids:
            os.kill(pid, signal.SIGKILL)
        await taking
        assert judges.pids == ()
    good = judge_all(arrivals, NOW)
    assert kept.ids == [event.id for event in good if not isinstance(event, str)]
    assert kept.ingest.dropped.total() == 0


async def test_a_worker_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped process does not hold up the ingest: after a while it is given up."""
    monkeypatch.setattr("podium_daemon.runtime.worker_processes._ANSWER_WITHIN", 0.2)
    async with judging(count=1) as judges:
        (pid,) = judges.pids
        os.kill(pid, signal.SIGSTOP)
        assert await judges.judge([answer(0)], NOW) is None
        await soon(lambda: is_gone(pid))


async def test_they_start_with_a_backlog_and_end_after_it() -> None:
    """A few events need no process; many start them, and when nothing is left to do they are gone."""
    clock = ManualClock(NOW)
    judges = JudgingProcesses(clock, 1)
    kept = Kept(judges)
    try:
        await kept.ingest.take_in([answer(0)])
        assert clock.sleeping == 0
        await kept.ingest.take_in([answer(number) for number in range(1_500)])
        await clock.until_sleeping(1)
        (pid,) = judges.pids
        assert await judges.judge([answer(0)], NOW) is not None
        await clock.advance(IDLE)
        await clock.until_sleeping(1)
        assert judges.pids == (pid,), "it was used"
        await clock.advance(IDLE)
        await soon(lambda: judges.pids == () and is_gone(pid))
    finally:
        await judges.close()


async def test_without_a_process_the_daemon_judges_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none can be started, an ingest is slower and nothing else; it is not tried again and again."""
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    clock = ManualClock(NOW)
    judges = JudgingProcesses(clock, 2)
    kept = Kept(judges)
    await kept.ingest.take_in([answer(number) for number in range(1_500)])
    assert len(kept.ids) == 1_500
    assert judges.pids == ()
    await judges.close()


async def test_a_worker_ends_with_the_daemon() -> None:
    """However the daemon dies, its end of the socket is closed then."""
    async with judging(count=1) as judges:
        (worker,) = judges._workers
        worker._writer.transport.abort()
        await asyncio.wait_for(worker._process.wait(), 60)

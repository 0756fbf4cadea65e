"""Worker processes do not outlive who keeps them, whenever that one closes or dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from podium_daemon.relays.judging import JudgingProcesses
from podium_daemon.runtime.clock import SystemClock
from podium_daemon.runtime.worker_processes import IDLE
from tests.support.clock import ManualClock
from tests.support.processes import Watched, children_of, first_python
from tests.support.soon import soon

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("turns", [*range(12), 25, 50, 100])
async def test_closed_while_they_start_none_is_left(turns: int) -> None:
    """Before there is a socket, before there is a process, while it imports: whatever was begun is ended."""
    before = children_of(os.getpid())
    judges = JudgingProcesses(SystemClock(), 3)
    judges.start()
    for _ in range(turns):
        await asyncio.sleep(0)
    await judges.close()
    assert children_of(os.getpid()) == before
    assert judges.pids == ()


@pytest.mark.parametrize("what", ["exec sleep 600", "kill -STOP $$"])
async def test_closed_while_one_is_ready_and_another_starts_none_is_left(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that hangs keeps none of the others from working, nor from being ended."""
    first_python(what, tmp_path, monkeypatch)
    before = children_of(os.getpid())
    judges = JudgingProcesses(SystemClock(), 3)
    judges.start()
    await soon(lambda: len(judges.pids) == 2)
    assert len(children_of(os.getpid()) - before) == 3
    assert await judges.judge([], 0) == []
    await judges.close()
    assert children_of(os.getpid()) == before


async def test_one_that_cannot_start_does_not_lose_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ended at once; the others work, and are ended like any."""
    first_python("exit 1", tmp_path, monkeypatch)
    before = children_of(os.getpid())
    judges = JudgingProcesses(SystemClock(), 3)
    judges.start()
    await soon(lambda: len(judges.pids) == 2)
    assert await judges.judge([], 0) == []
    await judges.close()
    assert children_of(os.getpid()) == before


@pytest.mark.parametrize("is_alive", [True, False])
async def test_closed_while_they_end_for_want_of_work_none_is_left(*, is_alive: bool) -> None:
    """One that does not end by itself, or that was lost before, is gone as well."""
    before = children_of(os.getpid())
    clock = ManualClock()
    judges = JudgingProcesses(clock, 2)
    judges.start()
    await soon(lambda: len(judges.pids) == 2)
    await clock.until_sleeping(1)
    os.kill(judges.pids[0], signal.SIGSTOP if is_alive else signal.SIGKILL)
    await clock.advance(IDLE)
    await soon(lambda: judges.pids == ())
    await judges.close()
    assert children_of(os.getpid()) == before


async def test_work_that_comes_while_they_end_starts_new_ones() -> None:
    """They end for want of work, which comes at that moment; close ends those as well."""
    before = children_of(os.getpid())
    clock = ManualClock()
    judges = JudgingProcesses(clock, 1)
    judges.start()
    await soon(lambda: len(judges.pids) == 1)
    (old,) = judges.pids
    await clock.until_sleeping(1)
    await clock.advance(IDLE)
    await soon(lambda: judges.pids == ())
    judges.start()
    await soon(lambda: len(judges.pids) == 1)
    assert judges.pids != (old,)
    await judges.close()
    assert children_of(os.getpid()) == before


@pytest.mark.parametrize("work", ["idle", "busy"])
async def test_a_worker_whose_parent_was_killed_ends_by_itself(work: str, tmp_path: Path) -> None:
    """No one ends them after a SIGKILL: they notice that the socket is closed, and have nothing to say about it."""
    with (tmp_path / "errors").open("wb") as errors:
        parent = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.worker_owner", "2", work),
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            cwd=Path(__file__).parents[3],
        )
    assert parent.stdout is not None
    workers = [Watched(pid) for pid in json.loads(await parent.stdout.readline())]
    assert {worker.pid for worker in workers} == children_of(parent.pid)
    parent.kill()
    await parent.wait()
    await asyncio.gather(*(worker.ended() for worker in workers))
    assert (tmp_path / "errors").read_text() == ""


async def test_workers_that_start_while_their_parent_is_killed_end_by_themselves() -> None:
    """Those that import, and never get their setup, end when they come to read it."""
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.worker_owner", "2"),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    await soon(lambda: len(children_of(parent.pid)) == 2)
    workers = [Watched(pid) for pid in children_of(parent.pid)]
    parent.kill()
    await parent.wait()
    await asyncio.gather(*(worker.ended() for worker in workers))

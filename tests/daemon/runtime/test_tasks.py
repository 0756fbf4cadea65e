"""Tasks beside a service's own work: what becomes of a failure in one of them."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from structlog.testing import capture_logs

from podium_daemon.runtime.tasks import FIRST_PAUSE, ServiceFailed, Watched, wait_for_first
from podium_storage.errors import StoreDamaged, StoreError
from tests.support.clock import ManualClock
from tests.support.soon import soon


async def _for_ever() -> None:
    await asyncio.Event().wait()


async def _raise(error: BaseException) -> None:
    raise error


async def test_a_task_that_must_not_fail_ends_the_service_by_its_own_exception() -> None:
    """The service's work is cancelled, and the exception is the one that the supervisor names."""
    tasks = Watched("syncer")

    async def work() -> None:
        tasks.start(_raise(LookupError("no such relay")), "reading")
        await _for_ever()

    with capture_logs() as logs, pytest.raises(LookupError, match="no such relay"):
        await tasks.guard(work())
    assert [(line["action"], line["service"], line["task"]) for line in logs] == [("task.failed", "syncer", "reading")]
    assert tasks.faults == 1


async def test_a_task_that_ends_by_a_cancellation_of_its_own_ends_the_service() -> None:
    """Nobody asked it to end, so that it counts as failed, and is named."""
    tasks = Watched("syncer")

    async def work() -> None:
        tasks.start(_raise(asyncio.CancelledError()), "reading")
        await _for_ever()

    with pytest.raises(ServiceFailed, match="service 'syncer' lost 'reading'"):
        await tasks.guard(work())


async def test_a_task_that_somebody_ends_is_no_failure() -> None:
    """A reading that was replaced by a newer one is cancelled, and the service goes on to its own end."""
    tasks = Watched("gift wraps")

    async def work() -> None:
        task = tasks.start(_for_ever(), "reading")
        assert task is not None
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    await tasks.guard(work())
    assert tasks.faults == 0


async def test_what_was_started_ends_with_the_service_and_nothing_starts_after_it() -> None:
    """No task outlives the service whose task it was."""
    tasks, ended = Watched("syncer"), asyncio.Event()

    async def beside() -> None:
        try:
            await _for_ever()
        finally:
            ended.set()

    async def work() -> None:
        tasks.start(beside(), "reading")
        await asyncio.sleep(0)

    await tasks.guard(work())
    assert ended.is_set()
    assert tasks.start(beside(), "reading") is None


async def test_what_persists_is_done_again_and_the_trouble_is_known_meanwhile() -> None:
    """A failure with a name and one that nobody foresaw are both tried again; only the latter counts as a fault."""
    tasks, clock = Watched("syncer"), ManualClock()
    outcomes: list[Exception | None] = [ValueError("odd"), StoreError("the disk is full"), None]

    async def work() -> None:
        if (error := outcomes.pop(0)) is not None:
            raise error

    with capture_logs() as logs:
        persisting = asyncio.create_task(tasks.persist("reading", work, clock=clock))
        await clock.until_sleeping()
        assert tasks.trouble == {"reading": "odd"}
        await clock.advance(FIRST_PAUSE)
        assert tasks.trouble == {"reading": "the disk is full"}
        await clock.advance(FIRST_PAUSE)
        await persisting
    assert (tasks.trouble, tasks.faults) == ({}, 1)
    assert [line["action"] for line in logs] == ["task.failed", "task.retry"]


async def test_a_damaged_database_is_not_tried_again() -> None:
    """It is as damaged the next time: the service ends, and the daemon with it."""
    with pytest.raises(StoreDamaged):
        await Watched("syncer").persist("reading", lambda: _raise(StoreDamaged("torn")), clock=ManualClock())


async def test_an_errand_that_fails_is_in_the_log_and_hurts_nobody() -> None:
    """A task that awaits it gets the failure too."""
    tasks = Watched("signers")
    with capture_logs() as logs:
        errand = tasks.errand(_raise(ValueError("odd")), "goodbye")
        await soon(lambda: bool(logs))
    assert (logs[0]["action"], logs[0]["task"], tasks.faults) == ("task.failed", "goodbye", 1)
    with pytest.raises(ValueError, match="odd"):
        await errand


class TestWaitForFirst:
    """One of several ends, and nothing of the others stays."""

    async def test_the_first_that_is_over_ends_the_wait(self) -> None:
        """The others are cancelled, and have cleaned up before the wait returns."""
        cleaned: list[str] = []

        async def slow() -> None:
            try:
                await _for_ever()
            finally:
                await asyncio.sleep(0)
                cleaned.append("slow")

        assert await wait_for_first(slow(), asyncio.sleep(0), slow()) == (False, True, False)
        assert cleaned == ["slow", "slow"]

    async def test_several_may_be_over(self) -> None:
        """Each is told of, so that a stop that comes together with news is not missed."""
        ready = asyncio.Event()
        ready.set()
        assert await wait_for_first(ready.wait(), _for_ever(), ready.wait()) == (True, False, True)

    async def test_the_error_of_the_first_is_raised(self) -> None:
        """Of several errors that of the earlier argument."""
        with pytest.raises(LookupError):
            await wait_for_first(_for_ever(), _raise(LookupError()), _raise(OSError()))

    async def test_an_error_of_one_that_was_cancelled_is_raised(self) -> None:
        """What goes wrong while it cleans up is not swallowed."""

        async def breaks() -> None:
            try:
                await _for_ever()
            finally:
                raise LookupError

        with pytest.raises(LookupError):
            await wait_for_first(asyncio.sleep(0), breaks())

    async def test_a_loser_may_end_well_all_the_same(self) -> None:
        """It was not over when the first was, whatever it makes of its cancellation."""

        async def finishes() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                await _for_ever()

        assert await wait_for_first(finishes(), asyncio.sleep(0)) == (False, True)

    async def test_a_cancelled_wait_cancels_all(self) -> None:
        """All have ended before the cancellation goes on, also where one fails meanwhile."""
        cleaned: list[int] = []

        async def slow(number: int) -> None:
            try:
                await _for_ever()
            finally:
                await asyncio.sleep(0)
                cleaned.append(number)
                if number == 1:
                    raise LookupError

        waiting = asyncio.create_task(wait_for_first(slow(1), slow(2)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert cleaned == [1, 2]

    async def test_a_task_that_is_to_go_on_does(self) -> None:
        """`asyncio.wait` around it is cancelled in its place, and keeps its error for the code that awaits the task."""
        task = asyncio.create_task(_for_ever())
        assert await wait_for_first(asyncio.sleep(0), asyncio.wait([task])) == (True, False)
        assert not task.done()
        task.cancel()
        assert await wait_for_first(asyncio.wait([task]), _for_ever()) == (True, False)
        failing = asyncio.create_task(_raise(LookupError()))
        assert await wait_for_first(asyncio.wait([failing]), _for_ever()) == (True, False)
        with pytest.raises(LookupError):
            await failing

    async def test_one_that_was_cancelled_by_another_is_told(self) -> None:
        """Its CancelledError is no end that was asked for here, and is raised."""
        task = asyncio.create_task(_for_ever())
        asyncio.get_running_loop().call_soon(task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await wait_for_first(task, _for_ever())

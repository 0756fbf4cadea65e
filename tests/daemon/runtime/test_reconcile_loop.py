"""How every service lives: turns, waits, failures and the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from podium_daemon.runtime.reconcile_loop import BURST, BUSY_PAUSE, MAX_SLEEP, RETRY_SECONDS, run_reconcile_loop
from podium_daemon.runtime.supervisor import Stop
from podium_protocol.errors import PodiumError
from podium_storage.changes import Batch, Change, ChangeFeed, ChangeKind, ChangeSubscription
from podium_storage.errors import StoreDamaged, StoreFull
from tests.support.clock import ManualClock

TABLE = "rows"


class Worker:
    """A service whose turns the test writes; each turn's batch is kept."""

    def __init__(self, turn: Callable[[Batch], Awaitable[float | None]]) -> None:
        self.clock = ManualClock()
        self.stop = Stop(self.clock)
        self.feed = ChangeFeed()
        self.changes: ChangeSubscription = self.feed.subscribe(TABLE)
        self.batches: list[Batch] = []
        self._turn = turn
        self._news = asyncio.Condition()

    async def turn(self, batch: Batch) -> float | None:
        """Note the turn, then take it."""
        async with self._news:
            self.batches.append(batch)
            self._news.notify_all()
        return await self._turn(batch)

    async def until_turns(self, count: int) -> None:
        """Wait for so many turns."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.batches) >= count)

    def change(self, key: int = 1) -> None:
        """A row changed."""
        self.feed.publish([Change(TABLE, ChangeKind.UPDATED, key)])


@asynccontextmanager
async def working(turn: Callable[[Batch], Awaitable[float | None]]) -> AsyncIterator[Worker]:
    """A service at work."""
    worker = Worker(turn)
    task = asyncio.create_task(
        run_reconcile_loop("worker", worker.turn, worker.changes, clock=worker.clock, stop=worker.stop)
    )
    try:
        yield worker
    finally:
        worker.stop.set()
        async with asyncio.timeout(60):
            await task


async def nothing(_batch: Batch) -> None:
    """A turn that has nothing due."""


async def test_the_first_turn_reads_everything() -> None:
    """A service that starts has seen no changes: its first batch says resync."""
    async with working(nothing) as worker:
        await worker.until_turns(1)
        assert worker.batches == [Batch((), resync=True)]


async def test_a_change_wakes_it_with_what_changed() -> None:
    """What was committed while a turn ran comes in the next one, all of it together."""
    may_end = asyncio.Event()

    async def slow(batch: Batch) -> None:
        if batch.resync:
            await may_end.wait()

    async with working(slow) as worker:
        await worker.until_turns(1)
        worker.change(1)
        worker.change(2)
        may_end.set()
        await worker.until_turns(2)
        assert [change.key for change in worker.batches[1].changes] == [1, 2]
        worker.change(3)
        await worker.until_turns(3)
        assert [change.key for change in worker.batches[2].changes] == [3]


async def test_it_wakes_when_something_is_due() -> None:
    """The turn names the next moment; it is woken then and not before."""
    times: list[float] = []

    async def every_ten(_batch: Batch) -> float:
        times.append(worker.clock.now())
        return worker.clock.now() + 10

    async with working(every_ten) as worker:
        await worker.clock.until_sleeping()
        await worker.clock.advance(9)
        assert len(times) == 1
        await worker.clock.advance(1)
        await worker.until_turns(2)
        assert times[1] - times[0] == 10


async def test_no_sleep_is_longer_than_half_a_minute() -> None:
    """A due time is wall-clock time, and the clock may be set meanwhile: so it is looked at again."""
    async with working(nothing) as worker:
        await worker.clock.until_sleeping()
        await worker.clock.advance(MAX_SLEEP)
        await worker.until_turns(2)
        assert worker.batches[1] == Batch(())


async def test_a_clock_that_is_set_forward_is_noticed_within_half_a_minute() -> None:
    """What fell due by a jump of the clock is done at the next look, once."""
    seen: list[float] = []

    async def in_an_hour(_batch: Batch) -> float:
        seen.append(worker.clock.now())
        return start + 3600

    async with working(in_an_hour) as worker:
        start = worker.clock.now()
        await worker.clock.until_sleeping()
        worker.clock.jump(4000)
        await worker.clock.advance(MAX_SLEEP)
        await worker.until_turns(2)
        assert seen[1] >= start + 3600


async def test_work_that_is_left_is_done_at_once() -> None:
    """A turn that says it is due now is taken again without a pause, and others get their turn between."""
    left = 10

    async def in_parts(_batch: Batch) -> float | None:
        nonlocal left
        left -= 1
        return worker.clock.now() if left > 0 else None

    async with working(in_parts) as worker:
        await worker.until_turns(10)
        await worker.clock.until_sleeping()
        assert left == 0
        assert worker.clock.now() == 1_800_000_000.0


@pytest.mark.parametrize("past", [0.0, -1.0, -3600.0])
async def test_a_turn_that_is_never_done_does_not_spin(past: float) -> None:
    """A service that always says it is due is slowed to one turn a second, however long it goes on."""

    async def never_done(_batch: Batch) -> float:
        return worker.clock.now() + past

    async with working(never_done) as worker:
        await worker.clock.until_sleeping()
        assert len(worker.batches) == BURST
        for more in range(1, 4):
            await worker.clock.advance(BUSY_PAUSE)
            await worker.clock.until_sleeping()
            assert len(worker.batches) == BURST + more


async def test_services_that_wake_each_other_do_not_spin_either() -> None:
    """One whose every turn is followed by another change, and that says it is due, is slowed and loses no change."""
    asked: asyncio.Queue[int] = asyncio.Queue()

    async def answer() -> None:
        while True:
            key = await asked.get()
            worker.change(key)
            asked.task_done()

    answering = asyncio.create_task(answer())

    async def restless(_batch: Batch) -> float:
        asked.put_nowait(len(worker.batches))
        await asked.join()
        return worker.clock.now()

    async with working(restless) as worker:
        await worker.clock.until_sleeping()
        assert len(worker.batches) == BURST
        await worker.clock.advance(BUSY_PAUSE)
        await worker.clock.until_sleeping()
        assert len(worker.batches) == BURST + 1
        keys = [change.key for batch in worker.batches for change in batch.changes]
        assert keys == list(range(1, BURST + 1))
    answering.cancel()


async def test_a_burst_is_forgiven_once_it_is_over() -> None:
    """A service that had much to do and then nothing may have much to do again."""
    left = 0

    async def in_parts(_batch: Batch) -> float | None:
        nonlocal left
        if left:
            left -= 1
            return worker.clock.now()
        return None

    async with working(in_parts) as worker:
        for _ in range(3):
            before = len(worker.batches)
            left = BURST - 2
            worker.change()
            await worker.until_turns(before + BURST - 1)
            await worker.clock.until_sleeping()
        assert worker.clock.now() == 1_800_000_000.0


async def test_after_a_slow_stretch_changes_are_heard_at_once_again() -> None:
    """A service that was slowed and then is done does not sleep through what happens next."""
    busy = True

    async def turn(_batch: Batch) -> float | None:
        return worker.clock.now() if busy else None

    async with working(turn) as worker:
        await worker.clock.until_sleeping()
        busy = False
        await worker.clock.advance(BUSY_PAUSE)
        await worker.until_turns(BURST + 1)
        await worker.clock.until_sleeping()
        worker.change(7)
        await worker.until_turns(BURST + 2)
        assert [change.key for change in worker.batches[-1].changes] == [7]


@pytest.mark.parametrize("error", [StoreFull("no space left"), PodiumError("the signer is away")])
async def test_a_failure_with_a_name_is_tried_again(error: Exception) -> None:
    """Some seconds later the turn is taken again, and told to read everything, since changes went by."""
    failing = True

    async def unlucky(_batch: Batch) -> None:
        if failing:
            raise error

    async with working(unlucky) as worker:
        await worker.clock.until_sleeping()
        worker.change()
        assert len(worker.batches) == 1
        await worker.clock.advance(RETRY_SECONDS - 1)
        assert len(worker.batches) == 1
        failing = False
        await worker.clock.advance(1)
        await worker.until_turns(2)
        assert worker.batches[1].resync


async def test_a_failure_nobody_foresaw_ends_the_service() -> None:
    """A mistake of ours is not hidden in a loop: the supervisor says which service it was."""

    async def broken(_batch: Batch) -> None:
        raise ZeroDivisionError

    clock, feed = ManualClock(), ChangeFeed()
    with pytest.raises(ZeroDivisionError):
        await run_reconcile_loop("worker", broken, feed.subscribe(TABLE), clock=clock, stop=Stop(clock))


@pytest.mark.parametrize("state", ["idle", "due", "retrying", "busy"])
async def test_a_stop_is_heard_at_once_in_every_sleep(state: str) -> None:
    """No wait is waited out: the service ends although the clock stands still."""

    async def turn(_batch: Batch) -> float | None:
        if state == "retrying":
            raise PodiumError("again later")
        return {"idle": None, "due": worker.clock.now() + 20, "busy": worker.clock.now()}[state]

    async with working(turn) as worker:
        await worker.clock.until_sleeping()
        before = len(worker.batches)
        worker.stop.set()
    assert len(worker.batches) == before


async def test_a_stop_before_the_start_takes_no_turn() -> None:
    """A service that is stopped while it starts does nothing."""
    worker = Worker(nothing)
    worker.stop.set()
    await run_reconcile_loop("worker", worker.turn, worker.changes, clock=worker.clock, stop=worker.stop)
    assert worker.batches == []


async def test_a_turn_under_way_is_finished_before_the_end() -> None:
    """A stop during a turn waits for the turn: what it has begun is not torn apart."""
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), []

    async def long(_batch: Batch) -> None:
        begun.set()
        await may_end.wait()
        ended.append(True)

    async with working(long) as worker:
        await begun.wait()
        worker.stop.set()
        may_end.set()
    assert ended == [True]


async def test_a_closed_store_does_not_make_it_spin() -> None:
    """When the change feed has ended, its waits are over at once: the service still rests between turns."""
    async with working(nothing) as worker:
        await worker.clock.until_sleeping()
        worker.feed.close()
        for _ in range(BURST + 20):
            await asyncio.sleep(0)
        await worker.clock.until_sleeping()
        assert len(worker.batches) <= BURST + 1


async def test_a_damaged_database_ends_the_service() -> None:
    """What is damaged stays so: it is not tried again, and the supervisor hears of it."""
    turns = 0

    async def read(_batch: Batch) -> None:
        nonlocal turns
        turns += 1
        raise StoreDamaged("malformed")

    clock, feed = ManualClock(), ChangeFeed()
    with pytest.raises(StoreDamaged):
        await run_reconcile_loop("worker", read, feed.subscribe(TABLE), clock=clock, stop=Stop(clock))
    assert turns == 1


async def test_it_is_not_woken_by_what_it_wrote() -> None:
    """A turn that writes is not followed by another one; what another writer writes meanwhile still wakes it."""

    async def writing(_batch: Batch) -> None:
        worker.change(1)

    async with working(writing) as worker:
        await worker.clock.until_sleeping()
        for _ in range(BURST):
            await asyncio.sleep(0)
        assert len(worker.batches) == 1
        worker.change(2)
        await worker.until_turns(2)
        assert [change.key for change in worker.batches[1].changes] == [2]


async def test_a_turn_that_takes_too_long_is_cut_off_by_the_stop() -> None:
    """What it did not write is found again by the next start; the service ends as one that was asked to."""
    begun = asyncio.Event()

    async def endless(_batch: Batch) -> float | None:
        begun.set()
        await asyncio.Event().wait()
        return None

    worker = Worker(endless)
    running = run_reconcile_loop(
        "worker", worker.turn, worker.changes, clock=worker.clock, stop=worker.stop, grace=0.01
    )
    task = asyncio.create_task(running)
    await begun.wait()
    worker.stop.set()
    await task


async def test_a_last_turn_sees_what_changed_by_the_stop() -> None:
    """Also what the loop had taken already when the stop came."""
    worker = Worker(nothing)
    running = run_reconcile_loop(
        "worker", worker.turn, worker.changes, clock=worker.clock, stop=worker.stop, once_more=True
    )
    task = asyncio.create_task(running)
    await worker.until_turns(1)
    await worker.clock.until_sleeping(1)
    worker.change(1)
    worker.stop.set()
    await task
    first, last = worker.batches
    assert first.resync
    assert [change.key for change in last.changes] == [1]


@pytest.mark.parametrize("ends", ["too late", "disk full"])
async def test_a_last_turn_is_cut_off_or_fails_without_a_failure_of_the_service(ends: str) -> None:
    """What it left is found again by the next start."""

    async def turn(_batch: Batch) -> float | None:
        if not worker.stop.is_set():
            return None
        if ends == "disk full":
            raise StoreFull("no room")
        await asyncio.Event().wait()
        return None

    worker = Worker(turn)
    running = run_reconcile_loop(
        *("worker", worker.turn, worker.changes),
        clock=worker.clock,
        stop=worker.stop,
        grace=0.01,
        once_more=True,
    )
    task = asyncio.create_task(running)
    await worker.until_turns(1)
    worker.stop.set()
    await task
    assert len(worker.batches) == 2


async def test_a_time_out_of_a_turns_own_is_no_end() -> None:
    """Only the stop cuts off; another time-out that a turn lets pass is a failure of the service."""

    async def late(_batch: Batch) -> float | None:
        raise TimeoutError

    worker = Worker(late)
    with pytest.raises(TimeoutError):
        await run_reconcile_loop("worker", worker.turn, worker.changes, clock=worker.clock, stop=worker.stop)

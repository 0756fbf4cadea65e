"""A clock that tests move by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools


class ManualClock:
    """Stands still until `advance` or `jump`; satisfies `podium_daemon.runtime.clock.Clock`."""

    def __init__(self, now: float = 1_800_000_000.0, monotonic: float = 1000.0) -> None:
        self._now = now
        self._monotonic = monotonic
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._slept = asyncio.Condition()

    def now(self) -> float:
        """Wall-clock time: Unix seconds."""
        return self._now

    def monotonic(self) -> float:
        """Monotonic seconds."""
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        """Return once the clock was advanced by `seconds`."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waker = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._order), waker))
        async with self._slept:
            self._slept.notify_all()
        await waker

    async def advance(self, seconds: float) -> None:
        """Move both clocks, waking sleepers in order of their due times and letting each run before the next."""
        await _let_tasks_run()
        until = self._monotonic + seconds
        while self._sleepers and self._sleepers[0][0] <= until:
            due, _, waker = heapq.heappop(self._sleepers)
            self._move_to(due)
            if not waker.done():
                waker.set_result(None)
                await _let_tasks_run()
        self._move_to(until)
        await _let_tasks_run()

    def jump(self, seconds: float) -> None:
        """Move the wall clock only: it was set, or the machine slept."""
        self._now += seconds

    @property
    def sleeping(self) -> int:
        """How many sleeps are under way."""
        return sum(not waker.done() for _, _, waker in self._sleepers)

    async def until_sleeping(self, count: int = 1) -> None:
        """Wait until at least `count` tasks sleep: what they do before that is then done."""
        async with self._slept:
            await self._slept.wait_for(lambda: self.sleeping >= count)

    def _move_to(self, monotonic: float) -> None:
        step = max(0.0, monotonic - self._monotonic)
        self._now += step
        self._monotonic += step


async def _let_tasks_run() -> None:
    # a woken task may pass its turn on a few times (queues, locks, task groups) before it waits again
    for _ in range(25):
        await asyncio.sleep(0)

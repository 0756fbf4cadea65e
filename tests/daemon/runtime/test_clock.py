"""The clock: noticing jumps."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_daemon.runtime.clock import LONGEST_SLEEP, ClockWatch, JumpWatch, SystemClock
from podium_daemon.runtime.supervisor import Stop
from tests.support.clock import ManualClock


@pytest.mark.parametrize("step", [61.0, -61.0, 3600.0, -3600.0])
def test_a_jump_of_more_than_a_minute_is_counted(step: float) -> None:
    """A clock that was set is reported with its sign, once."""
    clock = ManualClock()
    watch = JumpWatch(clock)
    clock.jump(step)
    assert watch.measure_jump() == pytest.approx(step)
    assert watch.measure_jump() == 0.0
    assert watch.jumps == 1


@given(st.lists(st.floats(-60, 60), max_size=50))
def test_small_steps_are_never_a_jump(steps: list[float]) -> None:
    """However many small corrections there are, they do not add up to a jump."""
    clock = ManualClock()
    watch = JumpWatch(clock)
    for step in steps:
        clock.jump(step * 0.999)
        assert watch.measure_jump() == 0.0
    assert watch.jumps == 0


async def test_the_clock_service_looks_every_thirty_seconds_and_stops() -> None:
    """The service counts a jump at its next look, and returns when asked to stop."""
    clock = ManualClock()
    service, stop = ClockWatch(clock), Stop(clock)
    running = asyncio.create_task(service.run(stop))
    await clock.until_sleeping()
    clock.jump(7200)
    await clock.advance(LONGEST_SLEEP)
    assert service.watch.jumps == 1
    stop.set()
    await running


async def test_the_system_clock_reads_the_machine() -> None:
    """The real clock agrees with the standard library and its sleep ends."""
    clock = SystemClock()
    before = time.time(), time.monotonic()
    await clock.sleep(0)
    assert before[0] <= clock.now() <= time.time()
    assert before[1] <= clock.monotonic() <= time.monotonic()

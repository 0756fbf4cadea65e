"""Time for the daemon: an injected clock, and noticing that it jumped.

Due times are wall-clock epochs, durations are monotonic. No sleep is longer than 30 s, and each is followed by another
look at the wall clock, so that a clock that was set, or a machine that slept, is noticed (docs/hardening.md, rule 5).
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, Protocol

import structlog

LONGEST_SLEEP: Final = 30.0  # seconds
JUMP: Final = 60.0  # seconds; smaller steps are an NTP daemon's ordinary work

_log = structlog.get_logger(__name__)


class Clock(Protocol):
    """The daemon's source of time; tests hand in one that they move by hand."""

    def now(self) -> float:
        """Wall-clock time: Unix seconds, UTC. It can jump either way."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment. It never goes back, and on Linux it stands still while the machine sleeps."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of monotonic time."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> float:
        """Unix seconds, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        await asyncio.sleep(seconds)


class Stopping(Protocol):
    """The part of `supervisor.Stop` that a wait needs."""

    async def wait_for(self, seconds: float) -> bool:
        """Whether the stop came within `seconds`."""
        ...


class JumpWatch:
    """Notices that the wall clock and the monotonic clock moved by different amounts: a clock set, or a suspend.

    It only reports. Each service that waits for a due time looks at the clock again, so a jump never fires a storm.
    """

    def __init__(self, clock: Clock, *, tolerance: float = JUMP) -> None:
        """Start watching now; steps up to `tolerance` seconds between two looks are not jumps."""
        self._clock = clock
        self._tolerance = tolerance
        self._offset = clock.now() - clock.monotonic()
        self.jumps = 0
        """How many jumps were seen."""

    def measure_jump(self) -> float:
        """Seconds the wall clock jumped since the last look: positive forward, 0.0 if it did not."""
        offset = self._clock.now() - self._clock.monotonic()
        step = offset - self._offset
        # a slow slew must not add up to a jump, so each look starts from what it sees
        self._offset = offset
        if abs(step) <= self._tolerance:
            return 0.0
        self.jumps += 1
        _log.warning("the wall clock jumped", action="clock.jumped", seconds=round(step, 3))
        return step


class ClockWatch:
    """The service that looks for jumps every 30 s; `watch.jumps` is the counter to show."""

    name = "clock"

    def __init__(self, clock: Clock) -> None:
        """Watch `clock` from the moment the service runs."""
        self.watch = JumpWatch(clock)

    async def run(self, stop: Stopping) -> None:
        """Check for jumps every 30 s until the stop."""
        while not await stop.wait_for(LONGEST_SLEEP):
            self.watch.measure_jump()

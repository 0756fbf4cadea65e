"""How fast one relay is written to. Times are monotonic seconds."""

from __future__ import annotations

from collections import deque
from typing import Final

from podium_protocol.relay import backoff

PER_MINUTE: Final = 5_800
"""LocalRelay drops a connection without a word at 6,000 messages a minute, and its setting does not change that."""

_WINDOW: Final = 60.0


class Pacer:
    """Keeps the messages of any 60 seconds below a number; those of one second share a bucket.

    A plain token bucket of that rate would let through twice as many in the first minute.
    """

    def __init__(self, per_minute: int = PER_MINUTE) -> None:
        """Allow `per_minute` messages, at once if need be."""
        self._limit = per_minute
        self._buckets: deque[tuple[int, int]] = deque()
        self._sum = 0

    def room(self, now: float) -> int:
        """How many messages may be sent now."""
        while self._buckets and self._buckets[0][0] + 1 + _WINDOW <= now:
            self._sum -= self._buckets.popleft()[1]
        return max(0, self._limit - self._sum)

    def note(self, count: int, now: float) -> None:
        """Count messages that were sent."""
        second = int(now)
        before = self._buckets.pop()[1] if self._buckets and self._buckets[-1][0] == second else 0
        self._buckets.append((second, before + count))
        self._sum += count


class RateLimitPause:
    """Nothing is published after `rate-limited:` for 30 s, doubling with each further one up to 15 minutes."""

    def __init__(self) -> None:
        self._delays = backoff.rate_limit_delays()
        self.until = 0.0

    def left(self, now: float) -> float:
        """Seconds until publishing goes on; 0 if nothing holds it."""
        return max(0.0, self.until - now)

    def refused(self, now: float) -> None:
        """Note a `rate-limited:`; those of what was already on its way when the pause began are the same refusal."""
        if self.left(now) == 0:
            self.until = now + next(self._delays)

    def accepted(self, now: float) -> None:
        """Note that the relay took something: the next pause starts small again."""
        if self.until and self.left(now) == 0:
            self._delays = backoff.rate_limit_delays()
            self.until = 0.0

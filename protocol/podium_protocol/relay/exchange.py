"""What the parts of one `RelaySession` share: the time, the login, the output, and what is held against the relay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from podium_protocol.limits import IDLE_BURST, IDLE_RATE, LIVE_BURST, LIVE_RATE, MAX_REMEMBERED
from podium_protocol.relay.events import SessionEvent
from podium_protocol.relay.login import RelayLogin
from podium_protocol.relay.verdicts import Misbehaviour, Violation

_Key = TypeVar("_Key", bound=str)


class Exchange:
    """The state of one session that belongs to no single request. `now` is monotonic seconds."""

    def __init__(self) -> None:
        self.misbehaviour = Misbehaviour()
        self.now = 0.0
        self.frames: list[bytes] = []
        self.events: list[SessionEvent] = []
        self.reset()

    def reset(self) -> None:
        """Forget the state of the last connection; what was found stays to be handed on."""
        self.has_answered = False
        self.login = RelayLogin()
        self.live = FrameAllowance(LIVE_BURST, LIVE_RATE)
        self._idle = FrameAllowance(IDLE_BURST, IDLE_RATE)
        self.frames = []

    def blame(self, violation: Violation) -> None:
        """Hold a fault against the relay."""
        self.misbehaviour.add(violation, self.now)

    def take_idle(self, chars: int = 0) -> bool:
        """Whether one more frame that changes nothing may pass; above the allowance it is a fault of the relay.

        Each thousand characters count as a frame more.
        """
        if self._idle.take_frame(self.now, 1 + chars // 1000):
            return True
        self.blame(Violation.FLOOD)
        return False


class FrameAllowance:
    """How many frames are taken: a bucket that fills with time, so that bursts pass and floods do not."""

    def __init__(self, burst: float, per_second: float) -> None:
        self._burst = self._tokens = burst
        self._per_second = per_second
        self._as_of = 0.0

    def take_frame(self, now: float, tokens: int = 1) -> bool:
        """Whether one more frame, that counts as `tokens`, may pass at `now` (monotonic seconds)."""
        self._tokens = min(self._burst, self._tokens + (now - self._as_of) * self._per_second)
        self._as_of = now
        if self._tokens < tokens:
            return False
        self._tokens -= tokens
        return True


def pop_due(times: dict[_Key, float], now: float) -> Iterator[_Key]:
    """Remove and return the keys that are due; `times` is in order of deadline."""
    while times:
        key, due = next(iter(times.items()))
        if due > now:
            return
        del times[key]
        yield key


def remember(times: dict[_Key, float], key: _Key, time: float) -> None:
    """Note a time, and drop the oldest notes beyond the limit: a relay must not fill our memory."""
    times.pop(key, None)
    times[key] = time
    if len(times) > MAX_REMEMBERED:
        del times[next(iter(times))]

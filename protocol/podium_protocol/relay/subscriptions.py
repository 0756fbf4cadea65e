"""The state of a `RelaySession`: subscriptions, publications on their way, and deadlines."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from enum import Enum, auto
from typing import TypeVar

from podium_protocol.filters import Filter
from podium_protocol.limits import LIVE_BURST, LIVE_RATE, MAX_REMEMBERED, STORED_SLACK

Resume = Callable[[tuple[Filter, ...]], Sequence[Filter]]
"""From the filters of a subscription to those to send now, such as `filters.backfill` from the last EOSE."""

_Key = TypeVar("_Key", bound=str)


class SubscriptionStage(Enum):
    """The stage of a subscription on the present connection."""

    IDLE = auto()  # not asked for yet
    STORED = auto()  # stored events are coming
    LIVE = auto()  # after EOSE, or after it did not come in time
    WAITING = auto()  # refused until we have logged in
    CLOSED = auto()  # refused


class Subscription:
    """One REQ: the caller's filters, those last sent, and how far the relay got."""

    def __init__(self, filters: tuple[Filter, ...], resume: Resume | None) -> None:
        self.filters = filters
        self.sent = filters
        self.stage = SubscriptionStage.IDLE
        self.has_ended = False
        self.is_end_held = False  # the relay did not know us when it said that this was all
        self.was_retried = False  # after a login, on this connection
        self.logins_before = 0
        self.notices_before = 0
        self.has_stored = False  # whether a stored event came
        self._resume = resume
        self._quota = 0.0  # stored events it may still send

    def start(self, logins: int, *, again: bool = False) -> tuple[Filter, ...]:
        """Note that the REQ is sent now, and return its filters; `again`: the same ones as before."""
        if self._resume is not None and not again:
            self.sent = tuple(self._resume(self.filters))
        self.stage, self.has_ended, self.is_end_held, self.logins_before = (
            SubscriptionStage.STORED,
            False,
            False,
            logins,
        )
        self.has_stored = False
        limited = [one.limit for one in self.sent if one.limit is not None]
        self._quota = sum(limited) + STORED_SLACK if len(limited) == len(self.sent) else math.inf
        return self.sent

    def is_open(self) -> bool:
        """Whether the relay may send events for it."""
        return self.stage in (SubscriptionStage.STORED, SubscriptionStage.LIVE)

    def take_stored(self) -> bool:
        """Whether one more stored event is within what the filters' `limit` asked for."""
        self.has_stored = True
        self._quota -= 1
        return self._quota >= 0


class Publication:
    """One EVENT on its way, or waiting for a login."""

    def __init__(self, frame: bytes) -> None:
        self.frame = frame
        self.was_retried = False
        self.logins_before = 0


class LiveEventAllowance:
    """How many events after EOSE are taken: a bucket that fills with time, so that bursts pass and floods do not."""

    def __init__(self) -> None:
        self._tokens = float(LIVE_BURST)
        self._as_of = 0.0

    def take_event(self, now: float) -> bool:
        """Whether one more event may pass at `now` (monotonic seconds)."""
        self._tokens = min(float(LIVE_BURST), self._tokens + (now - self._as_of) * LIVE_RATE)
        self._as_of = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
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

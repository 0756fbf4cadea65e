"""How long to wait before trying a relay again: a generator of delays, random only through what is passed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from podium_protocol.limits import (
    FIRST_DELAY,
    MAX_DELAY,
    RATE_LIMIT_FIRST_DELAY,
    RATE_LIMIT_MAX_DELAY,
    STABLE_AFTER,
)


def delays(random: Callable[[], float], *, first: float = FIRST_DELAY, cap: float = MAX_DELAY) -> Iterator[float]:
    """Endless delays in seconds: they double from `first`, never exceed `cap`, and lie in the upper half at random.

    `random` returns numbers in [0, 1). The jitter keeps the clients of a restarted relay from reconnecting all at once.
    """
    span = first
    while True:
        yield min(span, cap) * (0.5 + random() / 2)
        span = min(span * 2, cap)


def rate_limit_delays() -> Iterator[float]:
    """Delays after `rate-limited:`: 30 s, doubling, 15 min at most; without jitter, since the relay named the pause."""
    return delays(lambda: 1.0, first=RATE_LIMIT_FIRST_DELAY, cap=RATE_LIMIT_MAX_DELAY)


def is_proven(lasted: float, answered: bool) -> bool:
    """Whether a connection that ended was good, so that the delays start again from the first.

    `lasted` is its age in seconds, `answered` whether an EOSE or an OK came. One that opens and dies does not count:
    else a relay that accepts and drops would be tried every second for ever.
    """
    return answered and lasted >= STABLE_AFTER

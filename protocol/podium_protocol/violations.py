"""How badly a relay behaves: faults are counted and weighed, never raised. One bad message never ends a connection.

What does harm weighs much: it costs memory, signature checks, or what others sent. A fault of form alone weighs so
little that only a flood of them counts (wire-formats.md, "Relays are read leniently").
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Final

from podium_protocol.limits import PENALTY_HALF_LIFE, PENALTY_SCORE


class Violation(StrEnum):
    """What a relay did that it must not; the name of the counter that is raised."""

    OVERSIZED_FRAME = "oversized_frame"
    BAD_FRAME = "bad_frame"
    MALFORMED = "malformed"
    UNKNOWN_LABEL = "unknown_label"
    UNKNOWN_SUBSCRIPTION = "unknown_subscription"
    STRAY_END = "stray_end"  # EOSE or CLOSED of a subscription that there is not, or not any more
    UNSOLICITED_OK = "unsolicited_ok"
    FLOOD = "flood"
    OUTSIDE_FILTER = "outside_filter"  # reported by whoever parses the events
    BAD_EVENT = "bad_event"  # so is this: malformed, wrong id, bad signature


WEIGHTS: Final[dict[Violation, float]] = {
    Violation.OVERSIZED_FRAME: 10.0,
    Violation.BAD_FRAME: 5.0,
    Violation.MALFORMED: 0.1,
    Violation.UNKNOWN_LABEL: 0.1,  # a message of a NIP we do not speak
    Violation.UNKNOWN_SUBSCRIPTION: 2.0,
    Violation.STRAY_END: 0.1,  # a busy relay may end what was closed minutes ago
    Violation.UNSOLICITED_OK: 0.1,  # may be a second answer through a proxy
    Violation.FLOOD: 0.1,  # one for each event above the rate
    Violation.OUTSIDE_FILTER: 2.0,
    Violation.BAD_EVENT: 5.0,  # relays must verify what they pass on
}


class Misbehaviour:
    """The faults of one relay over its connections, and a score that halves every ten minutes. Times are monotonic."""

    def __init__(self) -> None:
        self.counts: Counter[Violation] = Counter()
        self._score = 0.0
        self._as_of = 0.0

    def add(self, violation: Violation, now: float) -> None:
        """Count one fault."""
        self.counts[violation] += 1
        self._score = self.score(now) + WEIGHTS[violation]
        self._as_of = now

    def score(self, now: float) -> float:
        """The weight of all faults, older ones faded."""
        return float(self._score * 0.5 ** (max(0.0, now - self._as_of) / PENALTY_HALF_LIFE))

    def deserves_penalty(self, now: float) -> bool:
        """Whether the relay belongs in the penalty box for now."""
        return self.score(now) > PENALTY_SCORE

"""Credit for watching a recording: distinct milliseconds that can really have been played (semantics.md, "Completion").

What a page reports is a stranger's word. It is held against the clock: nobody plays more of a recording than twice the
time that has passed since their last report, so a report of everything at once, or a jump to the end, earns little.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from podium_protocol.live.attendance import Span, seconds, union

FASTEST: Final = 2
"""Times the natural speed; players offer more, and what is faster is not credited."""
LONGEST_SILENCE: Final = 60.0
"""Seconds between two reports that count; whoever is silent for longer earns nothing for the rest."""
FIRST_ALLOWANCE: Final = 2.0
"""Seconds of the recording that a page may report with its very first word."""
SHORTEST: Final = 500
"""Milliseconds: shorter pieces are not kept, so that what is kept of a person is bounded by the recording's length."""

Segment = tuple[float, float]


class Allowance(msgspec.Struct, frozen=True):
    """How many seconds of the recording somebody may report at the moment `at` (monotonic seconds)."""

    seconds: float
    at: float

    @classmethod
    def at_first(cls, now: float) -> Allowance:
        """Of somebody who has just begun."""
        return cls(FIRST_ALLOWANCE, now)

    def after(self, now: float) -> Allowance:
        """The allowance at a later moment."""
        passed = min(max(now - self.at, 0.0), LONGEST_SILENCE)
        return Allowance(min(self.seconds + FASTEST * passed, FASTEST * LONGEST_SILENCE), max(now, self.at))


class Credit(msgspec.Struct, frozen=True):
    """The spans of somebody's recording after a report, in milliseconds, and what is left of their allowance."""

    spans: tuple[Span, ...]
    allowance: Allowance

    @property
    def watched(self) -> int:
        """Distinct milliseconds."""
        return seconds(self.spans)


def credit(
    spans: Iterable[tuple[int, int]], reported: Sequence[Segment], *, length: int, allowance: Allowance, now: float
) -> Credit:
    """Add the segments that were `reported` (seconds of the recording, from and to) to what somebody has seen.

    Args:
        spans: what they have seen so far, in milliseconds.
        reported: in the order in which they were played. What is no number or reversed does not count; what goes beyond
            the allowance is cut off.
        length: of the recording, in milliseconds.
        allowance: theirs, as it was left after the last report.
        now: monotonic seconds.
    """
    left = allowance.after(now)
    before = [Span(*span) for span in spans]
    fresh: list[Span] = []
    budget = int(left.seconds * 1000)
    for start, end in (_milliseconds(segment, length) for segment in reported):
        played = min(end - start, budget)
        if played >= SHORTEST:
            fresh.append(Span(start, start + played))
            budget -= played
    return Credit(union([*before, *fresh]), Allowance(budget / 1000, left.at))


def _milliseconds(segment: Segment, length: int) -> tuple[int, int]:
    if not all(map(math.isfinite, segment)):
        return 0, 0
    start, end = (round(min(max(value, 0.0), length / 1000) * 1000) for value in segment)
    return start, end

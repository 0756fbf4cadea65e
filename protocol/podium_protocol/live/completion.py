"""Completion: by attendance, or by watching the recording; the two are never added together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from podium_protocol.live.attendance import Span, seconds, union

FASTEST: Final = 2
"""Times the natural speed; players offer more, and what is faster is not credited."""
LONGEST_SILENCE: Final = 60.0
"""Most seconds between two reports that earn credit; a page that is silent for longer earns nothing for the rest."""
FIRST_ALLOWANCE: Final = 2.0
"""Seconds of the recording that a page may report in its first report."""
SHORTEST: Final = 500
"""Milliseconds. Shorter pieces are dropped, so that the stored spans of a person are bounded by the recording."""
DRAWN: Final = 400
"""Most gaps in the watched spans as a person is shown them."""

Segment = tuple[float, float]


class ReportAllowance(msgspec.Struct, frozen=True):
    """How many seconds of the recording a viewer may report at the moment `at` (monotonic seconds)."""

    seconds: float
    at: float

    @classmethod
    def at_first(cls, now: float) -> ReportAllowance:
        """The allowance of a viewer who has just begun; `now` is monotonic seconds."""
        return cls(FIRST_ALLOWANCE, now)

    def after(self, now: float) -> ReportAllowance:
        """The allowance at the later moment `now` (monotonic seconds)."""
        passed = min(max(now - self.at, 0.0), LONGEST_SILENCE)
        return ReportAllowance(min(self.seconds + FASTEST * passed, FASTEST * LONGEST_SILENCE), max(now, self.at))


class Credit(msgspec.Struct, frozen=True):
    """The spans a viewer has watched after a report, in milliseconds, and the rest of the allowance."""

    spans: tuple[Span, ...]
    allowance: ReportAllowance

    @property
    def watched(self) -> int:
        """Distinct milliseconds of the recording that were watched."""
        return seconds(self.spans)


def credit(
    spans: Iterable[tuple[int, int]],
    reported: Sequence[Segment],
    *,
    length: int,
    allowance: ReportAllowance,
    now: float,
) -> Credit:
    """Add the segments that were `reported` (from and to, in seconds of the recording) to what a viewer has seen.

    Args:
        spans: what the viewer has seen so far, in milliseconds.
        reported: in the order in which they were played. Reversed segments and values that are not numbers do not
            count; what exceeds the allowance is cut off.
        length: the recording's, in milliseconds.
        allowance: the viewer's, as it was after the last report.
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
    return Credit(union([*before, *fresh]), ReportAllowance(budget / 1000, left.at))


def _milliseconds(segment: Segment, length: int) -> tuple[int, int]:
    if not all(map(math.isfinite, segment)):
        return 0, 0
    start, end = (round(min(max(value, 0.0), length / 1000) * 1000) for value in segment)
    return start, end


class CompletionMode(StrEnum):
    """Whether one of the two thresholds suffices (the model) or both are asked for."""

    ANY = "any"
    ALL = "all"


class CompletionPolicy(msgspec.Struct, frozen=True):
    """Seconds and percents, all inclusive."""

    minimum_seconds: int = 1800
    percent: int = 50
    mode: CompletionMode = CompletionMode.ANY
    recording_percent: int = 90


class CompletionWay(StrEnum):
    """How completion was reached."""

    LIVE = "live"
    RECORDING = "recording"


class Completion(msgspec.Struct, frozen=True):
    """Reached at `at` (Unix seconds) in this way. Never taken back: keep the first."""

    way: CompletionWay
    at: int


DEFAULT_POLICY: Final = CompletionPolicy()


def needed_seconds(
    scheduled_seconds: int, actual_seconds: int | None, policy: CompletionPolicy = DEFAULT_POLICY
) -> int:
    """Credited seconds that complete the session: at least one, and the percentage rounded up.

    The percentage is of min(scheduled, actual). `actual_seconds` are those in which credit counted
    (`attendance.credit_windows`), None while the session lasts: otherwise half of the time so far would complete every
    participant after one minute.
    """
    share = -(-_whole_seconds(scheduled_seconds, actual_seconds) * policy.percent // 100)
    both = max(share, policy.minimum_seconds)
    return max(both if policy.mode is CompletionMode.ALL else min(share, policy.minimum_seconds), 1)


def percent_attended(credited_seconds: int, *, scheduled_seconds: int, actual_seconds: int | None) -> int:
    """Percent of the session that `credited_seconds` are, rounded down, 100 at most; 0 of a session without a length.

    The whole is the one that `needed_seconds` takes its share of.
    """
    whole = _whole_seconds(scheduled_seconds, actual_seconds)
    return min(100, 100 * credited_seconds // whole) if whole > 0 else 0


def _whole_seconds(scheduled_seconds: int, actual_seconds: int | None) -> int:
    return scheduled_seconds if actual_seconds is None else min(scheduled_seconds, actual_seconds)


def missing_seconds(
    credited_seconds: int,
    *,
    scheduled_seconds: int,
    actual_seconds: int | None,
    policy: CompletionPolicy = DEFAULT_POLICY,
) -> int:
    """Seconds of attendance that are missing to the completion after `credited_seconds`; 0 if there are enough."""
    return max(needed_seconds(scheduled_seconds, actual_seconds, policy) - credited_seconds, 0)


def by_attendance(
    credited: Sequence[Span],
    *,
    scheduled_seconds: int,
    actual_seconds: int | None,
    policy: CompletionPolicy = DEFAULT_POLICY,
) -> Completion | None:
    """The completion by the credited spans (`Attendance.credited`) and the second it was reached at, or None."""
    at = crossing(credited, needed_seconds(scheduled_seconds, actual_seconds, policy))
    return None if at is None else Completion(CompletionWay.LIVE, at)


def crossing(spans: Sequence[Span], needed: int) -> int | None:
    """The time at which disjoint, sorted spans add up to `needed` seconds, or None if they do not."""
    missing = needed
    for span in spans:
        length = span.end - span.start
        if missing <= length:
            return span.start + missing
        missing -= length
    return None


def drawn_spans(spans: Iterable[tuple[int, int]], length: int) -> tuple[Span, ...]:
    """The watched spans as a person is shown them: gaps of up to a 400th of the recording are left out.

    All in milliseconds. It bounds what a page is sent and draws, whatever was reported.
    """
    return union((Span(*span) for span in spans), bridge=length // DRAWN)


def by_recording(
    played: Iterable[tuple[float, float]],
    duration_seconds: float,
    *,
    now: int,
    policy: CompletionPolicy = DEFAULT_POLICY,
) -> Completion | None:
    """The completion by watching, if the union of the played segments covers 90 % of the recording.

    Segments are (from, to) in seconds of the recording. They come from a browser: values that are not numbers, reversed
    or beyond the recording do not count, and a segment played twice counts once, so seeking to the end fails.
    """
    if not math.isfinite(duration_seconds) or duration_seconds <= 0:
        return None
    watched = watched_milliseconds(played, duration_seconds)
    done = watched * 100 >= _merged_milliseconds(duration_seconds) * policy.recording_percent
    return Completion(CompletionWay.RECORDING, now) if done else None


def watched_milliseconds(played: Iterable[tuple[float, float]], duration_seconds: float) -> int:
    """Distinct milliseconds of the recording that were played."""
    inside = (
        Span(
            _merged_milliseconds(min(max(start, 0.0), duration_seconds)),
            _merged_milliseconds(min(max(end, 0.0), duration_seconds)),
        )
        for start, end in played
        if math.isfinite(start) and math.isfinite(end)
    )
    return seconds(union(inside))


def _merged_milliseconds(value: float) -> int:
    return round(value * 1000)

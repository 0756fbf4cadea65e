"""Completion: by attendance, or by watching the recording; the two are never added together (semantics.md)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from podium_protocol.live.attendance import Span, seconds, union


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
    """How it was reached."""

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
    (`attendance.credit_windows`), None while the session lasts: half of what has
    passed so far would complete everybody after one minute.
    """
    base = scheduled_seconds if actual_seconds is None else min(scheduled_seconds, actual_seconds)
    share = -(-base * policy.percent // 100)
    both = max(share, policy.minimum_seconds)
    return max(both if policy.mode is CompletionMode.ALL else min(share, policy.minimum_seconds), 1)


def by_attendance(
    credited: Sequence[Span],
    *,
    scheduled_seconds: int,
    actual_seconds: int | None,
    policy: CompletionPolicy = DEFAULT_POLICY,
) -> Completion | None:
    """The completion that the credited spans (`Attendance.credited`) reach, with the second of the crossing."""
    at = crossing(credited, needed_seconds(scheduled_seconds, actual_seconds, policy))
    return None if at is None else Completion(CompletionWay.LIVE, at)


def crossing(spans: Sequence[Span], needed: int) -> int | None:
    """When disjoint, sorted spans have added up to `needed` seconds, or None. For setting a timer: `needed` minus
    `seconds(spans)` is still missing.
    """
    missing = needed
    for span in spans:
        length = span.end - span.start
        if missing <= length:
            return span.start + missing
        missing -= length
    return None


def by_recording(
    played: Iterable[tuple[float, float]],
    duration_seconds: float,
    *,
    now: int,
    policy: CompletionPolicy = DEFAULT_POLICY,
) -> Completion | None:
    """The completion by watching, if the union of the played segments covers 90 % of the recording.

    Segments are (from, to) in seconds of the recording. They come from a browser: what is no number, reversed or
    beyond the recording does not count, and a segment played twice counts once, so seeking to the end fails.
    """
    if not math.isfinite(duration_seconds) or duration_seconds <= 0:
        return None
    watched = watched_milliseconds(played, duration_seconds)
    done = watched * 100 >= _milliseconds(duration_seconds) * policy.recording_percent
    return Completion(CompletionWay.RECORDING, now) if done else None


def watched_milliseconds(played: Iterable[tuple[float, float]], duration_seconds: float) -> int:
    """Distinct milliseconds of the recording that were played."""
    inside = (
        Span(_milliseconds(min(max(start, 0.0), duration_seconds)), _milliseconds(min(max(end, 0.0), duration_seconds)))
        for start, end in played
        if math.isfinite(start) and math.isfinite(end)
    )
    return seconds(union(inside))


def _milliseconds(value: float) -> int:
    return round(value * 1000)

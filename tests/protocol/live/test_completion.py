"""Completion."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.live.attendance import Interval, Span, attend, credit_windows, seconds, union
from podium_protocol.live.completion import (
    DRAWN,
    Completion,
    CompletionMode,
    CompletionPolicy,
    CompletionWay,
    by_attendance,
    by_recording,
    crossing,
    drawn_spans,
    missing_seconds,
    needed_seconds,
    percent_attended,
    watched_milliseconds,
)
from podium_protocol.live.lifecycle import Run

HOUR, MINUTE = 3600, 60
ALL = CompletionPolicy(mode=CompletionMode.ALL)


@pytest.mark.parametrize(
    ("scheduled", "actual", "needed"),
    [
        (2 * HOUR, 2 * HOUR, 30 * MINUTE),
        (HOUR, HOUR, 30 * MINUTE),
        (40 * MINUTE, 40 * MINUTE, 20 * MINUTE),
        (2 * HOUR, 20 * MINUTE, 10 * MINUTE),
        (20 * MINUTE, 2 * HOUR, 10 * MINUTE),
        (2 * HOUR, None, 30 * MINUTE),
        (101, 101, 51),
        (HOUR, 0, 1),
    ],
)
def test_either_threshold_suffices(scheduled: int, actual: int | None, needed: int) -> None:
    """30 minutes or half of the shorter duration, whichever is less; while it lasts the scheduled one counts."""
    assert needed_seconds(scheduled, actual) == needed


def test_both_can_be_asked_for() -> None:
    """`completion = all`."""
    assert needed_seconds(2 * HOUR, 2 * HOUR, ALL) == HOUR
    assert needed_seconds(40 * MINUTE, 40 * MINUTE, ALL) == 30 * MINUTE


def test_the_threshold_is_inclusive_and_its_second_is_known() -> None:
    """Completed when crossed, not when the session ends."""
    spans = (Span(1000, 2000), Span(5000, 5800))
    done = by_attendance(spans, scheduled_seconds=HOUR, actual_seconds=None)
    assert done == Completion(CompletionWay.LIVE, 5800)
    assert by_attendance((Span(1000, 2000), Span(5000, 5799)), scheduled_seconds=HOUR, actual_seconds=None) is None


def test_an_early_end_completes_those_who_stayed_for_half() -> None:
    """The shorter actual duration counts once it is known."""
    spans = (Span(0, 700),)
    assert by_attendance(spans, scheduled_seconds=HOUR, actual_seconds=None) is None
    done = by_attendance(spans, scheduled_seconds=HOUR, actual_seconds=20 * MINUTE)
    assert done == Completion(CompletionWay.LIVE, 600)


_SPANS = st.lists(st.builds(Span, st.integers(0, 400), st.integers(0, 400)), max_size=10).map(union)


@given(_SPANS, st.integers(1, 500))
def test_the_crossing_is_the_second_at_which_enough_is_together(spans: tuple[Span, ...], needed: int) -> None:
    """Up to that second exactly `needed` were credited; without one, there are fewer in all."""
    at = crossing(spans, needed)
    if at is None:
        assert seconds(spans) < needed
    else:
        assert sum(min(span.end, at) - span.start for span in spans if span.start < at) == needed


@pytest.mark.parametrize(
    ("credited", "scheduled", "actual", "percent"),
    [
        (0, HOUR, HOUR, 0),
        (HOUR - 1, HOUR, HOUR, 99),
        (2 * HOUR, HOUR, 3 * HOUR, 100),
        (60, HOUR, 120, 50),
        (60, 0, 0, 0),
        (900, HOUR, None, 25),
    ],
)
def test_percent_is_of_the_shorter_duration(credited: int, scheduled: int, actual: int | None, percent: int) -> None:
    """Rounded down and never more than all of it; of the scheduled time while the session lasts."""
    assert percent_attended(credited, scheduled_seconds=scheduled, actual_seconds=actual) == percent


@given(_SPANS, st.integers(1, 1000), st.none() | st.integers(0, 1000))
def test_the_missing_seconds_are_those_that_complete(
    spans: tuple[Span, ...], scheduled: int, actual: int | None
) -> None:
    """Nothing is missing to a completion; where something is, that much more completes and one second less does not."""

    def completes(credited: tuple[Span, ...]) -> bool:
        return by_attendance(credited, scheduled_seconds=scheduled, actual_seconds=actual) is not None

    missing = missing_seconds(seconds(spans), scheduled_seconds=scheduled, actual_seconds=actual)
    assert completes(spans) == (missing == 0)
    if missing:
        assert completes((*spans, Span(500, 500 + missing)))
        assert not completes((*spans, Span(500, 500 + missing - 1)))


@given(_SPANS, st.builds(Span, st.integers(0, 400), st.integers(0, 400)), st.integers(1, 300))
def test_more_attendance_never_completes_later(spans: tuple[Span, ...], more: Span, needed: int) -> None:
    """Never taken back, and never moved into the future."""
    before, after = crossing(spans, needed), crossing(union([*spans, more]), needed)
    assert before is None or (after is not None and after <= before)


@given(
    st.lists(st.integers(0, 20_000), min_size=2, max_size=8, unique=True).map(sorted),
    st.integers(1, 20_000),
    st.integers(0, 3000),
)
def test_who_was_there_all_the_time_completes(edges: list[int], scheduled: int, early: int) -> None:
    """However early or late it began and whatever was scheduled: credit and its denominator have the same windows."""
    runs = tuple(Run(*pair) for pair in zip(*[iter(edges)] * 2, strict=False))
    found = attend([Interval(start=edges[0] - early, end=edges[-1])], runs, now=edges[-1])
    assert found is not None
    actual = seconds(credit_windows(runs, edges[-1]))
    assert found.total_duration == actual
    done = by_attendance(found.credited, scheduled_seconds=scheduled, actual_seconds=actual)
    assert done is not None
    assert done.at <= edges[-1]


@pytest.mark.parametrize(
    ("played", "done"),
    [
        ([(0, 90)], True),
        ([(0, 89.9)], False),
        ([(10, 100)], True),
        ([(99, 100)], False),
        ([(0, 50), (50, 90)], True),
        ([(0, 50), (0, 50), (0, 50)], False),
        ([(0, 30), (20, 60), (40, 91)], True),
        ([(-50, 40), (60, 500)], False),
        ([(-50, 45), (50, 500)], True),
        ([(90, 0)], False),
        ([(1e306, 0), (0, 1e306)], True),
        ([(1e306, 2e306), (-2e306, -1e306)], False),
        ([(0, math.nan), (math.nan, 100), (-math.inf, math.inf)], False),
        ([], False),
    ],
)
def test_the_recording_counts_by_distinct_seconds(played: list[tuple[float, float]], done: bool) -> None:
    """90 % inclusive of the union of what was played: seeking to the end fails, and so does nonsense."""
    result = by_recording(played, 100, now=7)
    assert result == (Completion(CompletionWay.RECORDING, 7) if done else None)


@pytest.mark.parametrize("duration", [0, -1, math.nan, math.inf])
def test_a_recording_without_a_duration_completes_nobody(duration: float) -> None:
    """Nothing of nothing is no 90 %."""
    assert by_recording([(0, 100)], duration, now=7) is None


@given(st.lists(st.tuples(st.floats(), st.floats()), max_size=10), st.floats(0.001, 10_000))
def test_nobody_watches_more_than_there_is(played: list[tuple[float, float]], duration: float) -> None:
    """Whatever a browser sends, the watched part lies between nothing and all of it."""
    assert 0 <= watched_milliseconds(played, duration) <= round(duration * 1000)


@given(
    st.integers(1, 100_000).flatmap(
        lambda length: st.tuples(
            st.just(length),
            st.lists(st.builds(Span, st.integers(0, length), st.integers(0, length)), max_size=30).map(union),
        )
    )
)
def test_what_is_drawn_misses_no_long_gap(case: tuple[int, tuple[Span, ...]]) -> None:
    """All that was watched is drawn, gaps of more than a 400th stay, and there are never more parts than that."""
    length, spans = case
    drawn = drawn_spans(spans, length)
    assert len(drawn) <= DRAWN + 1
    assert union([*spans, *drawn]) == drawn
    gaps = [(one.end, two.start) for one, two in itertools.pairwise(spans)]
    long_gaps = [(start, end) for start, end in gaps if end - start > length // DRAWN]
    assert [(one.end, two.start) for one, two in itertools.pairwise(drawn)] == long_gaps


def test_a_recording_watched_in_pieces_is_drawn_in_few_parts() -> None:
    """Three hours of which each other half second was watched: one part, not ten thousand."""
    pieces = [(at, at + 500) for at in range(0, 3 * 3_600_000, 1000)]
    assert drawn_spans(pieces, 3 * 3_600_000) == (Span(0, 3 * 3_600_000 - 500),)

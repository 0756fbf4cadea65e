"""Credit for watching: what a page may say, and what it is worth."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.live.completion import (
    FASTEST,
    FIRST_ALLOWANCE,
    LONGEST_SILENCE,
    Credit,
    ReportAllowance,
    by_recording,
    credit,
)

LENGTH = 600_000  # ten minutes
SECONDS = LENGTH / 1000


def watched(reports: list[tuple[float, list[tuple[float, float]]]], *, length: int = LENGTH) -> Credit:
    """The credit after reports, each some seconds after the one before."""
    now = 100.0
    so_far = Credit((), ReportAllowance.at_first(now))
    for pause, segments in reports:
        now += pause
        so_far = credit(so_far.spans, segments, length=length, allowance=so_far.allowance, now=now)
    return so_far


def is_complete(found: Credit, length: int = LENGTH) -> bool:
    """Whether the recording is completed by it."""
    played = [(start / 1000, end / 1000) for start, end in found.spans]
    return by_recording(played, length / 1000, now=1) is not None


def test_who_plays_it_all_completes_it() -> None:
    """Ten minutes at the natural speed, told every ten seconds; also when told at twice the speed."""
    for speed in (1, 2):
        step = 10 * speed
        reports = [(10.0, [(at, at + step)]) for at in range(0, int(SECONDS), step)]
        assert is_complete(watched([(at, list(played)) for at, played in reports]))


def test_seeking_to_the_end_completes_nothing() -> None:
    """semantics.md, "Completion": the last seconds are the last seconds, however long the page was open."""
    found = watched([(60.0, [(0, 5), (SECONDS - 5, SECONDS)])] * 20)
    assert found.watched == 10_000
    assert not is_complete(found)


def test_a_report_of_everything_at_once_earns_what_the_clock_allows() -> None:
    """A viewer who opens the page, waits and claims it all gets two minutes at most."""
    assert watched([(3600.0, [(0, SECONDS)])]).watched == FASTEST * LONGEST_SILENCE * 1000
    assert watched([(0.0, [(0, SECONDS)])]).watched == FIRST_ALLOWANCE * 1000


def test_faster_than_twice_the_speed_is_cut_off() -> None:
    """Sixteen times the speed earns twice."""
    found = watched([(10.0, [(at, at + 160)]) for at in range(0, 480, 160)])
    assert found.watched <= (3 * 10 * FASTEST + FIRST_ALLOWANCE) * 1000


def test_many_small_reports_earn_no_more_than_one() -> None:
    """A thousand reports in one second are worth a second."""
    found = watched([(0.001, [(at, at + 1)]) for at in range(500)])
    assert found.watched <= (FIRST_ALLOWANCE + FASTEST * 0.5) * 1000 + 1


def test_a_second_that_is_played_twice_counts_once() -> None:
    """The union, not the sum."""
    assert watched([(30.0, [(0, 20)]), (30.0, [(0, 20)]), (30.0, [(10, 25)])]).watched == 25_000


@pytest.mark.family("attendance")
@pytest.mark.parametrize(
    "segment",
    [
        (math.nan, 5.0),
        (0.0, math.inf),
        (-math.inf, math.inf),
        (50.0, 10.0),
        (5.0, 5.0),
        (-30.0, -1.0),
        (SECONDS, SECONDS + 60),
        (0.0, 0.3),
    ],
)
def test_what_cannot_have_been_played_earns_nothing(segment: tuple[float, float]) -> None:
    """No number, reversed, empty, outside of the recording, or shorter than half a second."""
    assert watched([(60.0, [segment])]).watched == 0


def test_what_reaches_beyond_the_recording_is_cut() -> None:
    """The length is the daemon's, not the page's."""
    assert watched([(60.0, [(SECONDS - 10, SECONDS + 50)])]).watched == 10_000


def test_a_clock_that_goes_back_gives_nothing() -> None:
    """The allowance never grows by a time that has not passed."""
    before = ReportAllowance(10.0, 100.0)
    assert before.after(50.0) == ReportAllowance(10.0, 100.0)


times = st.floats(min_value=0, max_value=70)
places = st.floats(min_value=-10, max_value=SECONDS + 10)
reports = st.lists(
    st.tuples(times, st.lists(st.tuples(places, places), max_size=5)),
    max_size=30,
)


@given(reports)
def test_nobody_earns_more_than_the_time_that_passed(
    given_reports: list[tuple[float, list[tuple[float, float]]]],
) -> None:
    """Whatever is reported: at most twice the time, plus what a first word may say, and never more than there is."""
    found = watched(given_reports)
    passed = sum(pause for pause, _ in given_reports)
    assert found.watched <= min((FASTEST * passed + FIRST_ALLOWANCE) * 1000 + 1, LENGTH)
    assert all(0 <= start < end <= LENGTH for start, end in found.spans)
    assert all(before.end < after.start for before, after in zip(found.spans, found.spans[1:], strict=False))


@given(st.integers(0, 2**32), st.integers(1, 200))
def test_jumping_about_never_completes_what_was_not_played(seed: int, jumps: int) -> None:
    """Seeking to the end, and to anywhere else: without nine tenths of distinct seconds there is no completion."""
    chance = random.Random(seed)
    honest: list[tuple[float, list[tuple[float, float]]]] = []
    for _ in range(jumps):
        start = chance.choice([SECONDS - 3, SECONDS - 30, chance.uniform(0, SECONDS)])
        played = chance.uniform(0.5, 20)
        honest.append((played, [(start, min(start + played, SECONDS))]))
    found = watched(honest)
    assert is_complete(found) == (found.watched >= 0.9 * LENGTH)
    assert found.watched <= sum(min(pause, 20) for pause, _ in honest) * 1000 + jumps

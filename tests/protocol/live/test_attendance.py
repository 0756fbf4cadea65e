"""Attendance as interval arithmetic."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.live.attendance import (
    AttendanceOfPerson,
    AttendancePolicy,
    Evidence,
    Interval,
    Span,
    attend,
    clip,
    closed_span,
    credit_windows,
    seconds,
    union,
)
from podium_protocol.live.lifecycle import Run

START, END = 10_000, 13_600
RUN = (Run(START, END),)
POLICY = AttendancePolicy()


def stay(start: int, end: int | None = None, *, seen: int = 0, evidence: Evidence = Evidence.ENGINE) -> Interval:
    """One connection."""
    return Interval(start=start, end=end, last_seen=seen, evidence=evidence)


def of(
    *stays: Interval, runs: tuple[Run, ...] = RUN, now: int = END + 9999, gaps: tuple[Span, ...] = ()
) -> AttendanceOfPerson:
    """The attendance that these connections make."""
    found = attend(stays, runs, now=now, gaps=gaps)
    assert found is not None
    return found


def test_one_stay_is_what_it_is() -> None:
    """Joined, left, the seconds between, and one join."""
    found = of(stay(START + 60, START + 660))
    assert (found.joined_at, found.left_at, found.total_duration, found.join_count) == (START + 60, START + 660, 600, 1)
    assert found.credited == (Span(START + 60, START + 660),)


def test_several_devices_are_united_and_not_added() -> None:
    """A phone beside a laptop earns nothing, and is no second join."""
    found = of(stay(START, START + 1000), stay(START + 200, START + 700), stay(START + 900, START + 1200))
    assert (found.total_duration, found.join_count) == (1200, 1)


@pytest.mark.parametrize(("gap", "total", "joins"), [(59, 1059, 1), (60, 1060, 1), (61, 1000, 2)])
def test_short_gaps_are_bridged_and_credited(gap: int, total: int, joins: int) -> None:
    """Up to 60 s inclusive; longer ones are a new join and not credited."""
    found = of(stay(START, START + 400), stay(START + 400 + gap, START + 1000 + gap))
    assert (found.total_duration, found.join_count) == (total, joins)


def test_credit_counts_from_the_actual_start() -> None:
    """A start by hand before the hour earns as much as one after it; an early arrival earns nothing."""
    early = of(stay(START - 1000, START + 100), runs=(Run(START - 840, END),))
    assert (early.joined_at, early.total_duration) == (START - 1000, 940)
    late = of(stay(START, START + 400), runs=(Run(START + 300, END),))
    assert late.total_duration == 100


def test_nothing_counts_after_the_actual_end() -> None:
    """Who lingers leaves at the end."""
    found = of(stay(START + 3000, END + 500))
    assert (found.left_at, found.total_duration) == (END, 600)


def test_a_missing_leave_ends_a_heartbeat_after_the_last_evidence() -> None:
    """Never at the session's end."""
    assert closed_span(stay(START, seen=START + 100), until=END) == Span(START, START + 160)
    assert closed_span(stay(START), until=END) == Span(START, START + 60)
    assert closed_span(stay(START, evidence=Evidence.PRESENCE), until=END) == Span(START, START + 150)


def test_who_is_still_connected_at_the_end_gets_the_end() -> None:
    """Seen within the last heartbeat before it."""
    assert of(stay(END - 1000, seen=END - 59)).total_duration == 1000
    assert of(stay(END - 1000, seen=END - 61)).total_duration == 999


def test_who_is_there_has_not_left() -> None:
    """While the session lasts and the connection was seen lately; then they have."""
    running = (Run(START),)
    there = of(stay(START, seen=START + 500), runs=running, now=START + 530)
    assert (there.left_at, there.total_duration) == (None, 530)
    gone = of(stay(START, seen=START + 500), runs=running, now=START + 561)
    assert (gone.left_at, gone.total_duration) == (START + 560, 560)


def test_whoever_arrives_this_second_is_there() -> None:
    """With nothing to credit yet."""
    found = of(stay(START + 5, seen=START + 5), runs=(Run(START),), now=START + 5)
    assert (found.left_at, found.total_duration, found.join_count) == (None, 0, 1)


def test_the_break_before_a_second_run_is_not_credited() -> None:
    """A reopened session counts in both runs, and coming back for the second is a return."""
    runs = (Run(START, START + 1000), Run(START + 2000, START + 2500))
    found = of(stay(START, START + 1000), stay(START + 2000, START + 2500), runs=runs)
    assert (found.total_duration, found.join_count) == (1500, 2)
    stayed = of(stay(START, START + 2500), runs=runs)
    assert (stayed.total_duration, stayed.join_count) == (1500, 1)


def test_a_return_after_nobody_was_watching_is_no_new_join() -> None:
    """Absence is never assumed: what the gap covers is neither credited nor held against anybody."""
    stays = (stay(START, START + 500), stay(START + 900, START + 1000))
    assert of(*stays).join_count == 2
    watched_less = of(*stays, gaps=(Span(START + 520, START + 880),))
    assert (watched_less.join_count, watched_less.total_duration) == (1, 600)
    barely = of(*stays, gaps=(Span(START + 600, START + 880),))
    assert barely.join_count == 2


def test_presence_counts_only_without_an_engine() -> None:
    """The engine knows better; the weakest evidence is the one that is named."""
    beat = stay(START, START + 150, evidence=Evidence.PRESENCE)
    assert attend([beat], RUN, now=END) is None
    alone = attend([beat], RUN, now=END, has_engine=False)
    assert alone is not None
    assert (alone.evidence, alone.total_duration) == (Evidence.PRESENCE, 150)
    assert (
        of(stay(START, START + 9), stay(START + 20, START + 90, evidence=Evidence.MANUAL)).evidence is Evidence.MANUAL
    )


def test_a_seat_without_media_is_presence() -> None:
    """It counts beside an engine, and says what it is; a seat with media proves nothing of another one."""
    silent = Interval(start=START, end=START + 60, media=False)
    seen = of(silent)
    assert (seen.evidence, seen.total_duration) == (Evidence.PRESENCE, 60)
    assert of(stay(START, START + 60)).evidence is Evidence.ENGINE
    assert of(silent, stay(START + 300, START + 360)).evidence is Evidence.PRESENCE


@pytest.mark.family("attendance")
@pytest.mark.parametrize(
    "stays", [(), (stay(START + 10, START + 10),), (stay(START + 10, START - 10),), (stay(END + 5),)]
)
def test_nothing_is_no_attendance(stays: tuple[Interval, ...]) -> None:
    """No interval, empty and reversed ones, and one that begins after the end."""
    assert attend(stays, RUN, now=END + 50) is None


def test_windows_are_the_runs() -> None:
    """From each start to its end; one that lasts goes up to now."""
    runs = (Run(START - 900, START - 100), Run(START + 200))
    assert credit_windows(runs, START + 300) == (Span(START - 900, START - 100), Span(START + 200, START + 300))


def test_empty_and_reversed_spans_vanish() -> None:
    """They hold no second, and bridge nothing."""
    assert union([Span(5, 5), Span(9, 3)]) == ()
    assert union([Span(0, 10), Span(40, 40), Span(70, 80)], bridge=30) == (Span(0, 10), Span(70, 80))


_SPANS = st.lists(st.builds(Span, st.integers(0, 300), st.integers(0, 300)), max_size=20)
_BRIDGES = st.integers(0, 40)


def covered(spans: list[Span] | tuple[Span, ...]) -> set[int]:
    """The seconds one by one: slow and obvious."""
    return {second for span in spans for second in range(span.start, span.end)}


@given(_SPANS)
def test_the_union_is_the_set_of_seconds(spans: list[Span]) -> None:
    """The same seconds, sorted, disjoint, and never more than the sum."""
    merged = union(spans)
    assert covered(merged) == covered(spans)
    assert seconds(merged) == len(covered(spans))
    assert seconds(merged) <= sum(max(span.end - span.start, 0) for span in spans)


@given(_SPANS, _BRIDGES, st.randoms())
def test_the_union_is_idempotent_and_blind_to_order(spans: list[Span], bridge: int, shuffle: random.Random) -> None:
    """United again, nothing changes; shuffled and doubled, neither."""
    merged = union(spans, bridge)
    assert union(merged, bridge) == merged
    mixed = [*spans, *spans]
    shuffle.shuffle(mixed)
    assert union(mixed, bridge) == merged


@given(_SPANS, _BRIDGES)
def test_only_short_gaps_are_bridged(spans: list[Span], bridge: int) -> None:
    """What stands apart is further apart than the bridge; what was added lies between two that are near."""
    merged = union(spans, bridge)
    assert all(right.start - left.end > bridge for left, right in itertools.pairwise(merged))
    added = covered(merged) - covered(spans)
    assert seconds(merged) == len(covered(spans)) + len(added)


@given(_SPANS, _SPANS)
def test_clipping_is_the_intersection(spans: list[Span], windows: list[Span]) -> None:
    """Exactly the seconds that are in both."""
    parts = clip(union(spans), union(windows))
    assert covered(parts) == covered(spans) & covered(windows)
    assert seconds(parts) == len(covered(parts))


_STAYS = st.lists(
    st.builds(
        Interval,
        start=st.integers(START - 400, END + 400),
        end=st.none() | st.integers(START - 400, END + 400),
        last_seen=st.integers(0, END + 400),
    ),
    max_size=12,
)


@given(_STAYS, st.builds(Interval, start=st.integers(START - 400, END), end=st.integers(START, END + 400)))
def test_more_evidence_never_takes_credit_away(stays: list[Interval], more: Interval) -> None:
    """Monotone, and never more than the window."""
    before = attend(stays, RUN, now=END)
    after = attend([*stays, more], RUN, now=END)
    credit = before.total_duration if before else 0
    assert credit <= (after.total_duration if after else 0) <= END - START


_RUNS = st.lists(st.integers(START - 2000, END), min_size=2, max_size=8, unique=True).map(
    lambda edges: tuple(Run(*pair) for pair in zip(*[iter(sorted(edges))] * 2, strict=False))
)


@given(_STAYS, _RUNS)
def test_credit_is_given_inside_the_runs_and_nowhere_else(stays: list[Interval], runs: tuple[Run, ...]) -> None:
    """Not a second of credit lies outside what was held, and nobody has more of it than there was."""
    found = attend(stays, runs, now=END)
    windows = credit_windows(runs, END)
    if found is not None:
        assert covered(found.credited) <= covered(windows)
        assert found.total_duration <= seconds(windows)


@given(_RUNS, st.integers(0, 3000), st.integers(0, 3000))
def test_who_was_there_all_the_time_has_all_the_credit(runs: tuple[Run, ...], before: int, after: int) -> None:
    """Whenever it really started and ended, and however early they came or late they went."""
    everything = stay(runs[0].start - before, (runs[-1].end or END) + after)
    assert of(everything, runs=runs).total_duration == seconds(credit_windows(runs, END))


@given(_STAYS, st.randoms())
def test_attendance_does_not_depend_on_the_order_of_events(stays: list[Interval], shuffle: random.Random) -> None:
    """Engines lose, repeat and reorder."""
    mixed = [*stays, *stays]
    shuffle.shuffle(mixed)
    assert attend(mixed, RUN, now=END) == attend(stays, RUN, now=END)


@given(_STAYS, st.lists(st.builds(Span, st.integers(START, END), st.integers(START, END)), max_size=4))
def test_unwatched_time_never_adds_joins(stays: list[Interval], gaps: list[Span]) -> None:
    """A gap forgives returns and changes nothing else."""
    plain = attend(stays, RUN, now=END)
    forgiving = attend(stays, RUN, now=END, gaps=gaps)
    if plain is None or forgiving is None:
        assert plain is forgiving
    else:
        assert 1 <= forgiving.join_count <= plain.join_count
        assert forgiving.total_duration == plain.total_duration

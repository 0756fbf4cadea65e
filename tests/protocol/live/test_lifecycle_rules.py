"""When sessions start, warn and end."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.live.lifecycle import TRANSITIONS, SessionState, Trigger
from podium_protocol.live.lifecycle_rules import (
    Blocked,
    BlockReason,
    Cancel,
    Decision,
    End,
    Facts,
    LifecyclePolicy,
    Start,
    StartPolicy,
    TakeBack,
    Wait,
    Warn,
    check_manual_start,
    check_reopen,
    decide,
    doors_open,
    doors_open_at,
    next_wakeup,
    planned_end,
)

START, END = 100_000, 105_400
POLICY = LifecyclePolicy()
SCHEDULED = Facts(state=SessionState.SCHEDULED, scheduled_start=START, scheduled_end=END, instructor_verified=True)
ACTIVE = msgspec.structs.replace(SCHEDULED, state=SessionState.ACTIVE, started_at=START, warned=True)
ENDED = msgspec.structs.replace(ACTIVE, state=SessionState.ENDED, ended_at=END)
BY_INSTRUCTOR = msgspec.structs.replace(SCHEDULED, start_policy=StartPolicy.INSTRUCTOR)


def ask(facts: Facts, now: int, **changes: object) -> Decision:
    """The decision on the facts with some of them changed."""
    return decide(msgspec.structs.replace(facts, **changes), POLICY, now)


def test_the_doors_open_a_quarter_of_an_hour_before() -> None:
    """The first thing to wake up for is the doors, the second the start."""
    assert ask(SCHEDULED, START - 5000) == Wait(START - 900)
    assert ask(SCHEDULED, START - 900) == Wait(START)
    assert doors_open_at(SCHEDULED, POLICY) == START - 900
    assert not doors_open(SCHEDULED, POLICY, START - 901)
    assert doors_open(SCHEDULED, POLICY, START - 900)
    assert not doors_open(msgspec.structs.replace(SCHEDULED, cancelled=True), POLICY, START)
    assert doors_open(ACTIVE, POLICY, START - 5000)
    assert not doors_open(ENDED, POLICY, END)


def test_the_clock_starts_a_session_of_a_verified_instructor() -> None:
    """At the scheduled second, and after it if the daemon was away."""
    assert ask(SCHEDULED, START - 1) == Wait(START)
    assert ask(SCHEDULED, START) == Start(Trigger.CLOCK_START)
    assert ask(SCHEDULED, END - 1) == Start(Trigger.CLOCK_START)


def test_an_unverified_instructor_blocks_the_start() -> None:
    """It stays scheduled and says why, until its end has passed."""
    for facts in (SCHEDULED, BY_INSTRUCTOR):
        assert ask(facts, START, instructor_verified=False) == Blocked(BlockReason.INSTRUCTOR_UNVERIFIED, END)
        assert ask(facts, END, instructor_verified=False) == End(Trigger.LAPSE, END)


def test_a_session_that_nobody_started_by_its_end_lapses() -> None:
    """A daemon that comes back too late does not open an empty room."""
    assert ask(SCHEDULED, END) == End(Trigger.LAPSE, END)


def test_the_start_can_wait_for_the_instructor() -> None:
    """`start_policy = instructor`: blocked until they are in the room, given up after 30 minutes."""
    assert ask(BY_INSTRUCTOR, START) == Blocked(BlockReason.INSTRUCTOR_ABSENT, START + 1800)
    assert ask(BY_INSTRUCTOR, START + 1799, instructor_present=True) == Start(Trigger.INSTRUCTOR_CAME)
    assert ask(BY_INSTRUCTOR, START + 1799) == Blocked(BlockReason.INSTRUCTOR_ABSENT, START + 1800)
    assert ask(BY_INSTRUCTOR, START + 1800) == End(Trigger.NO_SHOW, START + 1800)


def test_a_short_session_still_waits_the_full_no_show_time() -> None:
    """The instructor of a session of 20 minutes has 30 minutes too."""
    short = msgspec.structs.replace(BY_INSTRUCTOR, scheduled_end=START + 1200)
    assert ask(short, START + 1500) == Blocked(BlockReason.INSTRUCTOR_ABSENT, START + 1800)
    assert ask(short, START + 1500, instructor_present=True) == Start(Trigger.INSTRUCTOR_CAME)


def test_a_daemon_that_was_away_does_not_accuse_the_instructor() -> None:
    """Nobody could enter while it was down: the no-show time counts from its return."""
    back = START + 3000
    assert ask(BY_INSTRUCTOR, back, observed_since=back) == Blocked(BlockReason.INSTRUCTOR_ABSENT, back + 1800)


def test_the_room_is_warned_once_before_the_end() -> None:
    """Five minutes before; then it waits for the end."""
    assert ask(ACTIVE, END - 301, warned=False) == Wait(END - 300)
    assert ask(ACTIVE, END - 300, warned=False) == Warn(END)
    assert ask(ACTIVE, END - 1, warned=False) == Warn(END)
    assert ask(ACTIVE, END - 300) == Wait(END)


def test_it_ends_when_the_duration_has_elapsed() -> None:
    """Unless the instructor is there."""
    assert ask(ACTIVE, END - 1) == Wait(END)
    assert ask(ACTIVE, END) == End(Trigger.DURATION_ELAPSED, END)


def test_it_runs_on_while_the_instructor_is_present() -> None:
    """Up to 30 minutes, and no longer."""
    assert ask(ACTIVE, END, instructor_present=True) == Wait(END + 1800)
    assert ask(ACTIVE, END + 1799, instructor_present=True) == Wait(END + 1800)
    assert ask(ACTIVE, END + 1800, instructor_present=True) == End(Trigger.OVERRUN_LIMIT, END + 1800)


def test_a_dropped_connection_does_not_end_an_overrun() -> None:
    """The instructor counts as present for one heartbeat after they were last seen."""
    seen = END + 500
    assert ask(ACTIVE, seen + 59, instructor_last_seen=seen) == Wait(seen + 60)
    assert ask(ACTIVE, seen + 60, instructor_last_seen=seen) == End(Trigger.DURATION_ELAPSED, seen + 60)
    near = END + 1790
    assert ask(ACTIVE, near, instructor_last_seen=near) == Wait(END + 1800)


def test_a_daemon_that_was_away_writes_down_the_latest_possible_end() -> None:
    """Back hours later, the end it writes is the limit, not the time of its return."""
    assert ask(ACTIVE, END + 50_000) == End(Trigger.OVERRUN_LIMIT, END + 1800)


def test_a_cancelled_session_is_cancelled_or_withdrawn() -> None:
    """Before the start it becomes Cancelled; one that is live ends."""
    assert ask(SCHEDULED, START - 9999, cancelled=True) == Cancel()
    assert ask(ACTIVE, START + 5, cancelled=True) == End(Trigger.WITHDRAWN, START + 5)


def test_a_reopened_session_has_its_own_overrun() -> None:
    """Its duration has elapsed from the beginning: it lasts while the instructor is there, or has time to come."""
    again = msgspec.structs.replace(ACTIVE, started_at=END + 1000)
    assert planned_end(again) == END + 1000
    assert ask(again, END + 1000) == Wait(END + 1300)
    assert ask(again, END + 1300) == End(Trigger.DURATION_ELAPSED, END + 1300)
    assert ask(again, END + 1300, instructor_present=True) == Wait(END + 2800)


@pytest.mark.parametrize(
    ("facts", "now", "reason"),
    [
        (SCHEDULED, START - 901, BlockReason.DOORS_CLOSED),
        (msgspec.structs.replace(SCHEDULED, instructor_verified=False), START, BlockReason.INSTRUCTOR_UNVERIFIED),
        (msgspec.structs.replace(SCHEDULED, cancelled=True), START, BlockReason.CANCELLED),
        (SCHEDULED, END, BlockReason.TOO_LATE),
        (ACTIVE, START, BlockReason.WRONG_STATE),
        (ENDED, END, BlockReason.WRONG_STATE),
    ],
)
def test_a_start_command_is_refused_with_the_reason(facts: Facts, now: int, reason: BlockReason) -> None:
    """Too early, not verified, cancelled, too late, or already begun."""
    refused = check_manual_start(facts, POLICY, now)
    assert refused is not None
    assert refused.reason is reason


def test_a_start_command_goes_through_from_doors_open_on() -> None:
    """Up to a quarter of an hour early, also where the start waits for the instructor."""
    assert check_manual_start(SCHEDULED, POLICY, START - 900) is None
    assert check_manual_start(BY_INSTRUCTOR, POLICY, START - 900) is None


def test_reopening_is_possible_for_half_an_hour() -> None:
    """Inclusive; and only what was live, by a verified instructor, and not cancelled meanwhile."""
    assert check_reopen(ENDED, POLICY, END + 1800) is None
    assert ask(ENDED, END + 100) == Wait(END + 1800)
    assert ask(ENDED, END + 1801) == Wait(None)
    late = check_reopen(ENDED, POLICY, END + 1801)
    assert late is not None
    assert late.reason is BlockReason.TOO_LATE
    for change in ({"started_at": None}, {"ended_at": None}, {"state": SessionState.ACTIVE}):
        wrong = check_reopen(msgspec.structs.replace(ENDED, **change), POLICY, END)  # type: ignore[arg-type]  # one of three
        assert wrong is not None
        assert wrong.reason is BlockReason.WRONG_STATE
    for change, reason in (
        ({"cancelled": True}, BlockReason.CANCELLED),
        ({"instructor_verified": False}, BlockReason.INSTRUCTOR_UNVERIFIED),
    ):
        refused = check_reopen(msgspec.structs.replace(ENDED, **change), POLICY, END)
        assert refused is not None
        assert refused.reason is reason


def test_a_cancellation_is_taken_back_within_the_session_s_time() -> None:
    """Before its end it is scheduled again, or live again if it was; from then on it stays over."""
    again = msgspec.structs.replace(SCHEDULED, state=SessionState.CANCELLED)
    assert ask(again, START - 5) == TakeBack()
    assert ask(again, END - 1) == TakeBack()
    assert ask(again, END) == Wait(None)
    assert ask(msgspec.structs.replace(again, cancelled=True), START) == Wait(None)
    live = msgspec.structs.replace(ENDED, ended_at=START + 60, ended_by_withdrawal=True)
    assert ask(live, START + 90) == Start(Trigger.TAKEN_BACK)
    assert isinstance(ask(live, END), Wait)
    for change in ({"cancelled": True}, {"instructor_verified": False}, {"ended_by_withdrawal": False}):
        assert isinstance(ask(msgspec.structs.replace(live, **change), START + 90), Wait)


_TIMES = st.integers(START - 2000, END + 6000)
_FACTS = st.builds(
    Facts,
    state=st.sampled_from(SessionState),
    scheduled_start=st.just(START),
    scheduled_end=st.just(END),
    started_at=st.none() | _TIMES,
    ended_at=st.none() | _TIMES,
    cancelled=st.booleans(),
    instructor_verified=st.booleans(),
    instructor_present=st.booleans(),
    instructor_last_seen=st.none() | _TIMES,
    start_policy=st.sampled_from(StartPolicy),
    warned=st.booleans(),
    ended_by_withdrawal=st.booleans(),
    observed_since=st.sampled_from([0, START + 1000]),
)


@given(_FACTS, _TIMES)
def test_every_decision_is_a_legal_move_or_lies_ahead(facts: Facts, now: int) -> None:
    """What it asks for is in the table, and what it waits for is later than now: no loop spins."""
    decision = decide(facts, POLICY, now)
    match decision:
        case Start(trigger) | End(trigger, _):
            assert (facts.state, trigger) in TRANSITIONS
        case Cancel():
            assert (facts.state, Trigger.CANCEL) in TRANSITIONS
        case TakeBack():
            assert (facts.state, Trigger.TAKEN_BACK) in TRANSITIONS
            assert now < facts.scheduled_end
        case Wait(until) | Blocked(_, until):
            assert until is None or until > now or facts.state is SessionState.ENDED
        case Warn(ends_at):
            assert ends_at > now


@given(_FACTS, _TIMES, st.integers(1, 4000))
def test_nothing_happens_before_the_next_wakeup(facts: Facts, now: int, later: int) -> None:
    """Asked at any time before the wake-up that was announced, the answer is still the same."""
    wakeup = next_wakeup(facts, POLICY, now)
    decision = decide(facts, POLICY, now)
    if isinstance(decision, Wait | Blocked) and (wakeup is None or now + later < wakeup):
        assert decide(facts, POLICY, now + later) == decision

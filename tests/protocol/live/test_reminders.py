"""Which messages are planned, and when."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.live.reminders import (
    LedgerState,
    Offset,
    PlannedMessage,
    ReminderMessage,
    ReminderPolicy,
    Standing,
    expires_at,
    is_start_in_time,
    plan,
    plan_answer,
    plan_cancelled,
    plan_moved,
    plan_no_show,
    plan_promotion,
    plan_recording,
    receives,
)
from podium_protocol.live.rsvp import RsvpStatus

START = 1_000_000
END = START + 3600
DAY, HOUR, MINUTE = 86_400, 3600, 60


def states(now: int, **more: int) -> dict[ReminderMessage, LedgerState]:
    """The states of a seated person's reminders, planned at `now`."""
    return {row.message: row.state for row in plan(START, Standing.SEATED, now=now, **more)}


def test_the_four_reminders_of_the_model_with_their_windows() -> None:
    """24 h until 2 h before, 1 h until 20 min before, 15 min until the start, the start for 15 min."""
    assert plan(START, Standing.SEATED, now=START - 10 * DAY) == (
        PlannedMessage(ReminderMessage.DAY, START - DAY, START - 2 * HOUR),
        PlannedMessage(ReminderMessage.HOUR, START - HOUR, START - 20 * MINUTE),
        PlannedMessage(ReminderMessage.QUARTER, START - 15 * MINUTE, START),
        PlannedMessage(ReminderMessage.START, START, START + 15 * MINUTE),
    )


@pytest.mark.parametrize("standing", [Standing.WAITLISTED, Standing.DECLINED, Standing.NONE, Standing.ATTENDED])
def test_nobody_else_is_reminded(standing: Standing) -> None:
    """Not the waitlisted, not the declined, not those who did not answer or are merely tagged."""
    assert plan(START, standing, now=START - 10 * DAY) == ()


def test_tentative_people_are_reminded_like_confirmed_ones() -> None:
    """The model sends reminders to both."""
    now = START - 10 * DAY
    assert plan(START, Standing.TENTATIVE, now=now) == plan(START, Standing.SEATED, now=now)


def test_an_offset_that_is_past_when_the_rsvp_appears_is_never_sent() -> None:
    """Skipped late, not sent late (cal.com#10749); exactly on time is not late."""
    assert states(START - 2 * HOUR)[ReminderMessage.DAY] is LedgerState.SKIPPED_LATE
    assert states(START - DAY)[ReminderMessage.DAY] is LedgerState.SCHEDULED
    assert states(START - DAY + 1)[ReminderMessage.DAY] is LedgerState.SKIPPED_LATE
    assert set(states(START + 1).values()) == {LedgerState.SKIPPED_LATE}


def test_a_reminder_right_after_the_confirmation_is_skipped() -> None:
    """Within ten minutes, inclusive; what comes later is sent."""
    near = START - HOUR - 600
    assert states(near, confirmed_at=near)[ReminderMessage.HOUR] is LedgerState.SKIPPED
    assert states(near - 1, confirmed_at=near - 1)[ReminderMessage.HOUR] is LedgerState.SCHEDULED
    assert states(near, confirmed_at=near)[ReminderMessage.QUARTER] is LedgerState.SCHEDULED


def test_an_old_confirmation_skips_nothing() -> None:
    """After a reschedule the confirmation of last week is no reason for silence."""
    assert set(states(START - 2 * DAY, confirmed_at=START - 9 * DAY).values()) == {LedgerState.SCHEDULED}


def test_a_reschedule_arms_again_what_lies_ahead() -> None:
    """An offset that was sent for the old time is planned for the new one (cal.com#7225)."""
    later = plan(START + 3 * DAY, Standing.SEATED, now=START - HOUR)
    assert {row.state for row in later} == {LedgerState.SCHEDULED}
    sooner = {row.message: row.state for row in plan(START, Standing.SEATED, now=START - 30 * MINUTE)}
    assert sooner[ReminderMessage.HOUR] is LedgerState.SKIPPED_LATE
    assert sooner[ReminderMessage.QUARTER] is LedgerState.SCHEDULED


def test_who_answers_is_confirmed_once_or_told_the_place() -> None:
    """Confirmed and tentative people get a confirmation, waitlisted ones their place, others nothing."""
    answers = {standing: plan_answer(standing, now=START - DAY, ends_at=END) for standing in Standing}
    kinds = {standing: row.message for standing, row in answers.items() if row is not None}
    assert kinds == {
        Standing.SEATED: ReminderMessage.CONFIRMATION,
        Standing.TENTATIVE: ReminderMessage.CONFIRMATION,
        Standing.WAITLISTED: ReminderMessage.WAITLISTED,
    }


def test_an_answer_after_the_end_still_has_a_window() -> None:
    """RSVPs stay open while a session overruns."""
    late = plan_answer(Standing.SEATED, now=END + 60, ends_at=END)
    assert late is not None
    assert late.window_ends_at > late.due_at


def test_a_move_is_told_after_the_debounce() -> None:
    """Ten minutes later, or at once if the new start is less than half an hour away."""
    now = START - DAY
    assert plan_moved(START, START + HOUR, now=now, new_ends_at=END + HOUR) == PlannedMessage(
        ReminderMessage.MOVED, now + 600, END + HOUR
    )
    soon = plan_moved(START, now + 1799, now=now, new_ends_at=END)
    edge = plan_moved(START, now + 1800, now=now, new_ends_at=END)
    assert soon is not None
    assert edge is not None
    assert (soon.due_at, edge.due_at) == (now, now + 600)


def test_a_move_there_and_back_is_not_told() -> None:
    """People still know the right time."""
    assert plan_moved(START, START, now=START - DAY, new_ends_at=END) is None


@pytest.mark.parametrize(
    ("message", "audience"),
    [
        (ReminderMessage.MOVED, {Standing.SEATED, Standing.TENTATIVE, Standing.WAITLISTED}),
        (ReminderMessage.CANCELLED, {Standing.SEATED, Standing.TENTATIVE, Standing.WAITLISTED}),
        (ReminderMessage.PROMOTED, {Standing.SEATED}),
        (ReminderMessage.RECORDING, {Standing.SEATED, Standing.TENTATIVE, Standing.WAITLISTED, Standing.ATTENDED}),
        (ReminderMessage.NO_SHOW, {Standing.SEATED, Standing.TENTATIVE, Standing.ATTENDED}),
    ],
)
def test_news_has_its_audience(message: ReminderMessage, audience: set[Standing]) -> None:
    """The recording goes to all who did not decline and to everybody who attended."""
    assert {standing for standing in Standing if receives(message, standing)} == audience


def test_news_has_its_window() -> None:
    """A recording stays news for 14 days, a cancellation until the session would have ended."""
    assert plan_recording(now=END).window_ends_at == END + 14 * DAY
    assert plan_no_show(now=START).window_ends_at == START + DAY
    assert plan_cancelled(now=START - DAY, ends_at=END).window_ends_at == END
    assert plan_promotion(now=START - DAY, ends_at=END).window_ends_at == END


def test_a_wrap_expires_with_the_session() -> None:
    """But not before its message has reached the end of its window."""
    (day, *_) = plan(START, Standing.SEATED, now=0)
    assert expires_at(day, END) == END
    assert expires_at(plan_recording(now=END + DAY), END) == END + 15 * DAY


@pytest.mark.parametrize(
    ("status", "waitlisted", "attended", "standing"),
    [
        (RsvpStatus.CONFIRMED, False, True, Standing.SEATED),
        (RsvpStatus.CONFIRMED, True, False, Standing.WAITLISTED),
        (RsvpStatus.TENTATIVE, False, False, Standing.TENTATIVE),
        (RsvpStatus.DECLINED, False, False, Standing.DECLINED),
        (RsvpStatus.DECLINED, False, True, Standing.ATTENDED),
        (None, False, True, Standing.ATTENDED),
        (None, False, False, Standing.NONE),
    ],
)
def test_standing_follows_from_rsvp_seat_and_attendance(
    status: RsvpStatus | None, waitlisted: bool, attended: bool, standing: Standing
) -> None:
    """A participant who declined and came anyway has attended."""
    assert Standing.from_answer(status, waitlisted=waitlisted, attended=attended) is standing


def test_compressed_time_keeps_the_words() -> None:
    """A show of some seconds sends the same messages, and no quiet time swallows them."""
    spoken = (
        (ReminderMessage.DAY, 12, DAY),
        (ReminderMessage.HOUR, 8, HOUR),
        (ReminderMessage.QUARTER, 4, 900),
        (ReminderMessage.START, 0, 0),
    )
    policy = ReminderPolicy(tuple(Offset(message, before, 0, words) for message, before, words in spoken), 2, 2, 7)
    rows = plan(START, Standing.SEATED, now=START - 20, confirmed_at=START - 20, policy=policy)
    assert [(row.due_at - START, row.state) for row in rows] == [
        (-12, LedgerState.SCHEDULED),
        (-8, LedgerState.SCHEDULED),
        (-4, LedgerState.SCHEDULED),
        (0, LedgerState.SCHEDULED),
    ]


@given(st.integers(START - 3 * DAY, START + DAY), st.none() | st.integers(START - 3 * DAY, START + DAY))
def test_what_is_scheduled_lies_ahead_in_an_open_window(now: int, confirmed_at: int | None) -> None:
    """No planned row is overdue, and every window ends after its due time, without overlapping the next."""
    rows = plan(START, Standing.SEATED, now=now, confirmed_at=confirmed_at)
    for row in rows:
        assert (row.due_at >= now) or row.state is LedgerState.SKIPPED_LATE
        assert row.window_ends_at > row.due_at
    assert all(row.window_ends_at <= later.due_at for row, later in itertools.pairwise(rows))


@given(st.integers(START - 3600, START + 7200))
def test_live_now_is_due_when_the_session_begins(began_at: int) -> None:
    """Early or late, with its window from there; nothing else is due after it."""
    rows = {row.message: row for row in plan(START, Standing.SEATED, now=0, began_at=began_at)}
    live = rows.pop(ReminderMessage.START)
    assert (live.due_at, live.window_ends_at, live.state) == (began_at, began_at + 900, LedgerState.SCHEDULED)
    assert {row.state for row in rows.values() if row.due_at > began_at} <= {LedgerState.SKIPPED}
    assert {row.state for row in rows.values() if row.due_at <= began_at} <= {LedgerState.SCHEDULED}


@pytest.mark.parametrize(("began_at", "in_time"), [(-1, False), (0, True), (60, True), (61, False)])
def test_what_was_prepared_for_the_hour_is_true_within_a_minute_of_it(began_at: int, in_time: bool) -> None:
    """Wraps for thousands are made ahead: the second that a clock is late does not void them."""
    assert is_start_in_time(START, START + began_at) is in_time

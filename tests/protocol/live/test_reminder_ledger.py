"""What becomes of planned messages."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.events import Pubkey
from podium_protocol.live.reminder_ledger import (
    DueReminder,
    ReminderVerdict,
    Resolution,
    resolve_due,
)
from podium_protocol.live.reminders import LedgerState, ReminderMessage, Standing, plan, plan_moved, plan_recording

START = 1_000_000
DAY, HOUR, MINUTE = 86_400, 3600, 60
REMINDERS = (ReminderMessage.DAY, ReminderMessage.HOUR, ReminderMessage.QUARTER, ReminderMessage.START)


def ledger(person: str = "a", **facts: object) -> list[DueReminder]:
    """The rows of one person, planned long before."""
    return [
        DueReminder(
            session_address="lesson",
            epoch=0,
            message=row.message,
            pubkey=Pubkey(person),
            due_at=row.due_at,
            window_ends_at=row.window_ends_at,
            **facts,  # type: ignore[arg-type]  # named by the test
        )
        for row in plan(START, Standing.SEATED, now=0)
    ]


def verdicts(rows: list[DueReminder], now: int) -> dict[ReminderMessage, ReminderVerdict]:
    """The verdict on each row that is due."""
    return {each.row.message: each.verdict for each in resolve_due(rows, now)}


def only(message: ReminderMessage, **facts: object) -> Resolution:
    """The verdict on one reminder at its own time."""
    rows = [row for row in ledger(**facts) if row.message is message]
    (resolution,) = resolve_due(rows, rows[0].due_at)
    return resolution


def test_a_reminder_is_sent_when_it_is_due() -> None:
    """Not a second before; the others wait."""
    assert verdicts(ledger(), START - DAY - 1) == {}
    assert verdicts(ledger(), START - DAY) == {ReminderMessage.DAY: ReminderVerdict.SEND}


@pytest.mark.parametrize(
    ("back", "sent", "missed"),
    [
        (START - 3 * HOUR, {ReminderMessage.DAY}, set()),
        (START - 2 * HOUR, set(), {ReminderMessage.DAY}),
        (START - 50 * MINUTE, {ReminderMessage.HOUR}, {ReminderMessage.DAY}),
        (START - 20 * MINUTE, set(), {ReminderMessage.DAY, ReminderMessage.HOUR}),
        (START - 10 * MINUTE, {ReminderMessage.QUARTER}, {ReminderMessage.DAY, ReminderMessage.HOUR}),
        (
            START + 5 * MINUTE,
            {ReminderMessage.START},
            {ReminderMessage.DAY, ReminderMessage.HOUR, ReminderMessage.QUARTER},
        ),
        (START + 15 * MINUTE, set(), {*REMINDERS}),
    ],
)
def test_after_a_down_time_only_the_nearest_is_sent(
    back: int, sent: set[ReminderMessage], missed: set[ReminderMessage]
) -> None:
    """The rest are missed; each has its window."""
    found = verdicts(ledger(), back)
    assert {message for message, verdict in found.items() if verdict is ReminderVerdict.SEND} == sent
    assert {message for message, verdict in found.items() if verdict is ReminderVerdict.MISSED} == missed


def test_of_two_open_windows_the_nearer_to_the_start_counts() -> None:
    """Also where an operator's windows overlap."""
    rows = [msgspec.structs.replace(row, window_ends_at=START + HOUR) for row in ledger()]
    assert verdicts(rows, START - 30 * MINUTE) == {
        ReminderMessage.DAY: ReminderVerdict.MISSED,
        ReminderMessage.HOUR: ReminderVerdict.SEND,
    }


def test_people_and_sessions_do_not_hide_each_other() -> None:
    """The nearest is looked for per person, session and epoch."""
    late = [row for row in ledger("a") if row.message is ReminderMessage.DAY]
    near = [row for row in ledger("b") if row.message is ReminderMessage.HOUR]
    other = [msgspec.structs.replace(row, session_address="other", window_ends_at=START) for row in late]
    rows = [msgspec.structs.replace(late[0], window_ends_at=START), *near, *other]
    assert {each.verdict for each in resolve_due(rows, START - HOUR)} == {ReminderVerdict.SEND}


def test_a_minute_is_not_late() -> None:
    """More than a minute is: the text is rendered again."""
    rows = ledger()[:1]
    assert [each.late for each in resolve_due(rows, START - DAY + 60)] == [False]
    assert [each.late for each in resolve_due(rows, START - DAY + 61)] == [True]


@pytest.mark.parametrize(
    "state", [state for state in LedgerState if state not in (LedgerState.SCHEDULED, LedgerState.PREPARED)]
)
def test_what_is_settled_is_left_alone(state: LedgerState) -> None:
    """Sent is sent; a claimed row is on its way; a failed or undeliverable one has its own path back."""
    assert resolve_due(ledger(state=state), START) == ()


def test_a_prepared_message_is_sent_like_a_scheduled_one() -> None:
    """It is merely wrapped already."""
    assert only(ReminderMessage.DAY, state=LedgerState.PREPARED).verdict is ReminderVerdict.SEND


@pytest.mark.parametrize("standing", [Standing.DECLINED, Standing.WAITLISTED, Standing.NONE])
def test_whoever_is_no_longer_coming_is_skipped(standing: Standing) -> None:
    """What counts is the standing when it is due, not when it was planned."""
    resolution = only(ReminderMessage.HOUR, standing=standing)
    assert (resolution.verdict, resolution.verdict.state) == (ReminderVerdict.SKIPPED, LedgerState.SKIPPED)
    assert standing in resolution.reason


def test_stop_means_stop() -> None:
    """A person who opted out gets nothing."""
    assert only(ReminderMessage.HOUR, opted_out=True).verdict is ReminderVerdict.SKIPPED


def test_live_now_is_not_told_to_those_in_the_room() -> None:
    """Other reminders are."""
    assert only(ReminderMessage.START, present=True).verdict is ReminderVerdict.SKIPPED
    assert only(ReminderMessage.QUARTER, present=True).verdict is ReminderVerdict.SEND


def test_live_now_waits_for_the_session() -> None:
    """It is held while the session is not live, and missed when that takes too long."""
    assert only(ReminderMessage.START, live=False).verdict is ReminderVerdict.HOLD
    rows = ledger(live=False)[-1:]
    assert verdicts(rows, START + 14 * MINUTE) == {ReminderMessage.START: ReminderVerdict.HOLD}
    assert verdicts(rows, START + 15 * MINUTE) == {ReminderMessage.START: ReminderVerdict.MISSED}
    assert only(ReminderMessage.QUARTER, live=False).verdict is ReminderVerdict.SEND


def test_news_does_not_hide_reminders_nor_the_reverse() -> None:
    """A move that is due beside a reminder is sent too."""
    moved = plan_moved(START - HOUR, START, now=START - HOUR, new_ends_at=START + HOUR)
    assert moved is not None
    news = DueReminder(
        session_address="lesson",
        epoch=0,
        message=ReminderMessage.MOVED,
        pubkey=Pubkey("a"),
        due_at=moved.due_at,
        window_ends_at=moved.window_ends_at,
    )
    found = verdicts([*ledger(), news], START - 40 * MINUTE)
    assert (found[ReminderMessage.MOVED], found[ReminderMessage.HOUR]) == (ReminderVerdict.SEND, ReminderVerdict.SEND)


def test_a_recording_is_old_news_after_14_days() -> None:
    """Then it is missed."""
    planned = plan_recording(now=START)
    row = DueReminder(
        session_address="lesson",
        epoch=0,
        message=ReminderMessage.RECORDING,
        pubkey=Pubkey("a"),
        due_at=planned.due_at,
        window_ends_at=planned.window_ends_at,
        standing=Standing.ATTENDED,
    )
    assert verdicts([row], START + 14 * DAY - 1) == {ReminderMessage.RECORDING: ReminderVerdict.SEND}
    assert verdicts([row], START + 14 * DAY) == {ReminderMessage.RECORDING: ReminderVerdict.MISSED}


@given(
    st.lists(st.integers(START - 2 * DAY, START + HOUR), min_size=1, max_size=30).map(sorted),
    st.booleans(),
)
def test_no_order_of_down_times_sends_twice_or_loses_a_row(wakes: list[int], live: bool) -> None:
    """Whenever the daemon looks, each row is settled at most once, at most one reminder goes out per look, in order."""
    rows = {row.message: msgspec.structs.replace(row, live=live) for row in ledger()}
    sent: list[ReminderMessage] = []
    for now in wakes:
        found = resolve_due(rows.values(), now)
        assert sum(each.verdict is ReminderVerdict.SEND for each in found) <= 1
        for each in found:
            if each.verdict is not ReminderVerdict.HOLD:
                state = each.verdict.state or LedgerState.SENT
                rows[each.row.message] = msgspec.structs.replace(each.row, state=state)
                sent += [each.row.message] if state is LedgerState.SENT else []
    assert sent == [message for message in REMINDERS if message in sent]
    for row in rows.values():
        overdue = row.window_ends_at <= wakes[-1]
        assert not overdue or row.state in (LedgerState.SENT, LedgerState.MISSED)

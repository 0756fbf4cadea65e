"""The words of our messages."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.live.message_texts import (
    Subject,
    render,
    spoken_distance,
    spoken_time,
    write_message,
)
from podium_protocol.live.reminders import Offset, ReminderMessage, ReminderPolicy
from tests.support.events import key_of

START = 1_796_144_400  # 2026-12-01 18:00 in Berlin
URL = "https://podium.example/s/knots"
SUBJECT = Subject(title="Knots", starts_at=START, timezone="Europe/Berlin", join_url=URL)
DAY, HOUR, MINUTE = 86_400, 3600, 60
OFFSET = {
    ReminderMessage.DAY: DAY,
    ReminderMessage.HOUR: HOUR,
    ReminderMessage.QUARTER: 15 * MINUTE,
    ReminderMessage.START: 0,
}


def text(
    message: ReminderMessage, *, late: int = 0, subject: Subject = SUBJECT, policy: ReminderPolicy | None = None
) -> str:
    """The text of a message that is sent `late` seconds after its due time."""
    policy = policy or ReminderPolicy()
    offset = policy.offset(message)
    due = subject.starts_at - (offset.before if offset else DAY)
    return render(message, subject, due_at=due, now=due + late, policy=policy).text


@pytest.mark.parametrize(
    ("message", "headline"),
    [
        (ReminderMessage.DAY, "Tomorrow: Knots at 18:00"),
        (ReminderMessage.HOUR, "Knots starting in 1 hour"),
        (ReminderMessage.QUARTER, "Knots starting soon - Join Now"),
        (ReminderMessage.START, "Live now: Knots"),
    ],
)
def test_the_headlines_are_the_models(message: ReminderMessage, headline: str) -> None:
    """Word for word, up to a minute late, and when the text is prepared ahead."""
    for late in (-HOUR, 0, 60):
        assert text(message, late=late).split("\n")[0] == headline


def test_the_body_says_when_in_full() -> None:
    """Weekday, date, time, zone, offset, and the relative time."""
    body = text(ReminderMessage.HOUR)
    assert "Tuesday, 1 December 2026, 18:00 (Europe/Berlin, UTC+01:00)" in body
    assert "It starts in 1 hour." in body
    assert "Reply yes, maybe or no" in body


@pytest.mark.parametrize("message", list(ReminderMessage))
@pytest.mark.parametrize("late", [0, 23 * MINUTE])
def test_the_link_is_in_every_message(message: ReminderMessage, late: int) -> None:
    """Once, on a line of its own: a participant who looks for the way in finds it in whatever they read last."""
    assert text(message, late=late).count(URL) == 1


@pytest.mark.parametrize(
    ("message", "ahead", "says"),
    [
        (ReminderMessage.DAY, DAY, "The session's page: "),
        (ReminderMessage.HOUR, HOUR, "The session's page: "),
        (ReminderMessage.HOUR, 15 * MINUTE, "Join: "),
        (ReminderMessage.QUARTER, 15 * MINUTE, "Join: "),
        (ReminderMessage.START, 0, "Join: "),
        (ReminderMessage.CONFIRMATION, 20 * MINUTE, "The session's page: "),
        (ReminderMessage.CONFIRMATION, 15 * MINUTE, "Join: "),
        (ReminderMessage.PROMOTED, 15 * MINUTE, "Join: "),
        (ReminderMessage.WAITLISTED, 15 * MINUTE, "The session's page: "),
        (ReminderMessage.MOVED, 15 * MINUTE, "The session's page: "),
        (ReminderMessage.CANCELLED, HOUR, "The session's page: "),
        (ReminderMessage.NO_SHOW, 0, "The session's page: "),
    ],
)
def test_a_link_says_whether_it_leads_into_the_room(message: ReminderMessage, ahead: int, says: str) -> None:
    """The doors open a quarter of an hour before, and not for those who wait for a seat."""
    said = render(message, SUBJECT, due_at=START - ahead, now=START - ahead).text
    assert f"{says}{URL}" in said


@pytest.mark.parametrize(
    ("message", "late", "headline"),
    [
        (ReminderMessage.DAY, 2 * HOUR + 1800, "Knots starting in 21 hours 30 minutes"),
        (ReminderMessage.HOUR, 23 * MINUTE, "Knots starting in 37 minutes"),
        (ReminderMessage.HOUR, 61, "Knots starting in 58 minutes"),
        (ReminderMessage.QUARTER, 8 * MINUTE, "Knots starting in 7 minutes - Join Now"),
        (ReminderMessage.START, 5 * MINUTE, "Live now: Knots"),
    ],
)
def test_a_late_message_says_the_real_remaining_time(message: ReminderMessage, late: int, headline: str) -> None:
    """Never the name of its offset."""
    assert text(message, late=late).split("\n")[0] == headline


def test_a_late_start_says_how_long_it_has_been_live() -> None:
    """With the link."""
    body = text(ReminderMessage.START, late=300)
    assert "It started 5 minutes ago." in body
    assert URL in body


def test_tomorrow_is_not_said_of_today() -> None:
    """On the day that the clocks are set back, 24 hours before is the same date."""
    start = int(datetime(2026, 10, 25, 22, 30, tzinfo=UTC).timestamp())  # 23:30 in Berlin, on a day of 25 hours
    subject = msgspec.structs.replace(SUBJECT, starts_at=start)
    assert text(ReminderMessage.DAY, subject=subject).startswith("Knots starting in 1 day\n")


def test_other_offsets_have_other_words() -> None:
    """Two hours before, "1 hour" would be wrong."""
    policy = ReminderPolicy(
        (Offset(ReminderMessage.DAY, 2 * DAY, 0, 2 * DAY), Offset(ReminderMessage.HOUR, 2 * HOUR, 0, 2 * HOUR))
    )
    assert text(ReminderMessage.DAY, policy=policy).startswith("Knots starting in 2 days\n")
    assert text(ReminderMessage.HOUR, policy=policy).startswith("Knots starting in 2 hours\n")


def test_compressed_time_keeps_the_models_words() -> None:
    """A show of seconds sends the four headlines."""
    policy = ReminderPolicy((Offset(ReminderMessage.DAY, 12, 0, DAY), Offset(ReminderMessage.HOUR, 8, 0, HOUR)))
    assert text(ReminderMessage.DAY, policy=policy).startswith("Tomorrow: Knots at 18:00\n")
    assert text(ReminderMessage.HOUR, policy=policy).startswith("Knots starting in 1 hour\n")


@pytest.mark.parametrize(
    ("message", "change", "headline"),
    [
        (ReminderMessage.CONFIRMATION, {}, "You are confirmed: Knots"),
        (ReminderMessage.CONFIRMATION, {"tentative": True}, "You may come: Knots"),
        (ReminderMessage.WAITLISTED, {"position": 3}, "You are number 3 on the waiting list: Knots"),
        (ReminderMessage.PROMOTED, {}, "A seat became free, you are confirmed: Knots"),
        (ReminderMessage.MOVED, {"moved_from": START - HOUR}, "Moved: Knots"),
        (ReminderMessage.CANCELLED, {}, "Cancelled: Knots"),
        (ReminderMessage.RECORDING, {}, "Recording available: Knots"),
        (ReminderMessage.NO_SHOW, {}, "Did not take place: Knots"),
    ],
)
def test_news_has_its_headline_however_late(message: ReminderMessage, change: dict[str, object], headline: str) -> None:
    """News is not timed by an offset."""
    subject = msgspec.structs.replace(SUBJECT, **change)
    for late in (0, 500):
        assert text(message, late=late, subject=subject).startswith(headline + "\n")


def test_a_cancellation_says_why_where_the_instructor_did() -> None:
    """In their words, which are no part of any format; without any, nothing is made up."""
    body = text(ReminderMessage.CANCELLED, subject=msgspec.structs.replace(SUBJECT, cancel_reason="I am ill, {title}."))
    assert "The instructor cancelled the session.\n\nReason: I am ill, {title}.\n" in body
    assert "Reason" not in text(ReminderMessage.CANCELLED)


def test_a_move_names_both_times() -> None:
    """From the time people knew to the new one."""
    body = text(ReminderMessage.MOVED, subject=msgspec.structs.replace(SUBJECT, moved_from=START - DAY))
    assert "From: Monday, 30 November 2026, 18:00" in body
    assert "To: Tuesday, 1 December 2026, 18:00" in body


@given(st.sampled_from(ReminderMessage), st.text(max_size=300), st.integers(-HOUR, 3 * DAY))
def test_no_title_breaks_a_message(message: ReminderMessage, title: str, late: int) -> None:
    """Braces, controls and line feeds in a title are neither executed nor shown, and the text stays small."""
    subject = msgspec.structs.replace(SUBJECT, title=title + "{0.__class__}{title}\n\x1b[2J")
    rendered = render(message, subject, due_at=START - HOUR, now=START - HOUR + late)
    assert rendered.text.split("\n")[0] == rendered.headline
    assert "\x1b" not in rendered.text
    assert len(rendered.text.encode()) < 16_384


def test_the_rumor_is_deterministic() -> None:
    """Made twice, even later, it has the same id: its time is the due time."""
    rendered = render(ReminderMessage.DAY, SUBJECT, due_at=START - DAY, now=START - DAY)
    again = render(ReminderMessage.DAY, SUBJECT, due_at=START - DAY, now=START - DAY + 59)
    one, two = (
        write_message(each, service=key_of(1).pubkey, recipient=key_of(2).pubkey, due_at=START - DAY)
        for each in (rendered, again)
    )
    assert one.id == two.id
    assert (one.kind, one.created_at, one.tags[0]) == (14, START - DAY, ("p", key_of(2).pubkey))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "now"),
        (1, "in 1 second"),
        (59, "in 59 seconds"),
        (60, "in 1 minute"),
        (37 * 60 + 59, "in 37 minutes"),
        (3600, "in 1 hour"),
        (5400, "in 1 hour 30 minutes"),
        (86_400, "in 1 day"),
        (86_400 + 7200 + 300, "in 1 day 2 hours"),
        (14 * 86_400, "in 14 days"),
        (-300, "5 minutes ago"),
    ],
)
def test_distances_are_spoken(seconds: int, words: str) -> None:
    """At most two units, broken ones cut off: better early than late."""
    assert spoken_distance(seconds) == words


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ("UTC", "Tuesday, 1 December 2026, 17:00 (UTC)"),
        ("Asia/Kolkata", "Tuesday, 1 December 2026, 22:30 (Asia/Kolkata, UTC+05:30)"),
        ("Pacific/Auckland", "Wednesday, 2 December 2026, 06:00 (Pacific/Auckland, UTC+13:00)"),
        ("No/Zone", "Tuesday, 1 December 2026, 17:00 (UTC)"),
    ],
)
def test_times_are_spoken_in_the_zone_of_the_session(zone: str, words: str) -> None:
    """An unknown zone falls back to UTC and says so."""
    assert spoken_time(START, zone) == words

"""The feed, read back by the library that wrote it and by one that did not (vobject)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import msgspec
import pytest
import vobject
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar

from podium_daemon.web.calendar_feed import feed, uid_of, write_entries
from podium_daemon.web.calendars import Entry, Revision
from podium_protocol.times import zone_or_none
from podium_storage.table.models import LiveSessionRow, RsvpRow

PAGE = "https://live.example.org/s/naddr1x"
ROW = LiveSessionRow(
    session_address=f"31923:{'a' * 64}:knots",
    scheduled_at=1_900_000_800,
    ends_at=1_900_006_200,
    duration=90,
    instructor_pubkey="a" * 64,
    title="Knots",
    summary="Ropes",
    description="Bring one.",
    timezone="Europe/Berlin",
    requires_rsvp=False,
    waiting_room=False,
    allow_recording=False,
    e2ee_required=False,
    visibility="public",
    co_hosts=(),
    invited=(),
    state="scheduled",
    epoch=0,
    event_id="e" * 64,
    event_created_at=1_800_000_000,
    runs=(),
    adopted_at=1_800_000_000,
)
FIRST = Revision(1, 1_800_000_000)
RSVP = RsvpRow(
    session_address=ROW.session_address,
    pubkey="b" * 64,
    status="confirmed",
    rsvp_time=1,
    event_id="f" * 64,
    first_seen=1,
    first_seen_at=1,
    seat="held",
)


def row(**changes: object) -> LiveSessionRow:
    """The session with other values."""
    return msgspec.structs.replace(ROW, **changes)


def rsvp(**changes: object) -> RsvpRow:
    """The RSVP with other values."""
    return msgspec.structs.replace(RSVP, **changes)


def read(entries: Iterable[Entry]) -> Any:
    """The feed as vobject understands it."""
    return vobject.readOne(feed_of(entries).decode())


def feed_of(entries: Iterable[Entry]) -> bytes:
    """The feed, with every entry in its first version."""
    return feed([(written, FIRST) for written in write_entries(entries)], name="Podium", owner="b" * 64)


def event_of(session: LiveSessionRow, answer: RsvpRow | None = None) -> Any:
    """The one event of a feed of one session."""
    return read([Entry(session, answer, PAGE)]).vevent


def test_an_event_says_what_when_and_where() -> None:
    """Title, words, both times, the zone and the join page come back as they were put in."""
    calendar = read([Entry(ROW, None, PAGE)])
    event = calendar.vevent
    assert (calendar.version.value, calendar.method.value) == ("2.0", "PUBLISH")
    assert len(calendar.contents["x-wr-calname"]) == 1
    assert event.summary.value == "Knots"
    assert event.url.value == PAGE
    assert event.description.value.split("\n\n")[1:] == ["Ropes", "Bring one.", f"Join: {PAGE}"]
    assert event.dtstart.value == datetime.fromtimestamp(1_900_000_800, UTC)
    assert event.dtend.value - event.dtstart.value == timedelta(minutes=90)


def test_times_are_in_utc_and_the_zone_is_in_the_text() -> None:
    """No program has to know a zone or to read its rules: the hour of the place stands in the words."""
    text = feed_of([Entry(ROW, None, PAGE)]).decode()
    assert "TZID" not in text
    assert "VTIMEZONE" not in text
    assert event_of(ROW).description.value.startswith(
        "When: Sunday, 17 March 2030, 19:00 (Europe/Berlin, UTC+01:00)\n\n"
    )


def edges(name: str) -> Iterable[int]:
    """Seconds around the changes of the clock in one zone from 2025 on, by how its offset differs from day to day."""
    zone, day = ZoneInfo(name), 86_400
    for midnight in range(1_735_689_600, 1_735_689_600 + 800 * day, day):
        offsets = [datetime.fromtimestamp(at, zone).utcoffset() for at in (midnight, midnight + day)]
        if offsets[0] != offsets[1]:
            yield from range(midnight, midnight + day, 1800)


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca"])
def test_two_readers_find_every_hour_around_a_change_of_the_clock(name: str) -> None:
    """Start and end are the same instants for both, an end in the repeated hour included."""
    rows = [
        row(session_address=f"31923:x:{at}.{minutes}", timezone=name, scheduled_at=at, ends_at=at + minutes * 60)
        for at in edges(name)
        for minutes in (30, 60, 90)
    ]
    assert len(rows) > 400
    assert read_twice(rows) == {uid_of(one.session_address): (one.scheduled_at, one.ends_at) for one in rows}


@pytest.mark.parametrize("number", range(4))
def test_two_readers_find_the_hour_in_every_zone(number: int) -> None:
    """A summer's and a winter's session of every zone there is, each with the zone's name in its words."""
    names = sorted(name for name in available_timezones() if zone_or_none(name))[number::4]
    assert len(names) > 100
    rows = [
        row(session_address=f"31923:x:{name}{start}", timezone=name, scheduled_at=start, ends_at=start + 5400)
        for name in names
        for start in (1_900_000_800, 1_909_999_800)
    ]
    assert read_twice(rows) == {uid_of(one.session_address): (one.scheduled_at, one.ends_at) for one in rows}
    words = feed_of([Entry(one, None, PAGE) for one in rows]).decode().replace("\r\n ", "")
    assert all(name in words for name in names)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(sorted(available_timezones())), st.integers(1, 32_503_680_000), st.integers(1, 1440), st.booleans()
)
def test_any_hour_of_any_zone_comes_back(name: str, start: int, minutes: int, cancelled: bool) -> None:
    """Whatever the rules of a zone were or will be: the instants are what was written."""
    one = row(timezone=name, scheduled_at=start, ends_at=start + minutes * 60, withdrawn=cancelled)
    assert read_twice([one]) == {uid_of(one.session_address): (one.scheduled_at, one.ends_at)}


def read_twice(rows: Iterable[LiveSessionRow]) -> dict[str, tuple[int, int]]:
    """Start and end by UID, as two libraries that know nothing of each other agree on them."""
    raw = feed_of([Entry(one, None, PAGE) for one in rows])
    first = {
        str(event["UID"]): (int(event.DTSTART.timestamp()), int(event.DTEND.timestamp()))
        for event in Calendar.from_ical(raw).walk("VEVENT")
    }
    second = {
        event.uid.value: (int(event.dtstart.value.timestamp()), int(event.dtend.value.timestamp()))
        for event in vobject.readOne(raw.decode()).vevent_list
    }
    assert first == second
    return first


def test_a_session_that_cannot_be_written_is_left_out() -> None:
    """One odd row takes nothing from those who have others in their calendar."""
    odd = row(session_address="31923:x:odd", scheduled_at=10**15, ends_at=10**15 + 60)
    (event,) = read([Entry(odd, None, PAGE), Entry(ROW, None, PAGE)]).vevent_list
    assert event.uid.value == uid_of(ROW.session_address)


def test_a_session_without_length_has_no_end() -> None:
    """RFC 5545 wants an end later than the start: a cancellation that names no times has none."""
    event = event_of(row(scheduled_at=0, ends_at=0, withdrawn=True))
    assert "dtend" not in event.contents


def test_alarms_ring_when_reminders_are_due() -> None:
    """Each once, the farthest first, with words; a cancelled session rings no more."""
    calendar = read([Entry(ROW, RSVP, PAGE, (900, 86_400, 900))])
    alarms = calendar.vevent.valarm_list
    assert [alarm.trigger.value for alarm in alarms] == [-timedelta(days=1), -timedelta(minutes=15)]
    assert {(alarm.action.value, alarm.description.value) for alarm in alarms} == {("DISPLAY", "Knots")}
    cancelled = read([Entry(row(withdrawn=True), RSVP, PAGE, (900,))]).vevent
    assert "valarm" not in cancelled.contents


@pytest.mark.parametrize("name", [None, "UTC", "Mars/Olympus", "../../etc/passwd", "", "a\x00b", "Europe", "x" * 999])
def test_a_zone_that_is_none_becomes_utc(name: str | None) -> None:
    """An announced zone that nobody knows does not lose the hour of the session."""
    calendar = read([Entry(row(timezone=name), None, PAGE)])
    assert calendar.vevent.dtstart.value == datetime.fromtimestamp(1_900_000_800, UTC)
    assert "vtimezone" not in calendar.contents


@pytest.mark.parametrize(
    ("session", "answer", "status"),
    [
        (ROW, None, "CONFIRMED"),
        (ROW, RSVP, "CONFIRMED"),
        (ROW, rsvp(status="tentative", seat="none"), "TENTATIVE"),
        (ROW, rsvp(seat="waiting", position=3), "TENTATIVE"),
        (row(state="cancelled", withdrawn=True), RSVP, "CANCELLED"),
        (row(withdrawn=True), rsvp(status="tentative"), "CANCELLED"),
        (row(state="ended", withdrawn=True), RSVP, "CONFIRMED"),
    ],
)
def test_the_status_is_the_sessions_and_the_persons(
    session: LiveSessionRow, answer: RsvpRow | None, status: str
) -> None:
    """Cancelled goes before everything; a maybe and a place on the waiting list are tentative."""
    assert event_of(session, answer).status.value == status


def test_the_reason_of_a_cancellation_comes_first() -> None:
    """A person who looks only into their calendar reads why; of a session that takes place nothing is said."""
    said = row(withdrawn=True, cancel_reason="The hall is closed.")
    assert event_of(said).description.value.startswith("Cancelled: The hall is closed.\n\nWhen: ")
    assert "hall" not in event_of(row(cancel_reason="The hall is closed.")).description.value


def test_a_waiting_person_reads_their_position() -> None:
    """The calendar says it, too."""
    assert "number 3 on the waiting list" in event_of(ROW, rsvp(seat="waiting", position=3)).description.value


def test_the_version_of_an_entry_is_in_it() -> None:
    """SEQUENCE, DTSTAMP and LAST-MODIFIED are of the revision, whatever the session's own times are."""
    (written,) = write_entries([Entry(ROW, None, PAGE)])
    event = vobject.readOne(feed([(written, Revision(7, 1_850_000_000))], name="x", owner="y").decode()).vevent
    at = datetime.fromtimestamp(1_850_000_000, UTC)
    assert (event.sequence.value, event.dtstamp.value, event.last_modified.value) == ("7", at, at)
    assert event.uid.value == uid_of(ROW.session_address) != uid_of("31923:x:y")


@pytest.mark.parametrize(
    "entry",
    [
        Entry(row(title="Bends"), RSVP, PAGE),
        Entry(row(description="Bring two."), RSVP, PAGE),
        Entry(row(scheduled_at=1_900_000_860), RSVP, PAGE),
        Entry(row(ends_at=1_900_006_260), RSVP, PAGE),
        Entry(row(timezone="Europe/London"), RSVP, PAGE),
        Entry(row(withdrawn=True), RSVP, PAGE),
        Entry(row(withdrawn=True, cancel_reason="Ill."), RSVP, PAGE),
        Entry(row(recording_url="https://x.example.org/a.webm"), RSVP, PAGE),
        Entry(ROW, rsvp(status="tentative", seat="none"), PAGE),
        Entry(ROW, rsvp(seat="waiting", position=2), PAGE),
        Entry(ROW, RSVP, f"{PAGE}2"),
        Entry(ROW, RSVP, PAGE, (900,)),
    ],
)
def test_whatever_an_entry_says_is_in_its_digest(entry: Entry) -> None:
    """The digest differs as soon as anything that is written does, and only then."""
    (before,), (after,) = write_entries([Entry(ROW, RSVP, PAGE)]), write_entries([entry])
    assert before.digest != after.digest
    (same,) = write_entries([Entry(row(version=9, status_created_at=5, epoch=3), RSVP, PAGE)])
    assert same.digest == before.digest


def test_the_same_sessions_give_the_same_bytes() -> None:
    """No time of day and no random UID in the feed, whatever the order: else every fetch would look like a change."""
    other = Entry(row(session_address="31923:x:y", scheduled_at=1_900_000_000), None, PAGE)
    entries = [Entry(ROW, RSVP, PAGE), other]
    assert feed_of(entries) == feed_of(list(reversed(entries)))


def test_an_empty_calendar_can_be_read() -> None:
    """A person who answered to nothing subscribes to nothing."""
    assert "vevent" not in read([]).contents


@pytest.mark.family("output injection")
@pytest.mark.parametrize(
    "title",
    [
        "Knots\r\nEND:VEVENT\r\nBEGIN:VALARM",
        "Knots\nATTENDEE:mailto:a@example.org",
        "a;b,c\\n:d",
        "\u202egpj.exe",
        "\x1b[2J\x9b2J",
        "é" * 300,
    ],
)
def test_a_title_starts_no_line_of_its_own(title: str) -> None:
    """One event with one summary, without controls, and no property that the title made up."""
    raw = feed_of([Entry(row(title=title, summary=title, description=title), None, PAGE)])
    calendar = vobject.readOne(raw.decode())
    (event,) = calendar.vevent_list
    assert set(event.contents) == {
        *("uid", "sequence", "dtstamp", "last-modified", "dtstart", "dtend", "summary", "description"),
        *("location", "url", "status"),
    }
    assert not set(event.summary.value) & set("\r\n\x1b\x9b\u202e")
    assert all(len(line) <= 75 for line in raw.split(b"\r\n"))  # RFC 5545, 3.1: octets


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80), st.text(max_size=200))
def test_any_text_comes_back_without_its_controls(title: str, words: str) -> None:
    """Whatever strangers write, another library reads one event, and the words that may be shown are all there."""
    (event,) = read([Entry(row(title=title, summary="", description=words), None, PAGE)]).vevent_list
    assert event.url.value == PAGE
    assert event.description.value.endswith(f"Join: {PAGE}")
    shown = "".join(character for character in title if character.isascii() and character.isalnum())
    assert "".join(c for c in event.summary.value if c.isascii() and c.isalnum()) == shown

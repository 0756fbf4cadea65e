"""The feed, read back by a library that did not write it (vobject)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
import vobject
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_daemon.web.calendar_feed import Entry, feed, sequence_of, uid_of
from podium_storage.rows import LiveSessionRow, RsvpRow

PAGE = "https://live.example.org/s/naddr1x"
ROW = LiveSessionRow(
    lesson_id=f"31923:{'a' * 64}:knots",
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
RSVP = RsvpRow(
    lesson_id=ROW.lesson_id,
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
    return vobject.readOne(feed(entries, name="Podium").decode())


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
    assert event.description.value == f"Ropes\n\nBring one.\n\nJoin: {PAGE}"
    assert event.dtstart.value == datetime.fromtimestamp(1_900_000_800, UTC)
    assert event.dtend.value - event.dtstart.value == timedelta(minutes=90)
    assert event.dtstamp.value == datetime.fromtimestamp(1_800_000_000, UTC)


def test_the_zone_is_explained_in_the_feed() -> None:
    """The times name their zone, and the zone's own rules come along, so that no program has to know it."""
    calendar = read([Entry(ROW, None, PAGE), Entry(row(lesson_id="31923:x:y", title="Other"), None, PAGE)])
    assert [zone.tzid.value for zone in calendar.vtimezone_list] == ["Europe/Berlin"]
    assert {event.dtstart.params["X-VOBJ-ORIGINAL-TZID"][0] for event in calendar.vevent_list} == {"Europe/Berlin"}
    offset = calendar.vevent_list[0].dtstart.value.utcoffset()
    assert offset == timedelta(hours=1)  # 2030-03-17: winter time


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Europe/Dublin"])
def test_each_change_of_the_clock_is_when_it_is(name: str) -> None:
    """Onsets are written by the clock before them (RFC 5545, 3.6.5), whether they skip an hour or repeat one."""
    text = feed([Entry(row(timezone=name), None, PAGE)], name="Podium").decode().replace("\r\n ", "")
    zone, second, seen = ZoneInfo(name), timedelta(seconds=1), 0
    for block in re.findall("BEGIN:(?:STANDARD|DAYLIGHT)\r\n(.*?)\r\nEND:", text, re.DOTALL):  # vobject reads one RDATE
        rules = dict(line.split(":", 1) for line in block.splitlines())
        before, after = _offset(rules["TZOFFSETFROM"]), _offset(rules["TZOFFSETTO"])
        onsets = [rules["DTSTART"], *rules.get("RDATE", rules["DTSTART"]).split(",")]
        for onset in onsets if before != after else []:
            at = datetime.strptime(onset, "%Y%m%dT%H%M%S").replace(tzinfo=timezone(before)).astimezone(UTC)
            assert ((at - second).astimezone(zone).utcoffset(), at.astimezone(zone).utcoffset()) == (before, after)
            seen += 1
    assert seen >= 34


def _offset(text: str) -> timedelta:
    """An offset such as +0530."""
    size = timedelta(hours=int(text[1:3]), minutes=int(text[3:5]))
    return -size if text[0] == "-" else size


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


def test_a_waiting_person_reads_their_position() -> None:
    """The calendar says it, too."""
    assert "number 3 on the waiting list" in event_of(ROW, rsvp(seat="waiting", position=3)).description.value


def test_a_revision_keeps_the_uid_and_raises_the_sequence() -> None:
    """A program moves the entry it has; it does not add a second one or ignore the change."""
    moved = row(scheduled_at=1_900_010_000, ends_at=1_900_015_400, event_created_at=1_800_000_001)
    before, after = event_of(ROW), event_of(moved)
    assert before.uid.value == after.uid.value == uid_of(ROW.lesson_id)
    assert int(after.sequence.value) > int(before.sequence.value)
    deleted = row(withdrawn=True)  # a bare deletion brings no later revision
    assert sequence_of(deleted) > sequence_of(ROW)
    assert uid_of("31923:x:y") != uid_of("31923:x:z")


def test_the_same_sessions_give_the_same_bytes() -> None:
    """No time of day and no random UID in the feed, whatever the order: else every fetch would look like a change."""
    other = Entry(row(lesson_id="31923:x:y", scheduled_at=1_900_000_000), None, PAGE)
    entries = [Entry(ROW, RSVP, PAGE), other]
    assert feed(entries, name="Podium") == feed(reversed(entries), name="Podium")


def test_an_empty_calendar_can_be_read() -> None:
    """Somebody who answered to nothing subscribes to nothing."""
    assert "vevent" not in read([]).contents


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
    raw = feed([Entry(row(title=title, summary=title, description=title), None, PAGE)], name="Podium")
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

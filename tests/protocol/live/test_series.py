"""Sessions that repeat: their times in every zone, their names, and the calendar that lists them."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.errors import InvalidInput
from podium_protocol.live.series import (
    MAX_TIMES,
    Repeat,
    identifier_of,
    listed,
    number_of,
    occurrences,
    series_of,
    shifted,
    wall_clock_shift,
    write_calendar,
)
from podium_protocol.live.session import Session, SessionSpec, read_session, spec_of, write_session
from podium_protocol.times import parse_local_time, wall_clock, zone_or_none
from tests.support.events import NOW, key_of

ADA = key_of(1)
SERVICE = key_of(2)
LORD_HOWE = "Australia/Lord_Howe"
SERIES = Address(kinds.CALENDAR, ADA.pubkey, "knots-1a2b")
_ZONES = st.sampled_from(sorted(name for name in zoneinfo.available_timezones() if zone_or_none(name)))
_STARTS = st.integers(946_684_800, 2_145_916_800)  # 2000 to 2038


def _shown(starts: tuple[int, ...], zone: str) -> list[str]:
    return [f"{wall_clock(at, zoneinfo.ZoneInfo(zone)):%a %Y-%m-%d %H:%M}" for at in starts]


def _session(number: int) -> Address:
    return Address(kinds.SESSION, ADA.pubkey, identifier_of(SERIES, number))


@settings(max_examples=300)
@given(_STARTS, _ZONES, st.sampled_from(Repeat), st.integers(2, MAX_TIMES))
def test_a_series_keeps_its_time_on_the_wall_clock(start: int, name: str, repeat: Repeat, times: int) -> None:
    """In every zone each date has the first one's time of day and weekday, save where the clocks skip that time."""
    zone = zoneinfo.ZoneInfo(name)
    starts = occurrences(start, name, repeat, times)
    assert starts[0] == start
    assert len(starts) == times
    assert list(starts) == sorted(set(starts)), "each is later than the one before"
    first = wall_clock(start, zone)
    for at in starts[1:]:
        shown = wall_clock(at, zone)
        if (shown.time(), shown.weekday()) != (first.time(), first.weekday()):
            # the clocks went forward over it: an hour before, they showed less than the time that was meant
            ahead = (shown - datetime.combine(shown.date(), first.time())) % timedelta(days=1)
            assert timedelta() < ahead + timedelta(days=(shown.weekday() - first.weekday()) % 7) <= timedelta(days=1)
            skipped = zone.utcoffset(shown) or timedelta()
            before = datetime.fromtimestamp(at - 86_400, zone).utcoffset() or timedelta()
            assert skipped != before


@settings(max_examples=200)
@given(_STARTS, _ZONES, st.sampled_from([Repeat.WEEKLY, Repeat.TWO_WEEKLY]), st.integers(2, MAX_TIMES))
def test_weeks_are_weeks_on_the_calendar(start: int, name: str, repeat: Repeat, times: int) -> None:
    """From one date to the next it is a week, or two, give or take a change of the clocks."""
    starts = occurrences(start, name, repeat, times)
    days = 7 if repeat is Repeat.WEEKLY else 14
    for number, at in enumerate(starts):
        assert abs(at - start - number * days * 86_400) <= 86_400


@pytest.mark.parametrize(
    ("at", "zone", "expected"),
    [
        # forward: the last Sunday in March in Europe, and 02:30 does not exist on it
        ("2026-03-26 18:00", "Europe/Berlin", ["Thu 2026-03-26 18:00", "Thu 2026-04-02 18:00", "Thu 2026-04-09 18:00"]),
        ("2026-03-22 02:30", "Europe/Berlin", ["Sun 2026-03-22 02:30", "Sun 2026-03-29 03:30", "Sun 2026-04-05 02:30"]),
        # back: 02:30 happens twice on the last Sunday in October
        ("2026-10-18 02:30", "Europe/Berlin", ["Sun 2026-10-18 02:30", "Sun 2026-10-25 02:30", "Sun 2026-11-01 02:30"]),
        # a change of half an hour
        ("2026-09-27 02:15", LORD_HOWE, ["Sun 2026-09-27 02:15", "Sun 2026-10-04 02:45", "Sun 2026-10-11 02:15"]),
        # a day that was left out: Samoa went over the date line
        ("2011-12-23 10:00", "Pacific/Apia", ["Fri 2011-12-23 10:00", "Sat 2011-12-31 10:00", "Fri 2012-01-06 10:00"]),
    ],
)
def test_changes_of_the_clocks(at: str, zone: str, expected: list[str]) -> None:
    """The time of day stays on both sides of a change; a skipped one moves on by what was skipped."""
    assert _shown(occurrences(parse_local_time(at, zone), zone, Repeat.WEEKLY, 3), zone) == expected


def test_of_a_time_that_happens_twice_the_first_is_meant() -> None:
    """The repeated 02:30 is the one in summer time; but the first date is exactly the one that was given."""
    starts = occurrences(parse_local_time("2026-10-18 02:30", "Europe/Berlin"), "Europe/Berlin", Repeat.WEEKLY, 2)
    assert datetime.fromtimestamp(starts[1], UTC).hour == 0
    later = parse_local_time("2026-10-25 02:30", "Europe/Berlin", fold=1)
    assert occurrences(later, "Europe/Berlin", Repeat.WEEKLY, 2)[0] == later


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("2026-01-13 18:00", ["Tue 2026-01-13 18:00", "Tue 2026-02-10 18:00", "Tue 2026-03-10 18:00"]),
        ("2026-01-01 18:00", ["Thu 2026-01-01 18:00", "Thu 2026-02-05 18:00", "Thu 2026-03-05 18:00"]),
        ("2026-01-31 18:00", ["Sat 2026-01-31 18:00", "Sat 2026-02-28 18:00", "Sat 2026-03-28 18:00"]),
        ("2026-12-31 18:00", ["Thu 2026-12-31 18:00", "Thu 2027-01-28 18:00", "Thu 2027-02-25 18:00"]),
    ],
)
def test_monthly_keeps_the_weekday_of_the_month(first: str, expected: list[str]) -> None:
    """A second Tuesday stays one; a fifth weekday, which many months do not have, is the last one."""
    at = parse_local_time(first, "Europe/Berlin")
    assert _shown(occurrences(at, "Europe/Berlin", Repeat.MONTHLY, 3), "Europe/Berlin") == expected


@pytest.mark.parametrize(("start", "zone", "times"), [(NOW, "Mars/Base", 3), (NOW, "UTC", 1), (NOW, "UTC", 53)])
def test_what_is_no_series_is_refused(start: int, zone: str, times: int) -> None:
    """An unknown zone, one time only, and more than a year of weeks are no series."""
    with pytest.raises(InvalidInput):
        occurrences(start, zone, Repeat.WEEKLY, times)


def test_a_start_beyond_all_calendars_is_refused() -> None:
    """The last date must be before the year 3000."""
    with pytest.raises(InvalidInput, match="no usable time"):
        occurrences(32_503_680_000, "UTC", Repeat.MONTHLY, 52)


@given(_STARTS, st.integers(-20_000, 20_000), st.integers(0, 30))
def test_those_that_follow_move_as_far_on_the_wall_clock(start: int, minutes: int, weeks: int) -> None:
    """Where the clocks change in between, the later session has the new time of day all the same."""
    zone = "America/New_York"
    moved = start + minutes * 60
    later = occurrences(start, zone, Repeat.WEEKLY, 32)[weeks + 1]
    by = wall_clock_shift(start, zone, moved, zone)
    info = zoneinfo.ZoneInfo(zone)
    there = wall_clock(shifted(later, zone, by, zone), info)
    meant = wall_clock(later, info) + by
    assert there == meant or there - meant == timedelta(hours=1), "an hour on if the clocks skip it"


def test_a_session_names_its_series() -> None:
    """The calendar's `d` and a number make the session's, and its `a` tag requests to be listed."""
    spec = SessionSpec(
        identifier=identifier_of(SERIES, 3), title="Knots", starts_at=NOW + 60, duration_minutes=30, series=str(SERIES)
    )
    event = write_session(
        spec, instructor=ADA.pubkey, service=SERVICE.pubkey, relay_hint="", join_url="https://a.example", now=NOW
    )
    assert list(tags.named(event.tags, "a")) == [("a", str(SERIES), "")]
    session = read_session(event)
    assert isinstance(session, Session)
    assert (session.series, number_of(session.session_address)) == (str(SERIES), 3)
    again = write_session(
        msgspec.structs.replace(spec_of(session), title="Splices"),
        instructor=ADA.pubkey,
        service=SERVICE.pubkey,
        relay_hint="wss://other.example",
        join_url="https://a.example",
        now=NOW,
        previous=event,
    )
    assert list(tags.values(again.tags, "a")) == [str(SERIES)], "an edit names it once"


@pytest.mark.parametrize(
    ("identifier", "calendar"),
    [
        ("knots-1a2b-01", f"31924:{ADA.pubkey}:other"),
        ("knots-1a2b", f"31924:{ADA.pubkey}:knots-1a2b"),
        ("knots-1a2b-1", f"31924:{ADA.pubkey}:knots-1a2b"),
        ("knots-1a2b-00", f"31924:{ADA.pubkey}:knots-1a2b"),
        ("knots-1a2b-53", f"31924:{ADA.pubkey}:knots-1a2b"),
        ("knots-1a2b-01", f"31924:{SERVICE.pubkey}:knots-1a2b"),
        ("knots-1a2b-01", f"31923:{ADA.pubkey}:knots-1a2b"),
    ],
)
def test_other_calendars_are_no_series(identifier: str, calendar: str) -> None:
    """A calendar of another name or author may list the session: it is a collection, and no series."""
    session = Address(kinds.SESSION, ADA.pubkey, identifier)
    assert series_of(session, (("a", calendar),)) is None


def test_a_calendar_lists_the_sessions_by_address() -> None:
    """It is an ordinary kind 31924; what other clients wrote into it stays, and so does what they listed."""
    first = write_calendar(SERIES, "Knots\n", [str(_session(1)), str(_session(2))], now=NOW)
    assert (first.kind, first.pubkey, first.created_at) == (kinds.CALENDAR, ADA.pubkey, NOW)
    assert list(tags.values(first.tags, "title")) == ["Knots"]
    assert listed(first) == (_session(1), _session(2))
    foreign = (("image", "https://a.example/i"), ("a", f"31923:{SERVICE.pubkey}:talk"), ("a", "31922:x:y"))
    held = msgspec.structs.replace(first, tags=(*first.tags, *foreign), content="All knots")
    second = write_calendar(SERIES, "Splices", [str(_session(2))], now=NOW, previous=held)
    assert second.created_at == NOW + 1
    assert second.content == "All knots"
    assert listed(second) == (_session(2), Address(kinds.SESSION, SERVICE.pubkey, "talk"))
    assert [row for row in second.tags if row in foreign] == list(foreign)
    assert list(tags.values(second.tags, "title")) == ["Splices"]

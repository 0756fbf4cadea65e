"""Times as people type and read them."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from podium_daemon.cli.times import checked_zone, minutes_of, shown_length, shown_time, start_of, viewer_zone
from podium_protocol.errors import InvalidInput

NOON = 1_796_126_400  # 2026-12-01 12:00 UTC
BERLIN, UTC = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")


@pytest.mark.parametrize(
    ("session_zone", "viewer", "expected"),
    [
        ("UTC", UTC, "Tue 2026-12-01 12:00 UTC"),
        ("Europe/Berlin", BERLIN, "Tue 2026-12-01 13:00 UTC+01:00"),
        ("Europe/Paris", BERLIN, "Tue 2026-12-01 13:00 UTC+01:00"),
        ("America/New_York", BERLIN, "Tue 2026-12-01 13:00 UTC+01:00 (07:00 America/New_York)"),
        ("Pacific/Auckland", UTC, "Tue 2026-12-01 12:00 UTC (Wed 01:00 Pacific/Auckland)"),
        (None, BERLIN, "Tue 2026-12-01 13:00 UTC+01:00"),
        ("../../etc/passwd", UTC, "Tue 2026-12-01 12:00 UTC"),
    ],
)
def test_the_viewers_clock_comes_first_then_the_sessions(
    session_zone: str | None, viewer: ZoneInfo, expected: str
) -> None:
    """The session's own clock is added where it reads otherwise, with its day where that differs."""
    assert shown_time(NOON, session_zone, viewer) == expected


def test_no_time_is_empty() -> None:
    """What has not happened has no time."""
    assert shown_time(None) == ""


@pytest.mark.parametrize(
    ("text", "zone", "at"),
    [
        ("2026-12-01 13:00", "Europe/Berlin", NOON),
        ("2026-12-01T12:00Z", "Europe/Berlin", NOON),
        ("2026-12-01T07:00:00-05:00", "Europe/Berlin", NOON),
        ("+2h", "UTC", 7200),
        ("+1h 30m", "UTC", 5400),
        ("in 2 hours", "UTC", 7200),
        ("In 10 min", "UTC", 600),
        ("tomorrow 18:00", "UTC", 86_400 + 18 * 3600),
        ("tomorrow at 9:30", "Europe/Berlin", 86_400 + 8 * 3600 + 1800),
        ("today 23:59", "America/New_York", 4 * 3600 + 3540),  # there it is still the day before
        ("Tomorrow 00:00", "Pacific/Auckland", 86_400 - 12 * 3600),
    ],
)
def test_starts_are_read_in_the_zone_or_with_their_offset(text: str, zone: str, at: int) -> None:
    """A local time, a time with its offset and a time from now lead to seconds."""
    assert start_of(text, zone, 0) == at


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2026-13-01 10:00",
        "18:00",
        "+",
        "+90",
        "1900000000",
        "in",
        "in a while",
        "tomorrow",
        "tomorrow 25:00",
        "tomorrow 18:00 x",
    ],
)
def test_other_starts_are_refused(text: str) -> None:
    """What is no time is said to be none."""
    with pytest.raises(InvalidInput):
        start_of(text, "UTC", 0)


def test_a_named_day_is_that_of_the_zone_and_its_clock_holds() -> None:
    """Tomorrow is the next day on the wall there, over a change of the clock too; an hour it skips is refused."""
    evening_before = 1_806_177_600  # 2027-03-27 20:00 UTC; in Berlin clocks are set forward that night
    assert start_of("tomorrow 18:00", "Europe/Berlin", evening_before) == evening_before + 20 * 3600
    with pytest.raises(InvalidInput, match="does not exist"):
        start_of("tomorrow 02:30", "Europe/Berlin", evening_before)


@pytest.mark.parametrize(("text", "minutes"), [("60", 60), ("90 min", 90), ("1h 30m", 90), ("2h", 120)])
def test_a_duration_is_in_minutes(text: str, minutes: int) -> None:
    """A bare number is minutes, as in the model."""
    assert minutes_of(text) == minutes


@pytest.mark.parametrize("text", ["", "-5", "0", "0 min", "90s", "1.5h", "long", "٦٠", "9999999"])
def test_other_durations_are_refused(text: str) -> None:
    """Parts of minutes and other text are refused."""
    with pytest.raises(InvalidInput, match="whole minutes"):
        minutes_of(text)


def test_the_zone_is_the_viewers_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """TZ decides, a name wins over it, and an unknown one is told with the nearest."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert viewer_zone().key == checked_zone(None) == "Asia/Tokyo"
    assert checked_zone("Europe/Berlin") == "Europe/Berlin"
    with pytest.raises(InvalidInput, match="did you mean Europe/Berlin"):
        checked_zone("Europe/Brlin")


def test_a_tz_that_is_no_zone_does_not_end_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """A POSIX rule in TZ has no name; the machine's zone is taken."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    assert viewer_zone().key


def test_lengths_read_as_on_a_player() -> None:
    """Seconds are shown with hours, minutes and seconds."""
    assert [shown_length(seconds) for seconds in (0, 59, 3909)] == ["0:00:00", "0:00:59", "1:05:09"]

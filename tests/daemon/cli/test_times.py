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
    ],
)
def test_starts_are_read_in_the_zone_or_with_their_offset(text: str, zone: str, at: int) -> None:
    """A local time, a time with its offset and a time from now lead to seconds."""
    assert start_of(text, zone, 0) == at


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01 10:00", "18:00", "+", "+90", "1900000000"])
def test_other_starts_are_refused(text: str) -> None:
    """What is no time is said to be none."""
    with pytest.raises(InvalidInput):
        start_of(text, "UTC", 0)


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

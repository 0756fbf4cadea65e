"""Times as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.errors import InvalidInput
from podium_protocol.times import offset_name, parse_local_time

_ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia")


def epoch(text: str) -> int:
    """Unix seconds of an ISO time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("text", "zone", "utc"),
    [
        ("2026-12-01 18:00", "Europe/Berlin", "2026-12-01T17:00"),
        ("2026-07-01T18:00", "Europe/Berlin", "2026-07-01T16:00"),
        ("2026-07-01 18:00:30", "America/New_York", "2026-07-01T22:00:30"),
        ("2026-12-01 18:00", "Asia/Kolkata", "2026-12-01T12:30"),
        ("2026-12-01T18:00+05:00", "Europe/Berlin", "2026-12-01T13:00"),
        ("2026-12-01T18:00Z", "Europe/Berlin", "2026-12-01T18:00"),
        (" 2026-12-01 18:00 ", "UTC", "2026-12-01T18:00"),
    ],
)
def test_a_local_time_becomes_an_epoch(text: str, zone: str, utc: str) -> None:
    """The zone decides, unless the time brings its own offset."""
    assert parse_local_time(text, zone) == epoch(utc)


@pytest.mark.parametrize(
    "text",
    [
        *("", "tomorrow", "18:00", "2026-12-01", "2026-13-01 18:00", "2026-02-29 18:00", "2026-12-01 24:00"),
        *("2026-12-01 18:60", "01.12.2026 18:00", "2026-12-01 6pm", "٢٠٢٦-12-01 18:00", "2026-12-01 18:00 extra"),
        *("2026-12-01T18:00+25:00", "0001-01-01 00:00", "9999-12-31 23:59", "1969-12-31 23:59"),
    ],
)
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    """The message says what was expected."""
    with pytest.raises(InvalidInput, match="expected"):
        parse_local_time(text, "UTC")


@pytest.mark.parametrize(
    ("text", "zone", "nearest"),
    [
        ("2026-03-29 02:30", "Europe/Berlin", "2026-03-29 01:59 and 2026-03-29 03:00"),
        ("2026-03-08 02:00", "America/New_York", "2026-03-08 01:59 and 2026-03-08 03:00"),
        ("2026-10-04 02:10", "Australia/Lord_Howe", "2026-10-04 01:59 and 2026-10-04 02:30"),
        ("2011-12-30 12:00", "Pacific/Apia", "2011-12-29 23:59 and 2011-12-31 00:00"),
    ],
)
def test_a_time_that_the_clocks_skip_is_refused(text: str, zone: str, nearest: str) -> None:
    """The nearest valid times are named, also for half an hour and for a whole missing day."""
    with pytest.raises(InvalidInput, match=nearest):
        parse_local_time(text, zone)


def test_a_time_that_happens_twice_is_refused_with_both_spellings() -> None:
    """Each of the two spellings that the message offers is then understood."""
    with pytest.raises(InvalidInput, match=r"2026-10-25T02:30:00\+02:00 or 2026-10-25T02:30:00\+01:00"):
        parse_local_time("2026-10-25 02:30", "Europe/Berlin")
    assert parse_local_time("2026-10-25T02:30:00+02:00", "Europe/Berlin") == epoch("2026-10-25T00:30")
    assert parse_local_time("2026-10-25T02:30:00+01:00", "Europe/Berlin") == epoch("2026-10-25T01:30")


def test_the_fold_chooses_between_the_two() -> None:
    """Fold 0 is the earlier of the two, 1 the later; it changes nothing about other times."""
    assert parse_local_time("2026-10-25 02:30", "Europe/Berlin", 0) == epoch("2026-10-25T00:30")
    assert parse_local_time("2026-10-25 02:30", "Europe/Berlin", 1) == epoch("2026-10-25T01:30")
    assert parse_local_time("2026-10-25 04:30", "Europe/Berlin", 1) == epoch("2026-10-25T03:30")


def test_an_unknown_zone_is_refused_with_the_nearest() -> None:
    """A typing error in the zone is answered with the real name."""
    with pytest.raises(InvalidInput, match="Europe/Berlin"):
        parse_local_time("2026-12-01 18:00", "Europe/Berln")


@given(st.integers(0, 4_000_000_000), st.sampled_from(_ZONES))
def test_every_instant_can_be_typed(at: int, zone: str) -> None:
    """The local time of an instant with its fold is read back as that instant."""
    local = datetime.fromtimestamp(at + 86_400 * 2, ZoneInfo(zone))
    assert parse_local_time(f"{local:%Y-%m-%d %H:%M:%S}", zone, local.fold) == at + 86_400 * 2


@pytest.mark.parametrize(
    ("hours", "name"),
    [(0.0, "UTC"), (1.0, "UTC+01:00"), (-3.5, "UTC-03:30"), (5.75, "UTC+05:45"), (-11.0, "UTC-11:00")],
)
def test_offsets_have_names(hours: float, name: str) -> None:
    """Sign, hours and minutes, and plain UTC for none."""
    assert offset_name(timedelta(hours=hours)) == name

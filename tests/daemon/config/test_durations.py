"""Durations as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_daemon.config.values import MAX_SECONDS, format_duration, parse_duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (0, 0),
        (90, 90),
        ("90s", 90),
        ("90 s", 90),
        ("15 min", 900),
        ("15m", 900),
        ("24h", 86_400),
        ("24 H", 86_400),
        ("14 days", 14 * 86_400),
        ("1 day", 86_400),
        ("1h 30m", 5400),
        ("1h30min5s", 5405),
        (" 2 hours ", 7200),
    ],
)
def test_reads_the_usual_spellings(written: int | str, seconds: int) -> None:
    """Seconds as a number, and text with a unit, mean the same time."""
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written",
    [
        "",
        "90",
        "soon",
        "-5 min",
        "1.5h",
        "5 fortnights",
        "5",
        "min",
        "15 min!",
        "٣ min",
        "1h\x00",
        "9" * 80 + "s",
        True,
    ],
)
def test_refuses_anything_else(written: object) -> None:
    """Fractions, negative times, unknown units and numbers without a unit in quotes are refused with the forms."""
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(written)


@pytest.mark.parametrize("written", [-1, MAX_SECONDS + 1, "9999999 days", 1.5, None, [60]])
def test_refuses_what_is_out_of_range_or_no_number(written: object) -> None:
    """Negative times, more than ten years and other types are refused."""
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(written)


@given(st.integers(0, MAX_SECONDS))
def test_what_is_shown_can_be_read_again(seconds: int) -> None:
    """Every duration is shown as text that reads as the same number of seconds."""
    assert parse_duration(format_duration(seconds)) == seconds

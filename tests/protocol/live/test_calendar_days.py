"""The `D` tags of NIP-52."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.live.session_writing import SECONDS_PER_DAY, day_tags, days_covered

DAY = SECONDS_PER_DAY


def test_the_example_of_nip_52_has_its_day() -> None:
    """The day is floor(seconds / 86400), as the NIP's example 82549 shows."""
    assert day_tags(82_549 * DAY + 5, 82_549 * DAY + 3600) == (("D", "82549"),)


def test_a_session_over_midnight_has_both_days() -> None:
    """One tag for each day that is touched."""
    assert list(days_covered(10 * DAY - 60, 10 * DAY + 60)) == [9, 10]


def test_an_end_at_midnight_adds_no_day() -> None:
    """The end is exclusive."""
    assert list(days_covered(9 * DAY, 10 * DAY)) == [9]


@given(st.integers(0, 10**11), st.integers(1, 30 * DAY))
def test_the_days_are_those_of_the_seconds(start: int, length: int) -> None:
    """First and last day are those of the first and the last second."""
    days = days_covered(start, start + length)
    assert (days[0], days[-1]) == (start // DAY, (start + length - 1) // DAY)

"""Byte ranges, by the clauses of RFC 9110."""

from __future__ import annotations

import pytest

from podium_daemon.web.ranges import Part, Unsatisfiable, part_of, still_valid


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", Part(0, 0)),
        ("bytes=0-9", Part(0, 9)),
        ("bytes=10-", Part(10, 99)),
        ("bytes=90-500", Part(90, 99)),
        ("bytes=-10", Part(90, 99)),
        ("bytes=-500", Part(0, 99)),
        ("BYTES=1-2", Part(1, 2)),
        ("bytes=100-", Unsatisfiable()),
        ("bytes=100-200", Unsatisfiable()),
        ("bytes=-0", Unsatisfiable()),
        # malformed, unknown or of several parts: the whole file (14.2)
        ("bytes=9-3", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes=a-b", None),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
        ("bytes=\u0661-\u0662", None),
        ("bytes=0-99999999999999999999999", None),
        ("bytes=0-1\n", Part(0, 1)),
    ],
)
def test_a_range_is_read_as_the_standard_says(header: str | None, expected: object) -> None:
    """Each form, on a file of a hundred bytes."""
    assert part_of(header, 100) == expected


def test_an_empty_file_has_no_part() -> None:
    """Every range of it lies outside."""
    assert part_of("bytes=0-", 0) == Unsatisfiable()
    assert part_of("bytes=-5", 0) == Unsatisfiable()


@pytest.mark.parametrize(("if_range", "valid"), [(None, True), ('"a"', True), ('W/"a"', False), ('"b"', False)])
def test_a_condition_has_to_match_strongly(if_range: str | None, valid: bool) -> None:
    """13.1.5: a weak or another tag gets the whole file."""
    assert still_valid(if_range, '"a"') is valid

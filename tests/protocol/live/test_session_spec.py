"""What may be scheduled."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.addresses import MAX_IDENTIFIER_BYTES as ADDRESS_BYTES
from podium_protocol.addresses import Address
from podium_protocol.live.session_spec import (
    MAX_IDENTIFIER_BYTES,
    SessionLimits,
    SessionSpec,
    Visibility,
    problems_of,
)
from tests.support.events import NOW, key_of

GOOD = SessionSpec(identifier="knots", title="Knots", starts_at=NOW + 3600, duration_minutes=90)


def test_a_plain_session_has_no_problem() -> None:
    """Title, start and duration suffice."""
    assert problems_of(GOOD, NOW) == ()
    assert GOOD.ends_at == NOW + 3600 + 90 * 60


@pytest.mark.family("session semantics")
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"title": " \t "}, "title is empty"),
        ({"title": "\u202e\x07"}, "title is empty"),
        ({"title": "x" * 201}, "201 characters, at most 200"),
        ({"summary": "x" * 1001}, "at most 1000"),
        ({"description": "é" * 8193}, "longer than 16384 bytes"),
        ({"identifier": ""}, "1 to 119 bytes"),
        ({"identifier": "x" * 120}, "1 to 119 bytes"),
        ({"identifier": "a\nb"}, "unprintable"),
        ({"duration_minutes": 0}, "end comes after the start"),
        ({"duration_minutes": -5}, "end comes after the start"),
        ({"duration_minutes": 1441}, "1 to 1440"),
        ({"starts_at": NOW - 61}, "in the past"),
        ({"starts_at": -1}, "no usable time"),
        ({"starts_at": 10**15}, "no usable time"),
        ({"timezone": "Europe/Berln"}, "did you mean Europe/Berlin"),
        ({"max_participants": 0}, "expected 1 to 100000"),
        ({"max_participants": 100_001}, "expected 1 to 100000"),
        ({"hashtags": tuple(map(str, range(21)))}, "at most 20"),
        ({"invited": tuple(key_of(1).pubkey for _ in range(401))}, "at most 400"),
        ({"title": "half \ud800"}, "surrogate"),
    ],
)
def test_a_problem_says_what_was_expected(change: dict[str, object], expected: str) -> None:
    """Each wish that cannot be had is one problem in words."""
    (problem,) = problems_of(msgspec.structs.replace(GOOD, **change), NOW)
    assert expected in problem


def test_the_bounds_are_inclusive() -> None:
    """What is exactly as long, as late or as many as allowed is allowed."""
    people = tuple(key_of(1).pubkey for _ in range(200))
    largest = SessionSpec(
        identifier="x" * MAX_IDENTIFIER_BYTES,
        title="x" * 200,
        summary="x" * 1000,
        description="x" * 16_384,
        starts_at=NOW + 1,
        duration_minutes=1440,
        max_participants=100_000,
        co_hosts=people,
        invited=people,
        hashtags=tuple(map(str, range(20))),
    )
    assert problems_of(largest, NOW) == ()
    smallest = SessionSpec(identifier="x", title="x", starts_at=NOW, duration_minutes=1, max_participants=1)
    assert problems_of(smallest, NOW) == ()


def test_all_problems_are_told_at_once() -> None:
    """Nobody has to come back for the second one."""
    spec = SessionSpec(identifier="", title="", starts_at=1, duration_minutes=0, timezone="x", max_participants=-1)
    assert len(problems_of(spec, NOW)) == 6


def test_now_is_no_past() -> None:
    """A start that was typed within the last minute is taken."""
    assert problems_of(msgspec.structs.replace(GOOD, starts_at=NOW - 60), NOW) == ()


def test_an_edit_may_keep_a_start_that_has_passed() -> None:
    """A running session can be prolonged, but not moved into the past, nor to an end that has passed."""
    running = msgspec.structs.replace(GOOD, starts_at=NOW - 1800)
    assert problems_of(running, NOW, start_before=NOW - 1800) == ()
    assert "in the past" in problems_of(running, NOW, start_before=NOW + 60)[0]
    over = msgspec.structs.replace(GOOD, starts_at=NOW - 7200)
    assert "already be over" in problems_of(over, NOW, start_before=NOW - 7200)[0]


def test_end_to_end_encryption_forces_private() -> None:
    """What is sensitive enough for encryption is not announced in public."""
    assert GOOD.effective_visibility is Visibility.PUBLIC
    assert msgspec.structs.replace(GOOD, e2ee_required=True).effective_visibility is Visibility.PRIVATE


def test_the_longest_identifier_fits_into_an_attendance_record() -> None:
    """The record's `d` holds the session address and a key, and is itself part of an address."""
    session = Address(31923, key_of(1).pubkey, "x" * MAX_IDENTIFIER_BYTES)
    assert len(f"{session}:{key_of(2).pubkey}".encode()) == ADDRESS_BYTES


@given(st.integers(-(10**6), 10**6), st.integers(-10, 2000))
def test_a_session_without_problems_lies_ahead(offset: int, minutes: int) -> None:
    """Whatever start and duration pass: the start is not past and the end comes after it."""
    spec = msgspec.structs.replace(GOOD, starts_at=NOW + offset, duration_minutes=minutes)
    if not problems_of(spec, NOW):
        assert spec.starts_at >= NOW - SessionLimits().start_grace
        assert spec.starts_at < spec.ends_at

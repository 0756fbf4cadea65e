"""Where a track's stretches belong in the file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_daemon.media.job import SHORTEST, TrackPiece, length, pieces


@pytest.mark.parametrize(
    ("started_at", "takes", "expected"),
    [
        (100.0, [(100.0, 110.0)], [TrackPiece(0, 10, 0)]),
        (104.0, [(100.0, 110.0)], [TrackPiece(0, 6, 4)]),
        (90.0, [(100.0, 110.0)], [TrackPiece(10, 20, 0)]),
        (120.0, [(100.0, 110.0)], []),
        (110.0, [(100.0, 110.0)], []),
        (100.0, [(100.0, 110.0), (200.0, 205.0)], [TrackPiece(0, 10, 0), TrackPiece(100, 105, 10)]),
        (202.0, [(100.0, 110.0), (200.0, 205.0)], [TrackPiece(0, 3, 12)]),
        (100.0, [(100.0, 100.0), (101.0, 102.0)], [TrackPiece(1, 2, 0)]),
        (100.0, [], []),
    ],
)
def test_takes_follow_each_other(
    started_at: float, takes: list[tuple[float, float]], expected: list[TrackPiece]
) -> None:
    """A track is cut to the takes, and moved to where they are in the file."""
    assert list(pieces(started_at, takes)) == expected


spans = st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), max_size=6)


@given(st.floats(0, 400), spans)
def test_nothing_outside_of_a_take_is_ever_used(started_at: float, given_spans: list[tuple[float, float]]) -> None:
    """Each piece lies inside one take, and inside the file."""
    takes, at = [], 0.0
    for gap, size in given_spans:
        takes.append((at + gap, at + gap + size))
        at += gap + size
    for piece in pieces(started_at, takes):
        begin, end = started_at + piece.begin, started_at + piece.end
        assert any(start - SHORTEST <= begin and end <= stop + SHORTEST for start, stop in takes)
        assert -SHORTEST <= piece.at <= piece.at + piece.end - piece.begin <= length(takes) + SHORTEST

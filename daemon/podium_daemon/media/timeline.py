"""From the clock on the wall to the time in the file: what was not recorded leaves no hole.

A recording has takes, the stretches in which everybody had agreed. They are put one after the other, and of each track
only what lies inside a take is used: whatever an engine captured before, between or after is never read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

SHORTEST = 0.001  # seconds


class TrackPiece(msgspec.Struct, frozen=True):
    """A stretch of a track, from `begin` to `end` in its own seconds, that is heard or seen from `at` on."""

    begin: float
    end: float
    at: float


def pieces(started_at: float, takes: Iterable[tuple[float, float]]) -> Iterator[TrackPiece]:
    """The stretches of a track whose first moment was `started_at` (Unix seconds, as those of the takes)."""
    before = 0.0
    for start, end in takes:
        begin = max(start - started_at, 0.0)
        if end - started_at > begin + SHORTEST:
            yield TrackPiece(begin, end - started_at, before + started_at + begin - start)
        before += max(end - start, 0.0)


def length(takes: Iterable[tuple[float, float]]) -> float:
    """The longest that the file can be, in seconds."""
    return sum(max(end - start, 0.0) for start, end in takes)

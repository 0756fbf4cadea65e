"""From wall-clock time to time in the file: time that was not recorded leaves no gap.

A recording has takes, the spans in which all people present had agreed. They follow one another in the file, and only
the parts of a track inside a take are used: what an engine captured before, between or after them is never read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

SHORTEST = 0.001  # seconds


class TrackPiece(msgspec.Struct, frozen=True):
    """A part of a track, from `begin` to `end` in its own seconds, that is played from `at` on in the file."""

    begin: float
    end: float
    at: float


def pieces(started_at: float, takes: Iterable[tuple[float, float]]) -> Iterator[TrackPiece]:
    """The parts of a track that began at `started_at` (Unix seconds, as those of the takes)."""
    before = 0.0
    for start, end in takes:
        begin = max(start - started_at, 0.0)
        if end - started_at > begin + SHORTEST:
            yield TrackPiece(begin, end - started_at, before + started_at + begin - start)
        before += max(end - start, 0.0)


def length(takes: Iterable[tuple[float, float]]) -> float:
    """The longest that the file can be, in seconds."""
    return sum(max(end - start, 0.0) for start, end in takes)

"""The speaker's picture, copied packet by packet: no quality is lost and hardly any time is spent.

Of several pictures the one of the lowest rank is shown (the instructor's screen before the camera). A copied picture
can begin at a key frame only, so a change to another one waits for its next key frame.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Final, NamedTuple

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from podium_daemon.media.job import TrackFile, TrackPiece
from podium_daemon.media.tracks import Notes, open_track, packets

IN_WEBM: Final = frozenset({"vp8", "vp9", "av1"})
TICK: Final = Fraction(1, 1000)  # WebM counts milliseconds
_STILL: Final = 5.0  # seconds without a picture, after which a lesser one is as good; a screen at rest sends less often


class Shot(NamedTuple):
    """A packet at its time in the file. The order of the fields is the order of shots."""

    time: float
    rank: int
    source: int
    packet: Packet[Stream]


class Picture:
    """Copies what is to be seen into an open file."""

    def __init__(self, tracks: Sequence[TrackFile], output: OutputContainer, template: TrackFile, notes: Notes) -> None:
        """`template` is one of the tracks; the others have its codec."""
        opened = open_track(template, notes)
        assert opened is not None, "it was looked at before"
        container, stream = opened
        assert isinstance(stream, av.VideoStream)
        self._stream: VideoStream = output.add_stream_from_template(stream)
        self._stream.time_base = TICK
        container.close()
        self._output = output
        self._shots = chosen(shots(tracks, notes))
        self._next = next(self._shots, None)
        self._last = -1
        self.seen = 0.0
        """The time of the last picture so far."""

    @property
    def is_over(self) -> bool:
        """Whether all pictures were written."""
        return self._next is None

    def write_until(self, time: float) -> None:
        """Write all pictures before `time` (seconds of the file)."""
        while self._next is not None and self._next.time < time:
            packet = self._next.packet
            # two in one millisecond would be refused by the file's format
            self._last = max(self._last + 1, round(self._next.time / TICK))
            packet.time_base = TICK
            packet.pts = packet.dts = self._last
            packet.stream = self._stream
            self._output.mux(packet)
            self.seen = self._next.time
            self._next = next(self._shots, None)

    def finish(self) -> None:
        """Do nothing: a copied stream has no delayed packets."""


def shots(tracks: Sequence[TrackFile], notes: Notes) -> Iterator[Shot]:
    """The packets of all pictures that may be shown, by time."""
    sources = [(track, piece) for track in tracks if track.rank is not None for piece in track.pieces]
    sources.sort(key=lambda source: source[1].at)  # of two of one rank the later one is the newer
    return heapq.merge(*(_shots_of(number, *source, notes) for number, source in enumerate(sources)), key=_by_time)


def _by_time(shot: Shot) -> tuple[float, int, int]:
    return shot[:3]


def _shots_of(number: int, track: TrackFile, piece: TrackPiece, notes: Notes) -> Iterator[Shot]:
    assert track.rank is not None, "asked for those that may be shown"
    for time, packet in packets(track, notes):
        if time >= piece.end:
            return
        if time >= piece.begin:
            yield Shot(piece.at + time - piece.begin, track.rank, number, packet)


def chosen(every: Iterator[Shot]) -> Iterator[Shot]:
    """Of all shots those that are seen: one picture at a time, each begun with a key frame.

    A picture goes before those of a higher rank, and before an older one of its own: a person who switches the camera
    off and on sends a new track.
    """
    current: Shot | None = None
    for shot in every:
        goes_on = current is not None and shot.source == current.source
        better = (
            current is None
            or (shot.rank, -shot.source) < (current.rank, -current.source)
            or shot.time - current.time > _STILL
        )
        if goes_on or (better and shot.packet.is_keyframe):
            current = shot
            yield shot

"""Reading one track's file: packets or decoded frames with the track's own time, which begins at 0.

The bytes inside came from people's browsers. Flawed packets are skipped, a file that cannot be read further ends there,
and both are noted: one broken track must not spoil the whole recording.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Final, NamedTuple, TypeVar

import av
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame

from podium_daemon.media.job import TrackFile

Frame = TypeVar("Frame", AudioFrame, VideoFrame)

# no playlist, image sequence or network protocol: such a file could name others for us to read
_OPTIONS: Final = {"protocol_whitelist": "file", "format_whitelist": "matroska,webm,ogg,ivf,wav,mov,mp4"}
_MOST_FLAWS: Final = 200  # in a row; then the file counts as not being media


class TimedPacket(NamedTuple):
    """A packet and its time in the track, in seconds."""

    time: float
    packet: Packet[Stream]


class Notes:
    """Notes on what was left out, in the order in which it was noticed; each once."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}

    def add(self, track: TrackFile, what: str) -> None:
        """Note something about a track."""
        self._lines.setdefault(f"{track.label}: {what}")

    @property
    def lines(self) -> tuple[str, ...]:
        """All notes, in order."""
        return tuple(self._lines)


def open_track(track: TrackFile, notes: Notes) -> tuple[InputContainer, Stream] | None:
    """The container and its one stream of the right kind, or None, which is noted. The caller closes it."""
    try:
        container = av.open(track.path, "r", options=dict(_OPTIONS))
    except (av.FFmpegError, OSError) as error:
        notes.add(track, f"skipped, the file cannot be read ({_words(error)})")
        return None
    streams = container.streams.video if track.is_video else container.streams.audio
    if not streams:
        container.close()
        notes.add(track, "skipped, there is nothing in the file")
        return None
    return container, streams[0]


def packets(track: TrackFile, notes: Notes) -> Generator[TimedPacket, None, None]:
    """The packets of a track in the order of their time stamps in the file."""
    opened = open_track(track, notes)
    if opened is None:
        return
    container, stream = opened
    with closing(container):
        first: float | None = None
        try:
            for packet in container.demux(stream):
                stamp = packet.pts if packet.pts is not None else packet.dts
                if packet.size == 0 or stamp is None or packet.time_base is None:
                    continue
                time = float(stamp * packet.time_base)
                first = time if first is None else first
                yield TimedPacket(time - first, packet)
        except (av.FFmpegError, OSError) as error:
            notes.add(track, f"cut short, the file cannot be read further ({_words(error)})")


def frames(track: TrackFile, kind: type[Frame], notes: Notes) -> Iterator[tuple[float, Frame]]:
    """The decoded frames of a track with their times in it."""
    first: float | None = None
    flaws = 0
    for _, packet in packets(track, notes):
        try:
            decoded = packet.decode()
        except av.FFmpegError as error:
            notes.add(track, f"parts left out, they cannot be decoded ({_words(error)})")
            flaws += 1
            if flaws >= _MOST_FLAWS:
                return
            continue
        flaws = 0
        for frame in decoded:
            if isinstance(frame, kind) and frame.pts is not None and frame.time_base is not None:
                time = float(frame.pts * frame.time_base)
                first = time if first is None else first
                yield time - first, frame


def _words(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]

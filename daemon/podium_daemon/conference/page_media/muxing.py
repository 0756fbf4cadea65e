"""Recorded RTP packets made into WebM: sound and pictures are copied as they were sent, nothing is decoded.

Run as `python -P -m podium_daemon.conference.page_media.muxing FROM INTO`, both folders. It writes one line of
JSON to stdout, a list of `Muxed`. A record cut off by a crash, and invalid packets, are skipped.
"""

from __future__ import annotations

import heapq
import os
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from struct import unpack_from
from typing import BinaryIO, Final, NamedTuple

import av
import msgspec
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from podium_daemon.conference.events import TrackKind
from podium_daemon.conference.page_media.packet_files import RECORD, TrackHead
from podium_daemon.conference.page_media.recordings import Muxed
from podium_daemon.conference.page_media.rtp import CLOCK_RATE, Packet, read_packet
from podium_daemon.runtime.worker_child import end_with_the_daemon

_WINDOW: Final = 512  # packets within which a late one is put into its place
_MAX_HEAD: Final = 4096
_MAX_SIDE: Final = 4096  # pixels: a publisher can claim 16,383 and have us set memory aside for them
_STDOUT: Final = 1


class EncodedFrame(NamedTuple):
    """An Opus packet or a VP8 frame; `at` in ticks of the track's clock since its first packet."""

    at: int
    is_key: bool
    data: bytes


def mux_folder(packets: Path, into: Path) -> list[Muxed]:
    """Make a WebM for every track of `packets` that has media in it."""
    made = []
    for path in sorted(packets.glob("*.rtp")):
        with path.open("rb") as file:
            head = read_head(file)
            name = f"{path.stem}.webm"
            if head is not None and _mux_or_nothing(head.kind, read_pieces(file, head.kind), into / name):
                made.append(Muxed(name=name, kind=head.kind, pubkey=head.pubkey, started_at=head.started_at))
    return made


def read_head(file: BinaryIO) -> TrackHead | None:
    """The first line of a track's file, or None if it was never written whole."""
    line = file.readline(_MAX_HEAD)
    try:
        return msgspec.json.decode(line, type=TrackHead) if line.endswith(b"\n") else None
    except msgspec.DecodeError:
        return None


def read_pieces(file: BinaryIO, kind: TrackKind) -> Iterator[EncodedFrame]:
    """Read the sound packets or the pictures of a track, in order."""
    ordered = _in_order(_packets(file))
    return _sounds(ordered) if kind is TrackKind.AUDIO else _pictures(ordered)


def _packets(file: BinaryIO) -> Iterator[Packet]:
    while len(head := file.read(RECORD.size)) == RECORD.size:
        _, length = RECORD.unpack(head)
        raw = file.read(length)
        if len(raw) < length:
            return
        packet = read_packet(raw, None)
        if packet is not None:
            yield packet


def _in_order(packets: Iterator[Packet]) -> Iterator[tuple[int, Packet]]:
    """Each packet once, with its place in a count that does not wrap."""
    waiting: list[tuple[int, int, Packet]] = []
    newest: int | None = None
    last = -1
    for number, packet in enumerate(packets):
        place = packet.sequence + 0x10000 if newest is None else _unwrapped(packet.sequence, newest, 16)
        newest = place if newest is None else max(newest, place)
        heapq.heappush(waiting, (place, number, packet))
        while len(waiting) > _WINDOW or (waiting and last >= waiting[0][0]):
            place, _, first = heapq.heappop(waiting)
            if place > last:
                last = place
                yield place, first
    while waiting:
        place, _, first = heapq.heappop(waiting)
        if place > last:
            last = place
            yield place, first


def _unwrapped(value: int, near: int, bits: int) -> int:
    """The number of which `value` is the last `bits`, nearest to `near`."""
    span = 1 << bits
    return near + ((value - near + span // 2) % span) - span // 2


class _Ticks:
    """Timestamps since the first, without wrapping."""

    def __init__(self) -> None:
        self._first = self._last = 0
        self._begun = False

    def since(self, timestamp: int) -> int:
        if not self._begun:
            self._begun, self._first, self._last = True, timestamp, timestamp
        self._last = _unwrapped(timestamp, self._last, 32)
        return self._last - self._first


def _payload(packet: Packet) -> bytes:
    return packet.body[: -packet.body[-1]] if packet.padded else packet.body


def _sounds(packets: Iterator[tuple[int, Packet]]) -> Iterator[EncodedFrame]:
    ticks, last = _Ticks(), -1
    for _, packet in packets:
        at, data = ticks.since(packet.timestamp), _payload(packet)
        if data and at > last:
            last = at
            yield EncodedFrame(at, is_key=True, data=data)


def _pictures(packets: Iterator[tuple[int, Packet]]) -> Iterator[EncodedFrame]:
    """Whole frames from the first key frame on."""
    ticks, last, begun = _Ticks(), -1, False
    for frame in _frames(packets):
        data = b"".join(part for _, part in frame.parts)
        is_key = not data[0] & 1  # RFC 6386, 9.1
        begun = begun or (is_key and _size_of(data) is not None)
        at = ticks.since(frame.timestamp)
        if begun and at > last:
            last = at
            yield EncodedFrame(at, is_key, data)


def _size_of(key_frame: bytes) -> tuple[int, int] | None:
    """Width and height out of a key frame's head (RFC 6386, 9.1); None if it is none, or of a giant picture."""
    if len(key_frame) < 10 or key_frame[3:6] != b"\x9d\x01\x2a":
        return None
    width, height = (side & 0x3FFF for side in unpack_from("<HH", key_frame, 6))
    return (width, height) if 0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE else None


class _Frame(NamedTuple):
    timestamp: int
    parts: list[tuple[int, bytes]]


def _frames(packets: Iterator[tuple[int, Packet]]) -> Iterator[_Frame]:
    """Frames of which no packet is missing."""
    frame: _Frame | None = None
    for place, packet in packets:
        found = _vp8_part(_payload(packet))
        if found is None:
            continue
        begins, data = found
        if begins:
            frame = _Frame(packet.timestamp, [(place, data)])
        elif frame is not None and packet.timestamp == frame.timestamp and place == frame.parts[-1][0] + 1:
            frame.parts.append((place, data))
        else:
            frame = None
        if frame is not None and packet.marker:
            yield frame
            frame = None


def _vp8_part(payload: bytes) -> tuple[bool, bytes] | None:
    """Whether a frame begins here, and its bytes, without the descriptor (RFC 7741, 4.2)."""
    if not payload:
        return None
    first, size = payload[0], 1
    if first & 0x80:
        if len(payload) < 2:
            return None
        flags, size = payload[1], 2
        if flags & 0x80:
            size += 2 if len(payload) > size and payload[size] & 0x80 else 1
        size += bool(flags & 0x40) + bool(flags & 0x30)
    return (bool(first & 0x10) and not first & 0x07, payload[size:]) if len(payload) > size else None


def _mux_or_nothing(kind: TrackKind, pieces: Iterator[EncodedFrame], path: Path) -> bool:
    """As `_mux`, but a failure is swallowed: one person's invalid packets must not spoil the other tracks."""
    try:
        return _mux(kind, pieces, path)
    except (av.FFmpegError, ValueError) as error:
        sys.stderr.write(f"{path.stem}: {error}\n")
        path.unlink(missing_ok=True)
        return False


def _mux(kind: TrackKind, pieces: Iterator[EncodedFrame], path: Path) -> bool:
    """Write a WebM; False, and no file, if there are no pieces."""
    first = next(pieces, None)
    if first is None:
        return False
    with av.open(str(path), "w", format="webm") as container:
        stream: AudioStream | VideoStream
        if kind is TrackKind.AUDIO:
            stream = container.add_stream("libopus", rate=CLOCK_RATE[kind], layout="stereo")
        else:
            size = _size_of(first.data)
            assert size is not None, "the first picture is a whole key frame"
            stream = container.add_stream("libvpx", rate=30, width=size[0], height=size[1], pix_fmt="yuv420p")
        tick = Fraction(1, CLOCK_RATE[kind])
        stream.time_base = tick
        container.start_encoding()
        for piece in (first, *pieces):
            packet = av.Packet(piece.data)
            packet.stream, packet.time_base = stream, tick
            packet.pts = packet.dts = piece.at
            packet.is_keyframe = piece.is_key
            container.mux(packet)
    return True


if __name__ == "__main__":
    os.umask(0o077)
    end_with_the_daemon()
    said = msgspec.json.encode(mux_folder(Path(sys.argv[1]), Path(sys.argv[2]))) + b"\n"
    with open(_STDOUT, "wb", closefd=False) as out:
        out.write(said)

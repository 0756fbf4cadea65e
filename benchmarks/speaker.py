"""A speaker without a camera: RTP packets as a 640x360 VP8 picture and an Opus voice make them, none of it encoded."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from struct import pack
from typing import Final

_FRAMES: Final = 30  # a second
_PARTS: Final = 3  # bursts in which a browser's pacer sends a frame
_PACKETS: Final = 4  # of a burst
_PICTURE_BYTES: Final = 900  # of a packet: 2.6 Mbit/s
_VOICES: Final = 50  # packets a second
_VOICE_BYTES: Final = 80
STEPS: Final = _FRAMES * _PARTS  # a second
RATE: Final = _FRAMES * _PARTS * _PACKETS + _VOICES
"""Packets a second."""


class Stream:
    """The packets of one media line."""

    def __init__(self, *, ssrc: int, payload_type: int, mid: str, mid_extension: int) -> None:
        self._ssrc = ssrc
        self._payload_type = payload_type
        # one element of one byte (RFC 8285, 4.2): the line's name, as browsers write it
        self._extension = pack("!HHBBH", 0xBEDE, 1, mid_extension << 4, ord(mid), 0)
        self._sequence = random.getrandbits(15)

    def packet(self, body: bytes, timestamp: int, *, marker: bool) -> bytes:
        """The next packet (RFC 3550, 5.1)."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        second = self._payload_type | (0x80 if marker else 0)
        head = pack("!BBHII", 0x90, second, self._sequence, timestamp & 0xFFFFFFFF, self._ssrc)
        return head + self._extension + body


def packets(voice: Stream, picture: Stream) -> Iterator[list[bytes]]:
    """What is sent in each step of a `STEPS`th of a second."""
    noise = os.urandom(_PICTURE_BYTES)
    voices = 0
    for step in range(1 << 31):
        frame, part = divmod(step, _PARTS)
        batch = [
            picture.packet(
                _vp8(is_key=frame == 0, is_first=part == number == 0) + noise,
                frame * 90_000 // _FRAMES,
                marker=part == _PARTS - 1 and number == _PACKETS - 1,
            )
            for number in range(_PACKETS)
        ]
        if voices * STEPS <= step * _VOICES:
            batch.append(voice.packet(noise[:_VOICE_BYTES], voices * 960, marker=False))
            voices += 1
        yield batch


def _vp8(*, is_key: bool, is_first: bool) -> bytes:
    """The payload descriptor (RFC 7741, 4.2), and of a frame's first packet what begins it (RFC 6386, 9.1)."""
    if not is_first:
        return b"\x00"
    start = b"\x9d\x01\x2a" + pack("<HH", 640, 360) if is_key else b""
    return b"\x10" + (b"\x10\x00\x00" if is_key else b"\x11\x00\x00") + start

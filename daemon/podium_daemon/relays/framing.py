"""Messages out of the stream of one WebSocket: whole text frames are cut out here, all else is read by `websockets`.

Nearly every frame of a relay is an unmasked text frame in one part (RFC 6455, section 5.2). The library takes 6 us for
one, which was a third of what an event cost the event loop. So it is given the other frames only, each of them whole,
and judges all that breaks the protocol: from such a frame on it gets everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, Event

_TEXT: Final = 0x81  # a text message in one frame
_FIRST_PARTS: Final = frozenset((0x01, 0x02))  # of a text and of a binary message
_LAST_PART: Final = 0x80
_PARTS: Final = frozenset((0x00, _LAST_PART))  # after the first one
_BEGINNINGS: Final = _FIRST_PARTS | {_TEXT, 0x82}  # 0x82: a binary message in one frame
_CONTROL: Final = frozenset((0x88, 0x89, 0x8A))  # close, ping, pong
_MAX_CONTROL: Final = 125  # bytes (section 5.5)
_LENGTH_IN_2: Final = 126  # the length is in the next two bytes
_LENGTH_IN_8: Final = 127
_MASKED: Final = 0x80  # in the byte of the length: no server does that (section 5.1)
MAX_FRAMES: Final = 512  # read in one step: 3 ms at most, where a hostile relay packs 32,000 into 64 KiB


class Received(NamedTuple):
    """Text messages, as their bytes, and how many binary ones, pings and pongs, and fragments there were besides."""

    texts: list[bytes]
    binaries: int
    controls: int
    fragments: int


class Framing:
    """Reads the stream of an open connection; answers to it are the library's to give."""

    def __init__(self, protocol: ClientProtocol, max_size: int) -> None:
        """`protocol` has shaken hands and has seen nothing after that. `max_size`: bytes of a message."""
        self._protocol = protocol
        self._max_size = max_size
        self.is_behind = False
        """Whether the last step ended at its most frames: `receive` of nothing reads on."""
        self._rest = bytearray()  # the beginning of a frame
        self._awaited = 0  # the size of that frame, once it is known
        self._is_fragmented = False  # the parts of a message are coming
        self._has_broken = False  # the library has it all: a frame was not as it should be
        self._parts: bytearray | None = None

    def receive(self, data: bytes) -> Received:
        """Take the next piece of the stream; what it breaks is told by the library's `parser_exc`.

        One step reads `MAX_FRAMES` frames at most; `is_behind` says that it left some.
        """
        data, at, left = self._joined(data), 0, MAX_FRAMES
        texts: list[bytes] = []
        counts: Counter[str] = Counter()
        while self._protocol.state is OPEN:
            before, at = len(texts), self._cut_texts(data, at, texts, left)
            left -= len(texts) - before
            if (end := self._end_of_others(data, at, left)) == at:
                break
            self._protocol.receive_data(data[at:end])
            at = end
            events = self._protocol.events_received()
            left -= len(events)
            self._assemble(events, texts, counts)
        self.is_behind = left <= 0 and at < len(data)
        if data:
            self._keep(data[at:])
        return Received(texts, counts["binaries"], counts["controls"], counts["fragments"])

    def _joined(self, data: bytes) -> bytes:
        """The piece with what was left of the last one; nothing while a frame is incomplete, or each would copy all."""
        if not self._rest:
            return data
        self._rest += data
        return bytes(self._rest) if len(self._rest) >= self._awaited else b""

    def _keep(self, rest: bytes) -> None:
        payload = _payload(rest, 0) if len(rest) > 1 else None
        self._rest, self._awaited = bytearray(rest), 0 if payload is None else payload.end

    def _cut_texts(self, data: bytes, at: int, texts: list[bytes], most: int) -> int:
        if self._is_fragmented or self._has_broken:
            return at
        return _cut_texts(data, at, self._max_size, texts, len(texts) + most)

    def _end_of_others(self, data: bytes, at: int, most: int) -> int:
        """Where the whole frames end that are the library's; it gets everything once a frame is not allowed."""
        while not self._has_broken and most > 0 and at + 2 <= len(data):
            kind, size = data[at], data[at + 1]
            payload = _payload(data, at)
            is_good = self._is_allowed(kind, size) and (payload is None or payload.size <= self._max_size)
            if not is_good:
                self._has_broken = True
            elif payload is None or payload.end > len(data) or kind == _TEXT:
                return at
            else:
                self._is_fragmented = kind in _FIRST_PARTS or (self._is_fragmented and kind != _LAST_PART)
                at = payload.end
                most -= 1
        return len(data) if self._has_broken else at

    def _is_allowed(self, kind: int, size: int) -> bool:
        if size & _MASKED:
            return False
        if kind in _CONTROL:
            return size <= _MAX_CONTROL
        return kind in _PARTS if self._is_fragmented else kind in _BEGINNINGS

    def _assemble(self, events: Iterable[Event], texts: list[bytes], counts: Counter[str]) -> None:
        """Add the messages that came in parts to `texts`, and count the other frames."""
        for frame in events:
            assert isinstance(frame, Frame)
            counts["fragments"] += frame.opcode is Opcode.CONT
            if frame.opcode is Opcode.TEXT and frame.fin:
                texts.append(bytes(frame.data))
            elif frame.opcode in (Opcode.TEXT, Opcode.BINARY):
                counts["binaries"] += frame.opcode is Opcode.BINARY
                # binary messages are read on, as the protocol wants it, and dropped: Nostr has none
                self._parts = bytearray(frame.data) if frame.opcode is Opcode.TEXT else None
            elif frame.opcode is Opcode.CONT and self._parts is not None:
                # their sum is bounded by `max_size`; empty ones without end cost no memory this way
                self._parts += frame.data
                if frame.fin:
                    texts.append(bytes(self._parts))
                    self._parts = None
            elif frame.opcode in (Opcode.PING, Opcode.PONG):
                counts["controls"] += 1


class _Payload(NamedTuple):
    size: int
    end: int  # where the next frame begins


def _payload(data: bytes, at: int) -> _Payload | None:
    """The payload of the frame that begins there; None if its length is not there yet."""
    start, size = at + 2, data[at + 1] & 0x7F
    if size >= _LENGTH_IN_2:
        end = start + (2 if size == _LENGTH_IN_2 else 8)
        if end > len(data):
            return None
        start, size = end, int.from_bytes(data[start:end], "big")
    return _Payload(size, start + size)


def _cut_texts(data: bytes, at: int, max_size: int, texts: list[bytes], most: int) -> int:
    """Add text messages that stand there to `texts`, until it has `most`; returns where the next frame begins."""
    total = len(data)
    while at + 2 <= total and data[at] == _TEXT and len(texts) < most:
        size = data[at + 1]
        if size < _LENGTH_IN_2:
            start = at + 2
        elif size == _LENGTH_IN_2 and at + 4 <= total:
            start, size = at + 4, data[at + 2] << 8 | data[at + 3]
        elif size == _LENGTH_IN_8 and (payload := _payload(data, at)) is not None:
            start, size = at + 10, payload.size
        else:
            break
        end = start + size
        if end > total or size > max_size:
            break
        texts.append(data[start:end])
        at = end
    return at

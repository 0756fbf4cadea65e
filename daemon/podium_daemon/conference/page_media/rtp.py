"""RTP and RTCP as bytes: the headers that a forwarder reads and rewrites, not the media inside. No I/O, no clock.

Every function takes bytes that a stranger's browser sent. What cannot be read is None.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct, pack, unpack_from
from typing import Final, NamedTuple

from podium_daemon.conference.events import TrackKind

# ticks a second (RFC 7587, 4.1; RFC 7741, 4.1)
CLOCK_RATE: Final = {TrackKind.AUDIO: 48_000, TrackKind.VIDEO: 90_000, TrackKind.SCREEN: 90_000}
_FIXED: Final = Struct("!BBHII")  # RFC 3550, 5.1: V P X CC, M PT, sequence, timestamp, SSRC
_HEADER: Final = _FIXED.size
_ONE_BYTE: Final = 0xBEDE  # RFC 8285, 4.2
_TWO_BYTE: Final = 0x100  # RFC 8285, 4.3: the upper 12 bits
_SR: Final = 200
_RR: Final = 201
_RTPFB: Final = 205
_PSFB: Final = 206
_NACK: Final = 1  # RFC 4585, 6.2.1
_PLI: Final = 1  # RFC 4585, 6.3.1
_FIR: Final = 4  # RFC 5104, 4.3.1
MAX_MISSING: Final = 512  # sequence numbers read from one NACK: the ring holds no more


class Packet(NamedTuple):
    """One RTP packet. `body` is everything after the header and its extensions, padding included.

    `level` is its loudness, the one byte of RFC 6464, if its sender gives it: pages show by it who speaks.
    """

    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    padded: bool
    body: bytes
    mid: str | None = None
    level: int | None = None


class SenderReport(NamedTuple):
    """RFC 3550, 6.4.1: `ntp` is 64 bits of wall time at which the stream's clock showed `timestamp`."""

    ssrc: int
    ntp: int
    timestamp: int


class Nack(NamedTuple):
    """Sequence numbers that did not arrive."""

    ssrc: int
    missing: tuple[int, ...]


class PictureLost(NamedTuple):
    """A receiver cannot go on without a key frame (PLI or FIR)."""

    ssrc: int


class Report(NamedTuple):
    """A receiver report on one stream (RFC 3550, 6.4.2). `lost` is cumulative, `fraction` is in 256ths."""

    ssrc: int
    fraction: int
    lost: int
    highest: int
    jitter: int
    last_report: int
    delay: int


Feedback = SenderReport | Nack | PictureLost


def read_packet(data: bytes, mid_id: int | None = None, level_id: int | None = None) -> Packet | None:
    """Read an RTP packet; the ids are those negotiated for the extensions that name its media line and its loudness."""
    if len(data) < _HEADER:
        return None
    first, second, sequence, timestamp, ssrc = _FIXED.unpack_from(data)
    if first >> 6 != 2:
        return None
    start = _HEADER + 4 * (first & 0x0F)
    mid: bytes | None = None
    level: bytes | None = None
    if first & 0x10:
        if len(data) < start + 4:
            return None
        profile, words = unpack_from("!HH", data, start)
        end = start + 4 + 4 * words
        if mid_id is not None or level_id is not None:
            for number, value in _extensions(profile, data[start + 4 : end]):
                mid = value if number == mid_id else mid
                level = value if number == level_id else level
        start = end
    if len(data) < start:
        return None
    padded = bool(first & 0x20)
    if padded and not 0 < data[-1] <= len(data) - start:
        return None
    line = None if mid is None else mid.decode("ascii", "replace")
    loudness = level[0] if level else None
    return Packet(second >= 0x80, second & 0x7F, sequence, timestamp, ssrc, padded, data[start:], line, loudness)


def write_packet(
    packet: Packet, *, payload_type: int, sequence: int, timestamp: int, ssrc: int, level_id: int | None = None
) -> bytes:
    """Write the packet with another SSRC, payload type, sequence number and timestamp.

    Extensions are dropped, since their ids were negotiated with its sender only; except the loudness, under the id
    negotiated with the receiver (1 to 14), if there is one.
    """
    first = 0xA0 if packet.padded else 0x80
    second = payload_type | (0x80 if packet.marker else 0)
    if level_id is None or packet.level is None:
        return _FIXED.pack(first, second, sequence, timestamp, ssrc) + packet.body
    head = _FIXED.pack(first | 0x10, second, sequence, timestamp, ssrc)
    return head + pack("!HHBBH", _ONE_BYTE, 1, level_id << 4, packet.level, 0) + packet.body


def is_rtcp(data: bytes) -> bool:
    """Whether a packet of two bytes or more is RTCP: on a common port no payload type looks like one (RFC 5761, 4)."""
    return 192 <= data[1] <= 223


def newer(one: int, other: int, bits: int = 16) -> bool:
    """Whether number `one` comes after `other` on a circle of 2**bits (RFC 1982)."""
    half = 1 << (bits - 1)
    return one != other and ((one - other) & (2 * half - 1)) < half


def read_feedback(data: bytes) -> Iterator[Feedback]:
    """Read the feedback that we use from a compound RTCP packet, up to its end or its first flaw."""
    place = 0
    while place + 4 <= len(data):
        first, kind, words = unpack_from("!BBH", data, place)
        end = place + 4 + 4 * words
        if first >> 6 != 2 or end > len(data):
            return
        one = _read_one(first & 0x1F, kind, data[place + 4 : end])
        if one is not None:
            yield one
        place = end


def write_sender_report(report: SenderReport, *, packets: int, octets: int, cname: bytes) -> bytes:
    """A sender report with the CNAME that RFC 3550 wants in every compound packet."""
    body = pack("!IQIII", report.ssrc, report.ntp, report.timestamp, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF)
    item = pack("!IBB", report.ssrc, 1, len(cname)) + cname
    item += bytes(4 - len(item) % 4)  # at least one zero ends the list of items
    return _write(0, _SR, body) + _write(1, 202, item)


def write_receiver_report(own: int, reports: Sequence[Report]) -> bytes:
    """Write a receiver report on how streams arrive, at most 31 of them."""
    blocks = b"".join(
        pack("!IB", one.ssrc, one.fraction)
        + max(-0x800000, min(one.lost, 0x7FFFFF)).to_bytes(3, "big", signed=True)
        + pack("!IIII", one.highest & 0xFFFFFFFF, one.jitter & 0xFFFFFFFF, one.last_report, one.delay)
        for one in reports
    )
    return _write(len(reports), _RR, pack("!I", own) + blocks)


def write_nack(own: int, ssrc: int, missing: Sequence[int]) -> bytes:
    """Ask for packets again; `missing` in order."""
    pairs, base, bits = b"", missing[0], 0
    for sequence in missing[1:]:
        ahead = (sequence - base - 1) & 0xFFFF
        if ahead < 16:
            bits |= 1 << ahead
        else:
            pairs += pack("!HH", base, bits)
            base, bits = sequence, 0
    return _write(_NACK, _RTPFB, pack("!II", own, ssrc) + pairs + pack("!HH", base, bits))


def write_picture_lost(own: int, ssrc: int) -> bytes:
    """Ask for a key frame."""
    return _write(_PLI, _PSFB, pack("!II", own, ssrc))


def _write(count: int, kind: int, body: bytes) -> bytes:
    return pack("!BBH", 0x80 | count, kind, len(body) // 4) + body


def _read_one(count: int, kind: int, body: bytes) -> Feedback | None:
    if kind == _SR and len(body) >= 24:
        ssrc, ntp, timestamp = unpack_from("!IQI", body)
        return SenderReport(ssrc, ntp, timestamp)
    if len(body) < 8:
        return None
    if kind == _RTPFB and count == _NACK:
        return Nack(unpack_from("!I", body, 4)[0], tuple(_missing(body)))
    if kind == _PSFB and count == _PLI:
        return PictureLost(unpack_from("!I", body, 4)[0])
    if kind == _PSFB and count == _FIR and len(body) >= 16:  # its stream is named in the item, not in the head
        return PictureLost(unpack_from("!I", body, 8)[0])
    return None


def _missing(body: bytes) -> list[int]:
    missing: list[int] = []
    for place in range(8, len(body) - 3, 4):
        base, bits = unpack_from("!HH", body, place)
        missing.append(base)
        missing += [(base + 1 + bit) & 0xFFFF for bit in range(16) if bits >> bit & 1]
        if len(missing) >= MAX_MISSING:
            break
    return missing[:MAX_MISSING]


def _extensions(profile: int, extensions: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and value of each header extension (RFC 8285, 4.2 and 4.3), up to the first that breaks off."""
    is_short = profile == _ONE_BYTE
    if not is_short and profile >> 4 != _TWO_BYTE:
        return
    place = 0
    while place < len(extensions) - 1:
        head = extensions[place]
        if head == 0:
            place += 1
            continue
        number = head >> 4 if is_short else head
        length = (head & 0x0F) + 1 if is_short else extensions[place + 1]
        start = place + (1 if is_short else 2)
        yield number, extensions[start : start + length]
        place = start + length

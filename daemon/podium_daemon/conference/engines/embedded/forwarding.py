"""Forwarding without decoding: a track that a person publishes, and the media lines on which others receive it.

Packets are rewritten to the line's own SSRC, payload type and sequence numbers, so that a line can be given from one
publisher to another and through mutes without a negotiation. Times are monotonic seconds, given by the caller.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from podium_daemon.conference.events import TrackKind
from podium_daemon.conference.page_media.rtp import (
    CLOCK_RATE,
    Nack,
    Packet,
    Report,
    SenderReport,
    newer,
    write_nack,
    write_packet,
    write_picture_lost,
    write_sender_report,
)

RING: Final = 512  # packets kept of a track to answer NACKs: half a second of a busy screen
KEY_FRAME_PAUSE: Final = 0.5  # seconds between two requests for a key frame: each costs the publisher a burst
_GAP: Final = 64  # packets asked for again at once: a longer gap is an outage, and a key frame mends it
_ASK_PAUSE: Final = 0.05  # seconds until the same packet is asked for again
_AGAIN_A_SECOND: Final = 512.0  # packets a receiver may ask for again: more of them is no loss but an attack
_OVERHEAD: Final = 40  # bytes of a packet around its body: many small ones are a burden too
_REPORT_PAUSE: Final = 0.2  # seconds between two reports that are passed on; browsers send one or two a second
# bytes a second that one track may bring, so that one publisher cannot fill all receivers' lines
_ALLOWANCE: Final = {TrackKind.AUDIO: 40_000.0, TrackKind.VIDEO: 500_000.0, TrackKind.SCREEN: 1_000_000.0}

Send = Callable[[bytes], None]
"""Puts a packet, RTP or RTCP, on a connection; never waits and never fails."""


class RateLimit:
    """A bucket of `burst` that fills by `rate` a second."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = self._left = burst
        self._at: float | None = None

    def take_token(self, amount: float, now: float) -> bool:
        """Whether `amount` may pass now."""
        if self._at is not None:
            self._left = min(self._left + (now - self._at) * self._rate, self._burst)
        self._at = now
        if amount > self._left:
            return False
        self._left -= amount
        return True


class Arrivals:
    """The statistics of a stream for receiver reports (RFC 3550, appendix A.3 and A.8)."""

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._first: int | None = None
        self._highest = 0
        self._received = 0
        self._before = (0, 0)
        self._jitter = 0.0
        self._transit: float | None = None
        self._reported: tuple[int, float] | None = None

    def add(self, packet: Packet, now: float) -> None:
        """Note a packet; `now` is monotonic seconds."""
        self._received += 1
        if self._first is None:
            self._first = self._highest = packet.sequence
        elif newer(packet.sequence, self._highest & 0xFFFF):
            self._highest += (packet.sequence - self._highest) & 0xFFFF
        transit = now * self._clock_rate - packet.timestamp
        if self._transit is not None and abs(step := transit - self._transit) < self._clock_rate:
            self._jitter += (abs(step) - self._jitter) / 16
        self._transit = transit

    def heard(self, report: SenderReport, now: float) -> None:
        """Note a sender report; `now` is monotonic seconds."""
        self._reported = (report.ntp >> 16 & 0xFFFFFFFF, now)

    def report(self, ssrc: int, now: float) -> Report | None:
        """The report on packets since the last call; None if no packet ever came."""
        if self._first is None:
            return None
        expected = self._highest - self._first + 1
        since, got = expected - self._before[0], self._received - self._before[1]
        self._before = (expected, self._received)
        fraction = min(255, max(0, since - got) * 256 // since) if since else 0
        last, delay = (self._reported[0], int((now - self._reported[1]) * 65536)) if self._reported else (0, 0)
        return Report(
            ssrc, fraction, expected - self._received, self._highest, int(self._jitter), last, delay & 0xFFFFFFFF
        )


class Track:
    """One person's track of one kind: microphone, camera or screen."""

    def __init__(self, kind: TrackKind, *, ask: Send) -> None:
        """`ask` sends feedback to the publisher, to ask for missing packets."""
        self.kind = kind
        self.lines: list[Downlink] = []
        self.ssrc: int | None = None
        self.dropped = 0
        self._own = random.getrandbits(32)
        self._ask = ask
        self._ring: list[Packet | None] = [None] * RING
        self._asked_at = [float("-inf")] * RING
        self._highest: int | None = None
        self._arrivals = Arrivals(CLOCK_RATE[kind])
        self._allowance = RateLimit(_ALLOWANCE[kind], 3 * _ALLOWANCE[kind])
        self._key_frame_at = float("-inf")
        self._wants_key_frame = False
        self._heard_at = float("-inf")

    def forward_packet(self, packet: Packet, now: float, *, silent: bool) -> bool:
        """Take a packet from the publisher; `silent`: the track is muted here. Whether it was forwarded."""
        if packet.ssrc != self.ssrc:
            self._begin(packet.ssrc)
        self._arrivals.add(packet, now)
        if not self._allowance.take_token(len(packet.body) + _OVERHEAD, now):
            self.dropped += 1
            return False
        self._note_gap(packet)
        if silent:
            for line in self.lines:
                line.pause()
            return False
        self._ring[packet.sequence % RING] = packet
        if self._wants_key_frame:
            self.want_key_frame(now)
        for line in self.lines:
            line.forward(packet)
        return True

    def heard(self, report: SenderReport, now: float) -> None:
        """The publisher's sender report: the clock by which a line's sound and picture are held together."""
        if report.ssrc != self.ssrc or now - self._heard_at < _REPORT_PAUSE:
            return
        self._heard_at = now
        self._arrivals.heard(report, now)
        for line in self.lines:
            line.pass_report(report)

    def want_key_frame(self, now: float) -> None:
        """Ask the publisher for a key frame, now or as soon as the pause is over."""
        if self.kind is TrackKind.AUDIO or self.ssrc is None:
            return
        self._wants_key_frame = now - self._key_frame_at < KEY_FRAME_PAUSE
        if not self._wants_key_frame:
            self._key_frame_at = now
            self._ask(write_picture_lost(self._own, self.ssrc))

    def kept(self, sequence: int, now: float) -> Packet | None:
        """The packet of that number if it is in the ring; if it never came, the publisher is asked for it."""
        place = sequence % RING
        packet = self._ring[place]
        if packet is not None and packet.sequence == sequence:
            return packet
        is_recent = self._highest is not None and (self._highest - sequence) & 0xFFFF < RING
        # all receivers miss a packet that never came here: it is asked for once, not once for each of them
        if is_recent and self.ssrc is not None and now - self._asked_at[place] > _ASK_PAUSE:
            self._asked_at[place] = now
            self._ask(write_nack(self._own, self.ssrc, [sequence]))
        return None

    def report(self, now: float) -> Report | None:
        """The receiver report for the publisher, or None."""
        return None if self.ssrc is None else self._arrivals.report(self.ssrc, now)

    def _begin(self, ssrc: int) -> None:
        """Another stream under the same media line: a page that was given another camera."""
        self.ssrc, self._highest = ssrc, None
        self._ring = [None] * RING
        self._arrivals = Arrivals(CLOCK_RATE[self.kind])
        for line in self.lines:
            line.restart()

    def _note_gap(self, packet: Packet) -> None:
        if self._highest is not None and not newer(packet.sequence, self._highest):
            return
        before, self._highest = self._highest, packet.sequence
        if before is None or self.kind is TrackKind.AUDIO:  # opus conceals a loss; what is asked for comes too late
            return
        gap = (packet.sequence - before - 1) & 0xFFFF
        if 0 < gap <= _GAP:
            self._ask(write_nack(self._own, packet.ssrc, [(before + 1 + step) & 0xFFFF for step in range(gap)]))
        elif gap:
            self._wants_key_frame = True


class Downlink:
    """One media line on which a person receives."""

    def __init__(self, kind: TrackKind, ssrc: int, *, send: Send, cname: bytes) -> None:
        self.kind = kind
        self.ssrc = ssrc
        self.payload_type: int | None = None  # until the receiver has answered which it takes
        self.level_id: int | None = None
        self.track: Track | None = None
        self.packets = 0
        self._send = send
        self._cname = cname
        self._octets = 0
        # in the lower half, or a first packet lost near the wrap would leave SRTP's two ends a cycle apart
        self._next = random.getrandbits(15)
        self._last_timestamp = random.getrandbits(32)
        self._shift: int | None = None
        self._first: int | None = None  # until the line is too far from it for anything older to come
        self._time_shift: int | None = None
        self._again = RateLimit(_AGAIN_A_SECOND, 2 * _AGAIN_A_SECOND)

    def follow(self, track: Track | None, now: float) -> None:
        """Forward another track, or none."""
        if self.track is not None:
            self.track.lines.remove(self)
        self.track = track
        self.restart()
        if track is not None:
            track.lines.append(self)
            track.want_key_frame(now)

    def pause(self) -> None:
        """Pause: later packets continue our sequence numbers and the same clock."""
        self._shift = None

    def restart(self) -> None:
        """Prepare for another stream with a clock of its own."""
        self._shift = self._time_shift = None

    def forward(self, packet: Packet) -> None:
        """Send a packet of the track on. One function, since it runs for each packet and each viewer."""
        if self.payload_type is None:
            return
        if self._shift is None or self._time_shift is None:
            shift, time_shift = self._join(packet)
        elif self._first is not None and self._is_older(packet.sequence):
            return  # it was on its way when the line began to carry this
        else:
            shift, time_shift = self._shift, self._time_shift
        sequence = (packet.sequence + shift) & 0xFFFF
        timestamp = (packet.timestamp + time_shift) & 0xFFFFFFFF
        if (sequence - self._next) & 0xFFFF < 0x8000:  # the next, or after it
            self._next = (sequence + 1) & 0xFFFF
            self._last_timestamp = timestamp
        self._put(packet, sequence, timestamp)

    def asked_again(self, nack: Nack, now: float) -> int:
        """Send packets again that the receiver misses; return their number."""
        sent = 0
        if self.track is None or self._shift is None or self._time_shift is None or self.payload_type is None:
            return sent
        for sequence in nack.missing:
            if not self._again.take_token(1, now):
                break
            original = (sequence - self._shift) & 0xFFFF
            is_older = self._first is not None and newer(self._first, original)
            packet = None if is_older else self.track.kept(original, now)
            if packet is not None:
                self._put(packet, sequence, (packet.timestamp + self._time_shift) & 0xFFFFFFFF)
                sent += 1
        return sent

    def pass_report(self, report: SenderReport) -> None:
        """Forward the publisher's sender report, in our timestamps."""
        if self._time_shift is None:
            return
        timestamp = (report.timestamp + self._time_shift) & 0xFFFFFFFF
        own = SenderReport(self.ssrc, report.ntp, timestamp)
        self._send(write_sender_report(own, packets=self.packets, octets=self._octets, cname=self._cname))

    def _join(self, packet: Packet) -> tuple[int, int]:
        self._first = packet.sequence
        self._shift = (self._next - packet.sequence) & 0xFFFF
        if self._time_shift is None:
            # a tenth of a second after what was sent last: no receiver takes it for the same frame
            self._time_shift = (self._last_timestamp + CLOCK_RATE[self.kind] // 10 - packet.timestamp) & 0xFFFFFFFF
        return self._shift, self._time_shift

    def _is_older(self, sequence: int) -> bool:
        """Whether a packet is older than the first that the line carried."""
        assert self._first is not None, "asked after a look"
        ahead = (sequence - self._first) & 0xFFFF
        if RING <= ahead < 0x8000:
            self._first = None  # else half a circle of numbers later everything would be older
        return ahead >= 0x8000

    def _put(self, packet: Packet, sequence: int, timestamp: int) -> None:
        assert self.payload_type is not None, "asked after a look"
        data = write_packet(
            packet,
            payload_type=self.payload_type,
            sequence=sequence,
            timestamp=timestamp,
            ssrc=self.ssrc,
            level_id=self.level_id,
        )
        self._send(data)
        self.packets += 1
        self._octets += len(packet.body)

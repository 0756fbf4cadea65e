"""Forwarding: numbers, clocks, what is sent again, and what strangers cannot make us do."""

from __future__ import annotations

from itertools import pairwise

from podium_daemon.conference.engines.embedded.forwarding import RING, Arrivals, Downlink, Track
from podium_daemon.conference.events import TrackKind
from podium_daemon.conference.page_media.rtp import (
    Nack,
    Packet,
    PictureLost,
    SenderReport,
    read_feedback,
    read_packet,
)


def _packet(sequence: int, *, timestamp: int | None = None, ssrc: int = 1, size: int = 100) -> Packet:
    at = 3000 * sequence if timestamp is None else timestamp
    return Packet(
        True, 96, sequence & 0xFFFF, at & 0xFFFFFFFF, ssrc, False, sequence.to_bytes(4, "big") * (size // 4), None
    )


class Stage:
    """A track with one line; what goes out and what the publisher is asked."""

    def __init__(self, kind: TrackKind = TrackKind.VIDEO) -> None:
        self.asked: list[bytes] = []
        self.sent: list[bytes] = []
        self.track = Track(kind, ask=self.asked.append)
        self.line = Downlink(kind, 900, send=self.sent.append, cname=b"slot-0")
        self.line.payload_type = 101
        self.now = 0.0
        self.line.follow(self.track, self.now)

    def take(self, *sequences: int, silent: bool = False, ssrc: int = 1) -> None:
        """Packets from the publisher, 10 ms apart."""
        for sequence in sequences:
            self.now += 0.01
            self.track.forward_packet(_packet(sequence, ssrc=ssrc), self.now, silent=silent)

    def out(self) -> list[Packet]:
        """The media that went out."""
        found = [read_packet(data, None) for data in self.sent if not 200 <= data[1] <= 206]
        return [packet for packet in found if packet is not None]

    def numbers(self) -> list[int]:
        """Their sequence numbers, from the first one on."""
        out = self.out()
        return [(packet.sequence - out[0].sequence) & 0xFFFF for packet in out]

    def contents(self) -> list[int]:
        """Which packets of the publisher they are."""
        return [int.from_bytes(packet.body[:4], "big") for packet in self.out()]

    def requests(self, kind: type) -> list[object]:
        """What the publisher was asked for."""
        return [one for data in self.asked for one in read_feedback(data) if isinstance(one, kind)]


def test_a_line_has_its_own_name_and_numbers() -> None:
    """SSRC and payload type are the receiver's, numbers run on over the publisher's wrap."""
    stage = Stage()
    stage.take(65534, 65535, 0, 1)
    assert stage.numbers() == [0, 1, 2, 3]
    assert {(packet.ssrc, packet.payload_type) for packet in stage.out()} == {(900, 101)}
    stamps = [packet.timestamp for packet in stage.out()]
    assert (stamps[1] - stamps[0]) & 0xFFFFFFFF == 3000


def test_a_line_runs_on_through_all_numbers() -> None:
    """After half of the 65,536 numbers, where circular comparison turns over, nothing is taken for something older."""
    stage = Stage()
    stage.take(*range(5, 100_005))
    numbers = [int.from_bytes(data[2:4], "big") for data in stage.sent]
    assert len(numbers) == 100_000
    assert all((after - before) & 0xFFFF == 1 for before, after in pairwise(numbers))
    missed = (numbers[-1] - 3) & 0xFFFF
    assert stage.line.asked_again(Nack(900, (missed,)), stage.now) == 1
    assert int.from_bytes(stage.sent[-1][2:4], "big") == missed


def test_what_comes_in_another_order_goes_out_in_it() -> None:
    """The receiver puts packets in order, as it would without us."""
    stage = Stage()
    stage.take(10, 12, 11, 13)
    assert stage.numbers() == [0, 2, 1, 3]


def test_a_line_that_is_given_to_another_runs_on() -> None:
    """The receiver sees one stream: no hole in the numbers, and a clock that goes on."""
    stage = Stage()
    stage.take(10, 11)
    other = Track(TrackKind.VIDEO, ask=stage.asked.append)
    stage.line.follow(other, stage.now)
    for sequence in (40_000, 40_001):
        other.forward_packet(_packet(sequence, timestamp=5, ssrc=2), stage.now, silent=False)
    stage.take(12)  # the first one goes on without this line
    assert stage.numbers() == [0, 1, 2, 3]
    stamps = [packet.timestamp for packet in stage.out()]
    assert (stamps[2] - stamps[1]) & 0xFFFFFFFF == 9000


def test_a_silence_leaves_no_hole() -> None:
    """After a mute the numbers go on where they stood, the clock where it is: nothing is asked for again."""
    stage = Stage()
    stage.take(10, 11)
    stage.take(12, 13, 15, silent=True)
    stage.take(16, 17)
    assert stage.numbers() == [0, 1, 2, 3]
    assert stage.contents() == [10, 11, 16, 17]
    stamps = [packet.timestamp for packet in stage.out()]
    assert (stamps[2] - stamps[1]) & 0xFFFFFFFF == 5 * 3000


def test_a_straggler_of_before_a_silence_stays_behind() -> None:
    """What was muted is not heard a moment later."""
    stage = Stage()
    stage.take(10)
    stage.take(11, 12, 13, silent=True)
    stage.take(20, 12, 21)
    assert stage.contents() == [10, 20, 21]


def test_a_new_camera_under_the_same_line_runs_on() -> None:
    """Another SSRC is another stream with another clock; the receiver notices nothing."""
    stage = Stage()
    stage.take(10, 11)
    stage.take(5, 6, ssrc=2)
    assert stage.numbers() == [0, 1, 2, 3]
    assert stage.contents() == [10, 11, 5, 6]


def test_nothing_goes_out_before_the_receiver_answered() -> None:
    """Without an answer we do not know what it calls our packets."""
    stage = Stage()
    stage.line.payload_type = None
    stage.take(1, 2)
    assert stage.sent == []


def test_what_a_receiver_misses_is_sent_again() -> None:
    """A NACK is answered from the ring, with the very same packet."""
    stage = Stage()
    stage.take(*range(100, 110))
    missing = stage.out()[4]
    before = len(stage.sent)
    assert stage.line.asked_again(Nack(900, (missing.sequence,)), stage.now) == 1
    assert stage.sent[before:] == [stage.sent[4]]


def test_the_ring_holds_512_packets() -> None:
    """The 512th from the end is still there, the one before it is gone."""
    stage = Stage()
    stage.take(*range(RING + 1))
    first, second = stage.out()[:2]
    assert stage.line.asked_again(Nack(900, (first.sequence,)), stage.now) == 0
    assert stage.line.asked_again(Nack(900, (second.sequence,)), stage.now) == 1


def test_what_was_lost_on_the_way_to_us_is_asked_for_at_once() -> None:
    """The publisher is asked for the gap; what comes late fills it on every line."""
    stage = Stage()
    stage.take(10, 11, 14)
    assert stage.requests(Nack) == [Nack(1, (12, 13))]
    stage.take(12, 13)
    assert stage.numbers() == [0, 1, 4, 2, 3]


def test_everybody_missing_the_same_asks_the_publisher_once() -> None:
    """A packet that never came here is asked for again, but not once for each receiver."""
    stage = Stage()
    stage.take(10, 12)
    lost = (stage.out()[0].sequence + 1) & 0xFFFF
    for _ in range(50):
        assert stage.line.asked_again(Nack(900, (lost,)), stage.now) == 0
    assert stage.requests(Nack) == [Nack(1, (11,)), Nack(1, (11,))]
    stage.line.asked_again(Nack(900, (lost,)), stage.now + 0.1)
    assert len(stage.requests(Nack)) == 3


def test_sound_is_not_asked_for_again() -> None:
    """Opus conceals a loss better than a packet that comes too late."""
    stage = Stage(TrackKind.AUDIO)
    stage.take(10, 13)
    assert stage.asked == []


def test_key_frames_are_asked_for_now_and_then() -> None:
    """However many receivers ask, the publisher hears of it twice a second; a late wish is not forgotten."""
    stage = Stage()
    stage.take(1)
    for _ in range(100):
        stage.track.want_key_frame(stage.now)
    assert stage.requests(PictureLost) == [PictureLost(1)]
    stage.now += 0.6
    stage.take(2)
    assert stage.requests(PictureLost) == [PictureLost(1), PictureLost(1)]


def test_a_long_gap_is_mended_by_a_key_frame() -> None:
    """An outage of a second is not asked for packet by packet."""
    stage = Stage()
    stage.take(10, 600)
    assert stage.requests(Nack) == []
    stage.take(601)
    assert stage.requests(PictureLost) == [PictureLost(1)]


def test_asking_without_end_gets_no_more_than_the_ring() -> None:
    """A receiver that asks for everything all the time is sent a bounded number of packets a second."""
    stage = Stage()
    stage.take(*range(500))
    everything = tuple(packet.sequence for packet in stage.out())
    sent = sum(stage.line.asked_again(Nack(900, everything), stage.now) for _ in range(100))
    assert sent <= 2 * RING


def test_one_publisher_cannot_fill_everybodys_line() -> None:
    """More than the allowance is dropped and counted; a second later there is room again."""
    stage = Stage(TrackKind.AUDIO)
    for sequence in range(2000):
        stage.track.forward_packet(_packet(sequence, size=1000), 1.0, silent=False)
    assert 100 <= len(stage.out()) <= 130
    assert stage.track.dropped == 2000 - len(stage.out())
    assert stage.track.forward_packet(_packet(2000), 2.0, silent=False)


def test_a_sender_report_is_told_in_the_lines_own_clock() -> None:
    """Sound and picture of one person are held together by it."""
    stage = Stage()
    stage.take(10)
    stage.track.heard(SenderReport(1, 1 << 33, 3000 * 10), stage.now)
    stage.track.heard(SenderReport(2, 1 << 34, 0), stage.now)  # not of this track
    (report,) = [one for data in stage.sent for one in read_feedback(data) if isinstance(one, SenderReport)]
    assert report == SenderReport(900, 1 << 33, stage.out()[0].timestamp)


def test_a_receiver_report_counts_what_is_lost() -> None:
    """A quarter of the packets lost is 64 of 256; the next report begins anew; the wrap is no loss."""
    arrivals = Arrivals(90_000)
    assert arrivals.report(1, 0.0) is None
    for step in range(100):
        if step % 4:
            arrivals.add(_packet(65_500 + step, timestamp=step), step / 90_000)
    arrivals.heard(SenderReport(1, 0xAAAABBBBCCCCDDDD, 0), 1.0)
    report = arrivals.report(1, 1.5)
    assert report is not None
    assert (report.lost, report.highest) == (24, 65_599)
    assert 60 <= report.fraction <= 66
    assert (report.last_report, report.delay, report.jitter) == (0xBBBBCCCC, 32768, 0)
    arrivals.add(_packet(65_600, timestamp=100), 1.6)
    again = arrivals.report(1, 2.0)
    assert again is not None
    assert again.fraction == 0


def test_small_packets_are_a_burden_too() -> None:
    """A flood of empty packets is held back as one of full ones is."""
    stage = Stage(TrackKind.AUDIO)
    passed = sum(stage.track.forward_packet(_packet(sequence, size=0), 1.0, silent=False) for sequence in range(9000))
    assert passed == 3000


def test_reports_without_end_are_not_passed_on() -> None:
    """One report of a publisher goes to everybody: five a second are enough."""
    stage = Stage()
    stage.take(1)
    for step in range(100):
        stage.track.heard(SenderReport(1, step << 32, 0), stage.now + step / 100)
    assert sum(200 <= data[1] <= 206 for data in stage.sent) == 5

"""RTP and RTCP as bytes, with aiortc's own reader and writer as the second opinion."""

from __future__ import annotations

import pytest
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import (
    HeaderExtensionsMap,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
    RtpPacket,
)
from hypothesis import given
from hypothesis import strategies as st

from podium_daemon.conference.page_media.rtp import (
    MAX_MISSING,
    Nack,
    Packet,
    PictureLost,
    Report,
    SenderReport,
    is_rtcp,
    newer,
    read_feedback,
    read_packet,
    write_nack,
    write_packet,
    write_picture_lost,
    write_receiver_report,
    write_sender_report,
)

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"


def _map(number: int) -> HeaderExtensionsMap:
    extensions = HeaderExtensionsMap()
    extensions.configure(RTCRtpParameters(headerExtensions=[RTCRtpHeaderExtensionParameters(number, MID)]))
    return extensions


@given(
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    marker=st.integers(0, 1),
    payload=st.binary(max_size=64),
    padding=st.integers(0, 8),
    number=st.sampled_from([1, 4, 14, 15, 200]),
    mid=st.one_of(st.none(), st.text("abcXYZ019_-", min_size=1, max_size=20)),
)
def test_a_packet_is_read_as_aiortc_wrote_it(  # noqa: PLR0917  (the fields of a packet)
    sequence: int, timestamp: int, ssrc: int, marker: int, payload: bytes, padding: int, number: int, mid: str | None
) -> None:
    """Header, contributing sources, extensions of both forms, padding: each field is what was sent."""
    sent = RtpPacket(96, marker, sequence, timestamp, ssrc, payload)
    sent.csrc, sent.padding_size, sent.extensions.mid = [1, 2], padding, mid
    packet = read_packet(sent.serialize(_map(number)), number)
    assert packet is not None
    assert (packet.sequence, packet.timestamp, packet.ssrc) == (sequence, timestamp, ssrc)
    assert (packet.payload_type, packet.marker, packet.mid) == (96, bool(marker), mid)
    assert packet.padded == bool(padding)
    assert packet.body[: len(packet.body) - padding] == payload


@given(payload=st.binary(min_size=1, max_size=64), padding=st.integers(0, 8))
def test_a_rewritten_packet_has_another_name_and_the_same_content(payload: bytes, padding: int) -> None:
    """What is inside passes untouched, so that frames encrypted in the browser do; extensions stay behind."""
    sent = RtpPacket(96, 1, 7, 8, 9, payload)
    sent.padding_size, sent.extensions.mid = padding, "0"
    packet = read_packet(sent.serialize(_map(3)), 3)
    assert packet is not None
    read = RtpPacket.parse(write_packet(packet, payload_type=111, sequence=65535, timestamp=5, ssrc=6), _map(3))
    assert (read.payload_type, read.sequence_number, read.timestamp, read.ssrc) == (111, 65535, 5, 6)
    assert (read.payload, read.marker, read.padding_size) == (payload, 1, padding)
    assert read.extensions.mid is None


@given(level=st.integers(0, 255), theirs=st.sampled_from([1, 14, 15, 200]), ours=st.integers(1, 14))
def test_loudness_passes_under_the_receivers_number(level: int, theirs: int, ours: int) -> None:
    """Pages show by it who speaks; the sender's number for it means something else to others."""
    uri = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
    maps = [HeaderExtensionsMap(), HeaderExtensionsMap()]
    for one, number in zip(maps, (theirs, ours), strict=True):
        one.configure(RTCRtpParameters(headerExtensions=[RTCRtpHeaderExtensionParameters(number, uri)]))
    sent = RtpPacket(111, 1, 7, 8, 9, b"sound")
    sent.extensions.audio_level = (level >= 128, level & 0x7F)
    packet = read_packet(sent.serialize(maps[0]), None, theirs)
    assert packet is not None
    assert packet.level == level
    again = write_packet(packet, payload_type=96, sequence=1, timestamp=2, ssrc=3, level_id=ours)
    read = RtpPacket.parse(again, maps[1])
    assert read.extensions.audio_level == (level >= 128, level & 0x7F)
    assert read.payload == b"sound"


@given(st.integers(96, 127), st.booleans())
def test_rtcp_is_told_from_media_by_its_second_byte(payload_type: int, marker: bool) -> None:
    """They share a port: dynamic payload types, with the marker or without, look like none of RTCP's packet types."""
    packet = Packet(marker, 0, 1, 2, 3, padded=False, body=b"x")
    assert not is_rtcp(write_packet(packet, payload_type=payload_type, sequence=1, timestamp=2, ssrc=3))
    assert is_rtcp(write_picture_lost(1, 2))
    assert is_rtcp(write_nack(1, 2, [3]))
    assert is_rtcp(write_receiver_report(1, []))
    assert is_rtcp(write_sender_report(SenderReport(1, 2, 3), packets=4, octets=5, cname=b"x"))


@given(data=st.binary(max_size=200), mid_id=st.one_of(st.none(), st.integers(0, 255)))
def test_bytes_that_are_no_packet_are_none(data: bytes, mid_id: int | None) -> None:
    """Whatever a stranger sends is read or is nothing; it ends no connection."""
    packet = read_packet(data, mid_id)
    assert packet is None or len(packet.body) < len(data)
    assert len(list(read_feedback(data))) <= len(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80" * 11,
        b"\x00" + bytes(20),  # version 0
        b"\x8f" + bytes(20),  # fifteen contributing sources that are not there
        b"\x90" + bytes(12),  # an extension without a head
        b"\xa0" + bytes(20),  # no byte of padding although there is padding
        b"\xa0" + bytes(19) + b"\xff",  # more padding than there are bytes
    ],
)
def test_a_packet_that_breaks_off_is_none(data: bytes) -> None:
    """Each length is looked at before it is believed."""
    assert read_packet(data, 1) is None


@pytest.mark.parametrize(("one", "other", "after"), [(1, 0, True), (0, 1, False), (0, 65535, True), (5, 5, False)])
def test_numbers_go_round(one: int, other: int, after: bool) -> None:
    """0 comes after 65535."""
    assert newer(one, other) is after


@given(st.sets(st.integers(0, 400), min_size=1, max_size=60), st.integers(0, 65535))
def test_a_nack_names_what_is_missing(steps: set[int], start: int) -> None:
    """Read back by aiortc and by ourselves it is the same set, also across the wrap."""
    missing = [(start + step) & 0xFFFF for step in sorted(steps)]
    data = write_nack(1, 77, missing)
    (theirs,) = RtcpPacket.parse(data)
    assert isinstance(theirs, RtcpRtpfbPacket)
    assert {number & 0xFFFF for number in theirs.lost} == set(missing)
    (ours,) = read_feedback(data)
    assert isinstance(ours, Nack)
    assert (ours.ssrc, set(ours.missing)) == (77, set(missing))


def test_a_giant_nack_is_cut() -> None:
    """A few hundred bytes do not make us look for sixty thousand packets."""
    data = bytes(RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=2, lost=[n * 17 for n in range(350)]))
    full = data[:12] + b"\x00\x00\xff\xff" * 350
    full = full[:2] + (len(full) // 4 - 1).to_bytes(2, "big") + full[4:]
    (nack,) = read_feedback(full)
    assert isinstance(nack, Nack)
    assert len(nack.missing) == MAX_MISSING


def test_picture_loss_is_told_both_ways() -> None:
    """PLI as we write it; PLI and FIR as browsers do, in one compound packet with a report before it."""
    (pli,) = RtcpPacket.parse(write_picture_lost(3, 4))
    assert pli == RtcpPsfbPacket(fmt=1, ssrc=3, media_ssrc=4)
    fir = RtcpPsfbPacket(fmt=4, ssrc=3, media_ssrc=0, fci=(9).to_bytes(4, "big") + bytes(4))
    compound = bytes(RtcpRrPacket(1)) + bytes(RtcpPsfbPacket(fmt=1, ssrc=3, media_ssrc=4)) + bytes(fir)
    assert list(read_feedback(compound)) == [PictureLost(4), PictureLost(9)]


def test_reports_are_read_by_aiortc() -> None:
    """A sender report with its name, and a receiver report with a loss below zero."""
    data = write_sender_report(SenderReport(5, 1 << 40, 900), packets=3, octets=400, cname=b"slot-1")
    sender, named = RtcpPacket.parse(data)
    assert sender == RtcpSrPacket(5, RtcpSenderInfo(1 << 40, 900, 3, 400))
    assert b"slot-1" in bytes(named)
    (receiver,) = RtcpPacket.parse(write_receiver_report(1, [Report(5, 12, -3, 70_000, 8, 9, 10)]))
    assert isinstance(receiver, RtcpRrPacket)
    (block,) = receiver.reports
    assert (block.ssrc, block.fraction_lost, block.packets_lost, block.highest_sequence) == (5, 12, -3, 70_000)
    assert list(read_feedback(data)) == [SenderReport(5, 1 << 40, 900)]

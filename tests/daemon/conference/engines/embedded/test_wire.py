"""What the daemon and its media process say to each other."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from podium_daemon.conference.engines.embedded.wire import (
    MAX_MESSAGE,
    BrokenWire,
    Ping,
    Pong,
    ProcessCommand,
    ProcessReport,
    Ready,
    commands,
    read_message,
    reports,
    write_message,
)
from podium_daemon.conference.events import ConnectionId, RoomId, TrackChange, TrackKind
from podium_daemon.conference.page_media.messages import (
    AddSeat,
    Changed,
    Drops,
    Frame,
    PageMessage,
    Record,
    RemoveSeat,
    Silence,
    StopRecording,
    Up,
)
from podium_daemon.conference.page_media.signals import PublishOffer
from tests.support.conference import new_pubkey

C, R = ConnectionId("c"), RoomId("r")


def _reader(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


async def test_commands_arrive_as_they_were_sent() -> None:
    """Each of them, one behind the other, then the end."""
    pubkey = new_pubkey()
    sent: list[ProcessCommand] = [
        AddSeat(
            room=R,
            connection=C,
            pubkey=pubkey,
            silenced=frozenset({TrackKind.AUDIO}),
            fingerprint="sha-256 AB",
        ),
        PageMessage(C, PublishOffer(sdp="v=0")),
        Silence(C, TrackKind.VIDEO),
        Record(R, "/folder", frozenset({pubkey})),
        StopRecording(R),
        Ping(7),
        RemoveSeat(C),
    ]
    reader = _reader(b"".join(map(write_message, sent)))
    assert [await read_message(reader, commands) for _ in sent] == sent
    assert await read_message(reader, commands) is None


async def test_reports_arrive_as_they_were_sent() -> None:
    """The other way."""
    sent: list[ProcessReport] = [
        Ready("1.16.0"),
        Frame(C, '{"type":"media"}'),
        Up(C),
        Changed(C, TrackKind.SCREEN, TrackChange.PUBLISHED),
        Drops({"datagram_short": 3}),
        Pong(7),
    ]
    reader = _reader(b"".join(map(write_message, sent)))
    assert [await read_message(reader, reports) for _ in sent] == sent


@pytest.mark.parametrize(
    "data",
    [
        (MAX_MESSAGE + 1).to_bytes(4, "big"),
        write_message(Ping(1)),  # a command is no report
        b"\x00\x00\x00\x01\xc1",
        b"\x00\x00\x00\x00",
        write_message(Drops({"datagram_short": -1})),
        len(body := msgspec.msgpack.encode({"type": "kill"})).to_bytes(4, "big") + body,
    ],
)
async def test_what_is_no_message_breaks_the_wire(data: bytes) -> None:
    """A media process that was taken over can say nothing new, and fill no memory."""
    with pytest.raises(BrokenWire):
        await read_message(_reader(data), reports)


async def test_a_message_that_breaks_off_is_the_end() -> None:
    """The other process died in the middle of a word."""
    assert await read_message(_reader(write_message(Ready("1"))[:-1]), reports) is None

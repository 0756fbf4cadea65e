"""Media messages of a page: strict, and never about anybody else."""

from __future__ import annotations

import json

import pytest

from podium_daemon.conference.events import ConnectionId, TrackKind
from podium_daemon.conference.page_media.sdp import MAX_LINES, MAX_SDP
from podium_daemon.conference.page_media.signals import (
    MAX_SIGNAL_BYTES,
    Away,
    Begin,
    IceServer,
    LineOf,
    Lines,
    PublishOffer,
    Sending,
    Showing,
    WatchAnswer,
    decode_signal,
    encode_signal,
)
from podium_daemon.conference.signaling import SeatFrameFlaw


@pytest.mark.parametrize(
    ("frame", "read"),
    [
        ('{"type":"media","do":"publish","sdp":"v=0"}', PublishOffer(sdp="v=0")),
        ('{"type":"media","do":"watch"}', WatchAnswer()),
        ('{"do":"watch","offer":3,"sdp":"v=0","type":"media"}', WatchAnswer(offer=3, sdp="v=0")),
        (
            '{"type":"media","do":"sending","audio":true,"video":false,"screen":false,"turn":2}',
            Sending(audio=True, video=False, screen=False, turn=2),
        ),
        ('{"type":"media","do":"showing","mids":["1","4"]}', Showing(mids=("1", "4"))),
        ('{"type":"media","do":"showing","mids":[]}', Showing(mids=())),
    ],
)
def test_a_message_is_read(frame: str, read: object) -> None:
    """As text and as bytes."""
    assert decode_signal(frame) == decode_signal(frame.encode()) == read


@pytest.mark.parametrize("frame", ['{"type":"beat"}', '{"type":"leave"}', '{"type":"hand","up":true}', "{}", "", "x"])
def test_other_messages_are_left_to_others(frame: str) -> None:
    """A beat stays a beat."""
    assert decode_signal(frame) is None


@pytest.mark.parametrize(
    ("frame", "flaw"),
    [
        ('{"type":"media"}', SeatFrameFlaw.BAD_SHAPE),
        ('{"type":"media","do":"begin"}', SeatFrameFlaw.BAD_SHAPE),
        ('{"type":"media","do":"publish"}', SeatFrameFlaw.BAD_SHAPE),
        ('{"type":"media","do":"publish","sdp":7}', SeatFrameFlaw.BAD_SHAPE),
        ('{"type":"media","do":"publish","sdp":"v=0","pubkey":"aa"}', SeatFrameFlaw.BAD_SHAPE),
        ('{"type":"media","do":"watch","offer":-1,"sdp":""}', SeatFrameFlaw.BAD_SHAPE),
        ('{"type":"media","do":"watch","offer":99999999999,"sdp":""}', SeatFrameFlaw.BAD_SHAPE),
        ('{"type":"media","do":"sending","audio":1,"video":false,"screen":false}', SeatFrameFlaw.BAD_SHAPE),
        ('{"type":"media","do":"showing"}', SeatFrameFlaw.BAD_SHAPE),
        ('{"type":"media","do":"showing","mids":[7]}', SeatFrameFlaw.BAD_SHAPE),
        ('{"type":"media","do":"showing","mids":["12345678901234567"]}', SeatFrameFlaw.BAD_SHAPE),
        (json.dumps({"type": "media", "do": "showing", "mids": ["1"] * (MAX_LINES + 1)}), SeatFrameFlaw.BAD_SHAPE),
        ('{"type":"media","do":"watch","do":"publish","sdp":"x"}', SeatFrameFlaw.NOT_JSON),
        ('{"type":"media","do":"watch"', SeatFrameFlaw.NOT_JSON),
        ('{"type":"media","do":"publish","sdp":"\ud800"}', SeatFrameFlaw.NOT_JSON),
        (b'{"type":"media","do":"publish","sdp":"\xff"}', SeatFrameFlaw.NOT_JSON),
        ("[" * 5000 + '"media"', SeatFrameFlaw.BAD_SHAPE),
        ('{"type":"media","do":"publish","sdp":"' + "x" * MAX_SIGNAL_BYTES + '"}', SeatFrameFlaw.TOO_LARGE),
    ],
)
def test_a_flawed_message_is_named(frame: str | bytes, flaw: SeatFrameFlaw) -> None:
    """It is counted under that name and dropped; the seat stays."""
    assert decode_signal(frame) is flaw


def test_the_longest_description_fits_into_a_message() -> None:
    """What may be said can be said, and the room socket's 64 KiB are not reached."""
    frame = json.dumps({"type": "media", "do": "publish", "sdp": "a=x\r\n" * (MAX_SDP // 16)})
    assert isinstance(decode_signal(frame), PublishOffer)
    assert MAX_SIGNAL_BYTES < 64 * 1024


def test_what_we_say_has_a_type_and_the_pages_spelling() -> None:
    """One object, `type` media, `do` the message."""
    line = LineOf("0", TrackKind.AUDIO, ConnectionId("c"), "ab", on=True)
    assert json.loads(encode_signal(Lines(lines=(line,)))) == {
        "type": "media",
        "do": "lines",
        "lines": [{"mid": "0", "kind": "audio", "connection": "c", "pubkey": "ab", "on": True}],
    }
    begin = json.loads(encode_signal(Begin(ice_servers=(IceServer("turn:x", "u", "p"),))))
    assert begin["iceServers"] == [{"urls": "turn:x", "username": "u", "credential": "p"}]
    assert json.loads(encode_signal(Away())) == {"type": "media", "do": "away"}


def test_a_turn_servers_password_is_not_shown() -> None:
    """A settings value that lands in a log line gives nothing away."""
    assert "secret" not in repr(IceServer("turn:x", "u", "secret"))

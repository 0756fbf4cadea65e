"""Media messages of a page: strict, and never about anybody else."""

from __future__ import annotations

import json

import pytest

from podium_daemon.conference.events import ConnectionId, TrackKind
from podium_daemon.conference.page_media.sdp import MAX_SDP
from podium_daemon.conference.page_media.signals import (
    MAX_SIGNAL_BYTES,
    Away,
    Begin,
    IceServer,
    LineOf,
    Lines,
    Publish,
    Sending,
    Watch,
    decode_signal,
    encode_signal,
)
from podium_daemon.conference.signaling import SignalFlaw


@pytest.mark.parametrize(
    ("frame", "read"),
    [
        ('{"type":"media","do":"publish","sdp":"v=0"}', Publish(sdp="v=0")),
        ('{"type":"media","do":"watch"}', Watch()),
        ('{"do":"watch","offer":3,"sdp":"v=0","type":"media"}', Watch(offer=3, sdp="v=0")),
        (
            '{"type":"media","do":"sending","audio":true,"video":false,"screen":false,"turn":2}',
            Sending(audio=True, video=False, screen=False, turn=2),
        ),
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
        ('{"type":"media"}', SignalFlaw.BAD_SHAPE),
        ('{"type":"media","do":"begin"}', SignalFlaw.BAD_SHAPE),
        ('{"type":"media","do":"publish"}', SignalFlaw.BAD_SHAPE),
        ('{"type":"media","do":"publish","sdp":7}', SignalFlaw.BAD_SHAPE),
        ('{"type":"media","do":"publish","sdp":"v=0","pubkey":"aa"}', SignalFlaw.BAD_SHAPE),
        ('{"type":"media","do":"watch","offer":-1,"sdp":""}', SignalFlaw.BAD_SHAPE),
        ('{"type":"media","do":"watch","offer":99999999999,"sdp":""}', SignalFlaw.BAD_SHAPE),
        ('{"type":"media","do":"sending","audio":1,"video":false,"screen":false}', SignalFlaw.BAD_SHAPE),
        ('{"type":"media","do":"watch","do":"publish","sdp":"x"}', SignalFlaw.NOT_JSON),
        ('{"type":"media","do":"watch"', SignalFlaw.NOT_JSON),
        ('{"type":"media","do":"publish","sdp":"\ud800"}', SignalFlaw.NOT_JSON),
        (b'{"type":"media","do":"publish","sdp":"\xff"}', SignalFlaw.NOT_JSON),
        ("[" * 5000 + '"media"', SignalFlaw.BAD_SHAPE),
        ('{"type":"media","do":"publish","sdp":"' + "x" * MAX_SIGNAL_BYTES + '"}', SignalFlaw.TOO_LARGE),
    ],
)
def test_a_flawed_message_is_named(frame: str | bytes, flaw: SignalFlaw) -> None:
    """It is counted under that name and dropped; the seat stays."""
    assert decode_signal(frame) is flaw


def test_the_longest_description_fits_into_a_message() -> None:
    """What may be said can be said, and the room socket's 64 KiB are not reached."""
    frame = json.dumps({"type": "media", "do": "publish", "sdp": "a=x\r\n" * (MAX_SDP // 16)})
    assert isinstance(decode_signal(frame), Publish)
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

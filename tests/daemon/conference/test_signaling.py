"""The codec of seats: exact on the way out, strict on the way in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_daemon.conference.events import ConnectionId, LeaveReason
from podium_daemon.conference.signaling import (
    CLOSE_CODES,
    MAX_FRAME_BYTES,
    Beat,
    GivenKey,
    HandMessage,
    HandState,
    Leave,
    Notice,
    Removed,
    Resume,
    RoomEnded,
    SeatFrameFlaw,
    ServerMessage,
    Welcome,
    decode,
    decode_for_daemon,
    encode,
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (Welcome(ConnectionId("c1"), 5), {"type": "welcome", "connection": "c1", "heartbeat": 5}),
        (
            Welcome(ConnectionId("c1"), 5, "https://meet.example.org/a"),
            {"type": "welcome", "connection": "c1", "heartbeat": 5, "meetingUrl": "https://meet.example.org/a"},
        ),
        (Resume("s3", 120), {"type": "resume", "secret": "s3", "seconds": 120}),
        (Notice("ends soon — «5 min»"), {"type": "notice", "text": "ends soon — «5 min»"}),
        (Removed("Be kind."), {"type": "removed", "reason": "Be kind."}),
        (RoomEnded(), {"type": "ended"}),
        (HandState(up=False), {"type": "hand", "up": False}),
    ],
)
def test_what_the_page_gets(message: ServerMessage, expected: dict[str, object]) -> None:
    """Each message is one JSON object with its type and the page's spelling of its fields."""
    assert json.loads(encode(message)) == expected


@pytest.mark.parametrize("frame", ['{"type":"beat"}', b'{"type":"beat"}', ' {"type" : "\\u0062eat"}\n'])
def test_a_beat_is_read_in_any_json_spelling(frame: str | bytes) -> None:
    """Text or bytes, spaces and escapes: JSON is JSON."""
    assert decode(frame) == Beat()


def test_a_goodbye_is_read() -> None:
    """The page says that the person leaves."""
    assert decode('{"type":"leave"}') == Leave()


@pytest.mark.parametrize(
    ("frame", "flaw"),
    [
        ("", SeatFrameFlaw.NOT_JSON),
        ("{", SeatFrameFlaw.NOT_JSON),
        ('{"type":"beat"}x', SeatFrameFlaw.NOT_JSON),
        ('{"type":"beat"}{"type":"leave"}', SeatFrameFlaw.NOT_JSON),
        ("{'type':'beat'}", SeatFrameFlaw.NOT_JSON),
        ('{"type":"beat",}', SeatFrameFlaw.NOT_JSON),
        ('{"type":"beat","n":NaN}', SeatFrameFlaw.NOT_JSON),
        (b"\xff\xfe{}", SeatFrameFlaw.NOT_JSON),
        (b'{"type":"be\xffat"}', SeatFrameFlaw.NOT_JSON),
        ('{"type":"\ud800"}', SeatFrameFlaw.NOT_JSON),
        ('{"type":"beat","type":"leave"}', SeatFrameFlaw.NOT_JSON),
        ('{"type":"leave","\\u0074ype":"beat"}', SeatFrameFlaw.NOT_JSON),
        ('{"type":"beat","x":' + "[" * (MAX_FRAME_BYTES - 19), SeatFrameFlaw.NOT_JSON),
        ("[" * MAX_FRAME_BYTES, SeatFrameFlaw.BAD_SHAPE),
        ("null", SeatFrameFlaw.BAD_SHAPE),
        ("1e9", SeatFrameFlaw.BAD_SHAPE),
        ('"beat"', SeatFrameFlaw.BAD_SHAPE),
        ('["beat"]', SeatFrameFlaw.BAD_SHAPE),
        ("{}", SeatFrameFlaw.BAD_SHAPE),
        ('{"type":null}', SeatFrameFlaw.BAD_SHAPE),
        ('{"type":["beat"]}', SeatFrameFlaw.BAD_SHAPE),
        ('{"type":"beat","pubkey":"someone else"}', SeatFrameFlaw.BAD_SHAPE),
        ('{"type":"leave","reason":"bored"}', SeatFrameFlaw.BAD_SHAPE),
        ('{"type":"Beat"}', SeatFrameFlaw.UNKNOWN_TYPE),
        ('{"type":""}', SeatFrameFlaw.UNKNOWN_TYPE),
        ('{"type":"offer","sdp":"v=0"}', SeatFrameFlaw.UNKNOWN_TYPE),
        ('{"type":"welcome","connection":"c","heartbeat":1}', SeatFrameFlaw.UNKNOWN_TYPE),
        (" " * MAX_FRAME_BYTES + '{"type":"beat"}', SeatFrameFlaw.TOO_LARGE),
        (b"x" * (MAX_FRAME_BYTES + 1), SeatFrameFlaw.TOO_LARGE),
        ("é" * MAX_FRAME_BYTES, SeatFrameFlaw.TOO_LARGE),
    ],
)
def test_a_flawed_frame_is_named(frame: str | bytes, flaw: SeatFrameFlaw) -> None:
    """Every kind of garbage is a value with its flaw."""
    assert decode(frame) is flaw


def test_the_largest_frame_is_still_read() -> None:
    """The cap counts bytes and is inclusive."""
    assert decode('{"type":"beat"}'.ljust(MAX_FRAME_BYTES)) == Beat()


@settings(max_examples=300)
@given(
    st.one_of(st.text(max_size=60), st.binary(max_size=60), st.text(alphabet='{}[]":,\\betypla0 \ud800', max_size=40))
)
def test_no_frame_raises(frame: str | bytes) -> None:
    """Whatever a stranger sends, the answer is a message or a flaw."""
    assert isinstance(decode(frame), Beat | Leave | SeatFrameFlaw)


@pytest.mark.parametrize(
    ("frame", "up"),
    [
        ('{"type":"hand","up":true}', True),
        (b'{"up":false,"type":"hand"}', False),
        ('{"type":"hand"}', None),
        ('{"type":"hand","up":1}', None),
        ('{"type":"hand","up":true,"for":"ben"}', None),
        ('{"type":"hand","up":false,"up":true}', None),
        ('{"type":"beat","hand":true}', None),
        ('{"type":"hand","up":true}' + " " * MAX_FRAME_BYTES, None),
        ("hand", None),
        (b"\xffhand", None),
        ('"hand\ud800"', None),
        ("[" * 900 + "hand", None),
    ],
    ids=range(12),
)
def test_a_hand_is_read_as_strictly_as_the_rest(frame: str | bytes, up: bool | None) -> None:
    """Exactly the message of a hand, or nothing; a flawed one never raises."""
    found = decode_for_daemon(frame)
    assert found == (None if up is None else HandMessage(up))


def test_a_key_is_read_as_strictly_as_the_rest() -> None:
    """Exactly the message of a key with an epoch that fits, or nothing; it does not show itself."""
    good = {"type": "key", "to": "aa" * 32, "epoch": 7, "ciphertext": "AgAA"}
    found = decode_for_daemon(json.dumps(good))
    assert found == GivenKey(to="aa" * 32, epoch=7, ciphertext="AgAA")
    assert "AgAA" not in repr(found)
    for flaw in (
        {"epoch": 0x10000},
        {"epoch": -1},
        {"epoch": 1.5},
        {"to": None},
        {"more": 1},
        {"ciphertext": "A" * 1024},
    ):
        assert decode_for_daemon(json.dumps(good | flaw)) is None


def test_every_end_has_a_close_code_of_its_own() -> None:
    """The page can tell ends apart, with codes browsers let applications use (RFC 6455, 7.4)."""
    assert set(CLOSE_CODES) == set(LeaveReason)
    assert len(set(CLOSE_CODES.values())) == len(LeaveReason)
    assert all(code == 1000 or 4000 <= code <= 4999 for code in CLOSE_CODES.values())


def test_a_resume_secret_does_not_show_itself() -> None:
    """A message in a log line gives nobody's seat away."""
    assert "s3cret" not in repr(Resume("s3cret", 120))

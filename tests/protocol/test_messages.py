from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nostr_sdk import ClientMessage, RelayMessage

from podium_protocol import messages
from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import EventId
from podium_protocol.filters import Filter
from podium_protocol.limits import MAX_FRAME_BYTES
from podium_protocol.messages import (
    AuthFrame,
    ClosedFrame,
    EoseFrame,
    EventFrame,
    FrameFlaw,
    FrameRejected,
    NoticeFrame,
    OkFrame,
)
from tests.support.events import key_of, signed

EVENT = signed(key_of(1), content='a "quoted" line\n', tags=(("id", "x"),))
ID = EVENT.id


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (f'["OK","{ID}",true,""]', OkFrame(ID, True, "")),
        (f'["OK","{ID}",false,"blocked: no"]', OkFrame(ID, False, "blocked: no")),
        ('["EOSE","live"]', EoseFrame("live")),
        ('["CLOSED","live","error: gone"]', ClosedFrame("live", "error: gone")),
        ('["NOTICE","hello"]', NoticeFrame("hello")),
        ('["AUTH","c0ffee"]', AuthFrame("c0ffee")),
        (' [ "EOSE" , "live" ] ', EoseFrame("live")),
        (f'["EOSE","{"é" * 64}"]', EoseFrame("é" * 64)),
        ('["NOTICE","\\u00e9\\ud83d\\ude00"]', NoticeFrame("é😀")),
        ('["EOSE","live",{"x":[1]},null]', EoseFrame("live")),
        (f'["OK","{ID}",true,"",1.5]', OkFrame(ID, True, "")),
    ],
)
def test_a_frame_of_the_right_shape_is_read(frame: str, expected: object) -> None:
    """Text and bytes give the same value, and elements beyond the known ones are ignored."""
    assert messages.decode(frame) == messages.decode(frame.encode()) == expected


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (f'["OK","{ID}",true]', OkFrame(ID, True, "")),
        (f'["OK","{ID}",false]', OkFrame(ID, False, "")),
        (f'["OK","{ID}",true,null]', OkFrame(ID, True, "")),
        (f'["OK","{ID}",true,{{"code":7}},"x"]', OkFrame(ID, True, '{"code":7}')),
        (f'["OK","{ID.upper()}",true,""]', OkFrame(ID, True, "")),
        ('["CLOSED","live"]', ClosedFrame("live", "")),
        ('["CLOSED","live",null]', ClosedFrame("live", "")),
        ('["CLOSED","live",[1]]', ClosedFrame("live", "[1]")),
        ('["NOTICE"]', NoticeFrame("")),
        ('["NOTICE",null]', NoticeFrame("")),
        ('["NOTICE",["a"]]', NoticeFrame('["a"]')),
        ('["NOTICE",5]', NoticeFrame("5")),
    ],
)
def test_words_that_are_missing_or_no_text_do_not_spoil_an_answer(frame: str, expected: object) -> None:
    """What was answered counts; the words are for people."""
    assert messages.decode(frame) == messages.decode(frame.encode()) == expected


def test_the_event_in_a_frame_stays_as_it_came() -> None:
    """Its bytes are handed on unparsed, so that the ingest ladder judges what the relay really sent."""
    frame = messages.decode(b'["EVENT","live",' + EVENT.to_json() + b"]")
    assert isinstance(frame, EventFrame)
    assert frame.subscription_id == "live"
    assert bytes(frame.raw) == EVENT.to_json()


BAD_FRAMES: list[tuple[bytes, FrameFlaw]] = [
    # no JSON
    (b"", FrameFlaw.BLANK),
    (b" \n\t", FrameFlaw.BLANK),
    (b"hello", FrameFlaw.NOT_JSON),
    (b"\x00", FrameFlaw.NOT_JSON),
    (b"\xef\xbb\xbf" + b'["EOSE","a"]', FrameFlaw.NOT_JSON),
    (b'["EOSE","a"', FrameFlaw.NOT_JSON),
    (b'["EOSE","a"]]', FrameFlaw.NOT_JSON),
    (b'["EOSE","a"]\x00', FrameFlaw.NOT_JSON),
    (b"['EOSE','a']", FrameFlaw.NOT_JSON),
    (b'["EOSE","a",]', FrameFlaw.NOT_JSON),
    (b'["NOTICE","\xff"]', FrameFlaw.NOT_JSON),
    (b'["NOTICE","\xed\xa0\x80"]', FrameFlaw.NOT_JSON),
    (b'["NOTICE","\\ud800"]', FrameFlaw.NOT_JSON),
    (b'["NOTICE","\\udc00\\ud800"]', FrameFlaw.NOT_JSON),
    (b'["NOTICE","a\nb"]', FrameFlaw.NOT_JSON),
    (b'["OK","x","\xff","\xff",1]', FrameFlaw.NOT_JSON),  # `make fuzz`: the shape is wrong before the text is
    (b'["OK","x",1,"\xff"]', FrameFlaw.NOT_JSON),
    (b'["CLOSED","\xff",5]', FrameFlaw.NOT_JSON),
    (b'["NOTICE","\xff",5]', FrameFlaw.NOT_JSON),
    (b'["EVENT","a",{"x":NaN}]', FrameFlaw.NOT_JSON),
    (b'["EVENT","a",{"x":Infinity}]', FrameFlaw.NOT_JSON),
    (b'["EVENT","a",{"x":01}]', FrameFlaw.NOT_JSON),
    (b'["EVENT","a",{x:1}]', FrameFlaw.NOT_JSON),
    (b"[" * 100_000, FrameFlaw.NOT_JSON),
    (b'["EVENT","a",' + b"[" * 100_000 + b"]" * 100_000 + b"]", FrameFlaw.NOT_JSON),
    (b'["EVENT","a",' + b'{"a":' * 100_000, FrameFlaw.NOT_JSON),
    # JSON of another shape
    (b"{}", FrameFlaw.BAD_SHAPE),
    (b'{"0":"EOSE"}', FrameFlaw.BAD_SHAPE),
    (b'"EOSE"', FrameFlaw.BAD_SHAPE),
    (b"null", FrameFlaw.BAD_SHAPE),
    (b"[]", FrameFlaw.BAD_SHAPE),
    (b"[1]", FrameFlaw.BAD_SHAPE),
    (b'[["EOSE"],"a"]', FrameFlaw.BAD_SHAPE),
    (b'["eose","a"]', FrameFlaw.BAD_SHAPE),
    (b'["EOSE"]', FrameFlaw.MALFORMED),
    (b'["EOSE",""]', FrameFlaw.MALFORMED),
    (b'["EOSE",null]', FrameFlaw.MALFORMED),
    (b'["EOSE",7]', FrameFlaw.MALFORMED),
    (b'["EOSE","' + b"a" * 65 + b'"]', FrameFlaw.MALFORMED),
    (b'["EVENT","a"]', FrameFlaw.MALFORMED),
    (b'["EVENT",{"id":"x"}]', FrameFlaw.MALFORMED),
    (b'["AUTH",""]', FrameFlaw.MALFORMED),
    (b'["AUTH","' + b"a" * 1025 + b'"]', FrameFlaw.MALFORMED),
    (b'["OK","%b",1,""]' % ID.encode(), FrameFlaw.MALFORMED),
    (b'["OK","%b","true",""]' % ID.encode(), FrameFlaw.MALFORMED),
    (b'["OK","%b\\n",true,""]' % ID.encode(), FrameFlaw.MALFORMED),
    (b'["OK","%b",true,""]' % ID[1:].encode(), FrameFlaw.MALFORMED),
    (b'["OK","%b"]' % ID.encode(), FrameFlaw.MALFORMED),
    (b'["CLOSED"]', FrameFlaw.MALFORMED),
    (b'["CLOSED",7,"error: gone"]', FrameFlaw.MALFORMED),
    # other messages
    (b'["COUNT","a",{"count":1}]', FrameFlaw.UNKNOWN_LABEL),
    (b'["NEG-MSG","a","61"]', FrameFlaw.UNKNOWN_LABEL),
    # too long, and not even looked at
    (b"x" * (MAX_FRAME_BYTES + 1), FrameFlaw.TOO_LARGE),
    (b'["NOTICE","' + b"a" * MAX_FRAME_BYTES + b'"]', FrameFlaw.TOO_LARGE),
]


@pytest.mark.family("wire frames")
@pytest.mark.parametrize(("frame", "flaw"), BAD_FRAMES, ids=range(len(BAD_FRAMES)))
def test_a_bad_frame_is_a_value_with_the_reason(frame: bytes, flaw: FrameFlaw) -> None:
    """Hostile frames never raise, whatever they hold and however deep they nest."""
    result = messages.decode(frame)
    assert isinstance(result, FrameRejected)
    assert result.flaw is flaw


def test_a_text_frame_with_a_lone_surrogate_is_rejected() -> None:
    """A str that has no UTF-8 form does not raise either."""
    assert isinstance(messages.decode('["NOTICE","\ud800"]'), FrameRejected)


def test_the_reason_does_not_repeat_what_the_relay_sent_at_length() -> None:
    """A label of half a megabyte does not end up in the log."""
    result = messages.decode(b'["' + b"X" * 400_000 + b'"]')
    assert isinstance(result, FrameRejected)
    assert len(result.detail) <= 500


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80) | st.text(max_size=40))
def test_no_frame_raises(frame: bytes | str) -> None:
    """Any bytes and any text give a value."""
    assert messages.decode(frame) is not None


_LABELS = ["EVENT", "OK", "EOSE", "CLOSED", "NOTICE", "AUTH", "X"]
_json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(_LABELS), st.lists(_json_values, max_size=5))
def test_no_array_raises(label: str, rest: list[object]) -> None:
    """Nor does any JSON array under a known label, whatever its elements."""
    assert messages.decode(msgspec.json.encode([label, *rest])) is not None


@pytest.mark.parametrize(
    "theirs",
    [
        RelayMessage.eose("live"),
        RelayMessage.closed("live", "auth-required: who are you"),
        RelayMessage.notice("é\u2028\x7f"),
        RelayMessage.auth("c0ffee"),
    ],
)
def test_frames_written_by_nostr_sdk_are_read(theirs: RelayMessage) -> None:
    """An independent relay's frames are none of the rejected ones."""
    assert not isinstance(messages.decode(theirs.as_json()), FrameRejected)


def test_nostr_sdk_reads_our_frames() -> None:
    """An independent relay understands each of our four messages, and sees the same text."""
    login = signed(key_of(1), kind=22242)
    frames = [
        messages.encode_event(EVENT),
        messages.encode_auth(login),
        messages.encode_req("live", [Filter(kinds=(1,), since=5), Filter(authors=(EVENT.pubkey,))]),
        messages.encode_close("live"),
    ]
    for frame in frames:
        theirs = ClientMessage.from_json(frame.decode()).as_json()
        assert msgspec.json.decode(theirs) == msgspec.json.decode(frame)


def test_stored_bytes_go_out_unchanged() -> None:
    """A retry is the same event, byte for byte, even where we would write its JSON differently."""
    assert messages.encode_event(b'{"id": "x"}') == b'["EVENT",{"id": "x"}]'


@pytest.mark.parametrize("subscription_id", ["", "a" * 65])
def test_a_subscription_id_nip01_does_not_allow_is_our_error(subscription_id: str) -> None:
    """Neither REQ nor CLOSE leaves with it."""
    with pytest.raises(LocalProtocolError, match="64 characters"):
        messages.encode_req(subscription_id, [Filter()])
    with pytest.raises(LocalProtocolError, match="64 characters"):
        messages.encode_close(subscription_id)


@pytest.mark.parametrize("count", [0, 21])
def test_a_req_needs_filters_and_not_too_many(count: int) -> None:
    """An empty REQ and one that relays refuse are errors of ours."""
    with pytest.raises(LocalProtocolError, match="filters"):
        messages.encode_req("live", [Filter()] * count)


def test_frames_are_values() -> None:
    """What was decoded cannot be changed by its receiver."""
    with pytest.raises(AttributeError):
        OkFrame(EventId("0" * 64), True, "").accepted = False  # type: ignore[misc]  # that is the point

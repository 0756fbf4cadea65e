"""Frames between a client and a relay (NIP-01, NIP-42): strict reading of theirs, writing of ours.

A frame is one JSON array. What it is about is checked exactly: which event, which subscription, yes or no. Words are
for people, so that a relay may leave them out or send something else; NIP-01 does not say what further elements mean,
so they are ignored. What is inside an EVENT stays unparsed here: `events.parse_json` is the judge of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import EventId, SignedEvent
from podium_protocol.filters import Filter
from podium_protocol.limits import (
    MAX_CHALLENGE_CHARS,
    MAX_FILTERS,
    MAX_FRAME_BYTES,
    MAX_MESSAGE_CHARS,
    MAX_SUBSCRIPTION_ID_CHARS,
)

SubscriptionId = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SUBSCRIPTION_ID_CHARS)]
# `\Z` and not `$`, which lets a trailing newline pass
_WireId = Annotated[EventId, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_Challenge = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_CHALLENGE_CHARS)]


class EventFrame(msgspec.Struct, frozen=True, array_like=True, tag="EVENT", gc=False):
    """An event for a subscription, still unparsed: `raw` is its JSON, and nothing about it has been checked."""

    subscription_id: SubscriptionId
    raw: msgspec.Raw


class OkFrame(msgspec.Struct, frozen=True, array_like=True, tag="OK", gc=False):
    """The relay's answer to an EVENT or AUTH of ours."""

    event_id: _WireId
    accepted: bool
    message: str


class EoseFrame(msgspec.Struct, frozen=True, array_like=True, tag="EOSE", gc=False):
    """No more stored events for this subscription; new ones follow."""

    subscription_id: SubscriptionId


class ClosedFrame(msgspec.Struct, frozen=True, array_like=True, tag="CLOSED", gc=False):
    """The relay ended, or refused, a subscription."""

    subscription_id: SubscriptionId
    message: str


class NoticeFrame(msgspec.Struct, frozen=True, array_like=True, tag="NOTICE", gc=False):
    """Words for a person."""

    message: str


class AuthFrame(msgspec.Struct, frozen=True, array_like=True, tag="AUTH", gc=False):
    """A challenge to sign (NIP-42); the newest one counts."""

    challenge: _Challenge


RelayFrame = EventFrame | OkFrame | EoseFrame | ClosedFrame | NoticeFrame | AuthFrame


class FrameFlaw(StrEnum):
    """Why a frame was dropped; the name of the counter that is raised."""

    TOO_LARGE = "too_large"
    BLANK = "blank"
    NOT_JSON = "not_json"
    UNKNOWN_LABEL = "unknown_label"
    MALFORMED = "malformed"  # a message of NIP-01 or NIP-42 that does not say what it is about
    BAD_SHAPE = "bad_shape"  # not a message of any kind


class FrameRejected(msgspec.Struct, frozen=True):
    """An expected outcome of reading what a relay sent."""

    flaw: FrameFlaw
    detail: str = ""


_frames: Final[msgspec.json.Decoder[RelayFrame]] = msgspec.json.Decoder(RelayFrame)
_decode_frame: Final = _frames.decode
_decode_label: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_text: Final = msgspec.json.Decoder(str).decode
_encode: Final = msgspec.json.Encoder().encode
_LABEL: Final = re.compile(rb'"[A-Z][A-Z0-9-]{0,31}"')
_KNOWN: Final = frozenset((b'"EVENT"', b'"OK"', b'"EOSE"', b'"CLOSED"', b'"NOTICE"', b'"AUTH"'))
_BEFORE_WORDS: Final = {b'"OK"': 3, b'"CLOSED"': 2, b'"NOTICE"': 1}  # elements before those that are for people


def decode(frame: bytes | str) -> RelayFrame | FrameRejected:
    """Read one frame from a relay; a text frame may be handed over as its bytes, which saves a copy."""
    if len(frame) > MAX_FRAME_BYTES:
        return FrameRejected(FrameFlaw.TOO_LARGE, f"{len(frame)} long, {MAX_FRAME_BYTES} at most")
    try:
        return _decode_frame(frame)
    except msgspec.ValidationError as error:
        return _read_leniently(frame, str(error)[:MAX_MESSAGE_CHARS])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        flaw = FrameFlaw.NOT_JSON if frame.strip() else FrameFlaw.BLANK
        return FrameRejected(flaw, str(error)[:MAX_MESSAGE_CHARS])


def encode_event(event: SignedEvent | bytes) -> bytes:
    """`["EVENT", ...]`; bytes are an event's stored JSON and go out unchanged, so that a retry is the same event."""
    return b'["EVENT",%b]' % (event if isinstance(event, bytes) else event.to_json())


def encode_auth(event: SignedEvent) -> bytes:
    """`["AUTH", ...]` with a signed kind 22242 event (NIP-42)."""
    return b'["AUTH",%b]' % event.to_json()


def encode_req(subscription_id: str, filters: Sequence[Filter]) -> bytes:
    """`["REQ", ...]`.

    Raises:
        LocalProtocolError: a subscription id NIP-01 does not allow, no filter, or too many.
    """
    if not 1 <= len(filters) <= MAX_FILTERS:
        raise LocalProtocolError(f"a REQ holds 1 to {MAX_FILTERS} filters, not {len(filters)}")
    return _encode(("REQ", _checked(subscription_id), *(one.to_json_object() for one in filters)))


def encode_close(subscription_id: str) -> bytes:
    """`["CLOSE", ...]`.

    Raises:
        LocalProtocolError: a subscription id NIP-01 does not allow.
    """
    return _encode(("CLOSE", _checked(subscription_id)))


def _checked(subscription_id: str) -> str:
    if not 1 <= len(subscription_id) <= MAX_SUBSCRIPTION_ID_CHARS:
        raise LocalProtocolError(f"a subscription id has 1 to {MAX_SUBSCRIPTION_ID_CHARS} characters (NIP-01)")
    return subscription_id


def _read_leniently(frame: bytes | str, why: str) -> RelayFrame | FrameRejected:
    """Read again a frame that breaks the rules, without its words, in case only they were wrong."""
    try:
        elements = [bytes(element) for element in _decode_label(frame)]
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return FrameRejected(FrameFlaw.BAD_SHAPE, why)
    label = elements[0] if elements else b""
    if (about := _BEFORE_WORDS.get(label)) is not None:
        try:
            words = _words(elements[about]) if len(elements) > about else ""
            known = [label, *(element.lower() if label == b'"OK"' else element for element in elements[1:about])]
            return _decode_frame(b"[%b]" % b",".join([*known, _encode(words)]))
        except msgspec.ValidationError:
            return FrameRejected(FrameFlaw.MALFORMED, why)
        except (msgspec.DecodeError, UnicodeError):  # an element is cut out of a frame without a look at its text
            return FrameRejected(FrameFlaw.NOT_JSON, why)
    if label in _KNOWN:
        return FrameRejected(FrameFlaw.MALFORMED, why)
    return FrameRejected(FrameFlaw.UNKNOWN_LABEL if _LABEL.fullmatch(label) else FrameFlaw.BAD_SHAPE, why)


def _words(element: bytes) -> str:
    """The relay's words for people, or "" if it sent something else in their place."""
    try:
        return _decode_text(element)
    except msgspec.ValidationError:
        return "" if element == b"null" else element[:MAX_MESSAGE_CHARS].decode(errors="replace")

"""What the page and the daemon say to each other on a seat: small JSON objects with a `type`. No I/O.

Decoding is strict: a size cap, UTF-8, one object, no key twice, no field we do not know. What is flawed is counted and
dropped by the caller; it never ends the seat.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Final

import msgspec

from podium_daemon.conference.events import ConnectionId, LeaveReason

MAX_FRAME_BYTES: Final = 1024  # the longest client message we know has 16

# in the range for applications (RFC 6455, 7.4.2); the page does not join again by itself after 4001, 4003 and 4005
CLOSE_CODES: Final[dict[LeaveReason, int]] = {
    LeaveReason.LEFT: 1000,
    LeaveReason.ROOM_CLOSED: 4001,
    LeaveReason.TIMEOUT: 4002,
    LeaveReason.REMOVED: 4003,
    LeaveReason.DROPPED: 4004,
    LeaveReason.REPLACED: 4005,
    LeaveReason.UNKNOWN: 4006,
}


class Welcome(msgspec.Struct, frozen=True, rename="camel", tag="welcome", omit_defaults=True):
    """The first message: beat every `heartbeat` seconds; the meeting is at `meeting_url`, if it is somebody else's."""

    connection: ConnectionId
    heartbeat: int
    meeting_url: str | None = None


class Resume(msgspec.Struct, frozen=True, rename="camel", tag="resume"):
    """Present `secret` within `seconds` of losing this seat to come back without a new signature."""

    secret: str
    seconds: int

    def __repr__(self) -> str:
        return f"<Resume for {self.seconds} s>"


class Notice(msgspec.Struct, frozen=True, rename="camel", tag="notice"):
    """A line to show to the person."""

    text: str


class Removed(msgspec.Struct, frozen=True, rename="camel", tag="removed"):
    """The seat is taken away, with the reason to show; the socket closes."""

    reason: str


class Ended(msgspec.Struct, frozen=True, rename="camel", tag="ended"):
    """The room was closed; the socket closes."""


ServerMessage = Welcome | Resume | Notice | Removed | Ended


class Beat(msgspec.Struct, frozen=True, tag="beat", forbid_unknown_fields=True):
    """The page is alive."""


class Leave(msgspec.Struct, frozen=True, tag="leave", forbid_unknown_fields=True):
    """The person leaves."""


ClientMessage = Beat | Leave


class FrameFlaw(StrEnum):
    """Why a frame was dropped; the name of the counter that is raised."""

    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    BAD_SHAPE = "bad_shape"
    UNKNOWN_TYPE = "unknown_type"


class _Envelope(msgspec.Struct):
    type: str


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_message_decoder: Final[msgspec.json.Decoder[ClientMessage]] = msgspec.json.Decoder(Beat | Leave)
_KNOWN_TYPES: Final = frozenset({"beat", "leave"})


def encode(message: ServerMessage) -> str:
    """The message as it goes into a text frame."""
    return msgspec.json.encode(message).decode()


def decode(frame: str | bytes) -> ClientMessage | FrameFlaw:
    """Read one frame from a browser."""
    if len(frame) > MAX_FRAME_BYTES:  # a character is at least a byte: nothing long is encoded only to be measured
        return FrameFlaw.TOO_LARGE
    try:
        raw = frame.encode() if isinstance(frame, str) else frame
    except UnicodeEncodeError:  # a lone surrogate
        return FrameFlaw.NOT_JSON
    return _decode(raw) if len(raw) <= MAX_FRAME_BYTES else FrameFlaw.TOO_LARGE


def _decode(raw: bytes) -> ClientMessage | FrameFlaw:
    try:
        envelope = _decode_envelope(raw)
        json.loads(raw, object_pairs_hook=_refuse_repeated_keys)
        return _message_decoder.decode(raw) if envelope.type in _KNOWN_TYPES else FrameFlaw.UNKNOWN_TYPE
    except msgspec.ValidationError:
        return FrameFlaw.BAD_SHAPE
    except (ValueError, RecursionError):  # msgspec.DecodeError, bytes that are no UTF-8, a key twice
        return FrameFlaw.NOT_JSON


def _refuse_repeated_keys(pairs: list[tuple[str, object]]) -> None:
    # a proxy that logs the first `type` and we who obey the last would tell two stories
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key is repeated")

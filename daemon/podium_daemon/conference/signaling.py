"""Messages between the page and the daemon on a seat: small JSON objects with a `type`. No I/O.

Decoding is strict: a size cap, UTF-8, one object, no key twice, no unknown field. The caller counts and drops a flawed
message; it never ends the seat.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from podium_daemon.conference.events import ConnectionId, LeaveReason
from podium_protocol.live.polls import MAX_OPTIONS
from podium_protocol.strict_json import read_json

MAX_FRAME_BYTES: Final = 1024  # a secret's cipher text has some 400, the rest of the longest message 130
MAX_CHAT_BYTES: Final = 8 * 1024  # a line of 1,000 characters, encrypted and as base64, or with each one escaped
MAX_EPOCH: Final = 0xFFFF  # docs/encryption.md

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
    """The first message: send a beat every `heartbeat` seconds. `meeting_url`: the meeting, if on another server."""

    connection: ConnectionId
    heartbeat: int
    meeting_url: str | None = None


class Resume(msgspec.Struct, frozen=True, rename="camel", tag="resume"):
    """Present `secret` within `seconds` of losing this seat to come back without a new signature."""

    secret: str
    seconds: int

    def __repr__(self) -> str:
        return f"<Resume for {self.seconds} s>"


class Notice(msgspec.Struct, frozen=True, rename="camel", tag="notice", omit_defaults=True):
    """A line to show to the person. `about` names it for pages that show it in another language."""

    text: str
    about: str = ""


class Removed(msgspec.Struct, frozen=True, rename="camel", tag="removed"):
    """The seat is taken away, with the reason to show; the socket closes."""

    reason: str


class RoomEnded(msgspec.Struct, frozen=True, rename="camel", tag="ended"):
    """The room was closed; the socket closes."""


class MeetingAt(msgspec.Struct, frozen=True, rename="camel", tag="meeting"):
    """The next address of the meeting: the one sent before was used."""

    meeting_url: str

    def __repr__(self) -> str:
        return "<MeetingAt>"


class HandState(msgspec.Struct, frozen=True, rename="camel", tag="hand"):
    """Whether the person's hand is raised, as the room has it: instructor and co-hosts may lower it."""

    up: bool


class Spotlight(msgspec.Struct, frozen=True, rename="camel", tag="spotlight"):
    """The person who is shown large to all, or None. Sent on each change, and to newcomers."""

    pubkey: str | None


class PersonHere(msgspec.Struct, frozen=True, omit_defaults=True):
    """A person in the room. Of two raised hands the one with the lower number was first; 0: it is not up."""

    pubkey: str
    role: str
    hand: int = 0


class PeopleHere(msgspec.Struct, frozen=True, rename="camel", tag="people", omit_defaults=True):
    """People who are in the room, or of whom something changed, and those who left; `is_all`: forget all before."""

    people: tuple[PersonHere, ...] = ()
    gone: tuple[str, ...] = ()
    is_all: bool = False


class KeyHolders(msgspec.Struct, frozen=True, rename="camel", tag="key-holders"):
    """To the one page of the instructor that gives out the room's secret: the people who must get it.

    `epoch` is the highest that was given in this room, or -1.
    """

    people: tuple[str, ...]
    epoch: int


class PassedKey(msgspec.Struct, frozen=True, tag="key"):
    """The room's secret of an epoch, which `sender` encrypted to this person (NIP-44)."""

    sender: str = msgspec.field(name="from")
    ciphertext: str

    def __repr__(self) -> str:
        return "<PassedKey>"


class ChatSent(msgspec.Struct, frozen=True, tag="chat", omit_defaults=True):
    """A line of the chat. `private`: only those who lead got it, and its sender. `at` is in Unix seconds."""

    id: int
    sender: str = msgspec.field(name="from")
    text: str
    at: int
    private: bool = False


class ChatHistory(msgspec.Struct, frozen=True, tag="chat-history"):
    """To a newcomer: the lines that are kept, in one or several messages."""

    lines: tuple[ChatSent, ...]


class ChatState(msgspec.Struct, frozen=True, tag="chat-state"):
    """Whether people may chat; those who lead always may."""

    open: bool


class ChatDeleted(msgspec.Struct, frozen=True, tag="chat-deleted"):
    """A line that one who leads deleted."""

    id: int


class ChatRefused(msgspec.Struct, frozen=True, tag="chat-refused"):
    """The line that the person sent was not taken: `too-fast`, `closed` or `flawed`."""

    reason: str


class ReactionShown(msgspec.Struct, frozen=True, tag="reaction"):
    """A person's reaction, to be shown over their tile for some seconds. In encrypted rooms `kind` is cipher text."""

    sender: str = msgspec.field(name="from")
    kind: str


class PollShown(msgspec.Struct, frozen=True, rename="camel", tag="poll", omit_defaults=True):
    """A poll, open or closed. `counts`, `voters` and, of a quiz, `right` are None to those who may not see them yet.

    In an encrypted session `question` is cipher text by `sealed_by`, the options are empty, and so is `right` until
    `sealed_right` is told.
    """

    id: int
    question: str
    options: tuple[str, ...]
    multiple: bool
    named: bool
    stage: str
    counts: tuple[int, ...] | None
    voters: int | None
    right: tuple[int, ...] | None
    sealed_by: str | None = None
    sealed_right: str | None = None


class PollDeleted(msgspec.Struct, frozen=True, tag="poll-deleted"):
    """A poll that one who leads deleted."""

    id: int


class VoteCounted(msgspec.Struct, frozen=True, tag="vote"):
    """What the person chose in a poll, as it counts."""

    poll: int
    choices: tuple[int, ...]


ServerMessage = (
    Welcome
    | Resume
    | Notice
    | Removed
    | RoomEnded
    | HandState
    | MeetingAt
    | Spotlight
    | KeyHolders
    | PassedKey
    | ChatSent
    | ChatHistory
    | ChatState
    | ChatDeleted
    | ChatRefused
    | ReactionShown
    | PeopleHere
    | PollShown
    | PollDeleted
    | VoteCounted
)


class Beat(msgspec.Struct, frozen=True, tag="beat", forbid_unknown_fields=True):
    """The page is alive."""


class Leave(msgspec.Struct, frozen=True, tag="leave", forbid_unknown_fields=True):
    """The person leaves."""


class HandMessage(msgspec.Struct, frozen=True, tag="hand", forbid_unknown_fields=True):
    """The person raises or lowers their hand. It is for the daemon; no engine sees it."""

    up: bool


class GivenKey(msgspec.Struct, frozen=True, tag="key", forbid_unknown_fields=True):
    """The room's secret of an epoch, encrypted to `to`. The daemon forwards it; no engine sees it."""

    to: str
    epoch: Annotated[int, msgspec.Meta(ge=0, le=MAX_EPOCH)]
    ciphertext: str

    def __repr__(self) -> str:
        return "<GivenKey>"


class ChatMessage(msgspec.Struct, frozen=True, tag="chat", forbid_unknown_fields=True):
    """The person writes to all in the room, or to those who lead only (`private`)."""

    text: str
    private: bool = False


class ReactionMessage(msgspec.Struct, frozen=True, tag="reaction", forbid_unknown_fields=True):
    """The person reacts: one of `live.chat.REACTIONS`, or in an encrypted room its cipher text."""

    kind: Annotated[str, msgspec.Meta(max_length=200)]


class VoteMessage(msgspec.Struct, frozen=True, tag="vote", forbid_unknown_fields=True):
    """The person votes, or votes again: the numbers of the options, from 0."""

    poll: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
    choices: Annotated[tuple[int, ...], msgspec.Meta(max_length=MAX_OPTIONS)]


DaemonMessage = HandMessage | GivenKey | ChatMessage | ReactionMessage | VoteMessage
"""Messages for the daemon; no engine sees them."""

ClientMessage = Beat | Leave


class SeatFrameFlaw(StrEnum):
    """Why a frame was dropped; the name of the counter that is raised."""

    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    BAD_SHAPE = "bad_shape"
    UNKNOWN_TYPE = "unknown_type"


class _Envelope(msgspec.Struct):
    type: str


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_message_decoder: Final[msgspec.json.Decoder[ClientMessage]] = msgspec.json.Decoder(Beat | Leave)
_daemon_decoder: Final[msgspec.json.Decoder[DaemonMessage]] = msgspec.json.Decoder(
    HandMessage | GivenKey | ChatMessage | ReactionMessage | VoteMessage
)
_DAEMON_TYPE: Final = re.compile(rb'"(?:hand|key|chat|reaction|vote)"')
_KNOWN_TYPES: Final = frozenset({"beat", "leave"})


def encode(message: ServerMessage) -> str:
    """The message as it goes into a text frame."""
    return msgspec.json.encode(message).decode()


def decode(frame: str | bytes) -> ClientMessage | SeatFrameFlaw:
    """Read one frame from a browser."""
    if len(frame) > MAX_FRAME_BYTES:  # a character is at least a byte: nothing long is encoded only to be measured
        return SeatFrameFlaw.TOO_LARGE
    try:
        raw = frame.encode() if isinstance(frame, str) else frame
    except UnicodeEncodeError:  # a lone surrogate
        return SeatFrameFlaw.NOT_JSON
    return _decode(raw) if len(raw) <= MAX_FRAME_BYTES else SeatFrameFlaw.TOO_LARGE


def decode_for_daemon(frame: str | bytes) -> DaemonMessage | None:
    """Read a frame for the daemon, as strictly as `decode`; None for every other frame."""
    if len(frame) > MAX_CHAT_BYTES:
        return None
    raw = frame.encode(errors="replace") if isinstance(frame, str) else frame
    if _DAEMON_TYPE.search(raw) is None:  # nearly every frame: it is parsed elsewhere
        return None
    try:
        read_json(raw)
        message = _daemon_decoder.decode(raw)
    except (ValueError, RecursionError):
        return None
    most = MAX_CHAT_BYTES if isinstance(message, ChatMessage) else MAX_FRAME_BYTES
    return message if len(raw) <= most else None


def _decode(raw: bytes) -> ClientMessage | SeatFrameFlaw:
    try:
        envelope = _decode_envelope(raw)
        read_json(raw)
        return _message_decoder.decode(raw) if envelope.type in _KNOWN_TYPES else SeatFrameFlaw.UNKNOWN_TYPE
    except msgspec.ValidationError:
        return SeatFrameFlaw.BAD_SHAPE
    except (ValueError, RecursionError):  # msgspec.DecodeError, bytes that are no UTF-8, a key twice
        return SeatFrameFlaw.NOT_JSON

"""Messages between the page and the media process on the room socket: JSON objects of the type `media`. No I/O.

Messages from the page are read strictly: a size cap, one object, no key twice, no unknown field. They are always about
the person of the seat, never about one that the message names.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from podium_daemon.conference.events import ConnectionId, TrackKind
from podium_daemon.conference.page_media.sdp import MAX_LINES, MAX_SDP
from podium_daemon.conference.signaling import SeatFrameFlaw
from podium_protocol.strict_json import read_json

MAX_SIGNAL_BYTES: Final = MAX_SDP + 4096  # line ends are two characters more in JSON; the room socket takes 64 KiB
_OFFERS: Final = 1 << 31

Count = Annotated[int, msgspec.Meta(ge=0, lt=_OFFERS)]
_Mid = Annotated[str, msgspec.Meta(max_length=16)]


class _Signal(msgspec.Struct, frozen=True, tag_field="do", forbid_unknown_fields=True, kw_only=True):
    type: Literal["media"] = "media"


class PublishOffer(_Signal, frozen=True, tag="publish", kw_only=True):
    """The page's offer: microphone, camera and screen as three media lines, in this order."""

    sdp: str


class WatchAnswer(_Signal, frozen=True, tag="watch", kw_only=True):
    """The page's answer to our `offer`, or None to ask for a new connection."""

    offer: Count | None = None
    sdp: str = ""


class Sending(_Signal, frozen=True, tag="sending", kw_only=True):
    """The tracks that the person has switched on. `turn` is that of the last `muted` the page has seen.

    A page that unmutes before it has heard that it was muted does not undo the muting.
    """

    audio: bool
    video: bool
    screen: bool
    turn: Count = 0

    def is_on(self, kind: TrackKind) -> bool:
        """Whether they send this kind."""
        on: bool = getattr(self, kind.value)
        return on


class Showing(_Signal, frozen=True, tag="showing", kw_only=True):
    """The media lines whose pictures are in sight, of all that were offered; pictures of others need not be sent.

    It holds until the next one, or a new connection. Sound is sent whatever is in sight.
    """

    mids: Annotated[tuple[_Mid, ...], msgspec.Meta(max_length=MAX_LINES)]


PageSignal = PublishOffer | WatchAnswer | Sending | Showing


class IceServer(msgspec.Struct, frozen=True, omit_defaults=True):
    """As `RTCIceServer` in a browser."""

    urls: str
    username: str = ""
    credential: str = ""

    def __repr__(self) -> str:
        return f"<IceServer {self.urls}>"


class Begin(_Signal, frozen=True, tag="begin", kw_only=True, rename="camel"):
    """Media is available: make both connections, and drop former ones."""

    ice_servers: tuple[IceServer, ...] = ()


class Accept(_Signal, frozen=True, tag="accept", kw_only=True):
    """The answer to `publish`."""

    sdp: str


class Offer(_Signal, frozen=True, tag="offer", kw_only=True):
    """Our offer of the tracks that the page receives; the answer must have its number."""

    offer: int
    sdp: str


class LineOf(msgspec.Struct, frozen=True):
    """Whose track comes on a media line, and whether packets come at present."""

    mid: str
    kind: TrackKind
    connection: ConnectionId
    pubkey: str
    on: bool


class Lines(_Signal, frozen=True, tag="lines", kw_only=True):
    """The tracks on the media lines of the newest offer; lines that are not named are silent."""

    lines: tuple[LineOf, ...]


class Muted(_Signal, frozen=True, tag="muted", kw_only=True):
    """The person was muted here; they may unmute themselves with a `sending` of this turn."""

    kind: TrackKind
    turn: int


class ConnectionFailed(_Signal, frozen=True, tag="failed", kw_only=True):
    """A connection did not come about or broke; the page tries again after a pause."""

    side: Literal["publish", "watch"]
    reason: str


class Away(_Signal, frozen=True, tag="away", kw_only=True):
    """Media is not available at the moment; `begin` follows when it is."""


ServerSignal = Begin | Accept | Offer | Lines | Muted | ConnectionFailed | Away


class _SignalEnvelope(msgspec.Struct):
    type: str


_decode_envelope = msgspec.json.Decoder(_SignalEnvelope).decode
_decoder: Final[msgspec.json.Decoder[PageSignal]] = msgspec.json.Decoder(PublishOffer | WatchAnswer | Sending | Showing)


def encode_signal(signal: ServerSignal) -> str:
    """The message as it goes into a text frame."""
    return msgspec.json.encode(signal).decode()


def decode_signal(frame: str | bytes) -> PageSignal | SeatFrameFlaw | None:
    """Read a media message from a page: the message, its flaw, or None if the frame is no media message."""
    if len(frame) > MAX_SIGNAL_BYTES:
        return SeatFrameFlaw.TOO_LARGE
    try:
        raw = frame.encode() if isinstance(frame, str) else frame
        if b'"media"' not in raw or _decode_envelope(raw).type != "media":
            return None
        read_json(raw)
        return _decoder.decode(raw) if len(raw) <= MAX_SIGNAL_BYTES else SeatFrameFlaw.TOO_LARGE
    except msgspec.ValidationError:
        return SeatFrameFlaw.BAD_SHAPE
    except (ValueError, RecursionError):  # no JSON, no UTF-8, a lone surrogate, a key twice
        return SeatFrameFlaw.NOT_JSON

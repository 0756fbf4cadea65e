"""What the daemon and its media process say to each other: msgpack behind a length, on a socket pair. Strict both ways.

The media process reads strangers' packets. Were one of them to take it over, it could say what is below and no more.
"""

from __future__ import annotations

import asyncio
from struct import Struct as Layout
from typing import Annotated, Final, TypeVar

import msgspec

from podium_daemon.conference.engines.embedded.signals import IceServer, PageSignal
from podium_daemon.conference.events import ConnectionId, RecordingState, RoomId, TrackChange, TrackKind
from podium_protocol.errors import RemoteProtocolError
from podium_protocol.events import Pubkey

MAX_MESSAGE: Final = 512 * 1024  # the largest is our own offer of 96 media lines, 1 to 3 KB each
_LENGTH: Final = Layout("!I")
T = TypeVar("T")


class MediaSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the process is started with.

    Args:
        addresses: of this machine, to be reached at; none: all but loopback, or loopback if there is no other.
        stun: servers (`stun:host:port`) that are asked for our address as others see it; none: nobody is.
    """

    addresses: tuple[str, ...] = ()
    stun: tuple[str, ...] = ()


class Enter(msgspec.Struct, frozen=True, tag="enter", kw_only=True):
    """Somebody sits in a room. `fingerprint` is the certificate that their browser must have.

    `ice_servers` is what their page may use to reach us.
    """

    room: RoomId
    connection: ConnectionId
    pubkey: Pubkey
    publish: frozenset[TrackKind]
    silenced: frozenset[TrackKind]
    fingerprint: str | None
    ice_servers: tuple[IceServer, ...] = ()


class Exit(msgspec.Struct, frozen=True, tag="exit"):
    """Their seat is over."""

    connection: ConnectionId


class PageMessage(msgspec.Struct, frozen=True, tag="said"):
    """Their page said something."""

    connection: ConnectionId
    signal: PageSignal


class Permit(msgspec.Struct, frozen=True, tag="permit"):
    """What they may send from now on."""

    connection: ConnectionId
    publish: frozenset[TrackKind]


class Silence(msgspec.Struct, frozen=True, tag="silence"):
    """Pass nothing of this kind on until they unmute themselves."""

    connection: ConnectionId
    kind: TrackKind


class Record(msgspec.Struct, frozen=True, tag="record"):
    """Record the people of `only` in a room, into new files of `folder`; said again, with others, it changes whom."""

    room: RoomId
    folder: str
    only: frozenset[Pubkey]


class StopRecording(msgspec.Struct, frozen=True, tag="stopRecording"):
    """Close the files."""

    room: RoomId


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Are you alive?"""

    number: int


Command = Enter | Exit | PageMessage | Permit | Silence | Record | StopRecording | Ping


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """It runs, on this aiortc."""

    aiortc: str


class CannotRun(msgspec.Struct, frozen=True, tag="cannotRun"):
    """It ends at once, and why."""

    why: str


class Frame(msgspec.Struct, frozen=True, tag="frame"):
    """A text frame for somebody's page."""

    connection: ConnectionId
    text: str


class Up(msgspec.Struct, frozen=True, tag="up"):
    """Media flows on the connection."""

    connection: ConnectionId


class Changed(msgspec.Struct, frozen=True, tag="changed"):
    """What somebody publishes."""

    connection: ConnectionId
    kind: TrackKind
    change: TrackChange


class Dropped(msgspec.Struct, frozen=True, tag="dropped"):
    """Something of somebody's page was flawed and dropped; `reason` is the name of the counter."""

    connection: ConnectionId
    reason: str


class Drops(msgspec.Struct, frozen=True, tag="drops"):
    """How many datagrams from anybody were dropped since the last of these, by the name of the counter."""

    counts: dict[str, Annotated[int, msgspec.Meta(ge=0)]]


class Recorded(msgspec.Struct, frozen=True, tag="recorded"):
    """What became of a recording."""

    room: RoomId
    state: RecordingState
    detail: str = ""


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """Alive."""

    number: int


Report = Ready | CannotRun | Frame | Up | Changed | Dropped | Drops | Recorded | Pong

commands: Final[msgspec.msgpack.Decoder[Command]] = msgspec.msgpack.Decoder(Command)
reports: Final[msgspec.msgpack.Decoder[Report]] = msgspec.msgpack.Decoder(Report)
_encoder: Final = msgspec.msgpack.Encoder()


class BrokenWire(RemoteProtocolError):  # noqa: N818  (what is so)
    """The other end said something that is no message of ours."""


def write_message(message: Command | Report) -> bytes:
    """The message, behind its length."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


async def read_message(reader: asyncio.StreamReader, decoder: msgspec.msgpack.Decoder[T]) -> T | None:
    """The next message, or None at the end.

    Raises:
        BrokenWire: it is too long or no message.
    """
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > MAX_MESSAGE:
            raise BrokenWire(f"a message of {length} bytes")
        return decoder.decode(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except msgspec.DecodeError as error:
        raise BrokenWire(f"not a message: {error}") from error

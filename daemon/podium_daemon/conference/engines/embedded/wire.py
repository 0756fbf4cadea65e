"""Messages between the daemon and its media process: msgpack after a length, on a socket pair. Strict both ways.

The media process reads strangers' packets. An attacker who took it over could send only the messages below and the
reports of `media_host`.
"""

from __future__ import annotations

import asyncio
from struct import Struct as Layout
from typing import Final, TypeVar

import msgspec

from podium_daemon.conference.page_media.messages import Command, Report
from podium_protocol.errors import RemoteProtocolError

MAX_MESSAGE: Final = 512 * 1024  # the largest is our own offer of 96 media lines, 1 to 3 KB each
_LENGTH: Final = Layout("!I")
T = TypeVar("T")


class ProcessSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings with which the process is started.

    Args:
        addresses: of this machine, to be reached at; none: all but loopback, or loopback if there is no other.
        stun: servers (`stun:host:port`) that are asked for our public address; none: no server is asked.
    """

    addresses: tuple[str, ...] = ()
    stun: tuple[str, ...] = ()


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """A request for a `Pong`."""

    number: int


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The process runs, with this version of aiortc."""

    aiortc: str


class CannotRun(msgspec.Struct, frozen=True, tag="cannotRun"):
    """The process cannot run and ends at once, with the reason."""

    why: str


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """The answer to a `Ping`."""

    number: int


ProcessCommand = Command | Ping
ProcessReport = Report | Ready | CannotRun | Pong

commands: Final[msgspec.msgpack.Decoder[ProcessCommand]] = msgspec.msgpack.Decoder(ProcessCommand)
reports: Final[msgspec.msgpack.Decoder[ProcessReport]] = msgspec.msgpack.Decoder(ProcessReport)
_encoder: Final = msgspec.msgpack.Encoder()


class BrokenWire(RemoteProtocolError):
    """The other side sent bytes that are not a valid message."""


def write_message(message: ProcessCommand | ProcessReport) -> bytes:
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

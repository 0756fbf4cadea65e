"""One open WebSocket: `websockets`' Sans-I/O protocol over asyncio's streams.

Not websockets' own asyncio client: it reads up to 256 KiB in one go (a hostile relay packs 130,000 frames into that and
holds the loop for half a second), follows redirects to other hosts, uses proxies named in the environment, cannot tell
a peer that does not read from one that is gone, and costs a quarter more for each message. Here one step reads a
bounded number of frames, and what is not read stays in the kernel, so that a slow consumer slows the relay down.
RFC 6455.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Iterable
from typing import Final

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, PayloadTooBig
from websockets.protocol import CONNECTING, OPEN
from websockets.uri import parse_uri

from podium_daemon.relays.addresses import Destination
from podium_daemon.relays.framing import Framing, Received
from podium_protocol.errors import PodiumError

_PIECE: Final = 64 * 1024  # bytes: some hundred events, which share what a step costs; `Framing` bounds the frames
_PIECE_OF_HANDSHAKE: Final = 1024
_CLOSE_WITHIN: Final = 1.0  # seconds
_MAX_WORDS: Final = 200  # characters of a relay's own that go into an error
_USER_AGENT: Final = "podium"
_END_OF_HEAD: Final = b"\r\n\r\n"

# websockets logs whole frames at DEBUG, and nothing of what people write belongs in a log
_protocol_log = logging.getLogger("podium_daemon.relays.websocket.frames")
_protocol_log.setLevel(logging.WARNING)


class SocketLost(PodiumError):
    """There is no connection (any more); the text says why, in words for people."""

    def __init__(self, why: str, *, oversized: bool = False) -> None:
        """`oversized`: the relay sent a frame above the limit, which cannot be skipped."""
        super().__init__(why)
        self.oversized = oversized


class WebSocket:
    """An open connection. `receive` is for one task only; every method may raise `SocketLost`."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        protocol: ClientProtocol,
        max_frame_bytes: int,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = protocol
        self._framing = Framing(protocol, max_frame_bytes)
        self._early = b""  # frames that came in one piece with the handshake

    @classmethod
    async def open(cls, to: Destination, *, tls: ssl.SSLContext, max_frame_bytes: int, within: float) -> WebSocket:
        """Connect to one of the addresses and shake hands. Redirects are refused.

        Raises:
            SocketLost: it did not work within `within` seconds.
        """
        protocol = ClientProtocol(parse_uri(to.url), max_size=max_frame_bytes, logger=_protocol_log)
        try:
            async with asyncio.timeout(within):
                reader, writer = await _open_stream(to, tls, within)
                socket = cls(reader, writer, protocol, max_frame_bytes)
                try:
                    await socket._shake_hands()
                except BaseException:
                    await socket._end()
                    raise
        except TimeoutError:
            raise SocketLost(f"it did not answer within {within:g} s") from None
        except OSError as error:
            raise SocketLost(_words_of(error)) from None
        return socket

    async def receive(self) -> Received:
        """The messages of the next piece of the stream: none, if the piece completes none or is all pings and pongs."""
        received = Received([], 0, 0, 0)
        if self._protocol.state is OPEN:
            is_behind = self._framing.is_behind
            data, self._early = b"" if is_behind else self._early or await self._read(), b""
            if data or is_behind:
                received = self._framing.receive(data)
            else:
                self._protocol.receive_eof()
            if self._flush():
                await self.drain()  # a relay that pings without reading the pongs is not read on
        if self._protocol.state is not OPEN and not received.texts:
            raise self._lost()
        return received

    def send_texts(self, messages: Iterable[bytes]) -> None:
        """Send text messages; `drain` before sending many. On a connection that is closing they are dropped."""
        if self._protocol.state is OPEN:
            for message in messages:
                self._protocol.send_text(message)
            self._flush()

    def ping(self) -> None:
        """Ask for a sign of life, without waiting for anything."""
        if self._protocol.state is OPEN:
            self._protocol.send_ping(b"")
            self._flush()

    async def drain(self) -> None:
        """Wait until the relay has taken most of what was sent."""
        try:
            await self._writer.drain()
        except OSError as error:
            raise SocketLost(_words_of(error)) from None

    async def close(self) -> None:
        """Send a close frame, wait a second at most for the relay's, and end the connection. Never raises."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_CLOSE_WITHIN):
                if self._protocol.state is OPEN:
                    self._protocol.send_close(1000)
                    self._flush()
                while await self._reader.read(_PIECE):
                    pass
        await self._end()

    def abandon(self) -> None:
        """End the connection at once, without a close frame: the relay is gone."""
        self._writer.transport.abort()

    async def _end(self) -> None:
        self.abandon()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _shake_hands(self) -> None:
        protocol = self._protocol
        request = protocol.connect()
        request.headers["User-Agent"] = _USER_AGENT
        protocol.send_request(request)
        self._flush()
        seen = b""
        while protocol.state is CONNECTING:
            data = await self._reader.read(_PIECE_OF_HANDSHAKE)
            # a relay's first frames, its goodbye even, may come in one piece with its answer
            head = seen + data
            end = head.find(_END_OF_HEAD)
            cut = len(data) if end < 0 else end + len(_END_OF_HEAD) - len(seen)
            seen = head[1 - len(_END_OF_HEAD) :]
            if data:
                self._shake(data[:cut], data[cut:])
            else:
                protocol.receive_eof()
            if protocol.handshake_exc is not None:
                raise SocketLost(_words_of_handshake(protocol.handshake_exc))
        self._flush()
        protocol.events_received()  # the answer

    def _shake(self, head: bytes, rest: bytes) -> None:
        self._protocol.receive_data(head)
        if self._protocol.state is CONNECTING:
            self._protocol.receive_data(rest)  # the body of a refusal
        else:
            self._early = rest

    async def _read(self) -> bytes:
        try:
            return await self._reader.read(_PIECE)
        except OSError as error:
            raise SocketLost(_words_of(error)) from None

    def _flush(self) -> bool:
        data = b"".join(self._protocol.data_to_send())  # an empty piece asks for a half-close; `abort` does that
        if data and not self._writer.is_closing():
            self._writer.write(data)
        return bool(data)

    def _lost(self) -> SocketLost:
        error, close = self._protocol.parser_exc, self._protocol.close_rcvd
        if isinstance(error, PayloadTooBig):
            return SocketLost("it sent a frame above the size limit", oversized=True)
        if close is not None:
            return SocketLost(f"the relay closed the connection: {close.code} {_printable(close.reason)}".rstrip())
        if error is None or isinstance(error, EOFError):
            return SocketLost("the relay dropped the connection")
        return SocketLost(f"the relay broke the WebSocket protocol: {_printable(str(error))}")


async def _open_stream(
    to: Destination, tls: ssl.SSLContext, within: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Try the addresses in their order, each with its share of the time."""
    for last, address in enumerate(to.addresses, 1 - len(to.addresses)):
        try:
            async with asyncio.timeout(within / len(to.addresses)):
                return await asyncio.open_connection(
                    address,
                    to.port,
                    limit=_PIECE,
                    ssl=tls if to.is_secure else None,
                    server_hostname=to.host if to.is_secure else None,
                )
        except (OSError, TimeoutError):
            if last == 0:
                raise
    raise SocketLost("its host has no address")


def _words_of(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason}"
    if isinstance(error, ConnectionRefusedError):
        return "it refused the connection"
    return error.strerror or str(error) or "the connection was lost"


def _words_of_handshake(error: Exception) -> str:
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        where = error.response.headers.get("Location")
        if where is not None and 300 <= status < 400:
            # following it would let a relay send us to any host, private ones included
            return f"it redirects ({status}) to {_printable(where)}, which is not followed: configure that URL instead"
        return f"it answered HTTP {status} instead of opening a WebSocket"
    if isinstance(error.__cause__, EOFError):
        return "it dropped the connection before answering"
    return f"it did not answer as a WebSocket server: {_printable(str(error))}"


def _printable(text: str) -> str:
    """A relay's words with nothing in them that moves a terminal's cursor, cut short."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_MAX_WORDS])

"""The gate before the embedded relay: bounds what others on the network can cost it. It runs in the relay's process.

Measured on LocalRelay 0.45.1: it counts connections only after their handshake, and while 128 handshakes are unfinished
it drops all new ones; a connection costs 145 kB and is never ended; it knows no network addresses; it stores whatever
is signed well; and it cannot exempt its own daemon from any limit. So it listens on a port of loopback for the daemon
alone, and all others come through here. Their bytes are passed on as they are: only the headers of their frames are
read (RFC 6455, section 5.2). Who sends too much is read more slowly.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import struct
from pathlib import Path
from typing import Final

import msgspec
import structlog

from podium_daemon.runtime.accepting import Acceptor
from podium_daemon.runtime.allowances import Buckets, Rate
from podium_daemon.runtime.clock import Clock, SystemClock
from podium_daemon.runtime.connections import Caps, Connections, Proxies, origin_of
from podium_daemon.runtime.descriptors import for_strangers, raise_limit
from podium_protocol.limits import MAX_FRAME_BYTES

_PIECE: Final = 16 * 1024  # bytes read at once: 2,700 of the smallest frames, some 10 ms
_MAX_HEAD: Final = 16 * 1024  # bytes of a handshake's head; browsers send 1 KiB
_KIB: Final = 1024
_DESCRIPTORS: Final = 3  # of one connection: its own, and both ends of the one inside
_END_OF_HEAD: Final = b"\r\n\r\n"
_FORWARDED_FOR: Final = re.compile(rb"(?im)^x-forwarded-for:(?:[^\r\n]*,)?[ \t]*([0-9A-Fa-f.:]+)[ \t]*\r?$")
_KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 20), (socket.TCP_KEEPCNT, 3))
INSIDE: Final = "127.0.0.1"
"""Where the relay itself listens."""

_LOOK_EVERY: Final = 10.0  # seconds between two looks at the disk
_MASKED: Final = 0x80  # in the byte of the length: every frame of a client is (section 5.1)
_FINAL: Final = 0x80
_CONTROL: Final = 0x08

_log = structlog.get_logger(__name__)


class GateLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What strangers may use; seconds where nothing else is said."""

    connections: int = 1_000  # each costs LocalRelay 145 kB
    connections_per_address: int = 200
    messages_per_minute: int = 3_000  # of one address; each further KiB of a message counts as one
    message_bytes: int = MAX_FRAME_BYTES
    held_bytes: int = 256 * 1024 * 1024  # said on open connections: what their subscriptions hold is less
    max_megabytes: int = 2_000  # on disk, from which on no more is stored for strangers; 0: no bound
    handshake: float = 10.0
    unread: float = 60.0  # until a client that does not read is cut off
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")


class FrameTooLarge(Exception):
    """A message is larger than allowed, or a frame is none of a client."""


class FrameMeter:
    """Follows the frames of one client, without looking into them."""

    def __init__(self, max_message: int) -> None:
        self._max = max_message
        self._head = bytearray()
        self._payload_left = 0
        self._message = 0  # bytes of the message so far, which may come in several frames

    def cost(self, data: bytes) -> float:
        """What the next piece of the stream costs: one for each frame that begins in it, and one for each KiB.

        Raises:
            FrameTooLarge: the connection has to end.
        """
        at, frames = 0, 0
        while at < len(data):
            if self._payload_left:
                step = min(self._payload_left, len(data) - at)
                self._payload_left -= step
                at += step
                continue
            missing = _head_size(self._head) - len(self._head)
            self._head += data[at : at + missing]
            at += missing
            if len(self._head) == _head_size(self._head):
                self._begin()
                frames += 1
        return frames + len(data) / _KIB

    def _begin(self) -> None:
        kind, size = self._head[0], _payload_size(self._head)
        if not kind & _CONTROL:
            self._message += size
        if self._message > self._max or size > self._max or not self._head[1] & _MASKED:
            raise FrameTooLarge
        if kind & _FINAL and not kind & _CONTROL:
            self._message = 0
        self._payload_left = size
        self._head.clear()


def _head_size(head: bytes | bytearray) -> int:
    """The size of a frame's header, as far as the bytes of it tell that are there."""
    length = head[1] & 0x7F if len(head) > 1 else None
    return 2 if length is None else 6 + (8 if length == 127 else 2 if length == 126 else 0)


def _payload_size(head: bytes | bytearray) -> int:
    length = head[1] & 0x7F
    if length < 126:
        return length
    size: int = struct.unpack_from(">H" if length == 126 else ">Q", head, 2)[0]
    return size


class Gate:
    """Listens for strangers, and connects them to the relay inside as far as the limits allow."""

    def __init__(self, limits: GateLimits, inside: int, ports: set[int], clock: Clock | None = None) -> None:
        """`inside`: the relay's port on loopback. `ports` is kept filled with those from which strangers reach it."""
        self.limits = limits
        self.inside = inside
        self.ports = ports
        self.clock = clock or SystemClock()
        most = max(1, for_strangers(raise_limit()) // _DESCRIPTORS)
        caps = Caps(min(limits.connections, most), limits.connections_per_address)
        self.proxies = Proxies(limits.trusted_proxies)
        self.connections = Connections(lambda: caps, self.clock, of="relay", proxies=self.proxies)
        burst = float(limits.messages_per_minute)
        self.spent = Buckets[str](Rate(burst, burst / 60))

        self._said: dict[_Visitor, int] = {}
        self._held = 0

    def note_said(self, visitor: _Visitor, size: int) -> None:
        """Count what was said on a connection; beyond the bound for all, the one on which most was said is ended."""
        self._said[visitor] = self._said.get(visitor, 0) + size
        self._held += size
        if self._held > self.limits.held_bytes:
            most = max(self._said, key=self._said.__getitem__)
            self.forget(most)
            most.transport.abort()

    def forget(self, visitor: _Visitor) -> None:
        """Note that a connection is over, and nothing is held for it."""
        self._held -= self._said.pop(visitor, 0)

    def start(self, host: str, port: int) -> int:
        """Listen, and return the port.

        Raises:
            OSError: the address is not ours, or the port is taken.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server((host, port), family=family, backlog=1024)
        except OSError as error:
            raise OSError(error.strerror) from error
        listener.setblocking(False)
        Acceptor(listener, lambda: _Visitor(self), self.connections, self.clock).start()
        bound: int = listener.getsockname()[1]
        return bound


class DiskUse:
    """Whether a directory has become too large."""

    def __init__(self, folder: Path | None, most: int, clock: Clock | None = None) -> None:
        """`most`: bytes; 0: no bound. Without a folder there is none either."""
        self._folder = folder
        self._most = most
        self._clock = clock or SystemClock()
        self._look_at = float("-inf")
        self._is_full = False

    def is_full(self) -> bool:
        """Whether there are more bytes in it, as of some seconds ago at most."""
        now = self._clock.monotonic()
        if self._folder is not None and self._most and now >= self._look_at:
            self._look_at, was_full = now + _LOOK_EVERY, self._is_full
            # LMDB's file is sparse: its length says nothing
            self._is_full = sum(one.stat().st_blocks * 512 for one in self._folder.iterdir()) > self._most
            if self._is_full and not was_full:
                words = "the embedded relay stores nothing more for others: raise embedded.max_megabytes"
                _log.warning(words, action="relay.full", megabytes=self._most // 1_000_000)
        return self._is_full


class _Visitor(asyncio.BufferedProtocol):
    """A stranger's connection."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self._buffer = bytearray(_PIECE)
        self._head = bytearray()
        self._meter = FrameMeter(gate.limits.message_bytes)
        self._inner: _Inner | None = None
        self._paused_for: set[str] = set()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._opening: asyncio.Task[None] | None = None
        self.origin = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        address = str(transport.get_extra_info("peername")[0])
        self.is_proxy = address in self.gate.proxies
        self.origin = "" if self.is_proxy else origin_of(address)
        self.gate.connections.opened(transport, address)
        _keep_alive(transport)
        self._timer = self._loop.call_later(self.gate.limits.handshake, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (as in asyncio)
        self.gate.connections.closed(self.transport)
        self.gate.forget(self)
        self._cancel_timer()
        if self._opening is not None:
            self._opening.cancel()
        if self._inner is not None:
            self._inner.transport.abort()

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._buffer[:nbytes])
        if self._inner is not None:
            self._pass_on(data)
            return
        self._head += data
        if (end := self._head.find(_END_OF_HEAD)) >= 0 and self._opening is None:
            self.pause("opening")
            self._opening = self._loop.create_task(self._open(end + len(_END_OF_HEAD)))
        elif len(self._head) > _MAX_HEAD:
            self.transport.abort()

    async def _open(self, end: int) -> None:
        """Connect to the relay, once the whole head is there: it has no patience for unfinished ones."""
        head, rest = bytes(self._head[:end]), bytes(self._head[end:])
        if not self._take_address(head):
            self.transport.abort()
            return
        try:
            _, inner = await self._loop.create_connection(lambda: _Inner(self), INSIDE, self.gate.inside)
        except OSError:
            self.transport.abort()
            return
        self._inner = inner
        self._cancel_timer()
        inner.transport.write(head)
        self._head.clear()
        self.resume("opening")
        if rest:
            self._pass_on(rest)

    def _take_address(self, head: bytes) -> bool:
        """Count a connection that a proxy passes on as one of the address that the proxy names."""
        named = _FORWARDED_FOR.search(head) if self.is_proxy else None
        if named is None:
            return True
        try:
            address = str(ipaddress.ip_address(named[1].decode()))
        except ValueError:
            return False
        self.gate.connections.closed(self.transport)
        if not self.gate.connections.has_room_for(address, 0):
            return False
        self.gate.connections.opened(self.transport, address)
        self.origin = origin_of(address)
        return True

    def _pass_on(self, data: bytes) -> None:
        assert self._inner is not None
        try:
            cost = self._meter.cost(data)
        except FrameTooLarge:
            self.transport.abort()
            return
        self.gate.connections.works(self.transport)
        self._inner.transport.write(data)
        self.gate.note_said(self, len(data))
        # programs of this machine are not counted: the people behind a proxy are, by the address that it names
        wait = self.gate.spent.owe(self.origin, self.gate.clock.monotonic(), cost) if self.origin else 0.0
        if wait > 0:
            self.pause("too fast")
            self._loop.call_later(wait, self.resume, "too fast")

    def pause(self, why: str) -> None:
        """Read no more of it for now."""
        self._paused_for.add(why)
        self.transport.pause_reading()

    def resume(self, why: str) -> None:
        self._paused_for.discard(why)
        if not self._paused_for and not self.transport.is_closing():
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        """It does not read: then nothing more is read of what the relay has for it."""
        if self._inner is not None:
            self._inner.transport.pause_reading()
        self._cancel_timer()
        self._timer = self._loop.call_later(self.gate.limits.unread, self.transport.abort)

    def resume_writing(self) -> None:
        self._cancel_timer()
        if self._inner is not None and not self._inner.transport.is_closing():
            self._inner.transport.resume_reading()

    def inner_lost(self) -> None:
        """The relay ended the connection: what it said last is still sent, for some seconds."""
        self.transport.close()
        self._cancel_timer()
        self._timer = self._loop.call_later(self.gate.limits.handshake, self.transport.abort)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class _Inner(asyncio.Protocol):
    """The connection to the relay on behalf of a stranger."""

    def __init__(self, visitor: _Visitor) -> None:
        self._visitor = visitor
        self._port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._port = transport.get_extra_info("sockname")[1]
        self._visitor.gate.ports.add(self._port)

    def data_received(self, data: bytes) -> None:
        self._visitor.transport.write(data)

    def pause_writing(self) -> None:
        self._visitor.pause("relay is busy")

    def resume_writing(self) -> None:
        self._visitor.resume("relay is busy")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (as in asyncio)
        self._visitor.gate.ports.discard(self._port)
        self._visitor.inner_lost()


def _keep_alive(transport: asyncio.Transport) -> None:
    """Have the system end connections whose other end is gone without a word."""
    own = transport.get_extra_info("socket")
    own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        own.setsockopt(socket.IPPROTO_TCP, option, value)

"""The HTTP server as a service of the supervisor: uvicorn without its own signal handling."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from math import ceil
from typing import Final, Protocol, runtime_checkable

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from podium_daemon.api.problems import MEDIA_TYPE
from podium_daemon.runtime.accepting import Acceptor
from podium_daemon.runtime.connections import Caps, Connections, Proxies
from podium_daemon.runtime.outcomes import Slug
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import wait_for_first
from podium_daemon.web.guard import HEADERS
from podium_daemon.web.problems import Problem
from podium_protocol.errors import InvalidInput

_log = structlog.get_logger(__name__)


DEFAULT_CAPS: Final = Caps(in_all=8_192, of_an_address=512)


class _Config(uvicorn.Config):
    connections: Connections
    drain_seconds: float


class _QuietServer(uvicorn.Server):
    listener: socket.socket
    _acceptor: Acceptor

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # the supervisor owns SIGTERM and SIGINT: it drains every service, not only this one
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002  (as in uvicorn)
        await super().startup(sockets=[])  # asyncio's own accepting floods the log once descriptors run out
        assert isinstance(self.config, _Config)
        self._acceptor = Acceptor(self.listener, self._protocol, self.config.connections)
        self._acceptor.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002  (as in uvicorn)
        self._acceptor.close()
        assert isinstance(self.config, _Config)
        cut = asyncio.get_running_loop().call_later(self.config.drain_seconds, self._cut_off)
        try:
            await super().shutdown(sockets=[])
        finally:
            cut.cancel()

    def _cut_off(self) -> None:
        """End the connections that are left: a slow caller learns that its call failed, and the stop goes on."""
        left = [one for one in self.server_state.connections if _waits_for_its_caller(one)]
        if left:
            _log.info("open requests were cut off by the stop", action="web.cut_off", requests=len(left))
        for connection in left:
            connection.transport.abort()

    def _protocol(self) -> asyncio.Protocol:
        return _StrictHttp(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


DRAIN_SECONDS: Final = 2.5
"""Seconds for open requests after the stop was asked for."""


def _waits_for_its_caller(connection: asyncio.Protocol) -> bool:
    """Whether the caller sends slowly or reads slowly; a call that is being worked on is answered with an error."""
    cycle = getattr(connection, "cycle", None)
    return cycle is None or cycle.more_body or cycle.response_started


HEAD_SECONDS: Final = 20.0
"""Seconds for the head of a request: silent connections are closed, or a few hundred would use up all of them."""


class _StrictHttp(H11Protocol):
    """h11, whatever else is installed: it refuses two Hosts and two lengths, with which requests are smuggled."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        _connections_of(self).opened(transport, self.client[0] if self.client else "")
        self._wait_for_a_head()

    def connection_lost(self, exc: Exception | None) -> None:
        _connections_of(self).closed(self.transport)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        if self.transport.get_protocol() is not self:
            return  # a WebSocket by now
        is_asked = self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete
        (_connections_of(self).works if is_asked else _connections_of(self).rests)(self.transport)

    def on_response_complete(self) -> None:
        _connections_of(self).rests(self.transport)
        super().on_response_complete()
        self._wait_for_a_head()

    def _wait_for_a_head(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self.loop.call_later(HEAD_SECONDS, self._give_up, self.cycle)

    def _give_up(self, last: object) -> None:
        # another cycle is another request; a transport with another protocol is a WebSocket by now
        if self.cycle is last and self.transport.get_protocol() is self:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        # bytes that are not HTTP never reach the guard; they are answered here, with the same headers
        body = bytes(Problem(Slug.NOT_HTTP, msg, "Send HTTP/1.1 (RFC 9112).").response().body)
        rows = {**HEADERS, "Content-Type": MEDIA_TYPE, "Content-Length": str(len(body)), "Connection": "close"}
        head = "".join(f"{name}: {value}\r\n" for name, value in rows.items())
        self.transport.write(f"HTTP/1.1 400 Bad Request\r\n{head}\r\n".encode("latin-1") + body)
        self.transport.close()


class _StrictWebSocket(WebSocketsSansIOProtocol):
    def connection_lost(self, exc: Exception | None) -> None:
        _connections_of(self).closed(self.transport)
        super().connection_lost(exc)

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "websocket.send":  # the room answers those only who showed a ticket
            _connections_of(self).works(self.transport)
        await super().send(message)


def _connections_of(protocol: _StrictHttp | _StrictWebSocket) -> Connections:
    assert isinstance(protocol.config, _Config)
    return protocol.config.connections


@runtime_checkable
class Draining(Protocol):
    """An application with answers that go on until they are ended."""

    def drain(self) -> None:
        """End them now: the server waits for every answer."""


class WebServer:
    """Serves `app` on one listening socket until the stop."""

    name = "web"

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        *,
        caps: Callable[[], Caps] = lambda: DEFAULT_CAPS,
        proxies: Proxies | None = None,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        """`proxies`: who may say for whom they speak; those of this machine if None."""
        proxies = Proxies() if proxies is None else proxies
        config = _Config(
            app,
            log_config=None,
            access_log=False,  # it would write tokens of calendar addresses to disk
            server_header=False,
            date_header=True,
            http=_StrictHttp,
            ws=_StrictWebSocket,
            ws_max_size=64 * 1024,
            timeout_graceful_shutdown=ceil(drain_seconds) + 1,  # for what goes on although its connection is gone
            lifespan="off",
            forwarded_allow_ips=proxies.hosts(),  # given, so that no variable of the environment decides
        )
        self._app: object = app  # whether it is `Draining` is checked when the server stops
        config.connections = self.connections = Connections(caps, proxies=proxies)
        config.drain_seconds = drain_seconds
        self._server = _QuietServer(config)
        self._server.listener = listener

    async def run(self, stop: Stop) -> None:
        """Serve until the stop, then finish open requests for `drain_seconds`; what is slower is cut off."""
        serving = asyncio.create_task(self._server.serve())
        try:
            await wait_for_first(asyncio.wait([serving]), stop.wait())
        finally:
            if isinstance(self._app, Draining):
                self._app.drain()
            self._server.should_exit = True
            await serving


def listen(host: str, port: int) -> socket.socket:
    """Bind the address before anything else starts, so that a taken port is reported at once.

    Raises:
        InvalidInput: the port is in use or the address is not this machine's; says which setting to change.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off where the protocol is named; with it each answer waits 40 ms for an ACK
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise InvalidInput(
            f"cannot listen on {host}:{port} ({error.strerror}): stop what uses it, or set another web.port"
        ) from error
    listener.listen(1024)
    listener.setblocking(False)
    return listener

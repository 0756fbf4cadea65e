"""The HTTP server as a service of the supervisor: uvicorn without its own signal handling."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final, Protocol, runtime_checkable

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from podium_daemon.supervisor import Stop
from podium_daemon.web.guard import HEADERS
from podium_daemon.web.problems import MEDIA_TYPE, Problem
from podium_protocol.errors import InvalidInput

_log = structlog.get_logger(__name__)


class _QuietServer(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # the supervisor owns SIGTERM and SIGINT: it drains every service, not only this one
        yield


HEAD_SECONDS: Final = 20.0
"""For the head of a request: connections that say nothing are closed, or a few hundred of them would use up all."""


class _StrictHttp(H11Protocol):
    """h11, whatever else is installed: it refuses two Hosts and two lengths, with which requests are smuggled."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._wait_for_a_head()

    def on_response_complete(self) -> None:
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
        # bytes that are no HTTP never reach the guard; their answer is told here, with the same headers
        body = bytes(Problem(HTTPStatus.BAD_REQUEST, "not-http", msg, "Send HTTP/1.1 (RFC 9112).").response().body)
        rows = {**HEADERS, "Content-Type": MEDIA_TYPE, "Content-Length": str(len(body)), "Connection": "close"}
        head = "".join(f"{name}: {value}\r\n" for name, value in rows.items())
        self.transport.write(f"HTTP/1.1 400 Bad Request\r\n{head}\r\n".encode("latin-1") + body)
        self.transport.close()


@runtime_checkable
class Draining(Protocol):
    """An application with answers that go on until somebody ends them."""

    def drain(self) -> None:
        """End them now: the server waits for every answer."""


class WebServer:
    """Serves `app` on one listening socket until told to stop."""

    name = "web"

    def __init__(self, app: ASGIApp, listener: socket.socket, *, drain_seconds: int = 5) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,  # it would write tokens of calendar addresses to disk
            server_header=False,
            date_header=True,
            http=_StrictHttp,
            ws="websockets-sansio",
            ws_max_size=64 * 1024,
            timeout_graceful_shutdown=drain_seconds,
            lifespan="off",
        )
        self._app: object = app  # what it can do beside answering is asked when the server stops
        self._server = _QuietServer(config)
        self._listener = listener

    async def run(self, stop: Stop) -> None:
        """Serve until `stop` is set, then finish what is under way for a few seconds."""
        serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if isinstance(self._app, Draining):
                self._app.drain()
            self._server.should_exit = True
            stopping.cancel()
            await serving


def listen(host: str, port: int) -> socket.socket:
    """Bind the address before anything else starts, so that a taken port is said at once.

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

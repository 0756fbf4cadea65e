"""The HTTP server as a service: it begins on a socket of ours, and stops when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import httpx
import pytest
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from podium_daemon.runtime.supervisor import Stop
from podium_daemon.web import server as server_module
from podium_daemon.web.server import WebServer, listen
from podium_protocol.errors import InvalidInput
from tests.support.served import served
from tests.support.soon import soon


class Slow:
    """An application whose answer waits until the test says so."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.was_cut = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer once it may."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            self.asked.set()
            await receive()
            return
        self.asked.set()
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.was_cut.set()
            raise
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


async def is_open(place: str) -> bool:
    """Whether a program listens there."""
    try:
        _, writer = await asyncio.open_connection(*place.split(":"))
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def test_a_stop_lets_what_is_under_way_finish() -> None:
    """A request that came before the stop is answered after it, and new connections are refused."""
    app = Slow()
    async with served(app) as here, httpx.AsyncClient(trust_env=False, timeout=60) as client:
        asking = asyncio.create_task(client.get(f"http://{here.place}/"))
        await app.asked.wait()
        here.stop.set()
        async with asyncio.timeout(60):
            while await is_open(here.place):
                pass
        assert not here.running.done()
        app.may_answer.set()
        assert (await asking).text == "ok"
        await here.running


class Body:
    """An application that reads the whole body first."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  (ASGI)
        """Wait for the end of the body, or of the connection."""
        more = True
        while more:
            message = await receive()
            self.reads.set()
            more = message["type"] == "http.request" and message.get("more_body", False)


async def test_a_slow_body_does_not_hold_up_the_stop() -> None:
    """A caller who sends a body byte by byte is cut off after the grace, which is no failure."""
    app = Body()
    async with served(app, drain_seconds=0.1) as here:
        host, _, port = here.place.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx")
        await app.reads.wait()
        here.stop.set()
        await here.running
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()


async def test_what_does_not_finish_is_cut() -> None:
    """A request that never ends does not keep the daemon from stopping."""
    app = Slow()
    async with served(app, drain_seconds=0) as here, httpx.AsyncClient(trust_env=False, timeout=60) as client:
        asking = asyncio.create_task(client.get(f"http://{here.place}/"))
        await app.asked.wait()
        here.stop.set()
        await here.running
        await app.was_cut.wait()
        assert (await asking).status_code == 500


async def test_open_sockets_are_told_that_the_service_restarts() -> None:
    """1012 is the close code for it (RFC 6455's registry)."""
    app = Slow()
    async with served(app) as here:
        page = await connect(f"ws://{here.place}/", proxy=None, open_timeout=60)
        await app.asked.wait()
        here.stop.set()
        await here.running
        with pytest.raises(ConnectionClosed):
            await page.recv()
        assert page.close_code == 1012


@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\nHost: ", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTT"])
async def test_a_connection_that_says_nothing_is_closed(monkeypatch: pytest.MonkeyPatch, first: bytes) -> None:
    """An attacker who opens connections and sends half a request, first or second, does not keep them."""
    monkeypatch.setattr(server_module, "HEAD_SECONDS", 0.1)
    app = Slow()
    app.may_answer.set()
    async with served(app) as here:
        reader, writer = await asyncio.open_connection(*here.place.split(":"))
        writer.write(first)
        async with asyncio.timeout(60):
            await reader.read()
        writer.close()


async def test_a_slow_answer_and_a_socket_are_not_taken_for_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer under way and an upgraded connection are none of those."""
    monkeypatch.setattr(server_module, "HEAD_SECONDS", 0.05)
    app = Slow()
    async with served(app) as here, httpx.AsyncClient(trust_env=False, timeout=60) as client:
        page = await connect(f"ws://{here.place}/", proxy=None, open_timeout=60)
        asking = asyncio.create_task(client.get(f"http://{here.place}/"))
        await app.asked.wait()
        idle, writer = await asyncio.open_connection(*here.place.split(":"))
        await idle.read()  # a third one, that says nothing, has been closed by now
        writer.close()
        app.may_answer.set()
        assert (await asking).text == "ok"
        await page.send("still here")
        await page.close()


async def test_a_stop_before_the_start_is_heard() -> None:
    """A daemon that is stopped while it starts does not hang."""
    listener = listen("127.0.0.1", 0)
    stop = Stop()
    stop.set()
    await WebServer(Slow(), listener).run(stop)
    listener.close()


async def test_long_answers_are_ended_by_the_application() -> None:
    """An application that can drain is told to, so that its streams hold nothing up."""

    class Draining(Slow):
        def drain(self) -> None:
            self.may_answer.set()

    app = Draining()
    async with served(app) as here, httpx.AsyncClient(trust_env=False, timeout=60) as client:
        asking = asyncio.create_task(client.get(f"http://{here.place}/"))
        await app.asked.wait()
        here.stop.set()
        await here.running
        assert (await asking).text == "ok"


def test_a_taken_port_is_said_at_once() -> None:
    """Before anything else starts, with the setting to change."""
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidInput, match=rf"127\.0\.0\.1:{port}.*web\.port"):
            listen("127.0.0.1", port)


def test_an_address_that_is_not_ours_is_said_at_once() -> None:
    """An address of another machine cannot be listened on."""
    with pytest.raises(InvalidInput, match=r"192\.0\.2\.1:0"):
        listen("192.0.2.1", 0)


def test_both_families_can_be_listened_on() -> None:
    """An IPv6 address is told by its colons."""
    with listen("127.0.0.1", 0) as four:
        assert four.family is socket.AF_INET
    if socket.has_ipv6:
        with listen("::1", 0) as six:
            assert six.family is socket.AF_INET6


async def test_answers_are_not_held_back() -> None:
    """Connections go without Nagle's algorithm: with it each answer would wait 40 ms for an ACK of its head."""
    delays: list[int] = []

    class Looking(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            raw = transport.get_extra_info("socket")
            delays.append(raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    listener = listen("127.0.0.1", 0)
    server = await asyncio.get_running_loop().create_server(Looking, sock=listener)
    _, writer = await asyncio.open_connection(*listener.getsockname())
    await soon(lambda: bool(delays))
    writer.close()
    server.close()
    assert delays[0] != 0

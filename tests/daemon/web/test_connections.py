"""How many connections there may be, and which of them make room."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs
from uvicorn.middleware.proxy_headers import _TrustedHosts
from websockets.asyncio.client import connect

from podium_daemon.runtime import accepting
from podium_daemon.runtime.accepting import Acceptor
from podium_daemon.runtime.connections import SAY_AGAIN, Caps, Connections, Proxies, origin_of
from podium_daemon.web.guard import origin_of_caller
from tests.support.clock import ManualClock
from tests.support.served import Served, served
from tests.support.soon import soon


class Wire(asyncio.Transport):
    """A connection that only remembers its end."""

    def __init__(self) -> None:
        super().__init__()
        self.is_ended = False

    def abort(self) -> None:
        """Be ended."""
        self.is_ended = True


def book(in_all: int = 3, of_an_address: int = 3) -> Connections:
    """A book with these caps."""
    return Connections(lambda: Caps(in_all, of_an_address), ManualClock())


def opened(connections: Connections, address: str = "192.0.2.1") -> Wire:
    """One more connection."""
    wire = Wire()
    connections.opened(wire, address)
    return wire


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", ""),
        ("::1", ""),
        ("::ffff:127.0.0.1", ""),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_customer_is_one_address(address: str, origin: str) -> None:
    """A /64 counts as one, however IPv4 is written it is the same, and this machine's own is not counted."""
    assert origin_of(address) == origin


@pytest.mark.parametrize(
    ("address", "is_one"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("192.0.2.7", True),
        ("2001:db8::1", True),
        ("192.0.2.8", False),
        ("11.0.0.1", False),
        ("", False),
        ("unix:", False),
    ],
)
def test_the_proxies_that_are_believed(address: str, is_one: bool) -> None:
    """Those of the configured addresses and networks, however IPv4 is written; uvicorn is told the same ones."""
    proxies = Proxies(("10.0.0.0/8", "192.0.2.7", "2001:db8::/32"))
    assert (address in proxies) == is_one
    assert (address in _TrustedHosts(proxies.hosts())) == is_one


def test_a_proxy_has_no_cap_of_its_address() -> None:
    """All people come through it; who is behind it is counted by what they do."""
    connections = Connections(lambda: Caps(100, 2), ManualClock(), proxies=Proxies(("10.0.0.0/8",)))
    for _ in range(5):
        connections.works(opened(connections, "10.0.0.7"))
    assert connections.has_room_for("10.0.0.7", 0)


def test_at_the_cap_the_connection_idle_for_longest_makes_room() -> None:
    """What works is left alone, and what worked meanwhile goes to the end of the row."""
    connections = book()
    first, second, third = (opened(connections) for _ in range(3))
    connections.works(first)
    connections.works(second)
    connections.rests(second)
    assert connections.has_room_for("192.0.2.9", 0)
    assert (first.is_ended, second.is_ended, third.is_ended) == (False, False, True)
    assert len(connections) == 2


def test_where_all_work_a_newcomer_is_refused_and_the_log_says_so_once() -> None:
    """A thousand who are refused are one line, until ten minutes later."""
    clock = ManualClock()
    connections = Connections(lambda: Caps(2, 2), clock)
    for _ in range(2):
        connections.works(opened(connections))
    with capture_logs() as logs:
        assert not any(connections.has_room_for("192.0.2.9", 0) for _ in range(1000))
        assert (len(logs), connections.refused) == (1, 1000)
        clock._monotonic += SAY_AGAIN
        connections.has_room_for("192.0.2.9", 0)
    assert [line["action"] for line in logs] == ["web.crowded", "web.crowded"]


def test_one_address_takes_the_places_of_nobody_else() -> None:
    """At its own cap only its own idle connections make room; this machine's own has none, for a proxy's sake."""
    connections = book(in_all=100, of_an_address=2)
    other = opened(connections, "192.0.2.2")
    mine = [opened(connections) for _ in range(2)]
    assert connections.has_room_for("192.0.2.1", 0)
    assert (other.is_ended, [wire.is_ended for wire in mine]) == (False, [True, False])
    connections.works(mine[1])
    connections.works(opened(connections))
    assert not connections.has_room_for("192.0.2.1", 0)
    assert connections.has_room_for("192.0.2.3", 0)
    for _ in range(5):
        connections.works(opened(connections, "127.0.0.1"))
    assert connections.has_room_for("127.0.0.1", 0)


def test_what_is_about_to_open_counts() -> None:
    """Hundreds that come at one moment do not pass the cap together."""
    connections = book(in_all=3)
    connections.works(opened(connections))
    assert connections.has_room_for("192.0.2.9", 1)
    assert not connections.has_room_for("192.0.2.9", 2)


def test_a_closed_connection_leaves_nothing_behind() -> None:
    """No address is remembered after its last connection."""
    connections = book()
    wire = opened(connections)
    connections.closed(wire)
    connections.closed(wire)
    assert (len(connections), dict(connections._counts), connections._idle, connections._idle_of) == (0, {}, {}, {})


class WhoAsks:
    """Answers with the address that the caller is counted by."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        await receive()
        body = origin_of_caller(scope).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize(
    ("proxies", "said", "address"),
    [
        (None, "203.0.113.9", "203.0.113.9"),
        (None, "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (None, "2001:db8:1:2::3", "2001:db8:1:2::/64"),
        (("127.0.0.1", "10.0.0.0/8"), "203.0.113.9, 10.0.0.7", "203.0.113.9"),
        (("192.0.2.7",), "203.0.113.9", ""),
        ((), "203.0.113.9", ""),
    ],
)
async def test_only_a_trusted_proxy_says_for_whom_it_speaks(
    monkeypatch: pytest.MonkeyPatch, proxies: tuple[str, ...] | None, said: str, address: str
) -> None:
    """Of a list it is the last address that no trusted proxy has; a variable of the environment decides nothing."""
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    trusted = None if proxies is None else Proxies(proxies)
    async with served(WhoAsks(), proxies=trusted) as here, httpx.AsyncClient(trust_env=False, timeout=60) as client:
        answer = await client.get(f"http://{here.place}/", headers={"X-Forwarded-For": said})
        assert answer.text == address


class Echo:
    """Answers at once; `/wait` after it may; a WebSocket at `/quiet` is never spoken to, others are."""

    def __init__(self) -> None:
        self.waiting = 0
        self.may_answer = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or WebSocket."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            if scope["path"] != "/quiet":
                await send({"type": "websocket.send", "text": "welcome"})
            await receive()
            return
        if scope["path"] == "/wait":
            self.waiting += 1
            await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def flooded(place: str, count: int, said: bytes = b"") -> AsyncIterator[list[asyncio.StreamReader]]:
    """So many connections that say `said` and no more."""
    host, port = place.split(":")
    pairs = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(said)
        pairs.append((reader, writer))
    try:
        yield [reader for reader, _ in pairs]
    finally:
        for _, writer in pairs:
            writer.close()


async def answers(here: Served) -> bool:
    """Whether a new person gets an answer."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        return (await client.get(f"http://{here.place}/")).text == "ok"


HALF_HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
HALF_BODY = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nab"


@pytest.mark.parametrize("said", [b"", HALF_HEAD, HALF_BODY.replace(b"/ ", b"/wait ")])
async def test_strangers_who_say_nothing_or_half_of_it_keep_nobody_out(said: bytes) -> None:
    """Ten times the cap of them hold their connections, and a caller who asks is answered; those who work go on."""
    app = Echo()
    async with served(app, caps=lambda: Caps(20, 500)) as here, AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=60))
        asking = asyncio.create_task(client.get(f"http://{here.place}/wait"))
        await soon(lambda: app.waiting == 1)
        socket_ = await stack.enter_async_context(connect(f"ws://{here.place}/room", proxy=None, open_timeout=60))
        assert await socket_.recv() == "welcome"
        async with flooded(here.place, 200, said):
            assert await answers(here)
            app.may_answer.set()
            assert (await asking).text == "ok"
            await (await socket_.ping())


async def test_a_socket_that_showed_no_ticket_makes_room() -> None:
    """A WebSocket to which nothing was said is as idle as a connection that said nothing."""
    async with served(Echo(), caps=lambda: Caps(16, 500)) as here, AsyncExitStack() as stack:
        for _ in range(40):
            await stack.enter_async_context(connect(f"ws://{here.place}/quiet", proxy=None, open_timeout=60))
        assert await answers(here)


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Nothing more can be opened in this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 8, before[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_without_descriptors_accepting_pauses_and_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop goes on, the log gets one line however long it lasts, and afterwards callers who waited are answered."""
    monkeypatch.setattr(accepting, "PAUSE", 0.01)
    tries = 0
    resume = Acceptor.start

    def start(acceptor: Acceptor) -> None:
        nonlocal tries
        tries += 1
        resume(acceptor)

    async with served(Echo()) as here:
        await soon(lambda: answers(here))
        monkeypatch.setattr(Acceptor, "start", start)
        host, port = here.place.split(":")
        loop = asyncio.get_running_loop()
        with ExitStack() as stack:
            # more than one: a connection of before may only be closing, and give its descriptor back
            waiting = [stack.enter_context(socket.socket()) for _ in range(8)]
            with capture_logs() as logs, no_descriptor_left():
                for one in waiting:
                    one.setblocking(False)
                    await loop.sock_connect(one, (host, int(port)))
                await soon(lambda: tries >= 3)
            await loop.sock_sendall(waiting[-1], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = await loop.sock_recv(waiting[-1], 1000)
    assert answer.startswith(b"HTTP/1.1 200")
    assert [line["action"] for line in logs] == ["web.no_descriptors"]

"""A relay that does what a test tells it, for behaviour that no honest relay shows.

`async with scripted_relay(behaviour) as relay:` runs `behaviour(talk)` for each connection; when it returns, the
connection stays open and is read until the client leaves. `raw_server` is the same one layer below, on bare TCP.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response


class Talk:
    """One client's connection, as the relay sees it."""

    def __init__(self, socket: ServerConnection, relay: ScriptedRelay) -> None:
        self.socket = socket
        self.relay = relay

    async def receive(self) -> list[Any]:
        """The client's next message, decoded."""
        message = json.loads(await self.socket.recv())
        assert isinstance(message, list)
        await self.relay.note(message)
        return message

    async def receive_until(self, label: str) -> list[Any]:
        """The client's next message of a kind: "REQ", "EVENT", "CLOSE", "AUTH"."""
        while (message := await self.receive())[0] != label:
            pass
        return message

    async def send(self, *elements: object) -> None:
        """Send one message."""
        await self.send_raw(json.dumps(elements))

    async def send_raw(self, frame: str | bytes) -> None:
        """Send a frame as it is; bytes make a binary one."""
        await self.socket.send(frame)

    async def write(self, data: bytes) -> None:
        """Write bytes past the WebSocket protocol.

        Raises:
            ConnectionResetError: the client is gone.
        """
        transport = self.socket.transport
        if transport.is_closing():
            raise ConnectionResetError
        try:
            transport.write(data)
        except RuntimeError:  # half of it is closed already
            raise ConnectionResetError from None
        await self.socket.drain()

    async def serve_honestly(self) -> None:
        """Answer every REQ with EOSE and every EVENT with OK, until the client leaves."""
        while True:
            match await self.receive():
                case ["REQ", name, *_]:
                    await self.send("EOSE", name)
                case ["EVENT", event]:
                    await self.send("OK", event["id"], True, "")


Behaviour = Callable[[Talk], Awaitable[None]]


class ScriptedRelay:
    """The server. `messages` are what clients sent, over all connections."""

    def __init__(self) -> None:
        self.url = ""
        self.connections = 0
        self.messages: list[list[Any]] = []
        self._news = asyncio.Condition()

    async def note(self, message: list[Any]) -> None:
        """Write down what a client sent."""
        async with self._news:
            self.messages.append(message)
            self._news.notify_all()

    async def note_connection(self) -> None:
        """Count a connection."""
        async with self._news:
            self.connections += 1
            self._news.notify_all()

    async def until_connections(self, count: int) -> None:
        """Wait until clients have connected that often."""
        async with self._news:
            await self._news.wait_for(lambda: self.connections >= count)

    async def until_messages(self, label: str, count: int = 1) -> list[list[Any]]:
        """Wait for so many messages of a kind, and return all of that kind."""

        def found() -> list[list[Any]]:
            return [message for message in self.messages if message[0] == label]

        async with self._news:
            await self._news.wait_for(lambda: len(found()) >= count)
        return found()


def says(information: object) -> Callable[[ServerConnection, Request], Response | None]:
    """An option `process_request`: the relay's information document (NIP-11), JSON or the bytes of it."""
    body = information if isinstance(information, bytes) else json.dumps(information).encode()

    def answer(_connection: ServerConnection, request: Request) -> Response | None:
        if request.headers.get("Accept") != "application/nostr+json":
            return None
        headers = {"Content-Type": "application/nostr+json", "Content-Length": str(len(body)), "Connection": "close"}
        return Response(200, "OK", Headers(headers), body)

    return answer


@contextlib.asynccontextmanager
async def scripted_relay(behaviour: Behaviour, **options: Any) -> AsyncIterator[ScriptedRelay]:
    """A relay on a free port of loopback; `options` are those of `websockets.serve`."""
    relay = ScriptedRelay()
    tasks: set[asyncio.Task[Any] | None] = set()

    async def handle(socket: ServerConnection) -> None:
        tasks.add(asyncio.current_task())
        await relay.note_connection()
        talk = Talk(socket, relay)
        with contextlib.suppress(ConnectionClosed, ConnectionResetError, asyncio.CancelledError):
            await behaviour(talk)
            while True:
                await talk.receive()

    settings = {"compression": None, "ping_interval": None, "max_size": None, **options}
    async with serve(handle, "127.0.0.1", 0, **settings) as server:
        relay.url = f"ws://127.0.0.1:{_port(server)}"
        yield relay
        for socket in server.connections:
            socket.transport.abort()
        for task in tasks:
            if task is not None:
                task.cancel()


@contextlib.asynccontextmanager
async def raw_server(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], **options: Any
) -> AsyncIterator[str]:
    """A TCP server on a free port of loopback, for what comes before WebSocket; its URL as a relay."""

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(task := asyncio.current_task())
        try:
            await handle(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            tasks.discard(task)

    tasks: set[asyncio.Task[Any] | None] = set()
    server = await asyncio.start_server(guarded, "127.0.0.1", 0, **options)
    scheme = "wss" if "ssl" in options else "ws"
    try:
        yield f"{scheme}://127.0.0.1:{_port(server)}"
    finally:
        server.close()
        waiting = [task for task in tasks if task is not None]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def _port(server: Server | asyncio.Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])

"""A real WebSocket server around an engine's seats, and pages that sit on them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from podium_daemon.conference.engine import Person
from podium_daemon.conference.events import ConnectionId, LeaveReason, RoomId
from podium_daemon.conference.seats import SeatSocket, Signalling, SocketGone, run_seat
from podium_daemon.runtime.outcomes import Rejection

REFUSED = 4403


class ServerSocket(SeatSocket):
    """The server's end of a browser's socket."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    async def receive(self) -> str | bytes:
        """The next data frame."""
        try:
            return await self._connection.recv()
        except ConnectionClosed as closed:
            raise SocketGone(clean=closed.rcvd is not None and bool(closed.rcvd_then_sent)) from None

    async def send(self, frame: str) -> None:
        """Send a text frame."""
        try:
            await self._connection.send(frame)
        except ConnectionClosed:
            raise SocketGone(clean=False) from None

    async def close(self, code: int, reason: str) -> None:
        """Close with a code."""
        await self._connection.close(code, reason)


class SeatServer:
    """Takes a person as the first frame, then runs the seat. `ends` are the outcomes of those it ran."""

    def __init__(self, engine: Signalling, room: RoomId) -> None:
        self.engine = engine
        self.room = room
        self.ends: asyncio.Queue[LeaveReason] = asyncio.Queue()
        self.port = 0

    async def handle(self, connection: ServerConnection) -> None:
        """One browser."""
        person = msgspec.json.decode(await connection.recv(), type=Person)
        seat = await self.engine.take_seat(self.room, person)
        if isinstance(seat, Rejection):
            await connection.close(REFUSED, seat.slug)
            return
        await self.ends.put(await run_seat(seat, ServerSocket(connection)))


@contextlib.asynccontextmanager
async def seat_server(engine: Signalling, room: RoomId) -> AsyncIterator[SeatServer]:
    """A server on a free port of the loopback."""
    server = SeatServer(engine, room)
    async with serve(server.handle, "127.0.0.1", 0, close_timeout=1) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server


class Page:
    """A browser's page on a seat."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.welcome: dict[str, object] = {}
        self.people: dict[str, tuple[str, int]] = {}

    @property
    def connection(self) -> ConnectionId:
        """What the welcome called it."""
        return ConnectionId(str(self.welcome["connection"]))

    async def read(self) -> dict[str, object]:
        """The next message that does not say who is in the room; those that do are told to `people` (`read_people`)."""
        while (message := await self._next())["type"] == "people":
            self._note_people(message)
        return message

    async def read_people(self) -> dict[str, tuple[str, int]]:
        """Who is in the room after the next message about it: roles and hands by key."""
        while (message := await self._next())["type"] != "people":
            pass
        self._note_people(message)
        return self.people

    async def _next(self) -> dict[str, object]:
        message = json.loads(await self.socket.recv())
        assert isinstance(message, dict)
        return message

    def _note_people(self, message: dict[str, Any]) -> None:
        if message.get("isAll"):
            self.people = {}
        for one in message.get("people", ()):
            self.people[one["pubkey"]] = (one["role"], one.get("hand", 0))
        for pubkey in message.get("gone", ()):
            self.people.pop(pubkey, None)

    async def say(self, kind: str) -> None:
        """Send a message without fields."""
        await self.socket.send(json.dumps({"type": kind}))

    async def closed(self) -> int | None:
        """Wait for the end; the close code the server sent."""
        await self.socket.wait_closed()
        return self.socket.close_code


async def sit_down(server: SeatServer, person: Person) -> Page:
    """Open a person's page and read its welcome."""
    page = await knock(server, person)
    page.welcome = await page.read()
    assert page.welcome["type"] == "welcome"
    return page


async def knock(server: SeatServer, person: Person) -> Page:
    """Open a person's page, whatever comes of it."""
    socket = await connect(f"ws://127.0.0.1:{server.port}/", proxy=None, open_timeout=60, ping_interval=None)
    await socket.send(msgspec.json.encode(person))
    return Page(socket)

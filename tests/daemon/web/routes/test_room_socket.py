"""A browser's WebSocket as the room's door sees it: frames, and how the socket ended."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect

from podium_daemon.conference.seats import SocketGone
from podium_daemon.web.routes.rooms import RoomSocket
from tests.support.served import served


class Door:
    """Takes one socket and reads it to its end."""

    def __init__(self) -> None:
        self.socket: asyncio.Future[RoomSocket] = asyncio.get_running_loop().create_future()
        self.frames: list[str | bytes] = []
        self.gone: asyncio.Future[SocketGone] = asyncio.get_running_loop().create_future()
        self.after = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One socket."""
        raw = WebSocket(scope, receive, send)
        await raw.accept()
        socket = RoomSocket(raw)
        self.socket.set_result(socket)
        try:
            while True:
                self.frames.append(await socket.receive())
        except SocketGone as gone:
            self.gone.set_result(gone)
        await self.after.wait()


async def opened(place: str) -> ClientConnection:
    """A browser's end."""
    return await connect(f"ws://{place}/", proxy=None, open_timeout=60, ping_interval=None)


async def test_text_and_bytes_are_frames() -> None:
    """Both kinds are handed on as they came, in their order."""
    door = Door()
    async with served(door) as here:
        page = await opened(here.place)
        for frame in ("one", b"two", "", b""):
            await page.send(frame)
        await page.close()
        await door.gone
        assert door.frames == ["one", b"two", "", b""]
        door.after.set()


@pytest.mark.parametrize(
    ("code", "is_clean"),
    [(1000, True), (1001, True), (3000, True), (4001, True), (1002, False), (1008, False), (1011, False)],
)
async def test_a_goodbye_is_told_from_a_fault(code: int, is_clean: bool) -> None:
    """A person left if the page said so; a code that complains of broken rules says nothing of the person."""
    door = Door()
    async with served(door) as here:
        page = await opened(here.place)
        await page.close(code)
        assert (await door.gone).clean is is_clean
        door.after.set()


async def test_a_lost_connection_is_no_goodbye() -> None:
    """Without a close frame nobody said that they leave."""
    door = Door()
    async with served(door) as here:
        page = await opened(here.place)
        await door.socket
        page.transport.abort()
        assert not (await door.gone).clean
        door.after.set()


@pytest.mark.parametrize("frame", ["x" * 70_000, b"x" * 70_000])
async def test_a_giant_frame_is_no_goodbye(frame: str | bytes) -> None:
    """The server cuts it off: that is the server's doing."""
    door = Door()
    async with served(door) as here:
        page = await opened(here.place)
        await page.send(frame)
        assert not (await door.gone).clean
        assert door.frames == []
        door.after.set()


async def test_a_socket_that_is_gone_stays_gone() -> None:
    """Reading and writing after the end say so, and closing it once more is no error."""
    door = Door()
    async with served(door) as here:
        page = await opened(here.place)
        socket = await door.socket
        await socket.close(4010, "enough")
        await page.wait_closed()
        assert (page.close_code, page.close_reason) == (4010, "enough")
        await door.gone
        for _ in range(2):
            with pytest.raises(SocketGone):
                await socket.receive()
            with pytest.raises(SocketGone):
                await socket.send("x")
            await socket.close(1000, "")
        door.after.set()


async def test_writing_to_a_page_that_left_says_so() -> None:
    """A send after the page is gone raises, and does not fail the server."""
    door = Door()
    async with served(door) as here:
        page = await opened(here.place)
        socket = await door.socket
        page.transport.abort()
        await door.gone
        with pytest.raises(SocketGone):
            await socket.send("x")
        door.after.set()

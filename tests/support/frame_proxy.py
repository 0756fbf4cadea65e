"""A WebSocket proxy before a relay that sees each frame, so that a test can act between a frame and its answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

_Socket = ServerConnection | ClientConnection
Watcher = Callable[[list[Any]], bool]
"""Looks at a decoded frame; False keeps it from being passed on."""


class FrameProxy:
    """The proxy. `on_sent` sees what clients send, `on_answered` what the relay answers."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.url = ""
        self.on_sent: Watcher = _pass
        self.on_answered: Watcher = _pass

    async def serve(self, client: ServerConnection) -> None:
        """Forward one connection until either end closes."""
        with contextlib.suppress(OSError, ConnectionClosed):
            async with connect(self.upstream, proxy=None, open_timeout=60, max_size=None) as relay:
                ways = [
                    asyncio.ensure_future(self._pump(client, relay, is_answer=False)),
                    asyncio.ensure_future(self._pump(relay, client, is_answer=True)),
                ]
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)

    async def _pump(
        self,
        source: ServerConnection | ClientConnection,
        target: ServerConnection | ClientConnection,
        *,
        is_answer: bool,
    ) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for frame in source:
                watch = self.on_answered if is_answer else self.on_sent
                if watch(json.loads(frame)):
                    await target.send(frame if isinstance(frame, str) else frame.decode())


def _pass(_frame: list[Any]) -> bool:
    return True


@contextlib.asynccontextmanager
async def frame_proxy(upstream: str) -> AsyncIterator[FrameProxy]:
    """A proxy on a free port of loopback."""
    proxy = FrameProxy(upstream)
    async with serve(proxy.serve, "127.0.0.1", 0, max_size=None, compression=None) as server:
        proxy.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield proxy
        for socket in server.connections:
            socket.transport.abort()

"""Any ASGI application behind the daemon's own HTTP server, on a free port of loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.types import ASGIApp

from podium_daemon.runtime.connections import Caps, Proxies
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.web.server import DEFAULT_CAPS, WebServer, listen


class Served:
    """Where it is (`host:port`), what stops it, and the task it runs in."""

    def __init__(self, place: str, stop: Stop, running: asyncio.Task[None]) -> None:
        self.place = place
        self.stop = stop
        self.running = running


@asynccontextmanager
async def served(
    app: ASGIApp,
    *,
    caps: Callable[[], Caps] = lambda: DEFAULT_CAPS,
    proxies: Proxies | None = None,
    drain_seconds: int = 5,
) -> AsyncIterator[Served]:
    """The application while the block runs."""
    listener = listen("127.0.0.1", 0)
    stop = Stop()
    server = WebServer(app, listener, caps=caps, proxies=proxies, drain_seconds=drain_seconds)
    running = asyncio.create_task(server.run(stop))
    try:
        yield Served(f"127.0.0.1:{listener.getsockname()[1]}", stop, running)
    finally:
        stop.set()
        await running
        listener.close()

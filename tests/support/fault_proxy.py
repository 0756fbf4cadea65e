"""A TCP proxy that does to a connection what networks do: partition, half-open, reset, delay, throttle.

`async with fault_proxy(port) as proxy:` forwards from `proxy.port` to `port` of loopback until told otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

_CHUNK = 16 * 1024


class FaultProxy:
    """The proxy. Its faults hold for all connections, present and future, until `heal`."""

    def __init__(self, upstream_port: int) -> None:
        self.port = 0
        self.upstream_port = upstream_port
        self._flows_up = asyncio.Event()
        self._flows_down = asyncio.Event()
        self._delay = 0.0
        self._rate: float | None = None
        self._connections: dict[asyncio.StreamWriter, asyncio.StreamWriter | None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.accepted = 0
        self.forwarded_down = 0
        self.heal()

    @property
    def url(self) -> str:
        """Where the relay behind the proxy is, as seen through it."""
        return f"ws://127.0.0.1:{self.port}"

    def partition(self) -> None:
        """Drop all bytes in both directions, without closing the connections."""
        self._flows_up.clear()
        self._flows_down.clear()

    def half_open(self) -> None:
        """The client still writes, and hears nothing any more."""
        self._flows_down.clear()

    def delay(self, seconds: float) -> None:
        """Everything takes that much longer."""
        self._delay = seconds

    def throttle(self, bytes_per_second: float) -> None:
        """No more than that gets through to the client."""
        self._rate = bytes_per_second

    def heal(self) -> None:
        """Everything is as it should be."""
        self._delay, self._rate = 0.0, None
        self._flows_up.set()
        self._flows_down.set()

    def reset(self) -> None:
        """Cut every connection with an RST."""
        for writer in tuple(self._connections):
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until either end closes."""
        self.accepted += 1
        self._connections[writer] = None
        self._tasks.add(asyncio.current_task())  # type: ignore[arg-type]  # inside a task there is one
        try:
            await self._flows_up.wait()
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream_port)
            self._connections[writer] = up_writer
            ways = [
                asyncio.ensure_future(self._pump(reader, up_writer, self._flows_up, is_down=False)),
                asyncio.ensure_future(self._pump(up_reader, writer, self._flows_down, is_down=True)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._close(writer)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flows: asyncio.Event, *, is_down: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(256 if is_down and self._rate else _CHUNK):
                if self._delay:
                    await asyncio.sleep(self._delay)
                if is_down and self._rate is not None:
                    await asyncio.sleep(len(data) / self._rate)
                await flows.wait()
                writer.write(data)
                await writer.drain()
                self.forwarded_down += len(data) if is_down else 0

    def _close(self, writer: asyncio.StreamWriter) -> None:
        upstream = self._connections.pop(writer, None)
        for one in (writer, upstream):
            if one is not None:
                one.transport.abort()

    async def stop(self) -> None:
        """Cut everything."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def fault_proxy(upstream_port: int) -> AsyncIterator[FaultProxy]:
    """A proxy on a free port of loopback."""
    proxy = FaultProxy(upstream_port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.stop()

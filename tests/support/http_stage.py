"""A small HTTP/1.1 server for stages on which other programs are played: real sockets, any answer, also none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec


class Call(msgspec.Struct, frozen=True):
    """A request as it came; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Reply(msgspec.Struct, frozen=True):
    """An answer; `raw` goes out as it is instead."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    raw: bytes | None = None

    def on_wire(self) -> bytes:
        """The bytes."""
        if self.raw is not None:
            return self.raw
        rows = [*self.headers, ("Content-Length", str(len(self.body))), ("Connection", "close")]
        head = "".join(f"{name}: {value}\r\n" for name, value in rows)
        return f"HTTP/1.1 {self.status} X\r\n{head}\r\n".encode() + self.body


Answerer = Callable[[Call], Awaitable[Reply]]


@contextlib.asynccontextmanager
async def http_stage(answer: Answerer) -> AsyncIterator[str]:
    """The server while the block runs; gives its `host:port`."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            writer.write((await answer(await _read(reader))).on_wire())
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Call:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    return Call(method, target, headers, await reader.readexactly(int(headers.get("content-length", 0))))

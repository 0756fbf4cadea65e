"""A server that sends pre-made frames and knows nothing else: `python -m benchmarks.frame_server FILE PORTS`.

A real relay returns 500 stored events a REQ at most, and would be what is measured. FILE holds signed events, one a
line, each a second younger than the one before; a REQ gets those between its `since` and `until`, then EOSE. It listens
on PORTS ports of loopback, prints them as a JSON list, and ends when its stdin is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.server import ServerProtocol

from benchmarks.child import ROOT
from benchmarks.signed_load import FIRST_SECOND

_AT_ONCE: Final = 250  # frames joined into one write


@contextlib.asynccontextmanager
async def frame_server(events: Path, ports: int = 1) -> AsyncIterator[list[str]]:
    """Run the server in a process of its own; gives the URLs that serve the events of this file."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.frame_server", str(events), str(ports)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield [f"ws://127.0.0.1:{port}" for port in msgspec.json.decode(await process.stdout.readline())]
    finally:
        process.stdin.close()
        await process.wait()


class _Filter(msgspec.Struct):
    since: int = FIRST_SECOND
    until: int = 2**53


class _Connection:
    """One client's connection."""

    def __init__(self, events: Sequence[bytes], writer: asyncio.StreamWriter) -> None:
        self._events = events
        self._writer = writer
        self._protocol = ServerProtocol()

    async def run(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while not self._protocol.close_expected() and (data := await reader.read(65_536)):
                self._protocol.receive_data(data)
                for event in self._protocol.events_received():
                    await self._answer(event)
                self._writer.write(b"".join(self._protocol.data_to_send()))
        self._writer.close()

    async def _answer(self, event: object) -> None:
        if isinstance(event, Request):
            self._protocol.send_response(self._protocol.accept(event))
        elif isinstance(event, Frame) and event.data.startswith(b'["REQ"'):
            _label, name, wanted = msgspec.json.decode(bytes(event.data), type=tuple[str, str, _Filter])
            await self._send(msgspec.json.encode(name), wanted)

    async def _send(self, name: bytes, wanted: _Filter) -> None:
        events = self._events[max(0, wanted.since - FIRST_SECOND) : max(0, wanted.until - FIRST_SECOND + 1)]
        for start in range(0, len(events), _AT_ONCE):
            self._writer.write(
                b"".join(_frame(b'["EVENT",%b,%b]' % (name, one)) for one in events[start : start + _AT_ONCE])
            )
            await self._writer.drain()
        self._writer.write(_frame(b'["EOSE",%b]' % name))


def _frame(payload: bytes) -> bytes:
    """An unmasked text frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    return b"\x81\x7e" + size.to_bytes(2, "big") + payload


async def _serve(events: Sequence[bytes], ports: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _Connection(events, writer).run(reader)

    servers = [await asyncio.start_server(serve, "127.0.0.1", 0) for _ in range(ports)]
    sys.stdout.buffer.write(msgspec.json.encode([one.sockets[0].getsockname()[1] for one in servers]) + b"\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.buffer.read)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]).read_bytes().splitlines(), int(sys.argv[2])))

"""streams: many pages that listen to one session, beside a bare server that writes the same bytes to as many."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from benchmarks.child import ROOT
from benchmarks.interleave import Progress, Result, Row, compared, quantile
from benchmarks.settings import Settings
from benchmarks.stream_daemon import Begun, Done, Order, mark_of

_SIGNED_IN: Final = 0.3  # of the streams
_AT_ONCE: Final = 100  # streams that are opened together
_SPARE: Final = 200  # descriptors beside those of the streams
_WITHIN: Final = 180.0  # seconds in which all have been told, also on a busy machine
_REST: Final = 1.0  # seconds after a change in which its CPU is counted
_LINE: Final = 2**20  # bytes: a login for each stream
_CHANGES: Final = {"session": "the session changes", "answer": "one answers", "answers": "all who signed in answer"}
_ALLOWED: Final = {"memory": 100.0, "idle": 10.0, "lag": 20.0}  # kB, % of a core, ms
_NOTE: Final = (
    "streams: {streams:,} open pages of one session, {signed:,} of them signed in and one of these its instructor's, "
    "from the commit until the last one is told. The limit of the changes is a bare server that writes the same bytes "
    "to as many connections; of memory, idle CPU and lag what is allowed. Opening one takes {opened:,.0f} us of CPU; "
    "of the lag while all of it happens the most is {worst:.0f} ms."
)


class Figures(msgspec.Struct, frozen=True):
    """What each round of one server gave, by change: ms until the last stream was told, CPU in us a stream."""

    seconds: dict[str, list[float]]
    cpu: dict[str, list[float]]
    lags: list[float]


class _Stream(asyncio.Protocol):
    """One open page, which waits for what a view has to hold."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._wanted = b"event: session"
        self._tail = b""
        self.size = 0
        self.told = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._head)

    def data_received(self, data: bytes) -> None:
        self.size += len(data)
        text = self._tail + data
        self._tail = text[-len(self._wanted) :]
        if not self.told.done() and self._wanted in text:
            self.told.set_result(asyncio.get_running_loop().time())

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.told.done():
            self.told.set_exception(exc or RuntimeError("a stream ended"))

    def expect(self, mark: str) -> None:
        self._wanted, self._tail, self.size = mark.encode(), b"", 0
        self.told = asyncio.get_running_loop().create_future()


class _Server:
    """A process that streams are open to."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.streams: list[_Stream] = []

    async def open(self, begun: Begun, count: int) -> None:
        heads = [_head(begun, token) for token in begun.tokens[:count]]
        heads += [_head(begun, "")] * (count - len(heads))
        for start in range(0, count, _AT_ONCE):
            opened = [await self._open(begun.port, head) for head in heads[start : start + _AT_ONCE]]
            await _all_told(opened)
            self.streams += opened

    async def _open(self, port: int, head: bytes) -> _Stream:
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(lambda: _Stream(head), "127.0.0.1", port)
        return stream

    async def told(self, order: Order) -> float:
        """Milliseconds from the commit of a change until the last stream has it."""
        for stream in self.streams:
            stream.expect(order.mark)
        done = await self._order(order)
        return max((await _all_told(self.streams) - done.at) * 1000, 0.001)

    async def load(self) -> Done:
        """What it took since the last time."""
        return await self._order(Order("load"))

    async def _order(self, order: Order) -> Done:
        assert self._process.stdin is not None, "it is a pipe"
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        return msgspec.json.decode(await _line(self._process), type=Done)


async def run(settings: Settings, progress: Progress) -> Result:
    """The work."""
    _allow_descriptors(2 * settings.streams + _SPARE)
    signed = int(settings.streams * _SIGNED_IN)
    with TemporaryDirectory() as folder:
        async with (
            _started("daemon", folder, str(signed - 1)) as (begun, ours),
            _started("bare") as (bare_begun, bare),
        ):
            progress(f"opening {settings.streams:,} streams")
            before = await ours.load()
            await ours.open(begun, settings.streams)
            opened = await ours.load()
            await bare.open(bare_begun, settings.streams)
            found, limit = Figures({}, {}, []), Figures({}, {}, [])
            for number in range(settings.rounds):
                progress(f"round {number + 1} of {settings.rounds}")
                for what in _CHANGES:
                    await _change(ours, bare, Order(what, number, mark_of(what, number, signed - 1)), (found, limit))
            progress("nothing happens")
            await ours.load()
            await asyncio.sleep(settings.idle)
            idle = (await ours.load()).cpu / settings.idle * 100
    memory = max((opened.memory - before.memory) * 1024 / settings.streams, 0.1)
    note = _NOTE.format(
        streams=settings.streams,
        signed=signed,
        opened=opened.cpu / settings.streams * 1e6,
        worst=max(found.lags),
    )
    return Result((*_of_changes(found, limit), *_of_load(memory, idle, found)), (note,))


async def _change(ours: _Server, bare: _Server, order: Order, figures: tuple[Figures, Figures]) -> None:
    """Let both tell one change, ours first: the other sends as many bytes."""
    for server, found in zip((ours, bare), figures, strict=True):
        await server.load()
        size = int(median(stream.size for stream in ours.streams))
        told = await server.told(msgspec.structs.replace(order, size=size))
        await asyncio.sleep(_REST)  # what follows from a change belongs to it
        load = await server.load()
        found.seconds.setdefault(order.what, []).append(told)
        found.cpu.setdefault(order.what, []).append(load.cpu / len(server.streams) * 1e6)
        found.lags.extend(load.lags)


def _of_changes(found: Figures, limit: Figures) -> list[Row]:
    rows: list[Row] = []
    for what, words in _CHANGES.items():
        rows += (
            compared(f"streams, {words}", "ms", found.seconds[what], limit=limit.seconds[what]),
            compared(f"streams, {words}: CPU of one", "us", found.cpu[what], limit=limit.cpu[what]),
        )
    return rows


def _of_load(memory: float, idle: float, found: Figures) -> list[Row]:
    lines = (
        ("streams, memory of one", "kB", memory, _ALLOWED["memory"]),
        ("streams, idle CPU", "%", idle, _ALLOWED["idle"]),
        ("streams, event loop's lag p99", "ms", quantile(found.lags, 0.99), _ALLOWED["lag"]),
    )
    return [Row(work, unit, ours, limit=limit, ratio_to_limit=ours / limit) for work, unit, ours, limit in lines]


async def _all_told(streams: Sequence[_Stream]) -> float:
    async with asyncio.timeout(_WITHIN):
        return max(await asyncio.gather(*(stream.told for stream in streams)))


def _head(begun: Begun, token: str) -> bytes:
    login = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {begun.path} HTTP/1.1\r\nHost: {begun.host}\r\n{login}\r\n".encode()


def _allow_descriptors(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))  # the servers inherit it


@asynccontextmanager
async def _started(*words: str) -> AsyncIterator[tuple[Begun, _Server]]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.stream_daemon", *words), cwd=ROOT, stdin=pipe, stdout=pipe, limit=_LINE
    )
    try:
        yield msgspec.json.decode(await _line(process), type=Begun), _Server(process)
    finally:
        process.kill()
        await process.wait()


async def _line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None, "it is a pipe"
    async with asyncio.timeout(_WITHIN):
        while line := await process.stdout.readline():
            if line.strip():  # the log may stand before it
                return line
    raise RuntimeError("a server has ended")

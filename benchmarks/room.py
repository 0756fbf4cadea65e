"""room: a full room as one real browser has it, beside a page that plays the same pictures alone; and its daemon.

The other people have no browser: they join and send a film as browsers do (`benchmarks.room_people`). All of it is on
this machine, so that the daemon, its media process, those who send and the browser share the cores.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from benchmarks import room_browser
from benchmarks.child import ROOT
from benchmarks.interleave import Progress, Result, Row
from benchmarks.room_browser import Seen
from benchmarks.room_daemon import Begun, Load
from benchmarks.room_people import HEIGHT, RATE, WIDTH
from benchmarks.settings import Settings

_WITHIN: Final = 180.0  # seconds in which a room has filled, also on a busy machine
_CLICK: Final = 200.0  # ms: what web.dev calls a good interaction
_LAG: Final = 20.0  # ms that nothing may hold the daemon's loop
_NOTE: Final = (
    "room: {people} people, all cameras on ({width}x{height}, {rate} a second), one of them in Chromium, which shows "
    "{shown}. The limit is the same film in {shown} places of a page that does nothing else; of a click, what is "
    "called good. The slowest line had {slowest:.1f} pictures a second, the slowest click took {click:.0f} ms. "
    "Daemon {cpu:.1f} %, its media process {media:.1f} % of a core. One run: its figures are of a quiet machine only."
)
_CROWD_NOTE: Final = (
    "room: with {crowd} people the daemon's media process takes {media:.1f} % of a core, and the browser shows "
    "{shown} at {pictures:.1f} pictures a second; the limits are what is allowed."
)
_ALLOWED: Final = {"cpu": 50.0, "memory": 300.0}  # % of a core, MB


class Found(msgspec.Struct, frozen=True):
    """What a room gave: to the browser, and of the daemon."""

    seen: Seen
    load: Load


async def run(settings: Settings, progress: Progress) -> Result:
    """The work; no line where there is no browser, and a note that says what is missing."""
    if (reason := room_browser.missing()) is not None:
        return Result((), (f"room: left out. {reason}.",))
    async with room_browser.chromium() as browser:
        async with _daemon() as (begun, daemon), _guests(begun, settings.room - 1, progress):
            page = await room_browser.enter(browser, f"{begun.url}/s/{begun.session}", settings.room - 1)
            progress("watching it")
            full = Found(await room_browser.watch(browser, page, settings.watched), await daemon.load(settings.watched))
            async with _guests(begun, settings.crowd - settings.room, progress):
                progress("watching the crowd")
                seen = await room_browser.watch(browser, page, settings.watched)
                crowd = Found(seen, await daemon.load(settings.watched))
            await page.context.close()
        progress("the same pictures alone")
        alone = await room_browser.alone(browser, full.seen.shown, settings.watched)
    return Result((*_of_browser(full, alone), *_of_daemon(crowd)), _notes(settings, full, crowd))


def _of_browser(full: Found, alone: Seen) -> list[Row]:
    seen = full.seen
    return [
        _row("room, pictures of each who is shown", "1/s", seen.pictures, alone.pictures),
        _row("room, the browser", "% of a core", seen.cpu, alone.cpu),
        _row("room, click on the microphone", "ms", seen.click, _CLICK),
    ]


def _of_daemon(crowd: Found) -> list[Row]:
    load = crowd.load
    return [
        _row("crowd, the daemon", "% of a core", load.cpu, _ALLOWED["cpu"]),
        _row("crowd, the daemon's memory", "MB", load.memory, _ALLOWED["memory"]),
        _row("crowd, event loop's lag p99", "ms", load.lag_p99, _LAG),
    ]


def _row(work: str, unit: str, ours: float, limit: float) -> Row:
    return Row(work, unit, ours, limit=limit, ratio_to_limit=ours / limit)


def _notes(settings: Settings, full: Found, crowd: Found) -> tuple[str, ...]:
    seen, load = full.seen, full.load
    first = _NOTE.format(
        people=settings.room,
        width=WIDTH,
        height=HEIGHT,
        rate=RATE,
        shown=seen.shown,
        slowest=seen.slowest,
        click=seen.slowest_click,
        cpu=load.cpu,
        media=load.media_cpu,
    )
    second = _CROWD_NOTE.format(
        crowd=settings.crowd, media=crowd.load.media_cpu, shown=crowd.seen.shown, pictures=crowd.seen.pictures
    )
    return first, second


class _Daemon:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def load(self, seconds: float) -> Load:
        """What it takes in so many seconds from now."""
        assert self._process.stdin is not None, "it is a pipe"
        self._process.stdin.write(f"{seconds}\n".encode())
        return msgspec.json.decode(await _line(self._process), type=Load)


@asynccontextmanager
async def _daemon() -> AsyncIterator[tuple[Begun, _Daemon]]:
    with TemporaryDirectory() as folder:
        async with _child("benchmarks.room_daemon", folder) as process:
            begun = msgspec.json.decode(await _line(process), type=Begun)
            yield begun, _Daemon(process)


@asynccontextmanager
async def _guests(begun: Begun, count: int, progress: Progress) -> AsyncIterator[None]:
    progress(f"{count} people come")
    async with _child("benchmarks.room_people", begun.url, begun.session, str(count)) as process:
        await _line(process)
        yield


@asynccontextmanager
async def _child(module: str, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that ends with its standard input."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *words), cwd=ROOT, stdin=pipe, stdout=pipe
    )
    try:
        yield process
    finally:
        assert process.stdin is not None, "it is a pipe"
        process.stdin.close()
        await process.wait()


async def _line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None, "it is a pipe"
    async with asyncio.timeout(_WITHIN):
        while line := await process.stdout.readline():
            if line.strip():  # the log may stand before it
                return line
    raise RuntimeError("a part of the room has ended")

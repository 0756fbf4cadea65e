"""The daemon's side of the media process: starts it, talks to it, and restarts it when it hangs or dies."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path
from typing import Final

import msgspec
import structlog

from podium_daemon.conference.engines.embedded.wire import (
    BrokenWire,
    CannotRun,
    Ping,
    Pong,
    ProcessCommand,
    ProcessSettings,
    Ready,
    read_message,
    reports,
    write_message,
)
from podium_daemon.conference.events import RoomId
from podium_daemon.conference.page_media.media_host import MediaObserver
from podium_daemon.conference.page_media.messages import Dropped, PageMessage
from podium_daemon.runtime.child_process import kill, start_on_socket
from podium_daemon.runtime.clock import Clock, SystemClock
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import wait_for_first
from podium_protocol.errors import PodiumError
from podium_protocol.relay import backoff

START_WITHIN: Final = 30.0  # seconds; it takes 0.6 on an idle machine
PING_EVERY: Final = 5.0  # seconds
_MISSED_PINGS: Final = 3
_MAX_UNSENT: Final = 16 * 1024 * 1024  # bytes that it did not take: it hangs
_MAX_UNSENT_OF_PAGES: Final = 4 * 1024 * 1024  # bytes; beyond it what people say is dropped
_STOP_WITHIN: Final = 3.0

_log = structlog.get_logger(__name__)


class MediaFailed(PodiumError):
    """The media process could not start; the text gives its reason."""


class MediaProcess:
    """A `MediaHost` that keeps one media process running; `observer` gets its reports."""

    def __init__(self, settings: ProcessSettings, observer: MediaObserver, *, clock: Clock | None = None) -> None:
        self._settings = settings
        self._observer = observer
        self._clock = clock or SystemClock()
        self._writer: asyncio.StreamWriter | None = None
        self.pid: int | None = None
        self.restarts = 0

    @property
    def is_up(self) -> bool:
        """Whether the process takes commands now."""
        return self._writer is not None

    def send(self, command: ProcessCommand) -> None:
        """Send a command to the process, if it runs."""
        if self._writer is None:
            return
        unsent = self._writer.transport.get_write_buffer_size()
        if unsent > _MAX_UNSENT:
            self._writer.transport.abort()  # the reader notices, and the process is started again
            return
        if unsent > _MAX_UNSENT_OF_PAGES and isinstance(command, PageMessage):
            self._observer.media_said(Dropped(command.connection, "media_busy"))  # pages try again, commands cannot
            return
        self._writer.write(write_message(command))

    async def run(self, stop: Stop) -> None:
        """Run it until the stop, starting it again with backoff when it dies."""
        delays = backoff.delays(random.random)
        while not stop.is_set():
            started = self._clock.monotonic()
            why = await self._run_once(stop)
            if stop.is_set():
                return
            _log.error("the media process is down", action="media.down", why=why)
            if backoff.is_proven(self._clock.monotonic() - started, answered=True):
                delays = backoff.delays(random.random)
            if await stop.wait_for(next(delays)):
                return
            self.restarts += 1

    def convert_recording(self, folder: Path, room: RoomId) -> None:
        """See `MediaHost`. The process writes packet files itself."""

    async def _run_once(self, stop: Stop) -> str:
        """One life of the process; returns why it is over."""
        process, reader, writer = await _spawn(self._settings)
        why, gently = "it could not be started", False  # one that starts has nothing to lose yet
        try:
            version = await _ready_unless(stop, reader)
            if version is None:
                return why
            self.pid, self._writer = process.pid, writer
            _log.info("the media process runs", action="media.up", pid=process.pid, aiortc=version)
            self._observer.media_up()
            why = await self._listen(reader, stop)
            gently = stop.is_set()
        except MediaFailed as error:
            why = str(error)
        finally:
            self._writer = self.pid = None
            await _end(process, writer, gently=gently)
            if not stop.is_set():
                self._observer.media_down(why)
        return why

    async def _listen(self, reader: asyncio.StreamReader, stop: Stop) -> str:
        heard = [self._clock.monotonic()]
        watching = asyncio.create_task(self._watch(heard, stop))
        reading = asyncio.create_task(self._read(reader, heard))
        is_stopped, _ = await wait_for_first(watching, reading)
        return watching.result() if is_stopped else reading.result()

    async def _read(self, reader: asyncio.StreamReader, heard: list[float]) -> str:
        try:
            while (report := await read_message(reader, reports)) is not None:
                heard[0] = self._clock.monotonic()
                if not isinstance(report, Ready | CannotRun | Pong):
                    self._observer.media_said(report)
        except BrokenWire as error:
            return f"it said what it may not: {error}"
        return "it died"

    async def _watch(self, heard: list[float], stop: Stop) -> str:
        number = 0
        while not await stop.wait_for(PING_EVERY):
            if self._clock.monotonic() - heard[0] > _MISSED_PINGS * PING_EVERY:
                return f"it said nothing for {_MISSED_PINGS * PING_EVERY:g} s"
            number += 1
            self.send(Ping(number))
        return "it was asked to stop"


async def _spawn(
    settings: ProcessSettings,
) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader, asyncio.StreamWriter]:
    return await start_on_socket("-m", "podium_daemon.conference.engines.embedded.child", msgspec.json.encode(settings))


async def _ready_unless(stop: Stop, reader: asyncio.StreamReader) -> str | None:
    starting = asyncio.ensure_future(_ready(reader))
    is_ready, _ = await wait_for_first(starting, stop.wait())
    return starting.result() if is_ready else None


async def _ready(reader: asyncio.StreamReader) -> str:
    try:
        async with asyncio.timeout(START_WITHIN):
            match await read_message(reader, reports):
                case Ready(aiortc):
                    return aiortc
                case CannotRun(why):
                    raise MediaFailed(why)
                case _:
                    raise MediaFailed("it died at its start")
    except TimeoutError:
        raise MediaFailed(f"it did not start within {START_WITHIN:g} s") from None
    except BrokenWire as error:
        raise MediaFailed(str(error)) from None


async def _end(process: asyncio.subprocess.Process, writer: asyncio.StreamWriter, *, gently: bool) -> None:
    if process.returncode is None and not gently:
        process.kill()
    writer.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_STOP_WITHIN):
            await process.wait()
    await kill(process)

"""One run of a media engine, in a namespace: what the engine's own process spends while watchers receive a speaker."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Protocol, Self

from pylibsrtp import Policy, Session

from benchmarks.child import Run, peak_mb
from benchmarks.media_pages import Pages
from benchmarks.namespace import ADDRESS
from benchmarks.speaker import STEPS, Stream, packets
from podium_daemon.conference.engines.embedded.connections import use_addresses
from podium_daemon.conference.engines.embedded.media_process import MediaProcess
from podium_daemon.conference.engines.embedded.wire import ProcessSettings
from podium_daemon.conference.engines.janus.media import JanusMedia
from podium_daemon.conference.engines.janus.settings import JanusPlace
from podium_daemon.conference.page_media.media_host import MediaHost
from podium_daemon.runtime.supervisor import Stop

_LEAST_SHARE: Final = 0.8  # of the packets: a run that loses more was too much for the machine


class _Process(Protocol):
    @property
    def pid(self) -> int | None: ...


async def embedded(*, watchers: int, seconds: float, shown: int | None = None) -> Run:
    """Podium's own engine. `shown`: how many pages show the picture; None for all."""
    pages = Pages()
    media = MediaProcess(ProcessSettings(addresses=(ADDRESS,)), pages)
    async with _running(media, pages):
        return await _measured(media, pages, watchers, seconds, shown)


async def janus(*, watchers: int, seconds: float) -> Run:
    """Janus, as Podium's own adapter runs it."""
    pages = Pages()
    with TemporaryDirectory() as folder:
        media = JanusMedia(JanusPlace(folder=Path(folder)), pages)
        async with _running(media, pages):
            return await _measured(media.process, pages, watchers, seconds)


async def sending(*, watchers: int, seconds: float) -> Run:
    """The same packets encrypted for each watcher and sent, and nothing else."""
    there = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(watchers)]
    for one in there:
        one.bind((ADDRESS, 0))
    ways = [(one.getsockname(), _session(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for one in there]
    voice, picture = (_stream(line) for line in (0, 1))
    spent, count, steps = 0.0, 0, int(seconds * STEPS)
    for _, batch in zip(range(steps), packets(voice, picture), strict=False):
        began = time.process_time()
        for packet in batch:
            for address, session, way in ways:
                way.sendto(session.protect(packet), address)
        spent += time.process_time() - began
        count += sum(_drain(one) for one in there)  # theirs, not the sender's
    return Run(count, seconds, spent, peak_mb())


@contextlib.asynccontextmanager
async def _running(media: MediaHost, pages: Pages) -> AsyncIterator[None]:
    use_addresses([ADDRESS])
    pages.media = media
    stop = Stop()
    running = asyncio.create_task(media.run(stop))
    try:
        await asyncio.wait((running, up := asyncio.create_task(pages.is_up.wait())), return_when="FIRST_COMPLETED")
        if not up.done():
            up.cancel()
            await running  # says why
        yield
    finally:
        await pages.close()
        stop.set()
        await asyncio.gather(running, return_exceptions=True)


async def _measured(process: _Process, pages: Pages, watchers: int, seconds: float, shown: int | None = None) -> Run:
    assert process.pid is not None, "it is up"
    speaker = await pages.speaker()
    speaking = asyncio.create_task(speaker.speak())
    try:
        await pages.watchers(watchers, watchers if shown is None else shown)
        before, sent = pages.arrived, speaker.sent
        with ProcessMeter(process.pid) as meter:
            await asyncio.sleep(seconds)
        count, sent = pages.arrived - before, speaker.sent - sent
        run = meter.run(count)
    finally:
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)
    expected = sent * (watchers if shown is None else shown)  # the sound, which goes to all, comes on top
    if count < _LEAST_SHARE * expected:
        raise RuntimeError(f"{count:,} of {expected:,} packets arrived: fewer watchers, or a quieter machine")
    return run


class ProcessMeter:
    """As `Meter`, of another process and all its threads: what it takes itself, and the kernel for it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def __enter__(self) -> Self:
        self._began, self._cpu_began = time.perf_counter(), self._cpu()
        return self

    def __exit__(self, *_: object) -> None:
        self._seconds, self._cpu_seconds = time.perf_counter() - self._began, self._cpu() - self._cpu_began

    def run(self, count: int) -> Run:
        """The measured run of that many."""
        return Run(count, self._seconds, self._cpu_seconds, peak_mb(str(self._pid)))

    def _cpu(self) -> float:
        # what clock_getcpuclockid(3) makes of a process, which Python does not have; /proc counts in hundredths
        return time.clock_gettime(~self._pid << 3 | 2)


def _session() -> Session:
    key = os.urandom(44)  # key and salt of the profile that aiortc and Janus agree on
    return Session(
        Policy(key=key, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_256_GCM)
    )


def _stream(line: int) -> Stream:
    return Stream(ssrc=line + 1, payload_type=96 + line, mid=str(line), mid_extension=1)


def _drain(one: socket.socket) -> int:
    count = 0
    with contextlib.suppress(BlockingIOError):
        while one.recv(2048, socket.MSG_DONTWAIT):
            count += 1
    return count

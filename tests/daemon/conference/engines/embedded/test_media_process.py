"""The media process as a process: killed, frozen, gone, and what becomes of those in the room."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import av
import msgspec
import pytest
from aioice.ice import StunProtocol

from podium_daemon.conference.engine import Collected, RoomSpec, Snapshot
from podium_daemon.conference.engines.embedded import media_process
from podium_daemon.conference.engines.embedded.engine import build_embedded_engine
from podium_daemon.conference.engines.embedded.media_process import MediaProcess
from podium_daemon.conference.engines.embedded.recorder import FLUSH_EVERY
from podium_daemon.conference.engines.embedded.wire import ProcessSettings
from podium_daemon.conference.events import (
    EngineHealth,
    MediaUp,
    RecordingChanged,
    RecordingState,
    RoomId,
    TrackChanged,
)
from podium_daemon.conference.page_media.engine import MediaSeat, PageMediaEngine
from podium_daemon.conference.page_media.messages import Report
from podium_daemon.conference.page_media.recordings import folder_of
from podium_daemon.conference.page_media.settings import PageMediaSettings
from podium_daemon.runtime.clock import SystemClock
from podium_daemon.runtime.supervisor import Stop
from tests.support.conference import new_person, reading, seeded_bytes
from tests.support.media import MediaPage, SeatWay, only_loopback, settled, signing
from tests.support.processes import children_of, first_python
from tests.support.soon import soon

ROOM = RoomId("b0c4")
OTHER = RoomId("5eed")
SPEC = RoomSpec(room=ROOM, title="Rust for gardeners", allow_recording=True)
LOOPBACK = ProcessSettings(addresses=("127.0.0.1",))


class Stage:
    """An engine that runs, with its process, and pages on loopback."""

    def __init__(self, engine: PageMediaEngine) -> None:
        self.engine = engine
        self.pages: list[MediaPage] = []

    @property
    def pid(self) -> int | None:
        """The media process that runs now."""
        assert isinstance(self.engine.media, MediaProcess)
        return self.engine.media.pid

    async def sit(self, room: RoomId = ROOM) -> tuple[MediaSeat, MediaPage]:
        """A person in the room, whose page begins when media is there."""
        person, certificate = signing(new_person())
        seat = await self.engine.take_seat(room, person)
        assert isinstance(seat, MediaSeat)
        page = MediaPage(SeatWay(seat), certificate)
        self.pages.append(page)
        await page.was_told("begin")
        return seat, page

    async def killed(self) -> None:
        """The process dies as in a crash, and another one runs."""
        pid = self.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await settled(lambda: self.pid not in (None, pid), "another process")


@contextlib.asynccontextmanager
async def _stage(folder: Path) -> AsyncIterator[Stage]:
    only_loopback()
    settings = PageMediaSettings(recordings=folder, addresses=LOOPBACK.addresses)
    engine = build_embedded_engine(settings, clock=SystemClock(), random_bytes=seeded_bytes())
    stop = Stop()
    running = asyncio.create_task(engine.run(stop))
    stage = Stage(engine)
    await engine.open_room(SPEC)
    try:
        yield stage
    finally:
        for page in stage.pages:
            await page.close()
        stop.set()
        await running


async def test_a_stop_while_the_process_starts_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that hangs before it is ready is killed: no room is in it yet."""
    first_python("exec sleep 600", tmp_path, monkeypatch)
    before = children_of(os.getpid())
    async with _stage(tmp_path) as stage:
        await soon(lambda: len(children_of(os.getpid()) - before) == 1)
        assert stage.pid is None
    assert children_of(os.getpid()) == before


async def test_a_killed_process_is_replaced_and_people_see_each_other_again(tmp_path: Path) -> None:
    """After a kill -9: engine health goes down and up, seats stay, pages begin anew, pictures flow again."""
    async with _stage(tmp_path) as stage, reading(stage.engine) as reader:
        (teacher, desk), (pupil, bench) = await stage.sit(), await stage.sit()
        await desk.publish("video")
        await bench.watch()
        assert await bench.sees(teacher.connection.pubkey) == 160
        await stage.killed()
        await settled(
            lambda: [one.up for one in reader.all_of(EngineHealth)] == [True, False, True], "health that went and came"
        )
        assert "it died" in reader.all_of(EngineHealth)[1].detail
        for page in (desk, bench):
            await settled(lambda page=page: [one["do"] for one in page.told].count("begin") == 2, "a new beginning")
        await desk.publish("video")
        await bench.watch()
        assert await bench.sees(teacher.connection.pubkey) == 160
        snapshot = await stage.engine.snapshot(ROOM)
        assert isinstance(snapshot, Snapshot)
        assert {one.connection for one in snapshot.present} == {teacher.connection, pupil.connection}
        assert len(reader.all_of(MediaUp)) == 2


async def test_what_pages_say_is_dropped_before_the_process_is_given_up(tmp_path: Path) -> None:
    """A process that does not keep up loses messages of pages, which try again; the rooms of all others stay."""
    async with _stage(tmp_path) as stage:
        seat, _ = await stage.sit()
        pid = stage.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        for number in range(400):
            offer = {"type": "media", "do": "publish", "sdp": f"{number} " + "x" * 50_000}
            await seat.receive(json.dumps(offer))
        os.kill(pid, signal.SIGCONT)
        assert stage.engine.flaws["media_busy"] > 0
        others = stage.engine.flaws.total() - stage.engine.flaws["media_busy"]
        await settled(
            lambda: stage.engine.flaws.total() - stage.engine.flaws["media_busy"] > others,
            "what was not dropped is read",
        )
        assert stage.pid == pid


async def test_a_crash_while_recording_loses_a_second_at_most(tmp_path: Path) -> None:
    """All that was on disk at the crash can be played, it lags by less than a second, and the new process goes on."""
    async with _stage(tmp_path) as stage, reading(stage.engine) as reader:
        teacher, desk = await stage.sit()
        await stage.engine.start_recording(ROOM, only={teacher.connection.pubkey})
        await desk.publish("audio")
        await reader.until(TrackChanged)
        packets = folder_of(tmp_path, ROOM)
        await settled(lambda: sum(path.stat().st_size for path in packets.glob("*.rtp")) > 4000, "packets on disk")
        await stage.killed()
        await settled(lambda: [one["do"] for one in desk.told].count("begin") == 2, "a new beginning")
        await desk.publish("audio")
        await settled(lambda: len(list(packets.glob("*.rtp"))) == 2, "another file")
        await stage.engine.stop_recording(ROOM)
        await reader.until(RecordingChanged, lambda one: one.state is RecordingState.READY)
        collected = await stage.engine.collect_recording(ROOM, tmp_path / "out")
        assert isinstance(collected, Collected)
        first, second = sorted(collected.tracks, key=lambda track: track.started_at)
        assert _seconds(first.path) > 0.2  # 4,000 bytes of this tone
        assert _seconds(second.path) > 0.0
        assert FLUSH_EVERY + 0.02 < 1.0  # seconds that were not on disk yet, and the packet that was being written


async def test_a_frozen_process_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is there and does nothing is ended, and the log says why."""
    monkeypatch.setattr(media_process, "PING_EVERY", 0.1)
    async with _stage(tmp_path) as stage, reading(stage.engine) as reader:
        await stage.sit()
        pid = stage.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        down = await reader.until(EngineHealth, lambda one: not one.up)
        assert "said nothing" in down.detail
        await settled(lambda: stage.pid not in (None, pid), "another process")
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("whose", ["a stranger's", "their own"])
async def test_no_datagram_ends_a_persons_media(tmp_path: Path, whose: str) -> None:
    """Lengths from 0 to 16, every first byte, STUN that breaks its reader: dropped, counted, and pictures go on."""
    async with _stage(tmp_path) as stage:
        (teacher, desk), (_, bench) = await stage.sit(), await stage.sit()
        await desk.publish("video")
        await bench.watch()
        await bench.sees(teacher.connection.pubkey)
        for page in (desk, bench):
            for protocol, address in page.sockets():
                with _socket(protocol if whose == "their own" else None) as sender:
                    for data in _nonsense():
                        sender.sendto(data, address)
        await bench.sees(teacher.connection.pubkey, more=3)
        assert [one for page in (desk, bench) for one in page.told if one["do"] == "failed"] == []
        names = {"datagram_unknown", "datagram_short", "datagram_bad_stun"}
        if whose == "a stranger's":
            names.add("datagram_stranger")
        await settled(lambda: names <= stage.engine.flaws.keys(), "counters")
        assert stage.engine.media.restarts == 0


async def test_a_flood_from_a_stranger_ends_nothing(tmp_path: Path) -> None:
    """Half a second of empty datagrams to every port is a number in the metrics."""
    async with _stage(tmp_path) as stage:
        (teacher, desk), (_, bench) = await stage.sit(), await stage.sit()
        await desk.publish("video")
        await bench.watch()
        await bench.sees(teacher.connection.pubkey)
        with _socket(None) as stranger:
            for _ in range(10_000):
                for page in (desk, bench):
                    stranger.sendto(b"", page.sockets()[0][1])
        await bench.sees(teacher.connection.pubkey, more=3)
        assert [one for page in (desk, bench) for one in page.told if one["do"] == "failed"] == []
        await settled(lambda: stage.engine.flaws["datagram_unknown"] > 100, "a number")


FLOOD = 10_000
"""Packets, sent as fast as one page can."""


async def test_a_seat_that_floods_harms_no_other_room(tmp_path: Path) -> None:
    """Ten thousand packets that its connection signed and encrypted, and some that it did not: the others see on."""
    async with _stage(tmp_path) as stage:
        await stage.engine.open_room(msgspec.structs.replace(SPEC, room=OTHER))
        (teacher, desk), (_, bench), (_, eve) = await stage.sit(), await stage.sit(), await stage.sit(OTHER)
        await desk.publish("video")
        await eve.publish("audio", "video")
        await bench.watch()
        await bench.sees(teacher.connection.pubkey)
        await settled(eve.sockets, "a connection")
        pid = stage.pid
        await _flood(eve)
        await bench.sees(teacher.connection.pubkey, more=3)
        assert [one for page in (desk, bench) for one in page.told if one["do"] == "failed"] == []
        assert (stage.engine.media.restarts, stage.pid) == (0, pid)


async def _flood(page: MediaPage) -> None:
    """Media, reports and checks of connectivity without end."""
    assert page.publishing is not None
    transport = page.publishing.getTransceivers()[0].sender.transport
    await settled(lambda: transport.state == "connected", "a connection that encrypts")
    ((protocol, address), *_) = page.sockets()
    with _socket(protocol) as own:
        for number in range(FLOOD // 10):
            for data in _authentic(number):
                with contextlib.suppress(ConnectionError):  # the connection may be ended for it
                    await transport._send_rtp(data)
            for data in (b"\x80" * 40, b"\x00\x01\x00\x00" + struct.pack("!I12s", 0x2112A442, os.urandom(12))):
                with contextlib.suppress(BlockingIOError):
                    own.sendto(data, address)


def _authentic(number: int) -> list[bytes]:
    """Well-formed packets of a person's own: media of known and unknown sources, reports, requests, half of one."""
    media = [struct.pack("!BBHII", 0x80, kind, number & 0xFFFF, number, ssrc) + bytes(900) for kind, ssrc in SOURCES]
    asking = struct.pack("!BBHIIHH", 0x81, 205, 3, 1, 2, number & 0xFFFF, 0xFFFF)  # a NACK of 17 packets, RFC 4585
    picture = struct.pack("!BBHII", 0x81, 206, 2, 1, 2)  # a PLI
    ends = struct.pack("!BBHI", 0x81, 203, 1, 2)  # a BYE
    report = struct.pack("!BBHIQIII", 0x80, 200, 6, 2, number, number, number, number)
    return [*media, asking, picture, ends, report, report]


SOURCES = ((96, 1), (97, 2), (111, 3))


def _nonsense() -> list[bytes]:
    """What nobody who means well sends."""
    lifetime = struct.pack("!HHI12sHH3sx", 1, 8, 0x2112A442, bytes(12), 0x000D, 3, b"abc")  # struct.error in aioice
    text = struct.pack("!HHI12sHH4s", 1, 8, 0x2112A442, bytes(12), 0x0006, 4, b"\xff\xff\xff\xff")
    unsaid = struct.pack("!HHI12sHH4s", 1, 80, 0x2112A442, bytes(12), 0x0006, 4, b"abcd")
    every_length = [
        bytes([first] * length) for length in range(17) for first in (0, 1, 17, 20, 22, 63, 64, 128, 191, 255)
    ]
    every_first = [bytes([first]) + bytes(rest) for first in range(256) for rest in (0, 39, 1400)]
    return [*every_length, *every_first, lifetime, text, unsaid]


def _socket(protocol: StunProtocol | None) -> socket.socket:
    """A socket of nobody's, or another handle of a page's own."""
    if protocol is None:
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    return socket.socket(fileno=os.dup(protocol.transport.get_extra_info("socket").fileno()))


async def test_the_process_ends_with_the_daemon() -> None:
    """Its socket is closed, however the daemon dies: nothing is left behind."""
    process, reader, writer = await media_process._spawn(LOOPBACK)
    await media_process._ready(reader)
    writer.transport.abort()
    async with asyncio.timeout(60):
        assert await process.wait() == 0


async def test_the_daemons_signals_are_not_for_it() -> None:
    """Ctrl-C goes to the whole group: media stays up until the daemon has drained."""
    process, reader, writer = await media_process._spawn(LOOPBACK)
    await media_process._ready(reader)
    for number in (signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
    writer.write(media_process.write_message(media_process.Ping(1)))
    assert await media_process.read_message(reader, media_process.reports) == media_process.Pong(1)
    await media_process._end(process, writer, gently=True)
    assert process.returncode == 0


async def test_a_process_that_cannot_start_says_why() -> None:
    """A setting it does not understand, as a missing library would, is a sentence and no silence."""

    class Host:
        """Keeps what it is told."""

        whys: ClassVar[list[str]] = []

        def media_up(self) -> None:
            raise AssertionError("it cannot start")

        def media_down(self, why: str) -> None:
            self.whys.append(why)

        def media_said(self, report: Report) -> None:
            raise AssertionError(report)

    stop, host = Stop(), Host()
    process = MediaProcess(ProcessSettings(addresses=(7,)), host)  # type: ignore[arg-type]  # what is wrong
    running = asyncio.create_task(process.run(stop))
    await settled(lambda: host.whys, "a reason")
    stop.set()
    await running
    assert host.whys[0] == "it died at its start"
    assert not process.is_up


def _seconds(path: Path) -> float:
    with av.open(str(path)) as container:
        stream = container.streams[0]
        return max(float(one.pts * one.time_base) for one in container.demux(stream) if one.pts is not None)

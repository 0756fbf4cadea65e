"""A real Janus moves real media; run by test_janus.py in a network namespace."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from aiortc import RTCRtpReceiver, RTCRtpSender
from structlog.testing import capture_logs

from podium_daemon.conference.engine import (
    Collected,
    ConnectionId,
    ControlDone,
    EngineHealth,
    LeaveReason,
    MediaUp,
    Person,
    RecordingChanged,
    RoomId,
    RoomSpec,
    TrackChange,
    TrackKind,
)
from podium_daemon.conference.engines.janus import wire
from podium_daemon.conference.engines.janus.engine import build_janus_engine
from podium_daemon.conference.engines.janus.media import JanusMedia
from podium_daemon.conference.engines.janus.process import JanusProcess
from podium_daemon.conference.engines.janus.rooms import JanusRoom
from podium_daemon.conference.engines.janus.settings import JanusPlace
from podium_daemon.conference.page_media.messages import (
    Record,
    Recorded,
    RecordingState,
    StopRecording,
)
from podium_daemon.conference.page_media.recordings import folder_of
from podium_daemon.conference.page_media.settings import PageMediaSettings
from podium_daemon.conference.seats import Seat
from podium_daemon.runtime.outcomes import Rejection
from podium_daemon.runtime.supervisor import Stop
from tests.daemon.conference.contract import EngineContract, Guest
from tests.daemon.conference.media_contract import MediaHostContract, two
from tests.support.clock import ManualClock
from tests.support.conference import new_person, reading, seeded_bytes
from tests.support.janus import JanusHouse, JanusPage, janus_house, only_here
from tests.support.media import SeatWay, settled, signing

AUDIO, VIDEO, SCREEN = TrackKind.AUDIO, TrackKind.VIDEO, TrackKind.SCREEN
ROOM = RoomId("r")


@pytest.fixture
async def here() -> AsyncIterator[JanusHouse]:
    """A Janus of its own for each test."""
    async with janus_house() as house:
        yield house


async def _allowed(here: JanusHouse) -> tuple[str, ...]:
    """The tokens that open the room now."""
    link, secrets, adopted = await here.media.process.connect()
    assert adopted
    listening = asyncio.create_task(link.listen())
    await link.begin()
    handle = await link.attach(lambda _: None)
    room = JanusRoom(link, handle, ROOM, admin_key=secrets.rooms)
    body = {"request": "allowed", "room": room.name, "secret": room.secret, "action": "add", "allowed": ["look"]}
    told = (await link.ask_plugin(handle, body)).reply.allowed
    await link.close()
    await listening
    return told


class TestJanusMediaHost(MediaHostContract):
    """Janus keeps the contract of media hosts."""


class TestJanusRooms:
    """What Janus is told of who may come in."""

    async def test_a_room_token_opens_once(self, here: JanusHouse) -> None:
        """No token of a join that was made is good any more, and none is in a log."""
        with capture_logs() as logs:
            teacher, _, _, bench = await two(here, "video")
            await bench.sees(teacher)
            assert len(await _allowed(here)) == 2  # the one that closes the door, and the look itself
        assert not any("token" in str(entry) for entry in logs)


class TestShowing:
    """Pictures that come into sight again."""

    async def test_a_line_that_goes_on_begins_with_a_key_frame(
        self, here: JanusHouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Janus asks the publisher for one, whatever the page that receives says."""
        asked: list[RTCRtpSender] = []

        def send_keyframe(sender: RTCRtpSender) -> None:
            asked.append(sender)

        monkeypatch.setattr(RTCRtpReceiver, "_send_rtcp_pli", _nothing)
        teacher, _, _, bench = await two(here, "video")
        await bench.sees(teacher, more=5)
        monkeypatch.setattr(RTCRtpSender, "_send_keyframe", send_keyframe)
        mid = await bench.line(teacher, "video")
        await bench.say(do="showing", mids=[])
        before = len(asked)
        await bench.say(do="showing", mids=[mid])
        await settled(lambda: len(asked) > before, "a key frame was asked for")


async def _nothing(*_: object) -> None:
    """No request of the page itself."""


class TestRecording:
    """Files, one a track."""

    async def test_whoever_publishes_while_it_runs_is_recorded(self, here: JanusHouse) -> None:
        """A connection made anew gets files of its own; nothing of before is written over."""
        teacher, stage, _, bench = await two(here, "video")
        folder = folder_of(here.recordings, ROOM)
        folder.mkdir(parents=True)
        here.media.send(Record(ROOM, str(folder), frozenset({teacher})))
        await bench.sees(teacher, more=5)
        await stage.publish("video")
        await here.changed(teacher, VIDEO, TrackChange.PUBLISHED, times=2)
        await bench.sees(teacher, more=5)
        here.media.send(StopRecording(ROOM))
        await settled(lambda: Recorded(ROOM, RecordingState.STOPPED) in here.reports, "the end of the recording")
        assert len([path for path in folder.glob("*-video-1.mjr") if path.stat().st_size > 300]) == 2


class TestFaults:
    """Janus dies, hangs, outlives the daemon."""

    async def test_a_killed_janus_is_started_again_and_media_returns(self, here: JanusHouse) -> None:
        """After kill -9 everybody is told, rooms are made again, pages connect anew."""
        teacher, stage, _, bench = await two(here, "video")
        await bench.sees(teacher)
        pid = here.media.process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await settled(lambda: here.ups == 2, "Janus again")
        assert len(here.downs) == 1
        assert here.media.process.pid != pid
        await settled(lambda: len([one for one in stage.told if one["do"] == "begin"]) == 2, "begin")
        await stage.publish("video")
        await bench.watch()
        assert await bench.sees(teacher) == 160

    async def test_a_janus_that_hangs_is_replaced(self, here: JanusHouse, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process that stands still is as good as none."""
        monkeypatch.setattr(wire, "_ANSWER_WITHIN", 0.5)
        pid = here.media.process.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        here.media.send(Record(ROOM, str(here.folder), frozenset()))
        await settled(lambda: here.ups == 2, "Janus again")
        assert here.media.process.pid != pid

    async def test_a_janus_that_outlived_the_daemon_is_adopted(self, tmp_path: Path) -> None:
        """A daemon that was killed leaves Janus running: the next daemon takes it over with its rooms, and ends it."""
        program = """
import asyncio, sys
from pathlib import Path
from tests.support.janus import JanusHouse
from podium_daemon.runtime.supervisor import Stop
async def main():
    here = JanusHouse(Path(sys.argv[1]))
    asyncio.create_task(here.media.run(Stop()))
    page = None
    while page is None or not page.told:
        await asyncio.sleep(0.01)
        if page is None and here.media.is_up:
            page = await here.enter("a" * 64)
    Path(sys.argv[1], "seen").write_text(str(here.media.process.pid))
    await asyncio.sleep(60)
asyncio.run(main())
"""
        seen = tmp_path / "seen"
        daemon = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(tmp_path), env=_python_path())
        await settled(lambda: _read(seen), "a daemon with somebody in a room")
        daemon.kill()
        await daemon.wait()
        pid = int(_read(seen))
        here, stop = JanusHouse(tmp_path), Stop()
        running = asyncio.create_task(here.media.run(stop))
        await settled(lambda: here.media.is_up, "Janus")
        assert here.media.process.pid == pid
        teacher, _, _, bench = await two(here, "video")
        assert await bench.sees(teacher) == 160
        assert here.media.adopted == 1
        await here.close()
        stop.set()
        await running
        assert _read(Path(f"/proc/{pid}/cmdline")) == ""  # nobody, or what is left of somebody who ended

    async def test_a_program_that_is_not_there_is_said(self, tmp_path: Path) -> None:
        """An operator without Janus reads which package to install."""
        here = JanusHouse(tmp_path)
        media, stop = JanusMedia(JanusPlace(folder=tmp_path / "janus", program="no-such-janus"), here), Stop()
        running = asyncio.create_task(media.run(stop))
        await settled(lambda: here.downs, "a reason")
        stop.set()
        await running
        assert "apt-get install janus" in here.downs[0]

    async def test_nobody_else_can_reach_it(self, here: JanusHouse) -> None:
        """Sockets, secrets and log are in a folder of ours alone; Janus listens on no TCP port."""
        folder = here.place.folder
        assert folder.stat().st_mode & 0o077 == 0
        for name in ("secrets", "log", "conf/janus.jcfg"):
            assert (folder / name).stat().st_mode & 0o077 == 0
        tcp = _read(Path(f"/proc/{here.media.process.pid}/net/tcp")).splitlines()[1:]
        listening = [line for line in tcp if line.split()[3] == "0A"]
        assert listening == []


def _read(path: Path) -> str:
    """The text of a file, or none."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _python_path() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


class JanusGuest:
    """A page on a seat."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.beats = True

    @property
    def connection(self) -> ConnectionId:
        """The seat's."""
        return self.seat.connection.id

    async def leave(self) -> None:
        """The page says that it goes."""
        await self.seat.receive('{"type":"leave"}')

    async def vanish(self) -> None:
        """The web layer finds the socket dead."""
        await self.seat.leave(LeaveReason.DROPPED)

    def freeze(self) -> None:
        """No more beats."""
        self.beats = False


class JanusRig:
    """The engine on a real Janus, with pages that beat."""

    def __init__(self, folder: Path, place: JanusPlace | None = None) -> None:
        self.clock = ManualClock()
        self.engine = build_janus_engine(
            PageMediaSettings(recordings=folder / "recordings"),
            place or JanusPlace(folder=folder / "janus"),
            clock=self.clock,
            random_bytes=seeded_bytes(),
        )
        self.spec = RoomSpec(room=RoomId("b0c4"), title="Rust for gardeners", allow_recording=True)
        self.guests: list[JanusGuest] = []

    async def join(self, person: Person) -> Guest | Rejection:
        """Take a seat."""
        seat = await self.engine.take_seat(self.spec.room, person)
        if isinstance(seat, Rejection):
            return seat
        self.guests.append(JanusGuest(seat))
        return self.guests[-1]

    async def pass_time(self, seconds: int) -> None:
        """A second at a time; each page beats every five, the engine sweeps as often."""
        for second in range(seconds):
            await self.clock.advance(1)
            if second % 5 == 4:
                for guest in self.guests:
                    if guest.beats:
                        await guest.seat.receive('{"type":"beat"}')
                await self.engine.sweep()

    def now(self) -> int:
        """The clock's."""
        return int(self.clock.now())


class _Staying(JanusProcess):
    """One that is left running for the next test, which adopts it."""

    async def end(self, *, gently: bool = True) -> None:
        """Not yet."""


@contextlib.asynccontextmanager
async def _rig(folder: Path, shared: JanusPlace | None = None) -> AsyncIterator[JanusRig]:
    only_here()
    rig, stop = JanusRig(folder, shared), Stop()
    if shared is not None:
        assert isinstance(rig.engine.media, JanusMedia)
        rig.engine.media.process = _Staying(shared)
    running = asyncio.create_task(rig.engine.media.run(stop))
    await settled(lambda: rig.engine.media.is_up, "Janus")
    try:
        yield rig
    finally:
        stop.set()
        await running


@pytest.fixture(scope="module")
def shared() -> Iterator[JanusPlace]:
    """One Janus for the contract, left behind by a process that is gone: each test's engine adopts it."""
    program = """
import asyncio, sys
from pathlib import Path
from podium_daemon.conference.engines.janus.process import JanusProcess
from podium_daemon.conference.engines.janus.settings import JanusPlace
asyncio.run(JanusProcess(JanusPlace(folder=Path(sys.argv[1]))).connect())
"""
    with TemporaryDirectory() as folder:
        place = JanusPlace(folder=Path(folder))
        subprocess.run([sys.executable, "-c", program, folder], check=True, env=_python_path(), capture_output=True)
        yield place
        asyncio.run(JanusProcess(place).end())


class TestJanusContract(EngineContract):
    """The Janus engine keeps the contract."""

    @pytest.fixture
    async def rig(self, tmp_path: Path, shared: JanusPlace) -> AsyncIterator[JanusRig]:
        """An engine of its own for each test."""
        async with _rig(tmp_path, shared) as rig:
            yield rig


async def test_the_engine_moves_media_records_and_survives_a_crash(tmp_path: Path) -> None:
    """Seats, page messages, mute-all, recording and kill -9, through the engine's own interface."""
    async with _rig(tmp_path) as rig, reading(rig.engine) as reader:
        engine, room = rig.engine, rig.spec.room
        await engine.open_room(rig.spec)
        people = [signing(new_person()) for _ in range(2)]
        teacher = people[0][0]
        seats = [(await engine.take_seat(room, person), certificate) for person, certificate in people]
        stage, bench = (JanusPage(SeatWay(seat), own) for seat, own in seats if not isinstance(seat, Rejection))
        await stage.publish("audio", "video")
        await bench.watch()
        assert await bench.sees(teacher.pubkey) == 160
        await reader.until(MediaUp)
        assert isinstance(await engine.mute_all(room), ControlDone)
        await bench.line(teacher.pubkey, "audio", on=False)
        await engine.start_recording(room, only={teacher.pubkey})
        await bench.sees(teacher.pubkey, more=8)
        await engine.stop_recording(room)
        await reader.until(RecordingChanged, lambda event: event.state is RecordingState.STOPPED)
        media = engine.media
        assert isinstance(media, JanusMedia)
        assert media.process.pid is not None
        os.kill(media.process.pid, signal.SIGKILL)
        await reader.until(EngineHealth, lambda event: not event.up)
        await reader.until(EngineHealth, lambda event: event.up and event != reader.kept[0])
        collected = await engine.collect_recording(room, tmp_path / "into")
        assert isinstance(collected, Collected)
        assert VIDEO in {track.kind for track in collected.tracks}
        await stage.publish("audio", "video")
        await bench.watch()
        await bench.sees(teacher.pubkey)
        assert (await bench.line(teacher.pubkey, "audio", on=False)) is not None  # still muted
        await stage.close()
        await bench.close()

"""Recording: packets on disk, WebM afterwards, nobody who did not consent."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import av
import pytest

from podium_daemon.conference.engines.embedded.recorder import PacketFile
from podium_daemon.conference.events import ConnectionId, RecordingState, RoomId, TrackKind
from podium_daemon.conference.page_media.messages import Record, Recorded, RemoveSeat, StopRecording
from podium_daemon.conference.page_media.muxing import mux_folder, read_head, read_pieces
from podium_daemon.conference.page_media.packet_files import RECORD, TrackHead
from podium_daemon.conference.page_media.recordings import collect, folder_of
from podium_daemon.conference.page_media.rtp import Packet, write_packet
from podium_daemon.runtime.child_process import python_environment
from podium_daemon.runtime.outcomes import Rejection
from tests.support.conference import new_pubkey
from tests.support.media import House, connection_of, house, settled
from tests.support.processes import children_of
from tests.support.soon import soon

ROOM = RoomId("r")


@pytest.fixture
async def here() -> AsyncIterator[House]:
    """Rooms on loopback."""
    async with house() as rooms:
        yield rooms


def _states(here: House) -> list[RecordingState]:
    return [one.state for one in here.reports if isinstance(one, Recorded)]


def _sizes(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for path in folder.glob("*.rtp")}


async def _grown(folder: Path, files: int, size: int) -> None:
    """Wait until so many tracks have so many bytes each."""

    def found() -> bool:
        sizes = [path.stat().st_size for path in folder.glob("*.rtp")]
        return len(sizes) >= files and min(sizes) >= size

    await settled(found, f"{files} tracks of {size} bytes")


def _head(kind: TrackKind) -> TrackHead:
    return TrackHead(room=ROOM, connection=ConnectionId("c"), pubkey=new_pubkey(), kind=kind, started_at=1.0)


def _write(path: Path, head: TrackHead, packets: list[Packet], *, cut: int = 0) -> None:
    data = json.dumps(
        {"room": head.room, "connection": head.connection, "pubkey": head.pubkey, "kind": head.kind, "startedAt": 1.0}
    ).encode()
    data += b"\n"
    for packet in packets:
        raw = write_packet(
            packet,
            payload_type=96,
            sequence=packet.sequence,
            timestamp=packet.timestamp,
            ssrc=packet.ssrc,
        )
        data += RECORD.pack(0.0, len(raw)) + raw
    path.write_bytes(data[: len(data) - cut])


def _sound(number: int, at: int, body: bytes = b"\xfc\xff\xfe") -> Packet:
    return Packet(False, 96, number & 0xFFFF, at & 0xFFFFFFFF, 1, False, body, None)


async def test_a_withdrawal_ends_that_persons_tracks_at_once(here: House, tmp_path: Path) -> None:
    """From the moment they withdraw not one more packet of theirs is kept; the others go on."""
    people = [new_pubkey(), new_pubkey()]
    pages = [await here.enter(one) for one in people]
    await here.rooms.handle(Record(ROOM, str(tmp_path), frozenset(people)))
    for page in pages:
        await page.publish("audio")
    await _grown(tmp_path, 2, 500)
    await here.rooms.handle(Record(ROOM, str(tmp_path), frozenset(people[:1])))
    await here.rooms.handle(RemoveSeat(connection_of(people[0])))
    await here.rooms.handle(StopRecording(ROOM))
    sizes = _sizes(tmp_path)
    await pages[0].watch()
    await here.rooms.handle(Record(ROOM, str(tmp_path), frozenset(people[:1])))
    await settled(lambda: _states(here).count(RecordingState.STARTED) == 2, "a second start")
    await here.rooms.handle(StopRecording(ROOM))
    assert _sizes(tmp_path) == sizes
    assert len(sizes) == 2


async def test_a_full_disk_ends_the_recording_and_nothing_else(here: House, tmp_path: Path) -> None:
    """It is told as failed, with the reason; people go on talking."""
    teacher = new_pubkey()
    stage, bench = await here.enter(teacher), await here.enter(new_pubkey())
    await here.rooms.handle(Record(ROOM, str(tmp_path / "gone"), frozenset({teacher})))
    await stage.publish("audio")
    await bench.watch()
    await settled(lambda: RecordingState.FAILED in _states(here), "the failure")
    assert "No such file" in next(one.detail for one in here.reports if isinstance(one, Recorded) and one.detail)
    assert await bench.hears(teacher) > 3000


def test_packets_find_their_order(tmp_path: Path) -> None:
    """What came late or twice is put where it belongs, over the wrap of numbers and of time."""
    numbers = [65533, 65535, 65534, 65534, 1, 0, 2]
    packets = [_sound(number, ((number + 3) & 0xFFFF) * 960 - 2000) for number in numbers]
    path = tmp_path / "a.rtp"
    _write(path, _head(TrackKind.AUDIO), packets)
    with path.open("rb") as file:
        assert read_head(file) is not None
        pieces = list(read_pieces(file, TrackKind.AUDIO))
    assert [piece.at for piece in pieces] == [960 * step for step in range(6)]


@pytest.mark.parametrize("cut", [1, 10, 25])
def test_a_file_that_breaks_off_is_good_up_to_there(tmp_path: Path, cut: int) -> None:
    """A crash in the middle of a write costs what was not whole."""
    path = tmp_path / "a.rtp"
    _write(path, _head(TrackKind.AUDIO), [_sound(number, 960 * number) for number in range(50)], cut=cut)
    (made,) = mux_folder(tmp_path, tmp_path)
    with av.open(str(tmp_path / made.name)) as container:
        assert 48 <= len(list(container.demux(container.streams[0]))) <= 50


@pytest.mark.parametrize("data", [b"", b"x" * 5000, b"{}\n", b'{"room":"r"}\n', b"\xff\n"])
def test_a_file_without_a_head_is_passed_over(tmp_path: Path, data: bytes) -> None:
    """A crash before the first flush leaves no file, or one in which there is nothing."""
    (tmp_path / "a.rtp").write_bytes(data)
    assert mux_folder(tmp_path, tmp_path) == []


def test_junk_in_a_picture_is_passed_over(tmp_path: Path) -> None:
    """A publisher's bytes are theirs: descriptors that break off, frames that are none, a giant key frame."""
    bodies = [b"", b"\x80", b"\x90\x80", b"\x10", b"\x10\x01", b"\x90\xff\xff\xff\xff\xff", b"\x00abc"]
    bodies.append(b"\x10" + b"\x00\x00\x00\x9d\x01\x2a\xff\xff\xff\xff" + bytes(20))
    packets = [Packet(True, 96, n, 9000 * n, 1, False, body, None) for n, body in enumerate(bodies)]
    _write(tmp_path / "v.rtp", _head(TrackKind.VIDEO), packets)
    assert mux_folder(tmp_path, tmp_path) == []


async def test_nothing_recorded_is_said_so(tmp_path: Path) -> None:
    """A room in which nobody consented has no recording, and that is a sentence."""
    answer = await collect(tmp_path, ROOM, tmp_path / "out")
    assert isinstance(answer, Rejection)
    assert answer.slug == "no-recording"


def _never_read_whole(recordings: Path) -> Path:
    """A room's folder with a track that opens and never comes: a pipe that nobody writes into."""
    folder = folder_of(recordings, ROOM)
    folder.mkdir(parents=True)
    os.mkfifo(folder / "a.rtp")
    return folder


async def test_a_collection_that_is_cancelled_leaves_no_process(tmp_path: Path) -> None:
    """The daemon stops meanwhile: the process is gone before the task is."""
    _never_read_whole(tmp_path)
    before = children_of(os.getpid())
    collecting = asyncio.create_task(collect(tmp_path, ROOM, tmp_path / "out"))
    await soon(lambda: len(children_of(os.getpid()) - before) == 1)
    collecting.cancel()
    await asyncio.wait([collecting])
    assert children_of(os.getpid()) == before


async def test_the_process_that_collects_ends_with_the_daemon(tmp_path: Path) -> None:
    """A daemon that is killed closes the pipe, and its next life does not find the old process at the same work."""
    folder = _never_read_whole(tmp_path)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "podium_daemon.conference.page_media.muxing", str(folder), str(tmp_path)),
        stdin=asyncio.subprocess.PIPE,
        env=python_environment(),
    )
    assert process.stdin is not None
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 60) == 1


def test_a_disk_that_takes_a_part_only_is_told(tmp_path: Path) -> None:
    """A write that ends early says so to nobody: the rest is written too, or the recording fails with the reason."""
    head = TrackHead(room=ROOM, connection=ConnectionId("c"), pubkey=new_pubkey(), kind=TrackKind.AUDIO, started_at=0.0)
    file = PacketFile(tmp_path / "one.rtp", head, 1, 0.0)
    file.append(b"x" * 1000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))  # the kernel's own short write: up to there, then none
    try:
        with pytest.raises(OSError, match="File too large"):
            file.append(b"y" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "one.rtp").stat().st_size == 3000

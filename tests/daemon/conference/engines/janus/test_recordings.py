"""Janus's .mjr files made into packet files, without a Janus."""

from __future__ import annotations

import json
from pathlib import Path
from struct import pack

import pytest

from podium_daemon.conference.engines.janus.recordings import convert, file_of
from podium_daemon.conference.events import ConnectionId, RoomId, TrackKind
from podium_daemon.conference.page_media.muxing import read_head
from podium_daemon.conference.page_media.packet_files import RECORD, TrackHead
from podium_protocol.events import Pubkey

PUBKEY, CONNECTION, ROOM = Pubkey("a" * 64), ConnectionId("b" * 32), RoomId("b0c4")
PACKETS = ((0, b"\x80\x6f" + b"x" * 20), (20, b"\x80\x6f" + b"y" * 30))


def _mjr(packets: tuple[tuple[int, bytes], ...] = PACKETS, head: object = None) -> bytes:
    about = json.dumps({"t": "a", "c": "opus", "s": 1, "u": 1_800_000_000_500_000} if head is None else head).encode()
    records = b"".join(pack("!4sIH", b"MEET", at, len(packet)) + packet for at, packet in packets)
    return b"MJR00002" + pack("!H", len(about)) + about + records


def _put(folder: Path, content: bytes, tail: str = "0a0b0c0d-audio-0.mjr") -> Path:
    path = folder / f"{file_of(folder, PUBKEY, CONNECTION).name}-{tail}"
    path.write_bytes(content)
    return path


def test_a_track_is_converted_with_whose_it_is(tmp_path: Path) -> None:
    """Key, connection and kind come from the name that the daemon made, the time from the file."""
    path = _put(tmp_path, _mjr())
    _put(tmp_path, _mjr(), "0a0b0c0d-video-2.mjr")
    assert convert(tmp_path, ROOM) == 2
    with path.with_suffix(".rtp").open("rb") as file:
        head = read_head(file)
        rest = file.read()
    assert head == TrackHead(
        room=ROOM, connection=CONNECTION, pubkey=PUBKEY, kind=TrackKind.AUDIO, started_at=1_800_000_000.5
    )
    assert rest == b"".join(RECORD.pack(at / 1000, len(packet)) + packet for at, packet in PACKETS)
    with path.with_name(path.name.replace("audio-0", "video-2")).with_suffix(".rtp").open("rb") as file:
        screen = read_head(file)
    assert screen is not None
    assert screen.kind is TrackKind.SCREEN


@pytest.mark.parametrize("cut", [1, 10, 25, 33])
def test_what_a_crash_cut_off_is_left_out(tmp_path: Path, cut: int) -> None:
    """Every whole record before the end is kept."""
    path = _put(tmp_path, _mjr()[:-cut])
    assert convert(tmp_path, ROOM) == 1
    with path.with_suffix(".rtp").open("rb") as file:
        read_head(file)
        assert len(file.read()) == RECORD.size + len(PACKETS[0][1])


@pytest.mark.parametrize(
    "content",
    [b"", b"MJR00001", b"MJR00002", b"MJR00002\x00\x05{", _mjr(head="x"), _mjr(head={"u": "soon"}), b"MEETECHO"],
)
def test_what_is_no_recording_is_passed_over(tmp_path: Path, content: bytes) -> None:
    """A file that was never begun, or is of another kind, ends nothing."""
    _put(tmp_path, content)
    assert convert(tmp_path, ROOM) == 0


def test_other_names_and_links_are_not_followed(tmp_path: Path) -> None:
    """Only plain files under a name of ours are read."""
    secret = tmp_path / "secret"
    secret.write_bytes(_mjr())
    for tail in ("0a0b0c0d-audio-9.mjr", "0a0b-audio-0.mjr", "0a0b0c0d-data-0.mjr"):
        _put(tmp_path, _mjr(), tail)
    link = tmp_path / f"{file_of(tmp_path, PUBKEY, CONNECTION).name}-0a0b0c0d-audio-0.mjr"
    link.symlink_to(secret)
    assert convert(tmp_path, ROOM) == 0
    assert list(tmp_path.glob("*.rtp")) == []

"""Janus's recordings: one .mjr file a track, made into the packet files (`page_media/packet_files.py`).

An .mjr file (Janus's documentation, "Recordings") is "MJR00002" with a JSON head, then records of "MEET", milliseconds
since its beginning, and an RTP packet, each behind a length. It is good up to its last whole record.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from struct import Struct as Layout
from typing import BinaryIO, Final

import msgspec

from podium_daemon.conference.events import ConnectionId, RoomId
from podium_daemon.conference.page_media.packet_files import RECORD, TrackHead
from podium_daemon.conference.page_media.switches import PUBLISHED
from podium_protocol.events import Pubkey

_NAME: Final = re.compile(r"janus-([0-9a-f]{64})-([0-9a-f]{32})-[0-9a-f]{8}-(?:audio|video)-([0-9])\.mjr")
_BEGINNING: Final = b"MJR00002"
_MARK: Final = b"MEET"
_LENGTH: Final = Layout("!H")
_RECORD: Final = Layout("!4sIH")


class _FileHead(msgspec.Struct):
    written: int = msgspec.field(name="u", default=0)  # microseconds: when the first packet came


def file_of(folder: Path, pubkey: Pubkey, connection: ConnectionId) -> Path:
    """The common start of the paths of one connection's files; Janus adds the kind and the number of the media line."""
    return folder / f"janus-{pubkey}-{connection}"


def convert(folder: Path, room: RoomId) -> int:
    """Make packet files of every .mjr of ours in a folder, once; returns how many. For a thread."""
    made = 0
    for path in sorted(folder.glob("janus-*.mjr")):
        found = _NAME.fullmatch(path.name)
        target = path.with_suffix(".rtp")
        if found is None or path.is_symlink() or int(found[3]) >= len(PUBLISHED):
            continue
        with path.open("rb") as source:
            head = _read_head(source)
            if head is None:
                continue
            about = TrackHead(
                room=room,
                connection=ConnectionId(found[2]),
                pubkey=Pubkey(found[1]),
                kind=PUBLISHED[int(found[3])],
                started_at=head.written / 1e6,
            )
            _write(target, about, _packets(source))
            made += 1
    return made


def _read_head(source: BinaryIO) -> _FileHead | None:
    if source.read(len(_BEGINNING)) != _BEGINNING or len(length := source.read(_LENGTH.size)) < _LENGTH.size:
        return None
    try:
        return msgspec.json.decode(source.read(*_LENGTH.unpack(length)), type=_FileHead)
    except msgspec.DecodeError:
        return None


def _packets(source: BinaryIO) -> Iterator[tuple[float, bytes]]:
    while len(head := source.read(_RECORD.size)) == _RECORD.size:
        mark, at, length = _RECORD.unpack(head)
        packet = source.read(length)
        if mark != _MARK or len(packet) < length:
            return  # cut off by a crash
        yield at / 1000, packet


def _write(target: Path, about: TrackHead, packets: Iterator[tuple[float, bytes]]) -> None:
    unfinished = target.with_suffix(".part")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123  (a descriptor, not a path)
        file.write(msgspec.json.encode(about) + b"\n")
        file.writelines(RECORD.pack(at, len(packet)) + packet for at, packet in packets)
    unfinished.replace(target)

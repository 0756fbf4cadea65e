"""Recording as it comes in: the RTP packets of each track, appended to a file of its own, undecoded.

What was not flushed yet is lost in a crash: half a second. `muxing` makes WebM of the files afterwards.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections import Counter
from pathlib import Path
from typing import Final

import msgspec

from podium_daemon.conference.events import ConnectionId, RoomId, TrackKind
from podium_daemon.conference.page_media.packet_files import RECORD, TrackHead
from podium_daemon.conference.page_media.rtp import Packet, write_packet
from podium_protocol.events import Pubkey

FLUSH_EVERY: Final = 0.5  # seconds, so that a crash loses less than one
KEY_FRAME_EVERY: Final = 10.0  # seconds: the steps in which one can move through the recording
_MAX_FILES: Final = 256  # of one line: a page that changes its stream without end does not fill the folder with files
_MAX_WAITING: Final = 64 * 1024 * 1024  # bytes: the disk has stood still for minutes


class PacketFile:
    """One track from its first packet to its last, or to another stream under the same line."""

    def __init__(self, path: Path, head: TrackHead, ssrc: int, now: float) -> None:
        self.ssrc = ssrc
        self.key_frame_at = now
        self._path = path
        self._began = now
        self._waiting = bytearray(msgspec.json.encode(head) + b"\n")

    def add(self, packet: Packet, now: float) -> None:
        """Add a packet; it is on disk after the next flush."""
        raw = write_packet(
            packet,
            payload_type=packet.payload_type,
            sequence=packet.sequence,
            timestamp=packet.timestamp,
            ssrc=packet.ssrc,
        )
        self._waiting += RECORD.pack(now - self._began, len(raw)) + raw

    def take_unwritten(self) -> bytes:
        """Take the bytes that are not on disk yet."""
        waiting, self._waiting = bytes(self._waiting), bytearray()
        return waiting

    def append(self, data: bytes) -> None:
        """Write it; called on a thread.

        Raises:
            OSError: the disk is full, or gone.
        """
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        # buffered, since a single unbuffered write may silently take only a part
        with open(descriptor, "ab") as file:  # noqa: PTH123  (a descriptor, not a path)
            file.write(data)

    @property
    def is_stuck(self) -> bool:
        """Whether the disk has not kept up for so long that memory is in danger."""
        return len(self._waiting) > _MAX_WAITING


class PacketRecorder:
    """The recording of one room."""

    def __init__(self, room: RoomId, folder: Path, only: frozenset[Pubkey]) -> None:
        """`folder` is there; `only` are those who have consented."""
        self.only = only
        self._room = room
        self._folder = folder
        self._files: dict[tuple[ConnectionId, TrackKind], PacketFile] = {}
        self._closed: list[PacketFile] = []
        self._opened: Counter[tuple[ConnectionId, TrackKind]] = Counter()
        self._writing = asyncio.Lock()

    def keep_only(self, only: frozenset[Pubkey], gone: set[ConnectionId]) -> None:
        """Record only these people from now on; `gone` are the connections of people who are no longer recorded."""
        self.only = only
        for key in [key for key in self._files if key[0] in gone]:
            self._closed.append(self._files.pop(key))

    def add(self, connection: ConnectionId, pubkey: Pubkey, kind: TrackKind, packet: Packet, now: float) -> bool:
        """A packet that was passed on. Whether a key frame is wanted, for a beginning or to move by."""
        if pubkey not in self.only:
            return False
        file = self._files.get((connection, kind))
        is_new = file is None or file.ssrc != packet.ssrc
        if file is None or is_new:
            if self._opened[connection, kind] >= _MAX_FILES:
                return False
            file = self._open(connection, pubkey, kind, packet.ssrc, now)
        file.add(packet, now)
        if kind is TrackKind.AUDIO or not (is_new or now - file.key_frame_at > KEY_FRAME_EVERY):
            return False
        file.key_frame_at = now
        return True

    async def flush(self) -> None:
        """Bring everything so far to disk.

        Raises:
            OSError: the disk is full, gone, or so slow that memory is in danger.
        """
        async with self._writing:
            over, self._closed = self._closed, []
            waiting = [(file, data) for file in (*over, *self._files.values()) if (data := file.take_unwritten())]
            if waiting:
                await asyncio.to_thread(_append_all, waiting)
        if any(file.is_stuck for file in self._files.values()):
            raise OSError("the disk is too slow")

    def _open(self, connection: ConnectionId, pubkey: Pubkey, kind: TrackKind, ssrc: int, now: float) -> PacketFile:
        self._opened[connection, kind] += 1
        if before := self._files.pop((connection, kind), None):
            self._closed.append(before)
        head = TrackHead(room=self._room, connection=connection, pubkey=pubkey, kind=kind, started_at=time.time())
        path = self._folder / f"{secrets.token_hex(16)}.rtp"
        self._files[connection, kind] = PacketFile(path, head, ssrc, now)
        return self._files[connection, kind]


def _append_all(waiting: list[tuple[PacketFile, bytes]]) -> None:
    for file, data in waiting:
        file.append(data)

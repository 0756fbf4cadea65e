"""The folders of recordings by the media process, and their collection by the daemon."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path

import msgspec
import structlog

from podium_daemon.conference.events import RoomId, TrackKind
from podium_daemon.conference.values import Collected, RecordedTrack
from podium_daemon.runtime.child_process import kill, python_environment
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_protocol.events import Pubkey

_log = structlog.get_logger(__name__)


class Muxed(msgspec.Struct, frozen=True, kw_only=True):
    """One file that `muxing` made, as it prints them in JSON; `started_at` in Unix seconds."""

    name: str
    kind: TrackKind
    pubkey: Pubkey
    started_at: float


def folder_of(recordings: Path, room: RoomId) -> Path:
    """The folder of a room's packets; its name is ours, whatever the room is called."""
    return recordings / "packets" / hashlib.sha256(room.encode()).hexdigest()[:32]


async def collect(recordings: Path, room: RoomId, into: Path) -> Collected | Rejection:
    """Make one WebM for each track in `into`, in a process of its own: an hour of video is seconds of work.

    The packets stay where they are, so that it can be done again; the daemon deletes them with the recording.
    """
    folder = folder_of(recordings, room)
    packets = await asyncio.to_thread(lambda: sorted(folder.glob("*.rtp")))
    if not packets:
        return Rejection(Slug.NO_RECORDING, f"nothing was recorded in the room {room!r}", "Start a recording first.")
    await asyncio.to_thread(into.mkdir, 0o700, parents=True, exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "podium_daemon.conference.page_media.muxing", str(folder), str(into)),
        stdin=asyncio.subprocess.PIPE,  # it ends when this is closed, as by a crash
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=python_environment(),
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        output, errors = await asyncio.gather(process.stdout.read(), process.stderr.read())
        await process.wait()
    finally:
        await kill(process)
    if process.returncode != 0:
        last = errors.decode("utf-8", "replace").strip().splitlines()[-1:]
        _log.error("a recording could not be read", action="media.collect_failed", room=room, why=last)
        return Rejection(Slug.RECORDING_UNREADABLE, "the recorded packets could not be read", "See the daemon's log.")
    return _collected(room, into, msgspec.json.decode(output, type=list[Muxed]))


def _collected(room: RoomId, into: Path, muxed: list[Muxed]) -> Collected:
    tracks = tuple(RecordedTrack(into / one.name, one.kind, one.pubkey, one.started_at) for one in muxed)
    return Collected(room, tracks)

"""The tracks of a recording on this machine: collected from the engine, listed, and made into a mixing job."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog

from podium_daemon.conference.engine import (
    Collected,
    ConferenceEngine,
    DiscardsRecordings,
    RecordedTrack,
    RoomId,
    TrackKind,
)
from podium_daemon.media.job import Layout, MixJob, TrackFile, length, pieces
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_protocol.events import pubkey_or_none
from podium_storage.table.models import LiveSessionRow, RecordingRow

_log = structlog.get_logger(__name__)
_LIST: Final = "tracks.json"
_OUTPUT: Final = "recording.webm"
_LEADERS: Final = 2  # ranks of one kind: the instructor's, then the co-hosts'


class _Track(msgspec.Struct, frozen=True):
    """A collected file, by its name in the folder of its list."""

    name: str
    kind: TrackKind
    pubkey: str | None
    started_at: float


_decode: Final = msgspec.json.Decoder(tuple[_Track, ...]).decode


class Tracks:
    """The tracks in a folder for each recording, with one subfolder for each collection."""

    def __init__(self, folder: Path, engine: ConferenceEngine) -> None:
        self._folder = folder
        self._engine = engine

    async def collect(self, row: RecordingRow, room: RoomId) -> Rejection | None:
        """Copy what the engine has recorded so far to this machine. A track that comes again counts once.

        Raises:
            EngineUnavailable: the engine does not answer.
        """
        try:
            into = await asyncio.to_thread(_fresh_folder, self._place(row))
        except OSError as error:
            return _disk(error)
        collected = await self._engine.collect_recording(room, into)
        if isinstance(collected, Rejection):
            await asyncio.to_thread(shutil.rmtree, into, ignore_errors=True)
            return collected
        try:
            await asyncio.to_thread(_write_list, into, collected)
        except OSError as error:
            return _disk(error)
        return None

    async def job(
        self, row: RecordingRow, session: LiveSessionRow, layout: Layout, max_bytes: int
    ) -> tuple[MixJob, tuple[str, ...]]:
        """The mixing job for all collected tracks, and notes on tracks that are left out.

        Raises:
            OSError: the tracks cannot be read.
        """
        found = await asyncio.to_thread(_read_lists, self._place(row))
        takes = [(start, end) for start, end in row.takes if end is not None]
        # an engine has been told whom to record; any other person in its files has not agreed
        agreed = [track for track in found if track.pubkey is None or track.pubkey in row.recorded]
        notes = tuple(f"{_label(track)}: left out, not agreed to" for track in found if track not in agreed)
        files = [_file(track, session, takes) for track in agreed]
        output = self._place(row) / _OUTPUT
        await asyncio.to_thread(output.unlink, missing_ok=True)
        wanted = tuple(file for file in files if file.pieces)
        job = MixJob(output=str(output), tracks=wanted, length=length(takes), max_bytes=max_bytes, layout=layout)
        return job, notes

    async def clear(self, row: RecordingRow) -> None:
        """Delete the tracks of a recording."""
        await asyncio.to_thread(shutil.rmtree, self._place(row), ignore_errors=True)

    async def discard(self, room: RoomId) -> None:
        """Have the engine delete its files of a room, if it keeps any."""
        if isinstance(self._engine, DiscardsRecordings):
            await self._engine.discard_recording(room)

    def _place(self, row: RecordingRow) -> Path:
        return self._folder / str(row.id)


def _fresh_folder(place: Path) -> Path:
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    number = 1 + max((int(each.name) for each in place.iterdir() if each.name.isdigit()), default=0)
    into = place / str(number)
    into.mkdir(mode=0o700)
    return into


def _write_list(into: Path, collected: Collected) -> None:
    """Write the list of files, complete or not at all: a crash in between leaves a folder that does not count."""
    tracks = [
        _Track(track.path.name, track.kind, track.pubkey, track.started_at)
        for track in collected.tracks
        # names are made by the daemon; a path that leads outside would have us publish another file
        if track.path.parent.resolve() == into.resolve() and not track.path.is_symlink()
    ]
    temporary = into / f".{_LIST}"
    with temporary.open("wb") as file:
        file.write(msgspec.json.encode(tracks))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(into / _LIST)


def _read_lists(place: Path) -> list[RecordedTrack]:
    """Read every track once: engines may give all their files at each collection."""
    found: dict[tuple[TrackKind, str | None, float], RecordedTrack] = {}
    lists = sorted(place.glob(f"*/{_LIST}"), key=lambda path: int(path.parent.name), reverse=True)
    for path in lists:
        for track in _read_list(path):
            # the newest copy is the longest: an earlier one may have been made during the recording
            found.setdefault((track.kind, track.pubkey, track.started_at), track)
    return sorted(found.values(), key=lambda track: track.started_at)


def _read_list(path: Path) -> list[RecordedTrack]:
    try:
        tracks = _decode(path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        _log.warning("a list of tracks is damaged", action="recording.tracks", path=str(path), error=str(error))
        return []
    return [
        RecordedTrack(path.parent / track.name, track.kind, pubkey_or_none(track.pubkey or ""), track.started_at)
        for track in tracks
    ]


def _file(track: RecordedTrack, session: LiveSessionRow, takes: Sequence[tuple[float, float]]) -> TrackFile:
    return TrackFile(
        path=str(track.path),
        is_video=track.kind is not TrackKind.AUDIO,
        pieces=tuple(pieces(track.started_at, takes)),
        label=_label(track),
        rank=_rank(track, session),
    )


def _rank(track: RecordedTrack, session: LiveSessionRow) -> int | None:
    """Screens before cameras, the instructor's first; a participant's camera is not the session's picture."""
    kinds = {TrackKind.SCREEN: 0, TrackKind.VIDEO: 1 + _LEADERS}
    if track.kind not in kinds:
        return None
    if track.pubkey is None or track.pubkey == session.instructor_pubkey:
        return kinds[track.kind]
    if track.pubkey in session.co_hosts:
        return kinds[track.kind] + 1
    return _LEADERS if track.kind is TrackKind.SCREEN else None


def _label(track: RecordedTrack) -> str:
    return f"{track.kind} of {track.pubkey[:8] if track.pubkey else 'everybody'}"


def _disk(error: OSError) -> Rejection:
    return Rejection(
        Slug.DISK, f"the tracks cannot be kept: {error.strerror}", "Make room, then `podium recording retry`."
    )

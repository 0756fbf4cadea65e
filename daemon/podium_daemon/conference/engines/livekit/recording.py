"""Recording through LiveKit's egress workers: one file for each track of those who consented, as it was sent."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

import msgspec
from livekit import api

from podium_daemon.conference.engine import Collected, RandomBytes, RecordedTrack, RoomId, TrackKind
from podium_daemon.conference.engines.livekit.identities import kind_of, room_name
from podium_daemon.conference.engines.livekit.server import LiveKitServer
from podium_protocol.events import Pubkey, pubkey_or_none

_NAME: Final = re.compile(r"(audio|video|screen)-([0-9a-f]{64})-TR_[A-Za-z0-9_]{1,40}-[0-9a-f]{8}\.(ogg|webm|mp4)")
_ENDED: Final = frozenset(
    {
        api.EgressStatus.EGRESS_COMPLETE,
        api.EgressStatus.EGRESS_FAILED,
        api.EgressStatus.EGRESS_ABORTED,
        api.EgressStatus.EGRESS_LIMIT_REACHED,
    }
)


class _RunningEgress(msgspec.Struct):
    only: frozenset[Pubkey]
    egresses: dict[str, str] = msgspec.field(default_factory=dict)  # track -> egress
    stopping: bool = False


class EgressRecorder:
    """The recordings of one server's rooms. Files get names of ours, and only those are collected."""

    def __init__(self, server: LiveKitServer, folder: Path, random_bytes: RandomBytes) -> None:
        self._server = server
        self._random_bytes = random_bytes
        self._folder = folder
        self._rooms: dict[RoomId, _RunningEgress] = {}

    def is_recording(self, room: RoomId) -> bool:
        """Whether tracks of a room are being recorded."""
        running = self._rooms.get(room)
        return running is not None and not running.stopping

    async def start(self, room: RoomId, only: Collection[Pubkey], there: Iterable[api.ParticipantInfo]) -> None:
        """Record the tracks of those in `only`, and those they will publish."""
        running = self._rooms.get(room)
        if running is None or running.stopping:
            running = self._rooms[room] = _RunningEgress(frozenset(only))
        running.only = frozenset(only)
        for participant in there:
            for track in participant.tracks:
                await self.published(room, participant, track)

    async def published(self, room: RoomId, participant: api.ParticipantInfo, track: api.TrackInfo) -> None:
        """Note a new track: it is recorded if the room is, the person agreed, and it is not recorded yet."""
        running, kind = self._rooms.get(room), kind_of(track)
        pubkey = pubkey_or_none(participant.identity.partition("#")[0])
        if running is None or running.stopping or kind is None or pubkey not in running.only:
            return
        # a track that is recorded a second time gets a second file
        file = f"{kind.value}-{pubkey}-{track.sid}-{self._random_bytes(4).hex()}"
        if track.sid in running.egresses or not _NAME.fullmatch(f"{file}.ogg"):
            return
        running.egresses[track.sid] = ""  # first, so that a list and a webhook at once record it once
        path = str(self._folder / room_name(room) / file)  # the worker adds what the codec needs
        try:
            egress = await self._server.record_track(room_name(room), track.sid, path)
        except BaseException:
            del running.egresses[track.sid]
            raise
        if egress is not None:
            running.egresses[track.sid] = egress

    async def stop(self, room: RoomId) -> bool:
        """Stop; False if nothing was being recorded."""
        running = self._rooms.get(room)
        if running is None or running.stopping:
            return False
        for egress in filter(None, running.egresses.values()):
            await self._server.stop_egress(egress)
        running.stopping = True
        return True

    async def finished(self) -> list[tuple[RoomId, bool]]:
        """Rooms whose stopped recordings are written since the last call, and whether all went well."""
        done = []
        for room, running in list(self._rooms.items()):
            if running.stopping:
                mine = set(running.egresses.values())
                infos = [info for info in await self._server.egresses(room_name(room)) if info.egress_id in mine]
                if all(info.status in _ENDED for info in infos):
                    del self._rooms[room]
                    done.append((room, all(info.status == api.EgressStatus.EGRESS_COMPLETE for info in infos)))
        return done

    async def collect(self, room: RoomId, into: Path) -> Collected:
        """Copy the finished files of a room into a folder, under their own names."""
        tracks = []
        for info in await self._server.egresses(room_name(room)):
            for result in info.file_results:
                # the server's path is not believed, only its last part, and only if it is a name of ours
                found = _NAME.fullmatch(result.filename.rpartition("/")[2])
                if found is not None and info.status == api.EgressStatus.EGRESS_COMPLETE:
                    kind, pubkey = TrackKind(found.group(1)), pubkey_or_none(found.group(2))
                    source = self._folder / room_name(room) / found.group()
                    copied = await asyncio.to_thread(_copy, source, into / found.group())
                    if copied:
                        tracks.append(RecordedTrack(into / found.group(), kind, pubkey, result.started_at / 1e9))
        return Collected(room, tuple(sorted(tracks, key=lambda track: (track.started_at, track.path.name))))


def _copy(source: Path, target: Path) -> bool:
    """Copy a plain file; False if there is none: a link could lead anywhere on this machine."""
    if source.is_symlink() or not source.is_file():
        return False
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    shutil.copyfile(source, target, follow_symlinks=False)
    return True

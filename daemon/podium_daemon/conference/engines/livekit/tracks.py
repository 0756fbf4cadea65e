"""The tracks of LiveKit's participants as events, with what no webhook reports: that a track was muted or unmuted."""

from __future__ import annotations

from collections.abc import Iterable

from livekit import api

from podium_daemon.conference.engine import (
    Origin,
    RecordingChanged,
    RecordingState,
    RoomId,
    TrackChange,
    TrackChanged,
)
from podium_daemon.conference.engines.livekit.identities import kind_of
from podium_daemon.conference.roster import Roster


class TrackBook:
    """The tracks that are known to be there, by participant; whether each is muted."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._tracks: dict[RoomId, dict[str, dict[str, api.TrackInfo]]] = {}
        self._changes = 0

    def published(self, room: RoomId, key: str, track: api.TrackInfo, at: int) -> None:
        """Note a new track."""
        known = self._tracks.setdefault(room, {}).setdefault(key, {})
        if track.sid not in known and self._roster.connection(room, key) is not None:
            known[track.sid] = track
            self._tell(room, key, track, TrackChange.PUBLISHED, at)

    def unpublished(self, room: RoomId, key: str, track: api.TrackInfo, at: int) -> None:
        """Note the end of a track."""
        known = self._tracks.get(room, {}).get(key, {}).pop(track.sid, None)
        if known is not None:
            self._tell(room, key, known, TrackChange.UNPUBLISHED, at)

    def compare(self, room: RoomId, key: str, tracks: Iterable[api.TrackInfo]) -> None:
        """Compare with the server's own list of a person's tracks."""
        now, there = self._roster.now(), {track.sid: track for track in tracks}
        known = self._tracks.setdefault(room, {}).setdefault(key, {})
        for track in list(known.values()):
            if track.sid not in there:
                self.unpublished(room, key, track, now)
        for track in there.values():
            self.published(room, key, track, now)
            if track.sid not in known:
                continue
            if known[track.sid].muted != track.muted:
                change = TrackChange.MUTED if track.muted else TrackChange.UNMUTED
                self._tell(room, key, track, change, now, origin=Origin.SNAPSHOT)
            known[track.sid] = track

    def forget(self, room: RoomId) -> None:
        """Drop the tracks of a closed room."""
        self._tracks.pop(room, None)

    def say_recording(self, room: RoomId, state: RecordingState) -> None:
        """Report a change of the recorder."""
        self._changes += 1
        name = f"{self._roster.run}/recording/{self._changes}"
        self._roster.journal.append(RecordingChanged(id=name, at=self._roster.now(), room=room, state=state))

    def _tell(
        self,
        room: RoomId,
        key: str,
        track: api.TrackInfo,
        change: TrackChange,
        at: int,
        *,
        origin: Origin = Origin.PUSH,
    ) -> None:
        connection, kind = self._roster.connection(room, key), kind_of(track)
        if connection is None or kind is None:
            return
        self._changes += 1
        if change is TrackChange.PUBLISHED:
            self._roster.media_up(room, key, at, origin=origin)
        name = f"{connection.id}/track/{self._changes}"
        self._roster.journal.append(
            TrackChanged(id=name, at=at, origin=origin, connection=connection, kind=kind, change=change)
        )

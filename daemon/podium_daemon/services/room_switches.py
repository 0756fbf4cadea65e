"""The switches of a room as whoever leads sees them: mute-all, which the room controls own, and the recorder's."""

from __future__ import annotations

from typing import Protocol

from podium_daemon.conference.base import Support, TrackKind
from podium_daemon.runtime.outcomes import Refused
from podium_daemon.services.room_controls import Control
from podium_protocol.events import Pubkey
from podium_storage.table.models import LiveSessionRow


class Muting(Protocol):
    """Muting of one and of all."""

    def speakers(self, row: LiveSessionRow) -> tuple[Pubkey, ...]: ...
    async def mute(self, row: LiveSessionRow, pubkey: Pubkey, kind: TrackKind, by: Pubkey) -> Refused | None: ...
    async def let_speak(self, row: LiveSessionRow, pubkey: Pubkey, by: Pubkey, *, wanted: bool) -> Refused | None: ...
    def mute_control(self, row: LiveSessionRow) -> Control: ...
    async def mute_all(self, row: LiveSessionRow, by: Pubkey, *, wanted: bool) -> Refused | None: ...


class Recording(Protocol):
    """The recorder."""

    @property
    def support(self) -> Support: ...
    def is_recording(self, lesson_id: str) -> bool: ...
    async def record(self, row: LiveSessionRow, by: Pubkey, *, wanted: bool) -> Refused | None: ...


class RoomSwitches:
    """Both, behind one port."""

    def __init__(self, muting: Muting, recording: Recording) -> None:
        self._muting = muting
        self._recording = recording

    def mute_control(self, row: LiveSessionRow) -> Control:
        """Mute-all in a session's room."""
        return self._muting.mute_control(row)

    def record_control(self, row: LiveSessionRow) -> Control:
        """Recording of a session's room."""
        return Control(self._recording.support, self._recording.is_recording(row.lesson_id))

    async def mute_all(self, row: LiveSessionRow, by: Pubkey, *, wanted: bool) -> Refused | None:
        """Silence everybody but those who lead, or let that be."""
        return await self._muting.mute_all(row, by, wanted=wanted)

    def speakers(self, row: LiveSessionRow) -> tuple[Pubkey, ...]:
        """Who may speak though everybody is muted."""
        return self._muting.speakers(row)

    async def mute(self, row: LiveSessionRow, pubkey: Pubkey, kind: str, by: Pubkey) -> Refused | None:
        """Silence one person's microphone, camera or screen."""
        return await self._muting.mute(row, pubkey, TrackKind(kind), by)

    async def let_speak(self, row: LiveSessionRow, pubkey: Pubkey, by: Pubkey, *, wanted: bool) -> Refused | None:
        """Except one person from mute-all, or no longer."""
        return await self._muting.let_speak(row, pubkey, by, wanted=wanted)

    async def record(self, row: LiveSessionRow, by: Pubkey, *, wanted: bool) -> Refused | None:
        """Record from now on, or stop."""
        return await self._recording.record(row, by, wanted=wanted)

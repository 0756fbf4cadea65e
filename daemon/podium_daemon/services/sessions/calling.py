"""The ports of the model's calling service on the store and the running services, one pair for each signed call.

The caller's key is part of the port, so that the lifecycle checks the same key however a command came in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from podium_daemon.conference.engine import RoomId, RoomSpec
from podium_daemon.conference.service import ConferenceRecord, TrainingConferenceConfig
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_protocol.events import Pubkey
from podium_protocol.live.lifecycle import SessionState
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow

_COMPARED = ("name", "max_participants", "waiting_room", "allow_recording", "e2ee_required", "instructor_pubkey")


class Commands(Protocol):
    """The lifecycle's commands."""

    async def start(self, session_address: str, by: Pubkey) -> LiveSessionRow | Rejection:
        """Start the session as `by`."""
        ...

    async def end(self, session_address: str, by: Pubkey) -> LiveSessionRow | Rejection:
        """End the session as `by`."""
        ...


class ByHand(Protocol):
    """Records attendance by hand."""

    async def track(
        self, session_address: str, pubkey: Pubkey, joined_at: int, left_at: int | None, note: str | None = None
    ) -> Rejection | None:
        """Record one interval."""
        ...


class CallersSessions:
    """The `SessionsPort` of one caller."""

    def __init__(
        self,
        by: Pubkey,
        *,
        store: Store,
        lifecycle: Commands,
        page_of: Callable[[LiveSessionRow], str],
        room_of: Callable[[LiveSessionRow], RoomSpec],
    ) -> None:
        self._by = by
        self._store = store
        self._lifecycle = lifecycle
        self._page_of = page_of
        self._room_of = room_of

    async def conference_of(self, session_address: str) -> ConferenceRecord | None:
        """Return the conference from the session's row: every adopted session has its room."""
        row = await self._row(session_address)
        if row is None or row.conference_room_id is None:
            return None
        return ConferenceRecord(
            session_address=session_address,
            join_url=self._page_of(row),
            is_active=row.state == SessionState.ACTIVE,
            conference_room_id=RoomId(row.conference_room_id),
            config=config_of(row),
            meeting_url=self._room_of(row).meeting_url,
            recording_url=row.recording_url,
        )

    async def set_conference(
        self,
        session_address: str,
        room: RoomId,
        config: TrainingConferenceConfig,
    ) -> Rejection | None:
        """Accept the configuration that the instructor signed; a different one needs a new signature."""
        row = await self._row(session_address)
        if row is None or row.conference_room_id != room:
            return Rejection(
                Slug.UNKNOWN_SESSION, "there is no session with this room", "`podium session list` shows them."
            )
        signed = config_of(row)
        differing = [name for name in _COMPARED if getattr(config, name) != getattr(signed, name)]
        if not differing:
            return None
        detail = f"the signed session says otherwise: {', '.join(differing)}"
        return Rejection(
            Slug.OTHER_CONFIGURATION, detail, "Edit the session first: its event is what everybody relies on."
        )

    async def start(self, session_address: str) -> Rejection | None:
        """Start as the caller; the state change sends the start messages."""
        moved = await self._lifecycle.start(session_address, self._by)
        return moved if isinstance(moved, Rejection) else None

    async def end(self, session_address: str) -> Rejection | None:
        """End as the caller."""
        moved = await self._lifecycle.end(session_address, self._by)
        return moved if isinstance(moved, Rejection) else None

    async def _row(self, session_address: str) -> LiveSessionRow | None:
        return await self._store.sessions.where("lessonId").equals(session_address).first()


class NotedAttendance:
    """The `AttendancePort` of one caller, with the reason they gave."""

    def __init__(self, attendance: ByHand, *, note: str | None, clock: Clock) -> None:
        self._attendance = attendance
        self._note = note
        self._clock = clock

    async def track(
        self, session_address: str, pubkey: Pubkey, joined_at: int, left_at: int | None
    ) -> Rejection | None:
        """Record the interval; one that ends in the future is refused."""
        if max(joined_at, left_at or 0) > self._clock.now():
            return Rejection(
                Slug.BAD_INTERVAL, "the interval lies in the future", "Give Unix seconds that have passed."
            )
        return await self._attendance.track(session_address, pubkey, joined_at, left_at, self._note)


def config_of(row: LiveSessionRow) -> TrainingConferenceConfig:
    """The conference as the instructor signed it."""
    return TrainingConferenceConfig(
        name=row.title,
        max_participants=row.max_participants,
        waiting_room=row.waiting_room,
        allow_recording=row.allow_recording,
        e2ee_required=row.e2ee_required,
        instructor_pubkey=Pubkey(row.instructor_pubkey),
    )

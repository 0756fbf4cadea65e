"""The model's `TrainingCallingIntegration`, in Python's spelling, on top of an engine and two ports.

It keeps no state: the sessions port owns the lifecycle (verification of the instructor, join links, the recording's
URL), the attendance port owns intervals and credit, the engine owns the room. `app` joins them.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from podium_daemon.conference.engine import (
    ConferenceEngine,
    RandomBytes,
    RoomOpen,
    RoomSpec,
    Support,
)
from podium_daemon.conference.events import RoomId
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_protocol.events import Pubkey, pubkey_or_none
from podium_protocol.live import fields


class TrainingConferenceConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The model's "Conference Configuration"."""

    name: str
    waiting_room: bool
    allow_recording: bool
    e2ee_required: bool
    instructor_pubkey: Pubkey
    max_participants: int | None = None


class LiveSessionRoom(msgspec.Struct, frozen=True, rename="camel"):
    """The result of `create_live_session`. `join_url` is our page: the meeting behind it is shown after admission."""

    conference_room_id: RoomId
    join_url: str


class ConferenceDetails(msgspec.Struct, frozen=True, rename="camel"):
    """The result of `get_conference_details`. `participant_count` counts people, not devices."""

    conference_room_id: RoomId | None
    is_active: bool
    participant_count: int


class AddressedSession(Protocol):
    """A scheduled live session, known by its address."""

    @property
    def session_address(self) -> str: ...


class ConferenceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A session's conference, as the sessions port stores it. `meeting_url`: its own, for engines that need one."""

    session_address: str
    join_url: str
    is_active: bool = False
    conference_room_id: RoomId | None = None
    config: TrainingConferenceConfig | None = None  # set together with the room's id
    meeting_url: str | None = None
    recording_url: str | None = None


class SessionsPort(Protocol):
    """The methods of the lifecycle of sessions that this service needs."""

    async def conference_of(self, session_address: str) -> ConferenceRecord | None:
        """The session's conference, or None for an unknown session."""
        ...

    async def set_conference(
        self, session_address: str, room: RoomId, config: TrainingConferenceConfig
    ) -> Rejection | None:
        """Store the room's id and configuration; return why not if the configuration is not the session's."""
        ...

    async def start(self, session_address: str) -> Rejection | None:
        """Make the session Active and send the join links; return why not (unverified instructor, ended)."""
        ...

    async def end(self, session_address: str) -> Rejection | None:
        """Make the session Ended; return why not."""
        ...


class AttendancePort(Protocol):
    """The method of the attendance service that this service needs."""

    async def track(
        self, session_address: str, pubkey: Pubkey, joined_at: int, left_at: int | None
    ) -> Rejection | None:
        """Record one interval in Unix seconds; open while `left_at` is None. The same interval twice counts once."""
        ...


class TrainingCallingIntegration:
    """See the model, "Calling Module Integration"."""

    def __init__(
        self, *, engine: ConferenceEngine, sessions: SessionsPort, attendance: AttendancePort, random_bytes: RandomBytes
    ) -> None:
        self._engine = engine
        self._sessions = sessions
        self._attendance = attendance
        self._random_bytes = random_bytes

    async def create_live_session(
        self, lesson: AddressedSession, config: TrainingConferenceConfig
    ) -> LiveSessionRoom | Rejection:
        """Give a session its room and its join page; a second call keeps the room. The engine opens it at the start.

        A requirement that the engine cannot meet is refused here, while there is time to choose otherwise.

        Raises:
            InvalidInput: the engine lacks a setting; says which.
        """
        record = await self._sessions.conference_of(lesson.session_address)
        if record is None:
            return _unknown(lesson.session_address)
        room = record.conference_room_id or RoomId(self._random_bytes(16).hex())
        if objection := self._engine.check_spec(_spec(room, config, record.meeting_url)):
            return objection
        if refusal := await self._sessions.set_conference(lesson.session_address, room, config):
            return refusal
        return LiveSessionRoom(room, record.join_url)

    async def start_live_session(self, lesson_id: str) -> Rejection | None:
        """Open the room, start the session, send the join links. If the start is refused, the room is closed again.

        Raises:
            InvalidInput: the engine lacks a setting; says which.
        """
        record = await self._sessions.conference_of(lesson_id)
        if record is None:
            return _unknown(lesson_id)
        if record.conference_room_id is None or record.config is None:
            return Rejection(Slug.NO_CONFERENCE, "this session has no conference room", "Create it first.")
        # the room first: a join link must not arrive before its room is open
        opened = await self._engine.open_room(_spec(record.conference_room_id, record.config, record.meeting_url))
        if not isinstance(opened, RoomOpen):
            return opened
        refusal = await self._sessions.start(lesson_id)
        if refusal is not None and opened.created:
            await self._engine.close_room(opened.room)
        return refusal

    async def end_live_session(self, lesson_id: str) -> str | Rejection | None:
        """End the session and close its room; return the recording's URL, or None if there is none (yet)."""
        record = await self._sessions.conference_of(lesson_id)
        if record is None:
            return _unknown(lesson_id)
        refusal = await self._sessions.end(lesson_id)
        if refusal is not None:
            return refusal
        if record.conference_room_id is not None:
            await self._close(record.conference_room_id)
        ended = await self._sessions.conference_of(lesson_id)  # the end may have attached a recording
        return ended.recording_url if ended is not None else None

    async def track_live_attendance(
        self, lesson_id: str, pubkey: str, joined_at: int, left_at: int | None = None
    ) -> Rejection | None:
        """Record that a person was there from `joined_at` to `left_at` (Unix seconds); None: they still are."""
        person = pubkey_or_none(pubkey)
        if person is None:
            return Rejection(Slug.BAD_PUBKEY, "this is no public key in hex", "Give 64 lowercase hex digits.")
        times = (joined_at,) if left_at is None else (joined_at, left_at)
        if not all(0 <= time <= fields.MAX_TIME for time in times) or joined_at > times[-1]:
            return Rejection(Slug.BAD_INTERVAL, "the interval ends before it begins", "Give Unix seconds, join first.")
        return await self._attendance.track(lesson_id, person, joined_at, left_at)

    async def get_conference_details(self, lesson_id: str) -> ConferenceDetails:
        """The room, whether the session is Active, and how many people are in it now."""
        record = await self._sessions.conference_of(lesson_id)
        if record is None or record.conference_room_id is None:
            return ConferenceDetails(None, is_active=False, participant_count=0)
        snapshot = await self._engine.snapshot(record.conference_room_id)
        people = () if isinstance(snapshot, Rejection) else {present.connection.pubkey for present in snapshot.present}
        return ConferenceDetails(record.conference_room_id, record.is_active, len(people))

    async def _close(self, room: RoomId) -> None:
        if self._engine.capabilities.record is Support.NATIVE:
            await self._engine.stop_recording(room)
        await self._engine.close_room(room)


def _spec(room: RoomId, config: TrainingConferenceConfig, meeting_url: str | None) -> RoomSpec:
    return RoomSpec(
        room=room,
        title=config.name,
        # a recorder on the server would hold the key (semantics.md, E2EE)
        allow_recording=config.allow_recording and not config.e2ee_required,
        e2ee=config.e2ee_required,
        meeting_url=meeting_url,
    )


def _unknown(session_address: str) -> Rejection:
    return Rejection(Slug.NO_SESSION, f"there is no session {session_address[:300]!r}", "See `podium session list`.")

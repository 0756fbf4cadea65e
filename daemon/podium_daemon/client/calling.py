"""The model's `TrainingCallingIntegration` over HTTP, for instructor and co-hosts."""

from __future__ import annotations

from podium_daemon.api.attendance import ManualAttendanceOut
from podium_daemon.api.recordings import RecordingOut
from podium_daemon.api.rooms import ConferenceConfigIn, ConferenceDetailsOut, ConferenceRoomOut
from podium_daemon.api.sessions import SessionOut
from podium_daemon.client.transport import Transport, session_path
from podium_protocol.events import Pubkey


class TrainingConferenceConfig(ConferenceConfigIn):
    """The model's "Conference Configuration", as it goes over HTTP; `conference.service` has it under the same name.

    The daemon accepts only the one that the instructor signed.
    """

    @classmethod
    def of(cls, session: SessionOut) -> TrainingConferenceConfig:
        """The configuration of the session."""
        return cls(
            name=session.title,
            waiting_room=session.waiting_room,
            allow_recording=session.allow_recording,
            e2ee_required=session.e2ee_required,
            instructor_pubkey=session.instructor_pubkey,
            max_participants=session.max_participants,
        )


class TrainingCalling:
    """`podium.calling`: the model's names. Every call raises as `PodiumClient`'s do."""

    def __init__(self, transport: Transport) -> None:
        """Call through this transport."""
        self._transport = transport

    async def create_live_session(self, lesson: SessionOut, config: TrainingConferenceConfig) -> ConferenceRoomOut:
        """Return the session's room and join page; a second call returns the same."""
        return await self._transport.post(session_path(lesson.lesson_id, "conference"), ConferenceRoomOut, config)

    async def start_live_session(self, lesson_id: str) -> None:
        """Open the room, start the session, send the join links."""
        await self._transport.post(session_path(lesson_id, "conference", "start"), ConferenceDetailsOut)

    async def end_live_session(self, lesson_id: str) -> str | None:
        """End the session; return the recording's address, or None while there is none."""
        return (await self._transport.post(session_path(lesson_id, "conference", "end"), RecordingOut)).recording_url

    async def track_live_attendance(
        self, lesson_id: str, pubkey: Pubkey, joined_at: int, left_at: int | None = None, *, note: str = ""
    ) -> None:
        """Vouch for a person's time (Unix seconds); the same interval twice counts once."""
        body = {"pubkey": pubkey, "joinedAt": joined_at, "leftAt": left_at, "note": note}
        await self._transport.post(session_path(lesson_id, "attendance", "manual"), ManualAttendanceOut, body)

    async def get_conference_details(self, lesson_id: str) -> ConferenceDetailsOut:
        """The room, whether the session is live, how many people are in it."""
        return await self._transport.get(session_path(lesson_id, "conference"), ConferenceDetailsOut)

"""What instructor and co-hosts do over HTTP: the room, personal links, the model's calling service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from podium_daemon.api.attendance import ManualAttendanceOut
from podium_daemon.api.guests import GuestOut, GuestsOut
from podium_daemon.api.recordings import RecordingOut
from podium_daemon.api.rooms import ConferenceConfigIn, ConferenceDetailsOut, ConferenceRoomOut, RoomOut
from podium_daemon.api.sessions import SessionOut
from podium_daemon.client.transport import Transport, session_path
from podium_protocol.events import Pubkey


class RoomLeading:
    """`podium.leading`: commands on a room and the people in it. Every call raises as `PodiumClient`'s do."""

    def __init__(self, transport: Transport) -> None:
        """Call through this transport."""
        self._transport = transport

    async def lower_hands(self, reference: str, pubkeys: tuple[Pubkey, ...] | None = None) -> RoomOut:
        """Lower these people's hands, or all (None)."""
        body = {"everybody": True} if pubkeys is None else {"pubkeys": pubkeys}
        return await self._transport.post(session_path(reference, "room", "hands", "lower"), RoomOut, body)

    async def mute_all(self, reference: str, *, on: bool) -> RoomOut:
        """Switch mute-all on or off: it mutes all but instructor and co-hosts, also later."""
        return await self._transport.post(session_path(reference, "room", "mute-all"), RoomOut, {"on": on})

    async def lock(self, reference: str, *, on: bool) -> RoomOut:
        """Lock the room, so that people wait outside whatever their answer, or open it; who is in it stays."""
        return await self._transport.post(session_path(reference, "room", "lock"), RoomOut, {"on": on})

    async def mute(
        self, reference: str, pubkey: Pubkey, kind: Literal["audio", "video", "screen"] = "audio"
    ) -> RoomOut:
        """Switch off one person's microphone, camera or screen; they may switch it on again."""
        return await self._transport.post(
            session_path(reference, "room", "mute"), RoomOut, {"pubkey": pubkey, "kind": kind}
        )

    async def let_speak(self, reference: str, pubkey: Pubkey, *, on: bool = True) -> RoomOut:
        """Exempt one person from mute-all, or no longer. They are told, and switch their microphone on themselves."""
        return await self._transport.post(
            session_path(reference, "room", "speak"), RoomOut, {"pubkey": pubkey, "on": on}
        )

    async def spotlight(self, reference: str, pubkey: Pubkey | None) -> RoomOut:
        """Show one person large to all, or no person (None)."""
        return await self._transport.post(session_path(reference, "room", "spotlight"), RoomOut, {"pubkey": pubkey})

    async def record(self, reference: str, *, on: bool) -> RoomOut:
        """Record from now on, once all people in the room have agreed; or stop."""
        return await self._transport.post(session_path(reference, "room", "recording"), RoomOut, {"on": on})


class SessionGuests:
    """`podium.guests`. Every call raises as `PodiumClient`'s do."""

    def __init__(self, transport: Transport) -> None:
        """Call through this transport."""
        self._transport = transport

    async def list(self, reference: str) -> GuestsOut:
        """The guests of a session, without their links."""
        return await self._transport.get(session_path(reference, "guests"), GuestsOut)

    async def invite(self, reference: str, names: Sequence[str]) -> GuestsOut:
        """Make a personal link for each name; the answer has the links, which are told once."""
        return await self._transport.post(session_path(reference, "guests"), GuestsOut, {"names": list(names)})

    async def change(self, reference: str, pubkey: str, what: Literal["renew", "revoke"]) -> GuestOut:
        """Make a new link for a guest who moved to another device, or take a guest's link back."""
        return await self._transport.post(session_path(reference, "guests", pubkey, what), GuestOut)


class TrainingCalling:
    """`podium.calling`: the model's names. Every call raises as `PodiumClient`'s do."""

    def __init__(self, transport: Transport) -> None:
        """Call through this transport."""
        self._transport = transport

    async def create_live_session(self, lesson: SessionOut, config: ConferenceConfigIn) -> ConferenceRoomOut:
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


def conference_config_of(session: SessionOut) -> ConferenceConfigIn:
    """The session's configuration, the model's `TrainingConferenceConfig`: the daemon accepts only this one."""
    return ConferenceConfigIn(
        name=session.title,
        waiting_room=session.waiting_room,
        allow_recording=session.allow_recording,
        e2ee_required=session.e2ee_required,
        instructor_pubkey=session.instructor_pubkey,
        max_participants=session.max_participants,
    )

"""The model's calling service over HTTP, for instructor and co-hosts: room, start, end, attendance by hand."""

from __future__ import annotations

from fastapi import APIRouter

from podium_daemon.api.attendance import ManualAttendanceIn, ManualAttendanceOut
from podium_daemon.api.recordings import RecordingOut
from podium_daemon.api.rooms import ConferenceConfigIn, ConferenceDetailsOut, ConferenceRoomOut
from podium_daemon.conference.service import TrainingConferenceConfig
from podium_daemon.web.context import Context, InContext, forbidden, granted
from podium_daemon.web.login import Caller, KeyCaller
from podium_daemon.web.strict_json import StrictRoute
from podium_daemon.web.views import leads
from podium_protocol.events import Pubkey
from podium_storage.table.models import LiveSessionRow

router = APIRouter(prefix="/api/sessions/{reference}", tags=["conference"], route_class=StrictRoute)


@router.get("/conference")
async def get_conference_details(context: InContext, caller: KeyCaller, reference: str) -> ConferenceDetailsOut:
    """The model's `getConferenceDetails`: the room, whether the session is live, and how many people are in it."""
    row = await _led(context, reference, caller)
    return await _details(context, row, caller)


@router.post("/conference")
async def create_live_session(
    context: InContext, caller: KeyCaller, reference: str, wish: ConferenceConfigIn
) -> ConferenceRoomOut:
    """The model's `createLiveSession`: the room of the session. The configuration has to be the signed one."""
    row = await _led(context, reference, caller)
    config = TrainingConferenceConfig(
        name=wish.name,
        max_participants=wish.max_participants,
        waiting_room=wish.waiting_room,
        allow_recording=wish.allow_recording,
        e2ee_required=wish.e2ee_required,
        instructor_pubkey=Pubkey(wish.instructor_pubkey),
    )
    room = granted(await context.calling(caller.pubkey).create_live_session(row, config))
    return ConferenceRoomOut(conference_room_id=room.conference_room_id, join_url=room.join_url)


@router.post("/conference/start")
async def start_live_session(context: InContext, caller: KeyCaller, reference: str) -> ConferenceDetailsOut:
    """The model's `startLiveSession`: open the room, start, send the join links."""
    row = await _led(context, reference, caller)
    granted(await context.calling(caller.pubkey).start_live_session(row.session_address))
    return await _details(context, row, caller)


@router.post("/conference/end")
async def end_live_session(context: InContext, caller: KeyCaller, reference: str) -> RecordingOut:
    """The model's `endLiveSession`: the recording's address, or null while there is none."""
    row = await _led(context, reference, caller)
    return RecordingOut(
        recording_url=granted(await context.calling(caller.pubkey).end_live_session(row.session_address))
    )


@router.post("/attendance/manual")
async def track_live_attendance(
    context: InContext, caller: KeyCaller, reference: str, wish: ManualAttendanceIn
) -> ManualAttendanceOut:
    """The model's `trackLiveAttendance`: vouch for a person's time, with a note. The same interval counts once."""
    row = await _led(context, reference, caller)
    calling = context.calling(caller.pubkey, wish.note or None)
    granted(await calling.track_live_attendance(row.session_address, wish.pubkey, wish.joined_at, wish.left_at))
    return ManualAttendanceOut(
        lesson_id=row.session_address, pubkey=wish.pubkey, joined_at=wish.joined_at, left_at=wish.left_at
    )


async def _details(context: Context, row: LiveSessionRow, caller: Caller) -> ConferenceDetailsOut:
    details = await context.calling(caller.pubkey).get_conference_details(row.session_address)
    return ConferenceDetailsOut(
        conference_room_id=details.conference_room_id,
        is_active=details.is_active,
        participant_count=details.participant_count,
    )


async def _led(context: Context, reference: str, caller: Caller) -> LiveSessionRow:
    row = await context.views.resolve(reference, caller)
    if not leads(row, caller):
        raise forbidden("only the instructor and co-hosts run the conference")
    return row

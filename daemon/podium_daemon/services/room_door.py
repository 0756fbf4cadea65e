"""The facts behind the question who may enter: read from the store, judged by `protocol.live.admission`."""

from __future__ import annotations

from collections.abc import Callable, Collection

from podium_daemon.services.room_entry import Entry
from podium_protocol.events import Pubkey
from podium_protocol.live.admission import (
    Admission,
    Door,
    DoorPolicy,
    DoorRole,
    Knock,
    RefuseReason,
    WaitReason,
    decide,
)
from podium_protocol.live.lifecycle import State
from podium_protocol.live.rsvp import RsvpStatus
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow, RoomMemberRow

ADMITTED = "admitted"
ARRIVED = "arrived"
REMOVED = "removed"

WAIT_TEXTS = {
    WaitReason.NOT_STARTED: "The session has not started yet. Stay here: you will be let in.",
    WaitReason.RSVP_REQUIRED: "This session asks for an RSVP. Confirm, or wait for the instructor to let you in.",
    WaitReason.FULL: "All seats are taken. You will be let in when one frees.",
    WaitReason.CONSENT_REQUIRED: "This session is being recorded. Join again and agree to the recording to enter.",
    WaitReason.INSTRUCTOR: "The instructor will let you in.",
}
REFUSE_TEXTS = {
    RefuseReason.CANCELLED: "This session was cancelled.",
    RefuseReason.ENDED: "This session has ended.",
    RefuseReason.DENIED: "You were removed from this session.",
    RefuseReason.TOO_MANY_DEVICES: "You are here on as many devices as are allowed. Leave on one of them first.",
    RefuseReason.DOORS_CLOSED: "The doors are not open yet.",
}


def role_of(row: LiveSessionRow, pubkey: Pubkey) -> DoorRole:
    """Who somebody is in a session."""
    if pubkey == row.instructor_pubkey:
        return DoorRole.INSTRUCTOR
    return DoorRole.CO_HOST if pubkey in row.co_hosts else DoorRole.PARTICIPANT


class DoorKeeper:
    """Asks the store and then the rules."""

    def __init__(
        self, store: Store, policy: DoorPolicy, recording: Callable[[str], bool] = lambda _lesson_id: False
    ) -> None:
        self._store = store
        self.policy = policy
        self._recording = recording

    async def session(self, lesson_id: str) -> LiveSessionRow | None:
        """The session as it is now."""
        return await self._store.sessions.where("lessonId").equals(lesson_id).first()

    async def member(self, lesson_id: str, pubkey: Pubkey) -> RoomMemberRow | None:
        """Somebody's standing in the room."""
        return await self._store.members.where("[lessonId+pubkey]").equals([lesson_id, pubkey]).first()

    async def decide(
        self, row: LiveSessionRow, entry: Entry, devices: Collection[tuple[Pubkey, str]], now: int
    ) -> Admission:
        """Whether `entry` comes in now; `devices` are the (pubkey, device) in the room."""
        member = await self.member(row.lesson_id, entry.pubkey)
        rsvp = await self._store.rsvps.where("[lessonId+pubkey]").equals([row.lesson_id, entry.pubkey]).first()
        own = {device for pubkey, device in devices if pubkey == entry.pubkey} - {entry.device}
        knock = Knock(
            role=entry.role,
            rsvp=RsvpStatus(rsvp.status) if rsvp else None,
            has_seat=rsvp is not None and rsvp.seat == "held",
            admitted=entry.returning or (member is not None and member.state == ADMITTED),
            denied=member is not None and member.state == REMOVED,
            devices=len(own),
            consents=member is not None and member.consent is True,
        )
        return decide(knock, await self._door(row, entry, {pubkey for pubkey, _ in devices}), now, self.policy)

    async def _door(self, row: LiveSessionRow, entry: Entry, present: Collection[Pubkey]) -> Door:
        return Door(
            state=State(row.state),
            scheduled_start=row.scheduled_at,
            rsvp_required=row.requires_rsvp,
            waiting_room=row.waiting_room,
            free_seats=await self._free_seats(row, entry, present),
            recording=self._recording(row.lesson_id),
        )

    async def _free_seats(self, row: LiveSessionRow, entry: Entry, present: Collection[Pubkey]) -> int | None:
        """Seats that nobody holds by RSVP and nobody sits on without one."""
        if row.max_participants is None:
            return None
        held = await self._store.rsvps.where("lessonId").equals(row.lesson_id).and_("seat").equals("held").to_list()
        taken = {each.pubkey for each in held}
        taken |= {pubkey for pubkey in present if role_of(row, pubkey) is DoorRole.PARTICIPANT}
        return max(row.max_participants - len(taken - {entry.pubkey}), 0)

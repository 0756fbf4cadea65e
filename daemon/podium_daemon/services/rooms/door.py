"""The door of a room: the rules of admission on what the store and the engine know, and what leaders do at it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import msgspec
import structlog

from podium_daemon.conference.engine import ConferenceEngine, Present, RoomId, Snapshot
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.keyed_locks import KeyedLocks
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.services.rooms.entry import Guest, RemovedPerson, TicketHolder, Waiter, WaitingRoom
from podium_daemon.services.rooms.resume_tokens import ResumeTokens
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
from podium_protocol.live.attendance import Assurance
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.rsvp import RsvpStatus
from podium_storage.database import Transaction
from podium_storage.guests import guest_in
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow, RoomControlsRow, RoomMemberRow

_log = structlog.get_logger(__name__)

ADMITTED = "admitted"
ARRIVED = "arrived"
REMOVED = "removed"

WAIT_TEXTS = {
    WaitReason.NOT_STARTED: "The session has not started yet. Stay here: you will be let in.",
    WaitReason.LOCKED: "The room is locked. Stay here: you will be let in when it is opened again.",
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
    """The role of `pubkey` in a session."""
    if pubkey == row.instructor_pubkey:
        return DoorRole.INSTRUCTOR
    return DoorRole.CO_HOST if pubkey in row.co_hosts else DoorRole.PARTICIPANT


class DoorKeeper:
    """Reads the facts from the store and applies the rules of admission."""

    def __init__(
        self, store: Store, policy: DoorPolicy, recording: Callable[[str], bool] = lambda _session_address: False
    ) -> None:
        self._store = store
        self.policy = policy
        self._recording = recording

    async def session(self, session_address: str) -> LiveSessionRow | None:
        """Read the session."""
        return await self._store.sessions.where("lessonId").equals(session_address).first()

    async def member(self, session_address: str, pubkey: Pubkey) -> RoomMemberRow | None:
        """Read a person's row in the room, or None."""
        return await self._store.members.where("[lessonId+pubkey]").equals([session_address, pubkey]).first()

    async def lock(self, session_address: str, people: Collection[Pubkey] | None) -> None:
        """Lock the room to all but `people`, who are in it now, or open it again (None)."""

        async def scope(tx: Transaction) -> None:
            table = self._store.controls.within(tx)
            row = await table.where("lessonId").equals(session_address).first() or RoomControlsRow(
                session_address=session_address
            )
            locked_in = None if people is None else tuple(sorted(people))
            await table.upsert([msgspec.structs.replace(row, locked_in=locked_in)], by="lessonId")

        await self._store.database.transact(scope)

    async def decide(
        self,
        row: LiveSessionRow,
        entry: TicketHolder,
        devices: Collection[tuple[Pubkey, str]],
        now: int,
        *,
        inside: bool = False,
    ) -> Admission:
        """Decide whether `entry` comes in now.

        `devices` are the (pubkey, device) pairs in the room, or at the door before them; `inside`: they are in it.
        """
        controls = await self._store.controls.where("lessonId").equals(row.session_address).first()
        locked_in = None if controls is None else controls.locked_in
        member = await self.member(row.session_address, entry.pubkey)
        rsvp = await self._store.rsvps.where("[lessonId+pubkey]").equals([row.session_address, entry.pubkey]).first()
        guest = await guest_in(self._store, row.session_address, entry.pubkey)
        own = {device for pubkey, device in devices if pubkey == entry.pubkey} - {entry.device}
        knock = Knock(
            role=entry.role,
            rsvp=RsvpStatus(rsvp.status) if rsvp else None,
            has_seat=rsvp is not None and rsvp.seat == "held",
            admitted=entry.returning or (member is not None and member.state == ADMITTED),
            denied=member is not None and member.state == REMOVED,
            devices=len(own),
            consents=member is not None and member.consent is True,
            inside=inside or entry.returning or entry.pubkey in (locked_in or ()),
            is_guest=guest is not None and guest.assurance == Assurance.GUEST,
        )
        door = await self._door(row, entry, {pubkey for pubkey, _ in devices}, locked=locked_in is not None)
        return decide(knock, door, now, self.policy)

    async def _door(
        self, row: LiveSessionRow, entry: TicketHolder, present: Collection[Pubkey], *, locked: bool
    ) -> Door:
        return Door(
            state=SessionState(row.state),
            scheduled_start=row.scheduled_at,
            rsvp_required=row.requires_rsvp,
            waiting_room=row.waiting_room,
            free_seats=await self._free_seats(row, entry, present),
            recording=self._recording(row.session_address),
            locked=locked,
        )

    async def _free_seats(self, row: LiveSessionRow, entry: TicketHolder, present: Collection[Pubkey]) -> int | None:
        """The number of seats that are neither held by RSVP nor taken by a person without one."""
        if row.max_participants is None:
            return None
        held = (
            await self._store.rsvps.where("lessonId").equals(row.session_address).and_("seat").equals("held").to_list()
        )
        taken = {each.pubkey for each in held}
        taken |= {pubkey for pubkey in present if role_of(row, pubkey) is DoorRole.PARTICIPANT}
        return max(row.max_participants - len(taken - {entry.pubkey}), 0)


class RoomDoor:
    """Who is in each room, who waits at its door, and who may come in: decided for one person of a session at a time.

    People's rows are in the store; the sockets that wait now are in memory.
    """

    def __init__(
        self, keeper: DoorKeeper, *, store: Store, engine: ConferenceEngine, clock: Clock, returns: ResumeTokens
    ) -> None:
        """`returns`: the ways back into a room, which a person who is removed loses."""
        self.keeper = keeper
        self.waiting = WaitingRoom()
        self.locks = KeyedLocks()
        """One a session: two who ask for the last seat must not both get it."""
        self._store = store
        self._engine = engine
        self._clock = clock
        self._returns = returns

    async def decide(self, row: LiveSessionRow, entry: TicketHolder, waiter: Waiter | None = None) -> Admission:
        """Decide whether `entry` comes in now; `waiter`: the socket on which they wait, if they have one."""
        devices = {(present.connection.pubkey, present.connection.device) for present in await self._snapshot(row)}
        inside = entry.pubkey in {pubkey for pubkey, _ in devices}
        devices |= self.waiting.devices_before(entry, waiter)
        return await self.keeper.decide(row, entry, devices, int(self._clock.now()), inside=inside)

    async def set_member_state(self, row: LiveSessionRow, pubkeys: Collection[Pubkey], state: str) -> None:
        """Write down that these people are admitted, or removed."""
        now = int(self._clock.now())
        keys = [[row.session_address, pubkey] for pubkey in pubkeys]
        known = {
            each.pubkey: each for each in await self._store.members.where("[lessonId+pubkey]").any_of(keys).to_list()
        }
        rows = [
            msgspec.structs.replace(known[pubkey], state=state, updated_at=now)
            if pubkey in known
            else RoomMemberRow(
                session_address=row.session_address,
                pubkey=pubkey,
                state=state,
                role=role_of(row, pubkey),
                updated_at=now,
                assurance="instructor",
            )
            for pubkey in pubkeys
            if pubkey not in known or known[pubkey].state != state
        ]
        await self._store.members.upsert(rows, by="[lessonId+pubkey]")

    async def guests(self, row: LiveSessionRow) -> list[Guest]:
        """The people in the room, then those who wait."""
        present = await self._present(row)
        waiting = [
            Guest(pubkey=one.entry.pubkey, waiting=True, role=one.entry.role, since=one.since, waiting_for=one.reason)
            for one in self.waiting.waiting_for(row.session_address)
        ]
        return [*present, *waiting]

    async def removed(self, row: LiveSessionRow) -> list[RemovedPerson]:
        """Who was removed from this session and not let back in since."""
        members = self._store.members.where("lessonId").equals(row.session_address).and_("state").equals(REMOVED)
        return [
            RemovedPerson(pubkey=Pubkey(one.pubkey), role=role_of(row, Pubkey(one.pubkey)), since=one.updated_at)
            for one in await members.to_list()
        ]

    async def admit(self, row: LiveSessionRow, pubkeys: Collection[Pubkey] | None, by: Pubkey) -> int:
        """Let these people in, or all who wait (None), for the session, on every device; return their number."""
        chosen = (
            {one.entry.pubkey for one in self.waiting.waiting_for(row.session_address)}
            if pubkeys is None
            else set(pubkeys)
        )
        async with self.locks.hold(row.session_address):
            await self.set_member_state(row, chosen, ADMITTED)
        _log.info("people admitted", action="room.admitted", session=row.session_address, by=by, people=len(chosen))
        self.waiting.wake([row.session_address])
        return len(chosen)

    async def remove(self, row: LiveSessionRow, pubkey: Pubkey, reason: str, by: Pubkey) -> int | Rejection:
        """End a person's connections and revoke their admission for this session."""
        if role_of(row, pubkey) is not DoorRole.PARTICIPANT:
            return Rejection(
                Slug.NOT_ALLOWED, "instructor and co-hosts are not removed", "Edit the session's co-hosts."
            )
        assert row.conference_room_id is not None, "every adopted session has its room"
        room = RoomId(row.conference_room_id)
        # if the person is just being seated, that ends first: else it would let them in again
        async with self.locks.hold(row.session_address):
            await self.set_member_state(row, {pubkey}, REMOVED)
            self._returns.forget(room, pubkey)
            removed = await self._engine.remove(room, pubkey, reason or "The instructor removed you from this session.")
        _log.info("a person was removed", action="room.removed", session=row.session_address, by=by)
        self.waiting.wake([row.session_address])
        return 0 if isinstance(removed, Rejection) else len(removed.connections)

    async def lock(self, row: LiveSessionRow, by: Pubkey, *, wanted: bool) -> None:
        """Lock the room, so that no person enters it but its leaders and who is in it; or let them in again."""
        async with self.locks.hold(row.session_address):  # a person who is being seated is in, or is not
            present = {one.connection.pubkey for one in await self._snapshot(row)}
            await self.keeper.lock(row.session_address, present if wanted else None)
        _log.info("the room's lock was set", action="room.lock", session=row.session_address, by=by, wanted=wanted)
        self.waiting.wake([row.session_address])

    async def _snapshot(self, row: LiveSessionRow) -> Sequence[Present]:
        assert row.conference_room_id is not None, "every adopted session has its room"
        snapshot = await self._engine.snapshot(RoomId(row.conference_room_id))
        return snapshot.present if isinstance(snapshot, Snapshot) else ()

    async def _present(self, row: LiveSessionRow) -> list[Guest]:
        return [
            Guest(
                pubkey=one.connection.pubkey,
                waiting=False,
                role=role_of(row, one.connection.pubkey),
                since=one.joined_at,
            )
            for one in await self._snapshot(row)
        ]

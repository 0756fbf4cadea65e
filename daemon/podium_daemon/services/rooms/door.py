"""Joining with one signature: a challenge is given out; the proof that answers it is stored and earns a ticket."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from typing import Final

import msgspec

from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.runtime.secret_table import SecretTable
from podium_daemon.services.rooms.door_names import DoorNames
from podium_daemon.services.rooms.entry import JoinChallenge, RoomTicket, TicketHolder
from podium_protocol import tags
from podium_protocol.events import Pubkey, VerifiedEvent
from podium_protocol.live import private
from podium_protocol.live.admission import (
    Admission,
    AwaitDoor,
    Door,
    DoorPolicy,
    DoorRole,
    Knock,
    RefuseReason,
    WaitReason,
    decide,
)
from podium_protocol.live.attendance import Assurance
from podium_protocol.live.join_proof import (
    WINDOW,
    JoinExpectation,
    JoinProof,
    ProofRefusal,
    RefusalReason,
    check_join_proof,
)
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.rsvp import RsvpStatus
from podium_protocol.live.session import Visibility
from podium_storage.database import Transaction
from podium_storage.guests import guest_in, guests_for, speaks_for
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow, RoomControlsRow, RoomMemberRow

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


_PUBLISHED: Final = (
    "When you join and leave is recorded by the host of this session. Your attendance (when, how long, completed or "
    "not) is published on the relays under your public key (kind 31953): anybody can read it."
)
_SEALED: Final = (
    "When you join and leave is recorded by the host of this session. Your attendance record goes encrypted to you and "
    "to the instructor; it is not published."
)
_BY_PERSON = "[lessonId+pubkey]"

MAX_ISSUED: Final = 20_000
"""Most challenges or tickets at a time: a caller who asks for a challenge has proven nothing, so memory is bounded."""
TICKET_SECONDS: Final = 300  # long enough for a slow page and a permission dialogue, too short to be passed around


class Joining:
    """Challenges and tickets are in memory, each good once; the proofs are in the store, as evidence."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        names: DoorNames,
    ) -> None:
        self._store = store
        self._names = names
        self._clock = clock
        self._challenges: SecretTable[JoinChallenge] = SecretTable(
            clock, random_bytes, maximum=MAX_ISSUED, seconds=WINDOW
        )
        self._tickets: SecretTable[TicketHolder] = SecretTable(
            clock, random_bytes, maximum=MAX_ISSUED, seconds=TICKET_SECONDS
        )

    def challenge(
        self, row: LiveSessionRow, url: str, *, recording_policy: str, notice: str, has_key: bool
    ) -> JoinChallenge:
        """Make a nonce with all that the proof must answer; the policy is shown if recording is allowed.

        `notice` is what this service adds to the text on attendance; without a key of their own (`has_key`) the
        person's record is not published.
        """
        is_sealed = not has_key or private.seals_attendance(row)
        now = int(self._clock.now())
        policy = recording_policy if row.allow_recording else ""
        challenge = JoinChallenge(
            url=url,
            nonce="",
            session_address=row.session_address,
            issued_at=now,
            expires_at=now + WINDOW,
            recording_policy=policy,
            recording_policy_hash=hashlib.sha256(policy.encode()).hexdigest() if policy else "",
            notice=f"{_SEALED if is_sealed else _PUBLISHED} {notice}".rstrip(),
            own_notice=notice,
            attendance=Visibility.PRIVATE if is_sealed else Visibility.PUBLIC,
        )
        return msgspec.structs.replace(challenge, nonce=self._challenges.issue(challenge))

    async def check(
        self, row: LiveSessionRow, event: VerifiedEvent, url: str, body: bytes | None
    ) -> JoinProof | Rejection:
        """Check the proof in a join call; its challenge is used up even if the proof is refused."""
        nonce = tags.first(event.tags, "nonce") or ""
        challenge = self._challenges.redeem(nonce)
        # a challenge of another session would bring that session's recording policy, which may be none
        if challenge is None or challenge.session_address != row.session_address:
            return Rejection(Slug.BAD_PROOF, "the challenge is unknown, used or too old", "Ask for a new challenge.")
        shown = challenge.recording_policy_hash or None
        expected = JoinExpectation(
            url=url,
            method="POST",
            body=body,
            session_address=row.session_address,
            nonce=nonce,
            issued_at=challenge.issued_at,
            policy_hash=shown,
        )
        proof = check_join_proof(event, expected, int(self._clock.now()))
        if isinstance(proof, ProofRefusal):
            slug = Slug.BAD_NAME if proof.reason is RefusalReason.WRONG_NAME else Slug.BAD_PROOF
            return Rejection(slug, proof.detail, "Ask for a new challenge and sign it.")
        guest = await guest_in(self._store, row.session_address, proof.pubkey)
        if guest is not None and row.e2ee_required:
            detail = "this room is encrypted from end to end, and the service has your key"
            return Rejection(Slug.NEEDS_KEY, detail, "Open the page where your own key is, and sign in.")
        if not (private.may_attend(row, proof.pubkey) if guest is None else guest.revoked_at is None):
            return Rejection(Slug.NOT_INVITED, "this session is private", "Ask the instructor for an invitation.")
        # without a policy that was shown, a yes is consent to nothing
        return proof if shown else msgspec.structs.replace(proof, consent=None)

    async def record_join(self, row: LiveSessionRow, proof: JoinProof, event: VerifiedEvent) -> Rejection | None:
        """Store the proof of a person who may come to the door; the rest of their row is unchanged.

        Who came by a link once stays known by it, since a part of their attendance is. Nothing is stored, and the
        reason returned, where the proof names a person as another one of this session is named.
        """
        guest = await guest_in(self._store, row.session_address, proof.pubkey)
        person = proof.pubkey if guest is None else speaks_for(row, guest)
        before = await self._store.members.where(_BY_PERSON).equals([row.session_address, person]).first()
        assurance = Assurance.SIGNATURE.value if guest is None else guest.assurance
        if before is not None and before.assurance == Assurance.LINK:
            assurance = before.assurance
        name = await self._names.accept(row, person, proof.name)
        if isinstance(name, Rejection):
            return name
        member = RoomMemberRow(
            id=before.id if before else None,
            session_address=row.session_address,
            pubkey=person,
            state=before.state if before else ARRIVED,
            role=role_of(row, person),
            proof_id=proof.event_id,
            proof_event=event.to_json().decode(),
            consent=proof.consent.given if proof.consent else None,
            device=proof.device,
            updated_at=int(self._clock.now()),
            assurance=assurance,
            name=name or (before.name if before else None),
        )
        await self._store.members.upsert([member], by=_BY_PERSON)
        return None

    async def came_by_link(self, row: LiveSessionRow, pubkey: Pubkey) -> bool:
        """Whether a seat of this person may be one that the link in their message gave."""
        return bool(await guests_for(self._store, row.session_address, [pubkey]))

    def ticket(self, entry: TicketHolder, obstacle: AwaitDoor | None) -> RoomTicket:
        """Make a ticket, with which one room socket can be opened."""
        return RoomTicket(
            token=self._tickets.issue(entry),
            expires_at=int(self._clock.now()) + TICKET_SECONDS,
            waiting_for=obstacle.reason if obstacle else None,
        )

    def redeem(self, token: str) -> TicketHolder | None:
        """Use a ticket up and return its entry; None if it is unknown or was used."""
        return self._tickets.redeem(token)

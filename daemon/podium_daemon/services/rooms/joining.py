"""Joining with one signature: a challenge is given out; the proof that answers it is stored and earns a ticket."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

import msgspec

from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.runtime.secret_table import SecretTable
from podium_daemon.services.rooms.door import ARRIVED, role_of
from podium_daemon.services.rooms.door_names import DoorNames, NameWish
from podium_daemon.services.rooms.entry import JoinChallenge, RoomTicket, TicketHolder
from podium_protocol import tags
from podium_protocol.events import Pubkey, VerifiedEvent
from podium_protocol.live import private
from podium_protocol.live.admission import AwaitDoor
from podium_protocol.live.attendance import Assurance
from podium_protocol.live.join_proof import (
    WINDOW,
    JoinExpectation,
    JoinProof,
    ProofRefusal,
    RefusalReason,
    check_join_proof,
)
from podium_protocol.live.languages import ENGLISH, N_, Language
from podium_protocol.live.session import Visibility
from podium_storage.database import Transaction
from podium_storage.guests import guest_in, guests_for, speaks_for
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow, RoomMemberRow

_PUBLISHED: Final = N_(
    "When you join and leave is recorded by the host of this session. Your attendance (when, how long, completed or "
    "not) is published on the relays under your public key (kind 31953): anybody can read it."
)
_SEALED: Final = N_(
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
        self,
        row: LiveSessionRow,
        url: str,
        *,
        recording_policy: str,
        notice: str,
        has_key: bool,
        language: Language = ENGLISH,
    ) -> JoinChallenge:
        """Make a nonce with all that the proof must answer; the policy is shown if recording is allowed.

        `notice` is what this service adds to the text on attendance; without a key of their own (`has_key`) the
        person's record is not published.
        """
        is_sealed = not has_key or private.seals_attendance(row)
        now = int(self._clock.now())
        policy = recording_policy if row.allow_recording else ""
        attendance = language.catalogue.gettext(_SEALED if is_sealed else _PUBLISHED)
        challenge = JoinChallenge(
            url=url,
            nonce="",
            session_address=row.session_address,
            issued_at=now,
            expires_at=now + WINDOW,
            recording_policy=policy,
            recording_policy_hash=hashlib.sha256(policy.encode()).hexdigest() if policy else "",
            notice=f"{attendance} {notice}".rstrip(),
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
            if proof.reason is RefusalReason.WRONG_NAME:
                return Rejection(Slug.BAD_NAME, proof.detail, "Join again with another name.")
            return Rejection(Slug.BAD_PROOF, proof.detail, "Ask for a new challenge and sign it.")
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
        came_as = RoomMemberRow(
            session_address=row.session_address,
            pubkey=person,
            state=ARRIVED,
            role=role_of(row, person),
            proof_id=proof.event_id,
            proof_event=event.to_json().decode(),
            consent=proof.consent.given if proof.consent else None,
            device=proof.device,
            updated_at=int(self._clock.now()),
            assurance=Assurance.SIGNATURE.value if guest is None else guest.assurance,
        )
        wish = await self._names.wish(row, person, proof.name)  # before: profiles are read outside of transactions
        return await self._store.database.transact(lambda tx: self._keep(tx, came_as, wish))

    async def _keep(self, tx: Transaction, came_as: RoomMemberRow, wish: NameWish | None) -> Rejection | None:
        tables = self._store.within(tx)
        name = None if wish is None else await wish.accept(tables)
        if isinstance(name, Rejection):
            return name
        before = await tables.members.where(_BY_PERSON).equals([came_as.session_address, came_as.pubkey]).first()
        member = msgspec.structs.replace(came_as, name=name)
        if before is not None:
            by_link = before.assurance == Assurance.LINK
            member = msgspec.structs.replace(
                member,
                id=before.id,
                state=before.state,
                assurance=before.assurance if by_link else member.assurance,
                name=name or before.name,
            )
        await tables.members.upsert([member], by=_BY_PERSON)
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

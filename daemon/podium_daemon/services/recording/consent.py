"""Who is in a room, which of them have signed yes to being recorded, and the signed answers as evidence."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Final

import msgspec

from podium_daemon.conference.engine import ConferenceEngine, EngineUnavailable, RoomId, Snapshot
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_protocol import tags
from podium_protocol.events import Pubkey, VerifiedEvent, verify_json
from podium_protocol.live import fields
from podium_protocol.live.join_proof import Consent, read_consent
from podium_protocol.live.recording import agrees
from podium_storage.database import Transaction
from podium_storage.guests import author_of, guests_for
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow, RecordingConsentRow, RoomMemberRow

_BY_PERSON = "[lessonId+pubkey]"
_BATCH: Final = 100  # signatures verified before the event loop gets a turn: about 10 ms


class SignedConsent(msgspec.Struct, frozen=True):
    """A participant's answer, and the event in which they signed it."""

    consent: Consent
    event: VerifiedEvent


class Consents:
    """Reads rosters and answers. Who agrees now is in `roomMembers`, the evidence for it in `recordingConsents`."""

    def __init__(self, store: Store, engine: ConferenceEngine, clock: Clock) -> None:
        self._store = store
        self._engine = engine
        self._clock = clock

    async def roster(self, row: LiveSessionRow) -> frozenset[Pubkey] | None:
        """The people in the room now; None if the engine does not say: then nothing is assumed about them."""
        assert row.conference_room_id is not None, "every adopted session has its room"
        try:
            snapshot = await self._engine.snapshot(RoomId(row.conference_room_id))
        except EngineUnavailable:
            return None
        if not isinstance(snapshot, Snapshot):
            return None
        return frozenset(one.connection.pubkey for one in snapshot.present)

    async def answers(
        self, session_address: str, people: Collection[Pubkey], policy_hashes: Collection[str]
    ) -> dict[Pubkey, SignedConsent]:
        """The signed yes of each person who agrees to this policy now; people who are missing do not agree.

        `policy_hashes`: of its text in each language.

        Of a person who came by a link it is signed with the guest's key that speaks for them.
        """
        keys = [[session_address, pubkey] for pubkey in people]
        members = await self._store.members.where(_BY_PERSON).any_of(keys).to_list()
        kept = await self._store.consents.where(_BY_PERSON).any_of(keys).to_list()
        texts: dict[str, list[str]] = {one.pubkey: [] for one in members if one.consent is True}
        for member in members:
            if member.pubkey in texts and member.proof_event:
                texts[member.pubkey].append(member.proof_event)
        for row in kept:
            if row.pubkey in texts and row.given:
                texts[row.pubkey].append(row.event)
        keys_of = {pubkey: {pubkey} for pubkey in texts}
        for guest in await guests_for(self._store, session_address, texts):
            keys_of[guest.person or guest.pubkey].add(guest.pubkey)
        found: dict[Pubkey, SignedConsent] = {}
        for done, (pubkey, events) in enumerate(texts.items(), 1):
            if (answer := _newest(keys_of[pubkey], events, policy_hashes)) is not None:
                found[Pubkey(pubkey)] = answer
            if done % _BATCH == 0:
                await asyncio.sleep(0)
        return found

    async def store_answers(
        self, tx: Transaction, session_address: str, answers: Mapping[Pubkey, SignedConsent]
    ) -> None:
        """Store the events with the recording; storing one twice changes nothing."""
        now = int(self._clock.now())
        rows = [_row(session_address, pubkey, answer, now) for pubkey, answer in answers.items()]
        table = self._store.consents.within(tx)
        known = await table.where("eventId").any_of([row.event_id for row in rows]).to_list()
        ids = {row.event_id for row in known}
        await table.bulk_add([row for row in rows if row.event_id not in ids])

    async def accept_answer(
        self, row: LiveSessionRow, event: VerifiedEvent, policy_hashes: Collection[str]
    ) -> Consent | Rejection:
        """Take an answer that a person signed after joining the room: a withdrawal, or a yes after a no."""
        consent = read_consent(event.tags)
        if tags.first(event.tags, "a") != row.session_address or consent is None or _is_ambiguous(event):
            detail = "the signed call does not say, once, for which session and whether you agree"
            step = 'Sign it with the tags ["a", session] and ["recording_consent", "yes" or "no", hash of the policy].'
            return Rejection(Slug.BAD_CONSENT, detail, step)
        # a person who withdraws consent need not have read the newest text
        if consent.given and consent.policy_hash not in policy_hashes:
            return Rejection(
                Slug.POLICY_CHANGED, "the recording policy is another one by now", "Read it and answer again."
            )
        person = await author_of(self._store, row, event.pubkey)
        member = await self._store.members.where(_BY_PERSON).equals([row.session_address, person]).first()
        if member is None:
            return Rejection(Slug.NOT_HERE, "you have not joined this session", "You are asked when you join.")
        if not await self._is_known(member, consent):
            await self._store.database.transact(lambda tx: self._keep_answer(tx, member, SignedConsent(consent, event)))
        return consent

    async def _is_known(self, member: RoomMemberRow, consent: Consent) -> bool:
        """Whether the person's last answer said the same: another signature under it is no other evidence."""
        if not consent.given:
            return member.consent is False
        person = Pubkey(member.pubkey)
        return person in await self.answers(member.session_address, [person], [consent.policy_hash])

    async def _keep_answer(self, tx: Transaction, member: RoomMemberRow, answer: SignedConsent) -> None:
        now = int(self._clock.now())
        changed = msgspec.structs.replace(member, consent=answer.consent.given, updated_at=now)
        await self._store.members.within(tx).put(changed)
        await self.store_answers(tx, member.session_address, {Pubkey(member.pubkey): answer})


def hash_of(policy: str) -> str:
    """SHA-256 (hex) of a recording policy, as join proofs name it."""
    return hashlib.sha256(policy.encode()).hexdigest()


def _newest(keys: Collection[str], events: Collection[str], policy_hashes: Collection[str]) -> SignedConsent | None:
    answers = [answer for text in events if (answer := _read(text)) is not None]
    fitting = [one for one in answers if one.event.pubkey in keys and agrees(one.consent, policy_hashes)]
    return max(fitting, key=lambda one: one.event.created_at, default=None)


@lru_cache(maxsize=10_000)
def _read(text: str) -> SignedConsent | None:
    event = verify_json(text.encode())
    consent = read_consent(event.tags) if isinstance(event, VerifiedEvent) else None
    return SignedConsent(consent, event) if isinstance(event, VerifiedEvent) and consent is not None else None


def _is_ambiguous(event: VerifiedEvent) -> bool:
    return any(fields.is_repeated(event.tags, name) for name in ("a", "recording_consent"))


def _row(session_address: str, pubkey: Pubkey, answer: SignedConsent, now: int) -> RecordingConsentRow:
    return RecordingConsentRow(
        session_address=session_address,
        pubkey=pubkey,
        event_id=answer.event.id,
        given=answer.consent.given,
        policy_hash=answer.consent.policy_hash,
        event=answer.event.to_json().decode(),
        kept_at=now,
    )

"""Issues certificates: a completed attendance with the participant's name, signed by the service for that person."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.signers.signer import Signer
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Pubkey, VerifiedEvent
from podium_protocol.live.attendance import Assurance, Evidence
from podium_protocol.live.attendance_record import AttendanceRecord
from podium_protocol.live.certificate import Certificate, write_certificate
from podium_protocol.live.completion import Completion, CompletionWay
from podium_storage.guests import with_door_names
from podium_storage.store import Store
from podium_storage.table.models import AttendanceRow, LiveSessionRow, WatchRow


class Issued(msgspec.Struct, frozen=True):
    """A certificate and the event that the service signed for it."""

    certificate: Certificate
    event: VerifiedEvent


class Certificates:
    """Issues the certificates of one service."""

    def __init__(
        self,
        store: Store,
        *,
        signer: Signer,
        name_of: Callable[[Pubkey], str],
        service_name: Callable[[], str],
    ) -> None:
        self._store = store
        self._signer = signer
        self._name_of = name_of
        self._service_name = service_name

    async def issue(self, session: LiveSessionRow, participant: Pubkey) -> Issued | Rejection:
        """Sign the certificate of a participant. The same completion is signed as the same event each time.

        Rejected with `not-completed` until the session is completed, live or by its recording.
        """
        record = await self._record(session, participant)
        if record is None:
            detail, step = "you have not completed this session", "Stay as long as it asks for, or watch its recording."
            return Rejection(Slug.NOT_COMPLETED, detail, step)
        own = {participant: self._name_of(participant)}
        names = await with_door_names(self._store, session.session_address, own)
        certificate = Certificate(
            record=record,
            name=names[participant],
            title=session.title,
            starts_at=session.scheduled_at,
            service_name=self._service_name(),
        )
        event = await self._signer.sign(write_certificate(certificate, service=self._signer.pubkey))
        return Issued(certificate, event)

    async def has_completed(self, session: LiveSessionRow, participant: Pubkey) -> bool:
        """Whether a participant has completed the session, in the room or by its recording."""
        return await self._record(session, participant) is not None

    async def _record(self, session: LiveSessionRow, participant: Pubkey) -> AttendanceRecord | None:
        key = [session.session_address, participant]
        attended = await self._store.attendance.where("[lessonId+pubkey]").equals(key).first()
        if attended is not None and attended.completed_at is not None:
            return _attended(session, attended, attended.completed_at)
        watched = await self._store.watches.where("[lessonId+pubkey]").equals(key).to_list()
        done = [(row.completed_at, row) for row in watched if row.completed_at is not None]
        return _watched(session, *min(done, key=lambda one: one[0])) if done else None


def _attended(session: LiveSessionRow, row: AttendanceRow, at: int) -> AttendanceRecord:
    return AttendanceRecord(
        session=address_of(session),
        participant=Pubkey(row.pubkey),
        total_duration=row.total_duration,
        join_count=row.join_count,
        evidence=Evidence(row.evidence),
        assurance=Assurance(row.assurance),
        joined_at=row.joined_at,
        left_at=row.left_at,
        completed=Completion(CompletionWay(row.completed_by or CompletionWay.LIVE), at),
        proof_id=EventId(row.proof_id) if row.proof_id else None,
    )


def _watched(session: LiveSessionRow, at: int, row: WatchRow) -> AttendanceRecord:
    return AttendanceRecord(
        session=address_of(session),
        participant=Pubkey(row.pubkey),
        total_duration=0,
        join_count=0,
        evidence=Evidence.PRESENCE,  # reported by a page, and limited by the clock
        completed=Completion(CompletionWay.RECORDING, at),
        proof_id=EventId(row.proof_id) if row.proof_id else None,
    )


def address_of(session: LiveSessionRow) -> Address:
    """The address of a session that is in the store."""
    address = Address.parse(session.session_address)
    assert address is not None, "a row's lessonId was parsed before it was stored"
    return address

"""Attendance rows and signed records from intervals: computed, signed and stored in one transaction."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import structlog

from podium_daemon.conference.engine import ConferenceEngine
from podium_daemon.services.attendance.observation import (
    REMEMBERED,
    ObservationLog,
    actual_seconds,
    rule_interval,
    runs_of,
)
from podium_daemon.signers.signer import Signer
from podium_daemon.writers.event_writer import EventWriter
from podium_daemon.writers.private_outbox import Letter, PrivateOutbox, attendance_letters
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Pubkey, UnsignedEvent, VerifiedEvent
from podium_protocol.live import attendance as rules
from podium_protocol.live.attendance_record import AttendanceRecord, write_attendance_record
from podium_protocol.live.completion import Completion, CompletionPolicy, CompletionWay, by_attendance
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.private import seals_attendance
from podium_storage.database import Transaction
from podium_storage.store import Store
from podium_storage.table.models import AttendanceRow, GuestRow, IntervalRow, LiveSessionRow, RoomMemberRow, WatchRow

_log = structlog.get_logger(__name__)
_BATCH: Final = 200  # people computed and signed before the event loop gets a turn: about 15 ms


class AttendanceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`poll` in seconds."""

    poll: int = 60
    policy: rules.AttendancePolicy = rules.AttendancePolicy()
    completion: CompletionPolicy = CompletionPolicy()


class Known(NamedTuple):
    """The stored rows of one person: the attendance so far, and how they joined."""

    row: AttendanceRow | None
    member: RoomMemberRow | None
    watched: WatchRow | None = None

    @property
    def proof_id(self) -> str | None:
        """The event id of their join proof, if any."""
        if self.member is not None and self.member.proof_id is not None:
            return self.member.proof_id
        return self.row.proof_id if self.row else None

    @property
    def assurance(self) -> rules.Assurance:
        """How they proved who they are. An interval that the instructor recorded by hand is signed too."""
        said = [one.assurance for one in (self.member, self.row) if one is not None]
        # a person who was let in by hand has "instructor" there until they join
        return next((known for known in rules.Assurance if known in said[:1]), rules.Assurance.SIGNATURE)


class Attestation:
    """Computes and attests the attendance of one session's people."""

    def __init__(
        self,
        settings: AttendanceSettings,
        *,
        store: Store,
        event_writer: EventWriter,
        private_outbox: PrivateOutbox,
        engine: ConferenceEngine,
        signer: Signer,
        gaps: ObservationLog,
    ) -> None:
        self.settings = settings
        self._store = store
        self._event_writer = event_writer
        self._private_outbox = private_outbox
        self._engine = engine
        self._signer = signer
        self._gaps = gaps

    async def attest(self, session: LiveSessionRow, people: frozenset[str], now: int) -> None:
        """Compute, attest and store the attendance of `people` so far; an empty set stands for all people."""
        by_person = await self._by_person(session, people)
        before = await self._rows_of(session, by_person)
        members = await self._members_of(session, by_person)
        watched = await self._watched_by(session, people)
        over = session.state != SessionState.ACTIVE
        rows: list[AttendanceRow] = []
        records: list[VerifiedEvent] = []
        sealed: list[Letter] = []
        guests = {one.pubkey for one in await self._guests_of(session)}
        for done, (pubkey, intervals) in enumerate(by_person.items(), 1):
            known = Known(before.get(pubkey), members.get(pubkey), watched.pop(pubkey, None))
            row = _by_recording(self._computed(session, pubkey, intervals, known=known, now=now), known.watched)
            if row is not None and _is_to_attest(row, known.row, over=over):
                record = self._record(session, row, now)
                if row.pubkey in guests:
                    sealed += _letters_about_guest(session, record, Pubkey(row.pubkey))
                elif seals_attendance(session) or row.assurance == rules.Assurance.LINK:
                    sealed += attendance_letters(session, record, Pubkey(row.pubkey))
                else:
                    records.append(await self._signer.sign(record))
                row = msgspec.structs.replace(row, record_created_at=record.created_at, final=over)
            if row is not None and row != known.row:
                rows.append(row)
            if done % _BATCH == 0:
                await asyncio.sleep(0)
        await self._store_rows(session, rows, records, sealed)
        await self._settle_watchers(session, watched.values(), now)

    def _computed(
        self, session: LiveSessionRow, pubkey: str, intervals: Sequence[IntervalRow], *, known: Known, now: int
    ) -> AttendanceRow | None:
        before = known.row
        remembers = any(row.leave_reason == REMEMBERED for row in intervals)
        if before is not None and all(row.leave_reason == REMEMBERED for row in intervals):
            return before  # the record itself is more exact than the interval that stands for it
        seen = rules.attend(
            [rule_interval(row) for row in intervals],
            runs_of(session),
            now=now,
            gaps=self._gaps.spans,
            has_engine=self._engine.evidence == "engine",
            policy=self.settings.policy,
        )
        if seen is None:
            return _gone(before, intervals)
        completed = self._completed(session, seen, before, now)
        return AttendanceRow(
            id=before.id if before else None,
            session_address=session.session_address,
            pubkey=pubkey,
            joined_at=seen.joined_at,
            left_at=seen.left_at,
            total_duration=seen.total_duration,
            join_count=max(seen.join_count, before.join_count if before and remembers else 0),
            evidence=seen.evidence,
            assurance=known.assurance,
            proof_id=known.proof_id,
            completed_at=completed.at if completed else None,
            completed_by=completed.way if completed else None,
            record_created_at=before.record_created_at if before else 0,
            final=before.final if before else False,
        )

    def _completed(
        self, session: LiveSessionRow, seen: rules.AttendanceOfPerson, before: AttendanceRow | None, now: int
    ) -> Completion | None:
        if before is not None and before.completed_at is not None:
            return Completion(CompletionWay(before.completed_by or CompletionWay.LIVE), before.completed_at)
        return by_attendance(
            seen.credited,
            scheduled_seconds=session.ends_at - session.scheduled_at,
            actual_seconds=actual_seconds(session, now),
            policy=self.settings.completion,
        )

    async def _settle_watchers(self, session: LiveSessionRow, watched: Iterable[WatchRow], now: int) -> None:
        """Attest the completion of people who never attended and have watched the recording."""
        for row in watched:
            if row.record_created_at or row.completed_at is None:
                continue
            record = AttendanceRecord(
                session=_address(session),
                participant=Pubkey(row.pubkey),
                total_duration=0,
                join_count=0,
                evidence=rules.Evidence.PRESENCE,  # reported by a page, and limited by the clock
                assurance=rules.Assurance(row.assurance or rules.Assurance.SIGNATURE),
                completed=Completion(CompletionWay.RECORDING, row.completed_at),
                proof_id=EventId(row.proof_id) if row.proof_id else None,
            )
            draft = write_attendance_record(record, service=self._signer.pubkey, title=session.title, now=now)
            await self._attest_watcher(session, msgspec.structs.replace(row, record_created_at=draft.created_at), draft)

    async def _attest_watcher(self, session: LiveSessionRow, row: WatchRow, draft: UnsignedEvent) -> None:
        is_guest = await self._store.guests.where("pubkey").equals(row.pubkey).count() > 0
        # what was watched by a link is not published under a key that has signed nothing
        is_sealed = seals_attendance(session) or is_guest or row.assurance == rules.Assurance.LINK
        records = [] if is_sealed else [await self._signer.sign(draft)]
        write = _letters_about_guest if is_guest else attendance_letters
        sealed = tuple(write(session, draft, Pubkey(row.pubkey))) if is_sealed else ()

        async def scope(tx: Transaction) -> None:
            await self._store.watches.within(tx).upsert([row], by="[lessonId+pubkey+sha256]")
            await self._event_writer.add(tx, records, session_address=session.session_address)
            await self._private_outbox.add(tx, sealed)

        await self._store.database.transact(scope)

    def _record(self, session: LiveSessionRow, row: AttendanceRow, now: int) -> UnsignedEvent:
        completed = (
            Completion(CompletionWay(row.completed_by), row.completed_at)
            if row.completed_at is not None and row.completed_by is not None
            else None
        )
        record = AttendanceRecord(
            session=_address(session),
            participant=Pubkey(row.pubkey),
            total_duration=row.total_duration,
            join_count=row.join_count,
            evidence=rules.Evidence(row.evidence),
            assurance=rules.Assurance(row.assurance),
            joined_at=row.joined_at,
            left_at=row.left_at,
            completed=completed,
            proof_id=EventId(row.proof_id) if row.proof_id else None,
        )
        return write_attendance_record(
            record,
            service=self._signer.pubkey,
            title=session.title,
            now=now,
            previous_created_at=row.record_created_at or None,
        )

    async def _store_rows(
        self,
        session: LiveSessionRow,
        rows: Sequence[AttendanceRow],
        records: Sequence[VerifiedEvent],
        sealed: Sequence[Letter],
    ) -> None:
        if not rows:
            return

        async def scope(tx: Transaction) -> None:
            await self._store.attendance.within(tx).upsert(rows, by="[lessonId+pubkey]")
            await self._event_writer.add(tx, records, session_address=session.session_address)
            await self._private_outbox.add(tx, sealed)

        await self._store.database.transact(scope)
        _log.info("attendance settled", action="attendance.settled", session=session.session_address, people=len(rows))

    # -- reads

    async def _by_person(self, session: LiveSessionRow, people: frozenset[str]) -> dict[str, list[IntervalRow]]:
        if people:
            keys = [[session.session_address, pubkey] for pubkey in people]
            rows = await self._store.intervals.where("[lessonId+pubkey]").any_of(keys).to_list()
        else:
            rows = await self._store.intervals.where("lessonId").equals(session.session_address).to_list()
        found: dict[str, list[IntervalRow]] = defaultdict(list)
        for row in rows:
            found[row.pubkey].append(row)
        return found

    async def _rows_of(self, session: LiveSessionRow, people: Mapping[str, object]) -> dict[str, AttendanceRow]:
        keys = [[session.session_address, pubkey] for pubkey in people]
        rows = await self._store.attendance.where("[lessonId+pubkey]").any_of(keys).to_list()
        return {row.pubkey: row for row in rows}

    async def _watched_by(self, session: LiveSessionRow, people: frozenset[str]) -> dict[str, WatchRow]:
        """The people (an empty set stands for all) who have completed the session by its recording."""
        table = self._store.watches
        if people:
            rows = (
                await table.where("[lessonId+pubkey]")
                .any_of([[session.session_address, one] for one in people])
                .to_list()
            )
        else:
            rows = await table.where("lessonId").equals(session.session_address).to_list()
        done = [row for row in rows if row.completed_at is not None]
        # the first counts if a person watched the recordings of two runs
        return {row.pubkey: row for row in sorted(done, key=lambda row: row.completed_at or 0, reverse=True)}

    async def _guests_of(self, session: LiveSessionRow) -> list[GuestRow]:
        return await self._store.guests.where("lessonId").equals(session.session_address).to_list()

    async def _members_of(self, session: LiveSessionRow, people: Mapping[str, object]) -> dict[str, RoomMemberRow]:
        keys = [[session.session_address, pubkey] for pubkey in people]
        rows = await self._store.members.where("[lessonId+pubkey]").any_of(keys).to_list()
        return {row.pubkey: row for row in rows}


def _letters_about_guest(session: LiveSessionRow, record: UnsignedEvent, guest: Pubkey) -> list[Letter]:
    """A guest has no relays and reads it on the page: it goes to the instructor, and to ourselves."""
    return [one for one in attendance_letters(session, record, guest) if one.recipient != guest]


def _address(session: LiveSessionRow) -> Address:
    address = Address.parse(session.session_address)
    assert address is not None, "a row's lessonId was parsed before it was stored"
    return address


def _by_recording(row: AttendanceRow | None, watched: WatchRow | None) -> AttendanceRow | None:
    """The row with a completion by the recording, unless attendance completed the session earlier."""
    if row is None or watched is None or watched.completed_at is None:
        return row
    # the record of a person who had only watched is replaced by the newer one of their attendance
    row = msgspec.structs.replace(row, record_created_at=max(row.record_created_at, watched.record_created_at))
    if row.completed_at is not None and row.completed_at <= watched.completed_at:
        return row
    return msgspec.structs.replace(row, completed_at=watched.completed_at, completed_by=CompletionWay.RECORDING)


def _is_to_attest(row: AttendanceRow, before: AttendanceRow | None, *, over: bool) -> bool:
    """Whether a record is due: at completion, and at the end unless the same was attested as final."""
    newly_completed = row.completed_at is not None and (before is None or before.completed_at is None)
    changed_since_final = before is None or not before.final or row != before
    return newly_completed or (over and changed_since_final)


def _gone(before: AttendanceRow | None, intervals: Sequence[IntervalRow]) -> AttendanceRow | None:
    """The row of a person who left within the second in which they came: it says that they are not there."""
    ends = [row.left_at for row in intervals if row.left_at is not None]
    if before is None or before.left_at is not None or len(ends) < len(intervals):
        return before
    return msgspec.structs.replace(before, left_at=max(ends, default=before.joined_at))

"""Attendance rows from our own records (31953), by which a daemon that lost its disk gets them back.

A row that exists was computed from intervals and is more exact; records only fill in missing rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from podium_protocol import kinds
from podium_protocol.events import Pubkey
from podium_protocol.live.attendance import Evidence
from podium_protocol.live.attendance_record import AttendanceRecord, read_attendance_record
from podium_protocol.live.fields import AuthoredEvent
from podium_storage.database import Database, Transaction
from podium_storage.mirror.fold import EventChange
from podium_storage.table.models import AttendanceRow, IntervalRow
from podium_storage.table.table import Table

_BY_PERSON: Final = "[lessonId+pubkey]"
_REMEMBERED: Final = "remembered"
_Person: TypeAlias = tuple[str, str]
_Attested: TypeAlias = tuple[AttendanceRecord, AuthoredEvent]


class AttendanceProjection:
    """Keeps the attendance that the service attested earlier."""

    def __init__(self, attendance: Table[AttendanceRow], intervals: Table[IntervalRow], *, service: Pubkey) -> None:
        self._attendance = attendance
        self._intervals = intervals
        self._service = service

    async def apply(self, tx: Transaction, effects: Sequence[EventChange], *, received_at: int) -> None:  # noqa: ARG002 (the protocol's)
        """Add rows from our own records about people whom this daemon has not observed."""
        held = [effect.event for effect in effects if effect.is_live and effect.event.kind == kinds.ATTENDANCE]
        await self.remember(tx, held)

    async def remember(self, tx: Transaction, events: Sequence[AuthoredEvent]) -> None:
        """Fold in records, also the rumors of private sessions: those come in any order, and every version of them."""
        records: dict[_Person, _Attested] = {}
        for event in sorted(events, key=lambda event: event.created_at):
            record = read_attendance_record(event) if event.pubkey == self._service else None
            if record is not None and record.joined_at is not None:
                records[record.session_address, record.participant] = (record, event)
        if not records:
            return
        known = await self._attendance.within(tx).where(_BY_PERSON).any_of([list(key) for key in records]).to_list()
        better = await self._known_better(tx, known, records)
        missing = [pair for key, pair in records.items() if key not in better]
        await self._attendance.within(tx).upsert([_row(*pair) for pair in missing], by=_BY_PERSON)
        await self._intervals.within(tx).upsert([_interval(*pair) for pair in missing], by="connectionId")

    async def _known_better(
        self, tx: Transaction, known: Sequence[AttendanceRow], records: Mapping[_Person, _Attested]
    ) -> set[_Person]:
        """People whose row was computed, or is from a record that is not older; intervals of the others are dropped."""
        there = {(row.session_address, row.pubkey): row for row in known}
        older = [key for key, row in there.items() if row.record_created_at < records[key][1].created_at]
        if not older:
            return set(there)
        intervals = await self._intervals.within(tx).where(_BY_PERSON).any_of([list(key) for key in older]).to_list()
        computed = {(row.session_address, row.pubkey) for row in intervals if row.leave_reason != _REMEMBERED}
        replaced = {(row.session_address, row.pubkey) for row in intervals} - computed
        stale = [row.id for row in intervals if (row.session_address, row.pubkey) in replaced and row.id is not None]
        await self._intervals.within(tx).bulk_delete(stale)
        return set(there) - replaced


def _row(record: AttendanceRecord, event: AuthoredEvent) -> AttendanceRow:
    return AttendanceRow(
        session_address=record.session_address,
        pubkey=record.participant,
        joined_at=record.joined_at or event.created_at,
        left_at=record.left_at,
        total_duration=record.total_duration,
        join_count=record.join_count,
        evidence=record.evidence,
        assurance=record.assurance,
        proof_id=record.proof_id,
        completed_at=record.completed.at if record.completed else None,
        completed_by=record.completed.way if record.completed else None,
        record_created_at=event.created_at,
        final=record.left_at is not None,
    )


def _interval(record: AttendanceRecord, event: AuthoredEvent) -> IntervalRow:
    """One interval as long as the credited time, so that further attendance can only add to it.

    Presence is kept as a seat without media: as presence it would not count in a session with an engine, but it did.
    """
    by_hand = record.evidence is Evidence.MANUAL
    joined_at = record.joined_at or event.created_at
    left_at = joined_at + record.total_duration
    return IntervalRow(
        connection_id=f"record:{event.id}",
        session_address=record.session_address,
        pubkey=record.participant,
        device="record",
        joined_at=joined_at,
        left_at=left_at,
        last_evidence=left_at,
        source=Evidence.MANUAL if by_hand else Evidence.ENGINE,
        media=record.evidence is Evidence.ENGINE,
        leave_reason=_REMEMBERED,
    )


# those who only watched the recording come after those who came, in the order in which they had seen enough of it
_PEOPLE: Final = """
WITH lesson AS (SELECT id FROM atoms WHERE value = ?), people AS (
  SELECT a.pubkey, 0 AS watched, a.joinedAt AS at, a.id
  FROM lesson CROSS JOIN trainingLiveSessionAttendance AS a ON a.lessonId = lesson.id
  UNION ALL SELECT w.pubkey, 1, min(w.completedAt), min(w.id)
  FROM lesson CROSS JOIN recordingWatches AS w ON w.lessonId = lesson.id
  WHERE w.completedAt IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM trainingLiveSessionAttendance AS a WHERE a.lessonId = w.lessonId AND a.pubkey = w.pubkey)
  GROUP BY w.pubkey
)
SELECT person.value FROM people CROSS JOIN atoms AS person ON person.id = people.pubkey
ORDER BY people.watched, people.at, people.id"""


async def people_who_attended(database: Database, session_address: str) -> list[Pubkey]:
    """The people who came to a session in the order in which they came, then those who watched only its recording.

    Raises:
        StoreError: what the database said.
    """
    return [Pubkey(str(person)) for (person,) in await database.fetch_all(_PEOPLE, (session_address,))]


# Three moments at which the daemon may have died: before the last record of a person, before the first one, and before
# the one of a person who only watched the recording.
_OWED: Final = """
SELECT lesson.value FROM json_each(?) AS asked CROSS JOIN atoms AS lesson ON lesson.value = asked.value
CROSS JOIN "trainingLiveSessions" AS s ON s."lessonId" = lesson.id
WHERE s.state = 'ended' AND s.runs <> '[]' AND (
  EXISTS (SELECT 1 FROM "trainingLiveSessionAttendance" AS a WHERE a."lessonId" = s."lessonId" AND a.final = 0)
  OR EXISTS (
    SELECT 1 FROM "attendanceIntervals" AS i WHERE i."lessonId" = s."lessonId" AND NOT EXISTS (
      SELECT 1 FROM "trainingLiveSessionAttendance" AS a WHERE a."lessonId" = i."lessonId" AND a.pubkey = i.pubkey))
  OR EXISTS (
    SELECT 1 FROM "recordingWatches" AS w
    WHERE w."lessonId" = s."lessonId" AND w."completedAt" IS NOT NULL AND w."recordCreatedAt" = 0 AND NOT EXISTS (
      SELECT 1 FROM "trainingLiveSessionAttendance" AS a
      WHERE a."lessonId" = w."lessonId" AND a.pubkey = w.pubkey AND a."completedAt" IS NOT NULL)))
ORDER BY s."scheduledAt"
"""


async def sessions_with_owed_attendance(database: Database, addresses: Collection[str]) -> list[str]:
    """Those of the sessions that have ended while a person's attendance is not final; ordered by start.

    It reads every interval of these sessions.

    Raises:
        StoreError: what the database said.
    """
    asked = msgspec.json.encode(list(addresses)).decode()
    return [str(address) for (address,) in await database.fetch_all(_OWED, (asked,))]

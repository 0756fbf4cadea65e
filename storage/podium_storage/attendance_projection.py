"""Attendance rows out of our own records (31953): the memory of a daemon that lost its disk.

A row that is there was computed from intervals and knows better; records only fill what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence

from podium_protocol import kinds
from podium_protocol.events import Pubkey, VerifiedEvent
from podium_protocol.live.attendance_record import AttendanceRecord, read_attendance_record
from podium_storage.database import Transaction
from podium_storage.replacement import Effect
from podium_storage.rows import AttendanceRow, IntervalRow
from podium_storage.table import Table

_BY_PERSON = "[lessonId+pubkey]"


class AttendanceProjection:
    """Keeps what the service once attested."""

    def __init__(self, attendance: Table[AttendanceRow], intervals: Table[IntervalRow], *, service: Pubkey) -> None:
        self._attendance = attendance
        self._intervals = intervals
        self._service = service

    async def apply(self, tx: Transaction, effects: Sequence[Effect], *, received_at: int) -> None:  # noqa: ARG002 (the protocol's)
        """Add rows for own records of people nobody here has seen."""
        records = {
            (record.lesson_id, record.participant): (record, effect.event)
            for effect in effects
            if effect.held and effect.event.kind == kinds.ATTENDANCE and effect.event.pubkey == self._service
            if (record := read_attendance_record(effect.event)) is not None and record.joined_at is not None
        }
        if not records:
            return
        known = await self._attendance.within(tx).where(_BY_PERSON).any_of([list(key) for key in records]).to_list()
        there = {(row.lesson_id, row.pubkey) for row in known}
        missing = [pair for key, pair in records.items() if key not in there]
        await self._attendance.within(tx).upsert([_row(record, event) for record, event in missing], by=_BY_PERSON)
        await self._intervals.within(tx).upsert([_interval(*pair) for pair in missing], by="connectionId")


def _row(record: AttendanceRecord, event: VerifiedEvent) -> AttendanceRow:
    return AttendanceRow(
        lesson_id=record.lesson_id,
        pubkey=record.participant,
        joined_at=record.joined_at or event.created_at,
        left_at=record.left_at,
        total_duration=record.total_duration,
        join_count=record.join_count,
        evidence=record.evidence,
        proof_id=record.proof_id,
        completed_at=record.completed.at if record.completed else None,
        completed_by=record.completed.way if record.completed else None,
        record_created_at=event.created_at,
        final=record.left_at is not None,
    )


def _interval(record: AttendanceRecord, event: VerifiedEvent) -> IntervalRow:
    """One stretch as long as the credited time, so that further attendance adds to it and takes nothing away."""
    joined_at = record.joined_at or event.created_at
    left_at = joined_at + record.total_duration
    return IntervalRow(
        connection_id=f"record:{event.id}",
        lesson_id=record.lesson_id,
        pubkey=record.participant,
        device="record",
        joined_at=joined_at,
        left_at=left_at,
        last_evidence=left_at,
        source=record.evidence,
        leave_reason="remembered",
    )

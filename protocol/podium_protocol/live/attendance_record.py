"""The attendance record, kind 31953 (ours, addressable): what the service observed of one person (wire-formats.md).

Nothing a participant publishes can set it: a reader takes only records signed by a service that the session names.
"""

from __future__ import annotations

from typing import Final

import msgspec

from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Pubkey, UnsignedEvent, pubkey_or_none
from podium_protocol.live import fields
from podium_protocol.live.attendance import Assurance, Evidence
from podium_protocol.live.completion import Completion, CompletionWay
from podium_protocol.live.fields import AuthoredEvent, next_created_at
from podium_protocol.tags import Tags
from podium_protocol.text import single_line

_MAX_SECONDS: Final = 366 * 86_400
_MAX_JOINS: Final = 1_000_000
_SINGLE: Final = ("d", "a", "p", "joined", "left", "duration", "joins", "completed", "evidence", "assurance", "e")
_EVIDENCE: Final = {evidence.value: evidence for evidence in Evidence}
_ASSURANCE: Final = {assurance.value: assurance for assurance in Assurance}
_WAYS: Final = {way.value: way for way in CompletionWay}


class AttendanceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One person's attendance at one session, as attested.

    Args:
        session: address of the session.
        participant: the person.
        joined_at: Unix seconds; None for a person who only watched the recording.
        left_at: Unix seconds; None while they are there.
        total_duration: credited seconds, the union of intervals.
        join_count: the model's.
        completed: the way and the time, once reached.
        evidence: the weakest that counted.
        assurance: how the person proved who they are.
        proof_id: id of the participant's signed join proof, where there is one.
    """

    session: Address
    participant: Pubkey
    total_duration: int
    join_count: int
    evidence: Evidence
    joined_at: int | None = None
    left_at: int | None = None
    completed: Completion | None = None
    assurance: Assurance = Assurance.SIGNATURE
    proof_id: EventId | None = None

    @property
    def session_address(self) -> str:
        """The session address."""
        return str(self.session)

    @property
    def identifier(self) -> str:
        """The `d` of the event."""
        return f"{self.session}:{self.participant}"


def write_attendance_record(
    record: AttendanceRecord, *, service: Pubkey, title: str, now: int, previous_created_at: int | None = None
) -> UnsignedEvent:
    """The kind 31953 event, for the service to sign (for a private session: the rumor to wrap).

    `title` of the session goes into `alt` (NIP-31), which says in words what clients that do not know the kind show.
    """
    completed = record.completed
    rows = tags.build(
        (
            ("d", record.identifier),
            ("a", str(record.session)),
            ("p", record.participant),
            ("joined", str(record.joined_at)) if record.joined_at is not None else None,
            ("left", str(record.left_at)) if record.left_at is not None else None,
            ("duration", str(record.total_duration)),
            ("joins", str(record.join_count)),
            ("completed", completed.way.value, str(completed.at)) if completed else None,
            ("evidence", record.evidence.value),
            ("assurance", record.assurance.value),
            ("e", record.proof_id) if record.proof_id else None,
            ("alt", _alt(record, title)),
        )
    )
    return UnsignedEvent(service, next_created_at(now, previous_created_at), kinds.ATTENDANCE, rows, "")


def read_attendance_record(event: AuthoredEvent) -> AttendanceRecord | None:
    """Read a kind 31953 event, or None. Whether its author may attest for this session is the caller's question."""
    rows = event.tags
    if event.kind != kinds.ATTENDANCE or any(fields.is_repeated(rows, name) for name in _SINGLE):
        return None
    session = fields.address(rows, kinds.SESSION)
    participant = pubkey_or_none(tags.first(rows, "p") or "")
    duration = fields.whole_number(tags.first(rows, "duration"), _MAX_SECONDS)
    joins = fields.whole_number(tags.first(rows, "joins"), _MAX_JOINS)
    evidence = _EVIDENCE.get(tags.first(rows, "evidence") or "")
    # older records lack the tag: no other assurance existed when they were written
    assurance = _ASSURANCE.get(tags.first(rows, "assurance") or Assurance.SIGNATURE)
    if session is None or participant is None or duration is None or joins is None:
        return None
    if evidence is None or assurance is None:
        return None
    record = AttendanceRecord(
        session=session,
        participant=participant,
        total_duration=duration,
        join_count=joins,
        evidence=evidence,
        assurance=assurance,
        joined_at=fields.timestamp(tags.first(rows, "joined")),
        left_at=fields.timestamp(tags.first(rows, "left")),
        completed=_completed(rows),
        proof_id=fields.event_id(tags.first(rows, "e")),
    )
    return record if tags.first(rows, "d") == record.identifier else None


def _completed(rows: Tags) -> Completion | None:
    row = next(tags.named(rows, "completed"), ())
    way = _WAYS.get(row[1]) if len(row) > 2 else None
    at = fields.timestamp(row[2]) if len(row) > 2 else None
    return None if way is None or at is None else Completion(way, at)


def _alt(record: AttendanceRecord, title: str) -> str:
    minutes = record.total_duration // 60
    done = f", completed ({record.completed.way})" if record.completed else ""
    return f"Attendance at {single_line(title, 200)}: {minutes} min{done}"

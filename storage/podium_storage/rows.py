"""The rows of the model's tables and of ours. Times are Unix seconds (UTC); `lesson_id` is a session's address.

`LiveSessionRow`, `RsvpRow` and `AttendanceRow` extend the model's `LiveSessionContent`, `LiveSessionRSVP` and
`LiveSessionAttendance`; their names in JSON and SQL are the model's camelCase ones.
"""

from __future__ import annotations

from podium_storage.columns import InternedText, StoredRow, model_name


class LiveSessionRow(StoredRow, frozen=True, kw_only=True, rename=model_name):
    """A session as scheduled, and how it went. `duration` is in minutes; `runs` are (start, end or None).

    `revisions` are the newest (event id, start): an RSVP may name an older one.
    `withdrawn`: the newest revision is cancelled or deleted; what becomes of the state is the lifecycle's decision.
    """

    lesson_id: InternedText
    conference_room_id: str | None = None
    scheduled_at: int
    ends_at: int
    duration: int
    instructor_pubkey: InternedText
    title: str
    summary: str
    description: str
    timezone: str | None = None
    location: str | None = None
    max_participants: int | None = None
    requires_rsvp: bool
    waiting_room: bool
    allow_recording: bool
    e2ee_required: bool
    visibility: str
    co_hosts: tuple[str, ...]
    invited: tuple[str, ...]
    state: str
    withdrawn: bool = False
    epoch: int
    event_id: str
    event_created_at: int
    started_at: int | None = None
    ended_at: int | None = None
    runs: tuple[tuple[int, int | None], ...]
    end_reason: str | None = None
    recording_state: str = "none"
    recording_url: str | None = None
    blocked_reason: str | None = None
    status_created_at: int = 0
    status_due_at: int | None = None
    revisions: tuple[tuple[str, int], ...] = ()
    moved_from: int | None = None
    moved_at: int | None = None
    warned_at: int | None = None
    adopted_at: int
    version: int = 0


class RsvpRow(StoredRow, frozen=True, kw_only=True, rename="camel"):
    """One person's answer. `first_seen` is the order of arrival and strictly increases; `rsvp_time` can be forged."""

    lesson_id: InternedText
    pubkey: InternedText
    status: str
    rsvp_time: int
    reminder_sent: bool = False
    event_id: str
    revision_id: str | None = None
    needs_reconfirmation: bool = False
    first_seen: int
    first_seen_at: int
    seat: str = "none"
    position: int | None = None


class AttendanceRow(StoredRow, frozen=True, kw_only=True, rename="camel"):
    """What one person attended. `total_duration` is in seconds, the union of all devices' intervals."""

    lesson_id: InternedText
    pubkey: InternedText
    joined_at: int
    left_at: int | None = None
    total_duration: int
    join_count: int
    evidence: str
    proof_id: str | None = None
    completed_at: int | None = None
    completed_by: str | None = None
    record_created_at: int = 0
    final: bool = False


class LedgerRow(StoredRow, frozen=True, kw_only=True, rename="camel"):
    """One message to one person about one session: when it is due, what became of it, what each relay said.

    `told_start`: for a move, the start people knew. `revision`: the session event the stored wrap speaks of.
    """

    lesson_id: InternedText
    epoch: int
    message: str
    pubkey: InternedText
    state: str
    due_at: int
    window_ends_at: int
    wrap: bytes | None = None
    rumor_id: str | None = None
    relays: tuple[tuple[str, str], ...]
    reason: str | None = None
    attempts: int = 0
    updated_at: int
    told_start: int | None = None
    revision: str | None = None


class IntervalRow(StoredRow, frozen=True, kw_only=True, rename="camel"):
    """One connection of one device to a room; `left_at` is None while it lasts."""

    connection_id: str
    lesson_id: InternedText
    pubkey: InternedText
    device: str
    joined_at: int
    left_at: int | None = None
    last_evidence: int
    source: str
    leave_reason: str | None = None
    note: str | None = None


class RoomMemberRow(StoredRow, frozen=True, kw_only=True, rename="camel"):
    """One person's standing in one room: arrived, admitted, removed; `assurance` says how they proved their key.

    `proof_event` is the signed join proof (JSON): the evidence of identity, and of `consent` to be recorded.
    """

    lesson_id: InternedText
    pubkey: InternedText
    state: str
    role: str
    proof_id: str | None = None
    proof_event: str | None = None
    consent: bool | None = None
    device: str | None = None
    updated_at: int
    assurance: str


class OptOutRow(StoredRow, frozen=True, kw_only=True, rename="camel"):
    """A person who wants no reminders of one session, or of any when `lesson_id` is "*"."""

    pubkey: InternedText
    lesson_id: InternedText
    created_at: int

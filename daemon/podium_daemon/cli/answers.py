"""What the daemon answers, as far as the commands show it. Names on the wire are the model's, in camelCase."""

from __future__ import annotations

import msgspec

from podium_protocol.events import UnsignedEvent


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Fields that a newer daemon adds are left alone."""


class Counts(Answer, frozen=True, kw_only=True):
    """Answers to an invitation."""

    confirmed: int = 0
    tentative: int = 0
    declined: int = 0


class Session(Answer, frozen=True, kw_only=True):
    """One session. Times in Unix seconds, the duration in minutes."""

    lesson_id: str
    naddr: str
    title: str
    state: str
    scheduled_at: int
    duration: int
    ends_at: int
    instructor_pubkey: str
    join_url: str
    summary: str = ""
    timezone: str | None = None
    max_participants: int | None = None
    requires_rsvp: bool = msgspec.field(default=False, name="requiresRSVP")
    waiting_room: bool = False
    allow_recording: bool = False
    e2ee_required: bool = False
    visibility: str = "public"
    started_at: int | None = None
    ended_at: int | None = None
    end_reason: str | None = None
    recording_url: str | None = None
    recording_state: str = "none"
    blocked_reason: str | None = None
    seats_taken: int = 0
    waiting_count: int = 0
    participant_count: int = 0
    counts: Counts = Counts()

    @property
    def identifier(self) -> str:
        """The `d` of the session's address."""
        return self.lesson_id.split(":", 2)[-1]


class Sessions(Answer, frozen=True, kw_only=True):
    """All sessions of a service."""

    sessions: list[Session]


class Draft(Answer, frozen=True, kw_only=True):
    """Events to sign, in this order."""

    lesson_id: str = ""
    events: list[UnsignedEvent]
    notice: str = ""


class Accepted(Answer, frozen=True, kw_only=True):
    """An event the daemon took, and the relays it goes to."""

    id: str
    lesson_id: str | None = None
    relays: list[str] = []


class AcceptedEvents(Answer, frozen=True, kw_only=True):
    """All events of one call."""

    accepted: list[Accepted]


class Rsvp(Answer, frozen=True, kw_only=True):
    """One person's answer."""

    pubkey: str
    npub: str
    status: str
    rsvp_time: int
    seat: str | None = None
    position: int | None = None
    needs_reconfirmation: bool = False
    reminder_sent: bool = False
    undeliverable: bool = False


class Rsvps(Answer, frozen=True, kw_only=True):
    """Everybody's answers."""

    rsvps: list[Rsvp]


class Attendance(Answer, frozen=True, kw_only=True):
    """One person's attendance. Seconds."""

    pubkey: str
    joined_at: int
    total_duration: int
    join_count: int
    npub: str = ""
    left_at: int | None = None
    evidence: str = ""
    completed_at: int | None = None
    completed_by: str | None = None


class Attendances(Answer, frozen=True, kw_only=True):
    """Everybody's attendance."""

    attendance: list[Attendance]


class RelaySaid(Answer, frozen=True, kw_only=True):
    """A relay's answer to one message."""

    relay: str
    said: str


class Reminder(Answer, frozen=True, kw_only=True):
    """One row of the ledger."""

    pubkey: str
    message: str
    due_at: int
    state: str
    npub: str = ""
    relays: list[RelaySaid] = []
    reason: str | None = None
    attempts: int = 0


class Reminders(Answer, frozen=True, kw_only=True):
    """The ledger of a session."""

    reminders: list[Reminder]
    summary: dict[str, int] = {}


class Relay(Answer, frozen=True, kw_only=True):
    """A relay as the daemon sees it."""

    url: str
    state: str
    last_error: str | None = None
    pending: int = 0


class Relays(Answer, frozen=True, kw_only=True):
    """The daemon's relays."""

    relays: list[Relay]

"""What a daemon answers, as frozen values. Names on the wire are the model's, in camelCase; times are Unix seconds.

Fields that a newer daemon adds are left alone; those that an older one lacks have a default where there is one.
"""

from __future__ import annotations

import msgspec

from podium_protocol.events import UnsignedEvent


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The root of all answers."""


class Counts(Answer, frozen=True, kw_only=True):
    """Answers to an invitation."""

    confirmed: int = 0
    tentative: int = 0
    declined: int = 0


class Session(Answer, frozen=True, kw_only=True):
    """One session. `duration` in minutes; `state` is scheduled, active, ended or cancelled."""

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
    description: str = ""
    timezone: str | None = None
    max_participants: int | None = None
    requires_rsvp: bool = msgspec.field(default=False, name="requiresRSVP")
    waiting_room: bool = False
    allow_recording: bool = False
    e2ee_required: bool = False
    visibility: str = "public"
    guests: str | None = None
    recording_access: str = "participants"
    attendance: str = "public"
    conference_room_id: str | None = None
    started_at: int | None = None
    ended_at: int | None = None
    end_reason: str | None = None
    recording_url: str | None = None
    recording_state: str = "none"
    instructor_name: str = ""
    instructor_nip05: str | None = None
    location: str | None = None
    doors_open_at: int | None = None
    blocked_reason: str | None = None
    unread_reason: str | None = None
    cancel_reason: str | None = None
    can_restore: bool = False
    seats_taken: int = 0
    waiting_count: int = 0
    participant_count: int = 0
    counts: Counts = Counts()
    epoch: int = 0

    @property
    def identifier(self) -> str:
        """The `d` of the session's address."""
        return self.lesson_id.split(":", 2)[-1]


class Sessions(Answer, frozen=True, kw_only=True):
    """Sessions of a service by start; `next` is the offset of those that follow."""

    sessions: tuple[Session, ...]
    next: int | None = None


class PassedOver(Answer, frozen=True, kw_only=True):
    """An event of an instructor that is no session here. `keeps`: an older revision of it stays in force."""

    event_id: str
    lesson_id: str
    author: str
    title: str
    created_at: int
    reason: str
    keeps: bool


class PassedOvers(Answer, frozen=True, kw_only=True):
    """What was passed over, newest first."""

    events: tuple[PassedOver, ...]


class Draft(Answer, frozen=True, kw_only=True):
    """Events to sign, in this order."""

    lesson_id: str = ""
    events: tuple[UnsignedEvent, ...]
    notice: str = ""


class Accepted(Answer, frozen=True, kw_only=True):
    """An event the daemon took, and the relays it goes to."""

    id: str
    lesson_id: str | None = None
    relays: tuple[str, ...] = ()


class AcceptedEvents(Answer, frozen=True, kw_only=True):
    """All events of one call."""

    accepted: tuple[Accepted, ...]


class Rsvp(Answer, frozen=True, kw_only=True):
    """One person's answer. `seat` is held, waiting or none; `position` is the place on the waiting list."""

    pubkey: str
    npub: str
    status: str
    rsvp_time: int
    seat: str | None = None
    position: int | None = None
    needs_reconfirmation: bool = False
    reminder_sent: bool = False
    undeliverable: bool = False
    note: str | None = None


class Rsvps(Answer, frozen=True, kw_only=True):
    """Everybody's answers."""

    rsvps: tuple[Rsvp, ...]


class Attendance(Answer, frozen=True, kw_only=True):
    """One person's attendance. `total_duration` in seconds; `joined_at` is None for who only watched the recording."""

    pubkey: str
    joined_at: int | None = None
    total_duration: int
    join_count: int
    npub: str = ""
    left_at: int | None = None
    evidence: str = ""
    assurance: str = ""
    completed_at: int | None = None
    completed_by: str | None = None


class Attendances(Answer, frozen=True, kw_only=True):
    """Everybody's attendance."""

    attendance: tuple[Attendance, ...]


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
    epoch: int = 0
    relays: tuple[RelaySaid, ...] = ()
    reason: str | None = None
    attempts: int = 0


class Unreachable(Answer, frozen=True, kw_only=True):
    """Somebody who names no relays for private messages (kind 10050), and what could not be sent to them."""

    pubkey: str
    npub: str = ""
    messages: tuple[str, ...] = ()


class Reminders(Answer, frozen=True, kw_only=True):
    """The ledger of a session."""

    reminders: tuple[Reminder, ...]
    summary: dict[str, int] = {}
    unreachable: tuple[Unreachable, ...] = ()


class Refusal(Answer, frozen=True, kw_only=True):
    """What a relay refused for good since the daemon started: the last words, when (Unix seconds), and how often."""

    words: str
    at: int
    count: int


class Relay(Answer, frozen=True, kw_only=True):
    """A relay as the daemon sees it."""

    url: str
    state: str
    last_error: str | None = None
    last_refusal: Refusal | None = None
    last_notice: str | None = None
    closed_subscriptions: dict[str, str] = {}
    partial: dict[str, str] = {}
    limits: dict[str, int] = {}
    pending: int = 0


class Relays(Answer, frozen=True, kw_only=True):
    """The daemon's relays."""

    relays: tuple[Relay, ...]


class Service(Answer, frozen=True, kw_only=True):
    """What a service is."""

    service_pubkey: str
    npub: str
    public_url: str
    relays: tuple[str, ...] = ()
    instructors: tuple[str, ...] = ()
    version: str = ""
    engine: str = ""
    attendance: str = "public"
    trouble: str | None = None


class Calendar(Answer, frozen=True, kw_only=True):
    """Where the caller's calendar is."""

    url: str


class Challenge(Answer, frozen=True, kw_only=True):
    """What a join proof must contain."""

    url: str
    lesson_id: str
    nonce: str
    expires_at: int
    recording_policy: str = ""
    recording_policy_hash: str = ""
    notice: str = ""


class Ticket(Answer, frozen=True, kw_only=True):
    """The right to open the room socket once; `state` is admitted or waiting."""

    state: str
    socket_url: str
    token: str
    expires_at: int
    reason: str | None = None

    def __repr__(self) -> str:
        return f"<Ticket, {self.state}, until {self.expires_at}>"


class RoomPerson(Answer, frozen=True, kw_only=True):
    """Somebody in the room (present) or at its door (waiting)."""

    pubkey: str
    npub: str
    state: str
    role: str
    since: int
    waiting_for: str | None = None


class RaisedHand(Answer, frozen=True, kw_only=True):
    """Somebody's hand; `since` in Unix seconds."""

    pubkey: str
    npub: str = ""
    since: int = 0


class Control(Answer, frozen=True, kw_only=True):
    """`support`: native (this service does it), in_room (people do it in the meeting), none."""

    support: str = "none"
    active: bool = False


class SpotlightState(Answer, frozen=True, kw_only=True):
    """Who is shown large to everybody; `support` as of a `Control`."""

    support: str = "none"
    pubkey: str | None = None


class Room(Answer, frozen=True, kw_only=True):
    """A room. `people`, `hands` in the order of raising, `speakers` (who may speak though muted) are for leaders."""

    conference_room_id: str | None
    is_active: bool
    participant_count: int
    waiting_count: int
    people: tuple[RoomPerson, ...] = ()
    hands: tuple[RaisedHand, ...] = ()
    mute_all: Control = Control()
    recording: Control = Control()
    speakers: tuple[str, ...] = ()
    spotlight: SpotlightState = SpotlightState()
    auto_admit: bool = False


class LiveSessionRoom(Answer, frozen=True, kw_only=True):
    """The model's result of `createLiveSession`."""

    conference_room_id: str
    join_url: str


class ConferenceDetails(Answer, frozen=True, kw_only=True):
    """The model's result of `getConferenceDetails`."""

    conference_room_id: str | None
    is_active: bool
    participant_count: int


class Recording(Answer, frozen=True, kw_only=True):
    """Where a recording is, once it is published."""

    recording_url: str | None


class ManualAttendance(Answer, frozen=True, kw_only=True):
    """An interval that a leader vouched for."""

    lesson_id: str
    pubkey: str
    joined_at: int
    left_at: int | None


class RecordingRun(Answer, frozen=True, kw_only=True):
    """The recording of one run of a session, counted from 0. `length` in seconds, `size` in bytes."""

    run: int
    state: str
    progress: int = 0
    access: str = "participants"
    url: str | None = None
    sha256: str | None = None
    size: int | None = None
    length: float | None = None
    media_type: str | None = None
    published_at: int | None = None
    reason: str | None = None
    notes: tuple[str, ...] = ()


class Recordings(Answer, frozen=True, kw_only=True):
    """The recordings of a session; `undecided` are those in the room who have not agreed."""

    recordings: tuple[RecordingRun, ...]
    is_recording: bool = False
    undecided: tuple[str, ...] = ()


class ConsentEvent(Answer, frozen=True, kw_only=True):
    """A signed answer to a recording policy; `event` is its JSON as the daemon gave it."""

    pubkey: str
    given: bool
    policy_hash: str
    event: msgspec.Raw


class ConsentEvents(Answer, frozen=True, kw_only=True):
    """All answers that are kept with a session's recordings."""

    consents: tuple[ConsentEvent, ...]

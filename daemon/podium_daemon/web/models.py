"""What the HTTP interface takes and gives. Field names are the model's, in camelCase; times are Unix seconds, UTC."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

# pydantic's own engine (Rust): unlike in `re`, `$` is the very end; \A and \z are unknown to readers of /openapi.json
Hex64 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Time = Annotated[int, Field(ge=0, le=2**53 - 1)]
Kind = Annotated[int, Field(ge=0, le=65_535)]


class Model(BaseModel):
    """Strict and frozen: an unknown field is a mistake worth telling."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, strict=True)


class EventModel(Model):
    """A signed Nostr event (NIP-01), as it goes on the wire."""

    model_config = ConfigDict(alias_generator=None)  # the wire's names

    id: str
    pubkey: str
    created_at: Time
    kind: Kind
    tags: list[Annotated[list[str], Field(min_length=1)]]
    content: str
    sig: str


class TemplateModel(Model):
    """An event for the caller to sign: fill in nothing but `id` and `sig`."""

    model_config = ConfigDict(alias_generator=None)  # the wire's names

    pubkey: str
    created_at: int
    kind: int
    tags: list[list[str]]
    content: str


class SessionDraftIn(Model):
    title: str
    summary: str = ""
    description: str = ""
    scheduled_at: Time
    duration: Annotated[int, Field(gt=0, description="minutes")]
    timezone: str | None = None
    max_participants: int | None = None
    requires_rsvp: Annotated[bool, Field(alias="requiresRSVP")] = False
    waiting_room: bool = False
    allow_recording: bool = False
    e2ee_required: Annotated[bool, Field(alias="e2eeRequired")] = False
    visibility: Literal["public", "private"] = "public"
    recording_access: Annotated[
        Literal["participants", "public"] | None,
        Field(description="Who may see the recording; null: this service's default."),
    ] = None
    guests: Annotated[
        Literal["off", "invited", "anyone"] | None,
        Field(description="Who may come without a signer; null: this service's default."),
    ] = None
    attendance: Annotated[
        Literal["public", "private"] | None,
        Field(description="Attendance records: published, or sealed to the person and the instructor; null: default."),
    ] = None
    co_hosts: list[Hex64] = []
    invited: list[Hex64] = []
    identifier: str | None = None


_MAY_BE_EMPTY: Final = frozenset({"summary", "description", "timezone", "max_participants", "co_hosts", "invited"})


class SessionEditIn(Model):
    """Only what changes; null sets a field that may be empty to empty."""

    title: str | None = None
    summary: str | None = None
    description: str | None = None
    scheduled_at: Time | None = None
    duration: Annotated[int, Field(gt=0, description="minutes")] | None = None
    timezone: str | None = None
    max_participants: int | None = None
    requires_rsvp: Annotated[bool | None, Field(alias="requiresRSVP")] = None
    waiting_room: bool | None = None
    allow_recording: bool | None = None
    recording_access: Literal["participants", "public"] | None = None
    guests: Literal["off", "invited", "anyone"] | None = None
    attendance: Annotated[
        Literal["public", "private"] | None, Field(description="Can become private, and stays so.")
    ] = None
    co_hosts: list[Hex64] | None = None
    invited: list[Hex64] | None = None

    @model_validator(mode="after")
    def _says_what_must_be_there(self) -> Self:
        emptied = [name for name in self.model_fields_set - _MAY_BE_EMPTY if getattr(self, name) is None]
        if emptied:
            raise ValueError(f"null empties a field, and these cannot be empty: {', '.join(sorted(emptied))}")
        return self


class RsvpDraftIn(Model):
    status: Literal["confirmed", "tentative", "declined"]


class CancelDraftIn(Model):
    reason: str = ""


class DraftOut(Model):
    """Templates to sign and send to `/api/events`, in this order."""

    lesson_id: str
    events: list[TemplateModel]
    notice: str = ""


class EventsIn(Model):
    events: Annotated[list[EventModel], Field(min_length=1, max_length=20)]


class AcceptedEvent(Model):
    id: str
    kind: int
    lesson_id: str | None
    relays: list[str]


class EventsOut(Model):
    accepted: list[AcceptedEvent]


class Counts(Model):
    confirmed: int
    tentative: int
    declined: int


class SessionOut(Model):
    lesson_id: str
    naddr: str
    title: str
    summary: str
    description: str
    state: str
    scheduled_at: int
    duration: int
    ends_at: int
    timezone: str | None
    instructor_pubkey: str
    instructor_npub: str
    instructor_name: Annotated[str, Field(description="As their kind 0 has it, without controls; empty: unknown.")]
    instructor_nip05: Annotated[str | None, Field(description="Verified: the domain says that it is their key.")]
    location: Annotated[str | None, Field(description="Where people meet; a link is never shown here.")]
    doors_open_at: int
    max_participants: int | None
    requires_rsvp: Annotated[bool, Field(alias="requiresRSVP")]
    waiting_room: bool
    allow_recording: bool
    e2ee_required: Annotated[bool, Field(alias="e2eeRequired")]
    visibility: str
    guests: Annotated[str | None, Field(description="Who may come without a signer: off, invited or anyone.")]
    recording_access: Annotated[str, Field(description="Who may see the recording: participants, or public.")]
    attendance: Annotated[
        str, Field(description="Attendance records: public, or private (sealed to the person and the instructor).")
    ]
    conference_room_id: str | None
    started_at: int | None
    ended_at: int | None
    end_reason: str | None
    recording_state: str
    recording_url: str | None
    is_recording: bool
    recording_progress: Annotated[int | None, Field(description="percent, while it is processed")]
    blocked_reason: str | None
    unread_reason: Annotated[
        str | None, Field(description="Why a newer revision does not count: the one before stays in force.")
    ]
    cancel_reason: Annotated[str | None, Field(description="The instructor's words, of a cancelled session.")]
    can_restore: Annotated[bool, Field(description="Cancelled: until its end the instructor may take that back.")]
    seats_taken: int
    waiting_count: int
    counts: Counts
    participant_count: int
    join_url: str
    epoch: int


class SessionsOut(Model):
    sessions: list[SessionOut]
    next: Annotated[int | None, Field(description="`offset` of those that follow; null: these are the last.")]


class PassedOverOut(Model):
    event_id: str
    lesson_id: str
    author: str
    title: str
    created_at: int
    reason: str
    keeps: Annotated[bool, Field(description="An older revision of it stays in force here.")]


class PassedOversOut(Model):
    events: list[PassedOverOut]


class RsvpOut(Model):
    pubkey: str
    npub: str
    status: str
    rsvp_time: int
    seat: str
    position: int | None
    needs_reconfirmation: bool
    reminder_sent: bool
    undeliverable: bool
    note: Annotated[str | None, Field(description="What they wrote beside it: for themselves and those who lead.")]


class RsvpsOut(Model):
    rsvps: list[RsvpOut]


class AttendanceOut(Model):
    pubkey: str
    npub: str
    joined_at: Annotated[int | None, Field(description="null for somebody who only watched the recording")]
    left_at: int | None
    total_duration: int
    join_count: int
    evidence: str
    assurance: Annotated[str, Field(description="How they proved who they are: signature, link, guest.")]
    completed_at: int | None
    completed_by: str | None


class AttendancesOut(Model):
    attendance: list[AttendanceOut]


class OwnOut(Model):
    """What the service holds on one person in one session: told to nobody but them."""

    pubkey: str
    npub: str
    role: Literal["instructor", "co-host", "participant"]
    rsvp: RsvpOut | None
    attendance: AttendanceOut | None


class RelayAnswer(Model):
    relay: str
    said: str


class ReminderOut(Model):
    pubkey: str
    npub: str
    message: str
    epoch: int
    due_at: int
    state: str
    relays: list[RelayAnswer]
    reason: str | None
    attempts: int


class UnreachableOut(Model):
    """Somebody who names no relays for private messages (kind 10050), and what could not be sent to them."""

    pubkey: str
    npub: str
    messages: list[str]


class RemindersOut(Model):
    reminders: list[ReminderOut]
    summary: dict[str, int]
    unreachable: Annotated[list[UnreachableOut], Field(description="To whom nothing can be sent as things stand.")]


class RefusalOut(Model):
    words: str
    at: int
    count: int


class RelayOut(Model):
    url: str
    state: str
    read: bool
    write: bool
    dm: bool
    last_error: str | None
    last_refusal: Annotated[RefusalOut | None, Field(description="The last event that it refused for good.")]
    last_notice: Annotated[str | None, Field(description="The last words that it had for people.")]
    closed_subscriptions: Annotated[dict[str, str], Field(description="What it does not serve, with its words.")]
    partial: Annotated[dict[str, str], Field(description="Whose past it has not told whole, with the reason.")]
    limits: Annotated[dict[str, int], Field(description="What it says that it allows (NIP-11).")]
    pending: int


class RelaysOut(Model):
    relays: list[RelayOut]


class ServiceOut(Model):
    service_pubkey: str
    npub: str
    public_url: str
    relays: list[str]
    instructors: list[str]
    version: str
    engine: str
    attendance: Annotated[str, Field(description="Of sessions that do not say: public or private.")]
    trouble: Annotated[str | None, Field(description="Why nothing is sent: another daemon has the same key.")] = None


class NamesOut(Model):
    """The document of NIP-05."""

    names: Annotated[dict[str, str], Field(description="Public keys in hex, by name.")]


class ChallengeOut(Model):
    """What a join proof must contain (docs/wire-formats.md, Join proof)."""

    url: str
    method: str
    lesson_id: str
    nonce: str
    expires_at: int
    recording_policy: str
    recording_policy_hash: str
    notice: Annotated[str, Field(description="What becomes of the attendance, and what this service adds to that.")]
    attendance: Annotated[str, Field(description="public: the record is published; private: it is sealed.")]
    own_notice: Annotated[str, Field(description="What this service adds; may be empty.")]


class JoinOut(Model):
    """`admitted` or `waiting`; either way the room socket takes the token."""

    state: Literal["admitted", "waiting"]
    reason: str | None
    socket_url: str
    token: str
    expires_at: int


class RoomPerson(Model):
    pubkey: str
    npub: str
    state: Literal["present", "waiting"]
    role: str
    since: int
    waiting_for: Annotated[str | None, Field(description="why they are not let in yet")] = None


class HandOut(Model):
    pubkey: str
    npub: str
    since: int


class ControlOut(Model):
    """`support` says who can do it: this service (native), people in the meeting itself (in_room), nobody (none)."""

    support: Literal["native", "in_room", "none"]
    active: bool


class SpotlightOut(Model):
    """Who is shown large to everybody; `support` as of a control."""

    support: Literal["native", "in_room", "none"]
    pubkey: str | None


class RoomOut(Model):
    """`people`, `hands` in the order of raising, and `speakers`, who may speak though muted, are for those who lead.

    `auto_admit`: confirmed RSVPs pass the waiting room.
    """

    conference_room_id: str | None
    is_active: bool
    participant_count: int
    waiting_count: int
    people: list[RoomPerson]
    hands: list[HandOut]
    mute_all: ControlOut
    recording: ControlOut
    speakers: list[str]
    spotlight: SpotlightOut
    auto_admit: bool


class LowerIn(Model):
    """Whose hands to take down: pubkeys, or everybody's."""

    pubkeys: list[Hex64] = []
    everybody: bool = False


class SwitchIn(Model):
    on: bool


class MuteIn(Model):
    pubkey: Hex64
    kind: Literal["audio", "video", "screen"] = "audio"


class SpeakIn(Model):
    pubkey: Hex64
    on: bool


class SpotlightIn(Model):
    """Whom to show large to everybody; null: nobody."""

    pubkey: Hex64 | None


class AdmitIn(Model):
    """Whom to let in: pubkeys, or everybody who waits."""

    pubkeys: list[Hex64] = []
    everybody: bool = False


class RemoveIn(Model):
    pubkey: Hex64
    reason: str = ""


class CalendarOut(Model):
    """Where the caller's calendar is; to be kept like a password."""

    url: str


class ConferenceConfigIn(Model):
    """The model's "Conference Configuration"."""

    name: str
    max_participants: int | None = None
    waiting_room: bool
    allow_recording: bool
    e2ee_required: Annotated[bool, Field(alias="e2eeRequired")]
    instructor_pubkey: Hex64


class ConferenceRoomOut(Model):
    conference_room_id: str
    join_url: str


class ConferenceDetailsOut(Model):
    conference_room_id: str | None
    is_active: bool
    participant_count: int


class RecordingOut(Model):
    recording_url: str | None


class ManualAttendanceIn(Model):
    pubkey: Hex64
    joined_at: Time
    left_at: Time | None = None
    note: Annotated[str, Field(max_length=500)] = ""


class ManualAttendanceOut(Model):
    lesson_id: str
    pubkey: str
    joined_at: int
    left_at: int | None

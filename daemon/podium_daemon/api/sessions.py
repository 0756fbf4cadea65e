"""Sessions: drafts to sign, accepted events, and sessions as they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from podium_daemon.api.base import Author, EventModel, Hex64, Model, TemplateModel, Time
from podium_protocol.live.series import MAX_TIMES


class SessionDraftIn(Model):
    pubkey: Author = None
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
    co_hosts: Sequence[Hex64] = ()
    invited: Sequence[Hex64] = ()
    identifier: str | None = None
    repeat: Annotated[
        Literal["weekly", "2-weekly", "monthly"] | None,
        Field(description="A series, at the same weekday (of the month) and time on the wall clock of `timezone`."),
    ] = None
    times: Annotated[int | None, Field(ge=2, le=MAX_TIMES, description="How many sessions the series has.")] = None

    @model_validator(mode="after")
    def _repeats_some_times(self) -> Self:
        if (self.repeat is None) is not (self.times is None):
            raise ValueError("a series has both: `repeat` and `times`")
        return self


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
    co_hosts: Sequence[Hex64] | None = None
    invited: Sequence[Hex64] | None = None
    following: Annotated[bool, Field(description="Change all that follow in its series as well.")] = False

    @model_validator(mode="after")
    def _says_what_must_be_there(self) -> Self:
        emptied = [name for name in self.model_fields_set - _MAY_BE_EMPTY if getattr(self, name) is None]
        if emptied:
            raise ValueError(f"null empties a field, and these cannot be empty: {', '.join(sorted(emptied))}")
        return self


class CancelDraftIn(Model):
    reason: str = ""
    following: Annotated[bool, Field(description="Cancel all that follow in its series as well.")] = False


class DraftOut(Model):
    """Templates to sign and send to `/api/events`, in this order; of a series each session by itself, to be safe.

    A deletion (kind 5) is sent together with the revision before it.
    """

    lesson_id: str
    events: tuple[TemplateModel, ...]
    notice: str = ""
    series: Annotated[str | None, Field(description="The address of the calendar of the series (kind 31924).")] = None


class EventsIn(Model):
    events: Annotated[list[EventModel], Field(min_length=1, max_length=20)]


class AcceptedEvent(Model):
    id: str
    kind: int
    lesson_id: str | None
    relays: tuple[str, ...]


class EventsOut(Model):
    accepted: tuple[AcceptedEvent, ...]


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
    is_locked: Annotated[bool, Field(description="The room is locked: only who is in it, and its leaders, enter.")]
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
    series: Annotated[str | None, Field(description="The address of the calendar of its series (kind 31924).")] = None
    series_number: Annotated[int | None, Field(description="Which date of the series it is, from 1.")] = None

    @property
    def identifier(self) -> str:
        """The `d` of the session's address."""
        return self.lesson_id.split(":", 2)[-1]


class SeriesDateOut(Model):
    lesson_id: str
    naddr: str
    number: int
    title: str
    scheduled_at: int
    ends_at: int
    timezone: str | None
    state: str

    @property
    def identifier(self) -> str:
        """The `d` of the session's address."""
        return self.lesson_id.split(":", 2)[-1]


class SeriesOut(Model):
    """All dates of a series that the caller may see, by their numbers; cancelled ones too."""

    address: str
    dates: tuple[SeriesDateOut, ...]
    outdated: Annotated[
        int, Field(description="To the instructor: dates that no longer take place and that the calendar still lists.")
    ] = 0


class SessionsOut(Model):
    sessions: tuple[SessionOut, ...]
    next: Annotated[int | None, Field(description="`offset` of those that follow; null: these are the last.")]


MarkupTag = Literal[
    "", "p", "h3", "h4", "h5", "ul", "ol", "li", "blockquote", "em", "strong", "a", "span", "code", "pre", "br", "hr"
]


class MarkupNode(Model):
    """A node of a description: a text, or an element with its children."""

    tag: Annotated[MarkupTag, Field(description="Its element in HTML; empty: a text.")]
    text: str = ""
    href: Annotated[str | None, Field(description="Of a link: an address with http or https.")] = None
    children: tuple[MarkupNode, ...] = ()


class InvitationOut(Model):
    description: Annotated[
        tuple[MarkupNode, ...] | None,
        Field(description="Read as Markdown; null: too long for that, show the session's `description` as it is."),
    ]
    qr: Annotated[tuple[str, ...], Field(description="The page's address as a QR code: a row a string, 1 is dark.")]


class PassedOverOut(Model):
    event_id: str
    lesson_id: str
    author: str
    title: str
    created_at: int
    reason: str
    keeps: Annotated[bool, Field(description="An older revision of it stays in force here.")]


class PassedOversOut(Model):
    events: tuple[PassedOverOut, ...]


class PassOut(Model):
    secret: Annotated[str, Field(repr=False)]
    seconds: int


class CalendarOut(Model):
    """The address of the caller's calendar; keep it secret like a password."""

    url: str

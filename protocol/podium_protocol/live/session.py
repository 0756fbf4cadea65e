"""Reading the session event, kind 31923 (NIP-52): strictly, since other applications use the kind for other things."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Pubkey, pubkey_or_none
from podium_protocol.live import fields
from podium_protocol.live.fields import AuthoredEvent
from podium_protocol.live.series import series_of
from podium_protocol.live.session_spec import (
    DEFAULT_LIMITS,
    MAX_IDENTIFIER_BYTES,
    GuestPolicy,
    RecordingAccess,
    SessionLimits,
    SessionSpec,
    Visibility,
    problems_of,
)
from podium_protocol.live.session_writing import (
    LIVE_SESSION,
    MAX_CANCEL_REASON,
    Cancellation,
    SessionRole,
    attach_recording,
    cancel,
    write_session,
)
from podium_protocol.tags import Tags
from podium_protocol.text import paragraphs, single_line
from podium_protocol.times import zone_or_none

__all__ = [
    "AuthoredEvent",
    "Cancellation",
    "GuestPolicy",
    "NotASession",
    "RecordingAccess",
    "Session",
    "SessionLimits",
    "SessionRole",
    "SessionSpec",
    "Visibility",
    "attach_recording",
    "cancel",
    "names_service",
    "objection_to",
    "problems_of",
    "read_session",
    "spec_of",
    "write_session",
]

UNNAMED: Final = "it does not name this service: a p tag with the service's key is missing"
_CANCELLED: Final = ("cancelled", "canceled")
_SINGLE: Final = ("d", "start", "end", "status", "max_participants")
_RULES: Final = frozenset(
    {
        *("max_participants", "rsvp", "waiting_room", "recording", "e2ee", "visibility", "guests"),
        *("attendance", "recording_access"),
    }
)


class NotASession(msgspec.Struct, frozen=True):
    """An expected outcome: the event is something else, or cannot be used. `reason` is short English for logs."""

    reason: str


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One revision of a session. Texts are cleaned for display. Times in Unix seconds, UTC.

    A cancellation by another client may have lost its times (`start` 0): then `starts_at` and `ends_at` are 0, and a
    reader that holds an earlier revision keeps the times of that one.
    """

    address: Address
    event_id: EventId
    created_at: int
    title: str
    starts_at: int
    ends_at: int
    summary: str = ""
    description: str = ""
    timezone: str = "UTC"
    max_participants: int | None = None
    rsvp_required: bool = False
    waiting_room: bool = False
    recording_allowed: bool = False
    e2ee_required: bool = False
    visibility: Visibility = Visibility.PUBLIC
    attendance: Visibility | None = None
    """Whether attendance records are published, or sealed to the person and the instructor; None: not given."""
    guests: GuestPolicy | None = None
    recording_access: RecordingAccess | None = None
    """Who may see the recording; None: not given."""
    cancelled: bool = False
    cancel_reason: str = ""
    has_end: bool = True
    """Whether the event gives its end, which NIP-52 makes optional. If not, the default duration gives `ends_at`."""
    has_rules: bool = True
    """Whether the event carries any of our own tags. A client that knows only NIP-52 drops them all."""
    is_tagged: bool = True
    """Whether it has the hashtag of live sessions."""
    named: tuple[str, ...] = ()
    """The key in each `p` tag, whatever its role; not checked to be keys."""
    co_hosts: tuple[Pubkey, ...] = ()
    invited: tuple[Pubkey, ...] = ()
    hashtags: tuple[str, ...] = ()
    location: str | None = None
    series: str | None = None
    """The address of the calendar of its series (`live.series`), or None."""
    recording_url: str | None = None
    """The first web link in `r`. Before the session has ended it may be any reference; the 30313's comes first."""

    @property
    def session_address(self) -> str:
        """The session address, the key of every table."""
        return str(self.address)

    @property
    def instructor(self) -> Pubkey:
        """The author (the model's `instructorPubkey`)."""
        return self.address.pubkey

    @property
    def duration_minutes(self) -> int:
        """The model's `duration` in minutes, rounded up."""
        return -(-(self.ends_at - self.starts_at) // 60)

    @property
    def duration_seconds(self) -> int:
        """Scheduled duration."""
        return self.ends_at - self.starts_at


class _Flaw(Exception):
    pass


def read_session(event: AuthoredEvent, limits: SessionLimits = DEFAULT_LIMITS) -> Session | NotASession:
    """Read one revision of a session, or return why it is none.

    Cancelled revisions (`status` cancelled, or `start` 0) are sessions with `cancelled` set, and need no good times.
    Whether the author may hold sessions, and whether `created_at` is plausible, is decided before (wire-formats.md).
    """
    try:
        return _read(event, limits)
    except _Flaw as flaw:
        return NotASession(str(flaw))


def names_service(session: Session, service: Pubkey) -> bool:
    """Whether the session is meant for this service: a `p` tag with its key, whatever its role.

    A service that is its own instructor need not name itself: there the hashtag says that it is no private date.
    """
    return service in session.named or (session.instructor == service and session.is_tagged)


def objection_to(event: AuthoredEvent, service: Pubkey, limits: SessionLimits = DEFAULT_LIMITS) -> str | None:
    """Why `service` ignores an event that its instructor signed, in short English; None if it is a session here."""
    session = read_session(event, limits)
    if isinstance(session, NotASession):
        return session.reason
    return None if names_service(session, service) else UNNAMED


def spec_of(session: Session) -> SessionSpec:
    """The spec that would write `session` again: an edit starts from it."""
    return SessionSpec(
        identifier=session.address.identifier,
        title=session.title,
        summary=session.summary,
        description=session.description,
        starts_at=session.starts_at,
        duration_minutes=session.duration_minutes,
        timezone=session.timezone,
        max_participants=session.max_participants,
        rsvp_required=session.rsvp_required,
        waiting_room=session.waiting_room,
        recording_allowed=session.recording_allowed,
        e2ee_required=session.e2ee_required,
        visibility=session.visibility,
        attendance=session.attendance,
        guests=session.guests,
        recording_access=session.recording_access,
        co_hosts=session.co_hosts,
        invited=session.invited,
        hashtags=session.hashtags,
        series=session.series,
    )


def _read(event: AuthoredEvent, limits: SessionLimits) -> Session:
    rows = event.tags
    if event.kind != kinds.SESSION:
        raise _Flaw(f"kind {event.kind} is no session")
    people = _People.from_rows(rows, limits)
    hashtags = tuple(dict.fromkeys(tags.values(rows, "t")))
    _check_tags(rows, hashtags, people)
    status = (tags.first(rows, "status") or "").strip().casefold()
    cancelled = status in _CANCELLED or tags.first(rows, "start") == "0"
    starts_at, ends_at = _times(rows, cancelled, limits)
    e2ee = tags.first(rows, "e2ee") == "required"
    zone = tags.first(rows, "start_tzid") or "UTC"
    address = _address(event)
    series = series_of(address, rows)
    return Session(
        address=address,
        event_id=event.id,
        created_at=event.created_at,
        title=_title(rows, cancelled, limits),
        starts_at=starts_at,
        ends_at=ends_at,
        summary=single_line(tags.first(rows, "summary") or "", limits.max_summary),
        description=paragraphs(event.content, limits.max_description_bytes),
        timezone=zone if zone_or_none(zone) else "UTC",  # only the rendering depends on it: the start is an epoch
        max_participants=_cap(rows, limits),
        rsvp_required=tags.first(rows, "rsvp") == "required",
        waiting_room=tags.first(rows, "waiting_room") == "on",
        recording_allowed=tags.first(rows, "recording") == "allowed",
        e2ee_required=e2ee,
        visibility=Visibility.PRIVATE if e2ee or tags.first(rows, "visibility") == "private" else Visibility.PUBLIC,
        attendance=_attendance(rows),
        guests=_guests(rows),
        recording_access=_recording_access(rows),
        cancelled=cancelled,
        cancel_reason=paragraphs(tags.first(rows, "reason") or "", MAX_CANCEL_REASON) if cancelled else "",
        has_end=bool(tags.first(rows, "end")),
        has_rules=any(row[0] in _RULES for row in rows),
        is_tagged=LIVE_SESSION in hashtags,
        named=people.named,
        co_hosts=people.co_hosts,
        invited=people.invited,
        hashtags=_hashtags(hashtags, limits),
        location=single_line(tags.first(rows, "location") or "", fields.MAX_URL) or None,
        series=None if series is None else str(series),
        recording_url=next(filter(None, map(fields.web_url, tags.values(rows, "r"))), None),
    )


def _check_tags(rows: Tags, hashtags: Collection[str], people: _People) -> None:
    if LIVE_SESSION not in hashtags and not people.named:
        raise _Flaw("a calendar event of another kind: no live-session hashtag and nobody is named")
    for name in _SINGLE:
        if fields.is_repeated(rows, name):
            raise _Flaw(f"{name} is given twice")


def _address(event: AuthoredEvent) -> Address:
    identifier = tags.first(event.tags, "d") or ""
    if not identifier:
        raise _Flaw("no identifier")
    if len(identifier.encode()) > MAX_IDENTIFIER_BYTES or single_line(identifier, MAX_IDENTIFIER_BYTES) != identifier:
        raise _Flaw(f"the identifier is longer than {MAX_IDENTIFIER_BYTES} bytes or holds unprintable characters")
    return Address(kinds.SESSION, event.pubkey, identifier)


def _title(rows: Tags, cancelled: bool, limits: SessionLimits) -> str:
    title = single_line(tags.first(rows, "title") or tags.first(rows, "name") or "", limits.max_title)
    if not title and not cancelled:
        raise _Flaw("no title")
    return title


def _times(rows: Tags, cancelled: bool, limits: SessionLimits) -> tuple[int, int]:
    start, end = (fields.timestamp(tags.first(rows, name)) for name in ("start", "end"))
    if start and not cancelled and not tags.first(rows, "end"):
        end = start + limits.default_duration_minutes * 60
    if start and end and start < end <= start + limits.max_duration_minutes * 60:
        return start, end
    if cancelled:
        return 0, 0
    if not start:
        raise _Flaw("start is no Unix time above 0")
    if end is None or end <= start:
        raise _Flaw("end is no Unix time after start")
    raise _Flaw(f"longer than {limits.max_duration_minutes} minutes")


def _cap(rows: Tags, limits: SessionLimits) -> int | None:
    text = tags.first(rows, "max_participants")
    if text is None:
        return None
    # a broken cap read as "no cap" would open the room to all
    cap = fields.whole_number(text, limits.max_participants)
    if not cap:
        raise _Flaw(f"max_participants is no number from 1 to {limits.max_participants}")
    return cap


def _attendance(rows: Tags) -> Visibility | None:
    said = set(tags.values(rows, "attendance"))
    if Visibility.PRIVATE in said:  # also beside "public": what was sealed can still be published, and not the reverse
        return Visibility.PRIVATE
    return Visibility.PUBLIC if Visibility.PUBLIC in said else None


def _guests(rows: Tags) -> GuestPolicy | None:
    stated = tags.first(rows, "guests")
    if stated is None:
        return None
    # an unknown word read as "anyone" would open the room
    return GuestPolicy(stated) if stated in set(GuestPolicy) else GuestPolicy.OFF


def _recording_access(rows: Tags) -> RecordingAccess | None:
    said = set(tags.values(rows, "recording_access"))
    if RecordingAccess.PARTICIPANTS in said:  # also beside "public": what was kept back can still be published
        return RecordingAccess.PARTICIPANTS
    return RecordingAccess.PUBLIC if RecordingAccess.PUBLIC in said else None


def _hashtags(found: tuple[str, ...], limits: SessionLimits) -> tuple[str, ...]:
    cleaned = (single_line(tag, limits.max_title) for tag in found[: limits.max_hashtags + 1] if tag != LIVE_SESSION)
    return tuple(tag for tag in cleaned if tag)[: limits.max_hashtags]


class _People(msgspec.Struct, frozen=True):
    named: tuple[str, ...]
    co_hosts: tuple[Pubkey, ...]
    invited: tuple[Pubkey, ...]

    @classmethod
    def from_rows(cls, rows: Tags, limits: SessionLimits) -> _People:
        found: dict[str, dict[Pubkey, None]] = {role: {} for role in SessionRole}
        named = [row for row in tags.named(rows, "p") if len(row) > 3 and row[3] in found]
        if len(named) > limits.max_people + 20:  # each key costs a check on the curve
            raise _Flaw(f"names more than {limits.max_people} people")
        for row in named:
            if pubkey := pubkey_or_none(row[1]):
                found[row[3]][pubkey] = None
        all_named = tuple(dict.fromkeys(tags.values(rows, "p")))
        return cls(all_named, tuple(found[SessionRole.CO_HOST]), tuple(found[SessionRole.INVITED]))

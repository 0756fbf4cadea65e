"""The room (kind 30312) and the live status of one session (kind 30313), both NIP-53 and signed by the service.

The status carries counts and never the roster. Trap: NIP-53 says `starts` and `ends` where NIP-52 says `start`, `end`.
A session of private visibility has no public status: the publisher checks `Session.visibility` first.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Pubkey, UnsignedEvent
from podium_protocol.live import fields
from podium_protocol.live.fields import AuthoredEvent, next_created_at
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.tags import Tags
from podium_protocol.text import single_line

REFRESH_EVERY: Final = 600
"""Seconds between refreshes of a live status: clients take one that is an hour old as ended (NIP-53)."""

SPACE_IDENTIFIER: Final = "podium"
"""`d` of the one room that a service has."""

SPACE_AHEAD: Final = 8 * 3600
"""Seconds before a session from which its room is open: clients take one that is older than that as closed (NIP-53)."""

SPACE_REFRESH_EVERY: Final = SPACE_AHEAD // 2
"""Seconds between refreshes of a room that is open."""

_MAX_TEXT: Final = 1000
_MAX_COUNT: Final = 1_000_000
_MAX_PINNED: Final = 100


class SpaceStatus(StrEnum):
    """NIP-53: closed means not in operation."""

    OPEN = "open"
    PRIVATE = "private"
    CLOSED = "closed"


class MeetingStatus(StrEnum):
    """NIP-53's three."""

    PLANNED = "planned"
    LIVE = "live"
    ENDED = "ended"

    @classmethod
    def from_state(cls, state: SessionState) -> MeetingStatus:
        """The status that shows `state`. NIP-53 has no word for cancelled: such a meeting is `ended`."""
        return _STATUS_OF[state]


_STATUS_OF: Final = {
    SessionState.SCHEDULED: MeetingStatus.PLANNED,
    SessionState.ACTIVE: MeetingStatus.LIVE,
    SessionState.ENDED: MeetingStatus.ENDED,
    SessionState.CANCELLED: MeetingStatus.ENDED,
}


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """A service's room. `service_url` is the page where people enter, `endpoint` the API for programs."""

    identifier: str
    name: str
    service_url: str
    summary: str = ""
    endpoint: str | None = None
    status: SpaceStatus = SpaceStatus.OPEN
    relays: tuple[str, ...] = ()


class Meeting(msgspec.Struct, frozen=True, kw_only=True):
    """The live status of one session. Times in Unix seconds.

    Args:
        identifier: `d`, the model's `conferenceRoomId`.
        space: address of the room.
        session: address of the session.
        title: the session's.
        status: see `MeetingStatus.from_state`.
        starts_at: planned start, and the actual one from the moment it is live.
        ends_at: planned end, and the actual one once it has ended.
        summary: the session's.
        current_participants: people in the room now.
        total_participants: distinct people who were in the room so far; until the first one was, those who said yes.
        recording_url: written only with status ended.
        pinned: ids of the live chat messages (1311) that are pinned.
        created_at: of the event that was read; not used for writing.
    """

    identifier: str
    space: Address
    session: Address
    title: str
    status: MeetingStatus
    starts_at: int
    ends_at: int | None = None
    summary: str = ""
    current_participants: int = 0
    total_participants: int = 0
    recording_url: str | None = None
    pinned: tuple[EventId, ...] = ()
    created_at: int = 0

    @property
    def session_address(self) -> str:
        """The session address."""
        return str(self.session)


def write_space(
    space: Space, *, service: Pubkey, relay_hint: str, now: int, previous_created_at: int | None = None
) -> UnsignedEvent:
    """The kind 30312 event; the service itself is the one provider with the role Host that NIP-53 asks for."""
    rows = tags.build(
        (
            ("d", space.identifier),
            ("room", single_line(space.name, _MAX_TEXT)),
            ("summary", single_line(space.summary, _MAX_TEXT)) if space.summary else None,
            ("status", space.status.value),
            ("service", space.service_url),
            ("endpoint", space.endpoint) if space.endpoint else None,
            ("p", service, relay_hint, "Host"),
            ("relays", *space.relays) if space.relays else None,
            ("alt", f"Room for live sessions: {single_line(space.name, _MAX_TEXT)}"),
        )
    )
    return _event(kinds.SPACE, rows, service, now, previous_created_at)


def write_meeting(
    meeting: Meeting, *, service: Pubkey, relay_hint: str, now: int, previous_created_at: int | None = None
) -> UnsignedEvent:
    """The kind 30313 event for `meeting`."""
    rows = (
        ("d", meeting.identifier),
        ("a", str(meeting.space), relay_hint),
        ("a", str(meeting.session), relay_hint),
        *_status_tags(meeting, relay_hint),
    )
    return _event(kinds.MEETING, rows, service, now, previous_created_at)


def write_live_event(
    meeting: Meeting, *, service: Pubkey, relay_hint: str, now: int, previous_created_at: int | None = None
) -> UnsignedEvent:
    """The same state as kind 30311, for streaming clients (option `announce_live_event`)."""
    rows = (
        ("d", meeting.identifier),
        ("a", str(meeting.session), relay_hint),
        *_status_tags(meeting, relay_hint),
    )
    return _event(kinds.LIVE_EVENT, rows, service, now, previous_created_at)


def read_meeting(event: AuthoredEvent) -> Meeting | None:
    """Read a kind 30313 event that names a room and one of our sessions, or None."""
    rows = event.tags
    space, session = fields.address(rows, kinds.SPACE), fields.address(rows, kinds.SESSION)
    starts_at = fields.timestamp(tags.first(rows, "starts"))
    status = _STATUS_BY_NAME.get(tags.first(rows, "status") or "")
    identifier = tags.first(rows, "d")
    if event.kind != kinds.MEETING or not identifier or not starts_at:
        return None
    if space is None or session is None or status is None:
        return None
    return Meeting(
        identifier=identifier,
        space=space,
        session=session,
        title=single_line(tags.first(rows, "title") or "", _MAX_TEXT),
        status=status,
        starts_at=starts_at,
        ends_at=fields.timestamp(tags.first(rows, "ends")),
        summary=single_line(tags.first(rows, "summary") or "", _MAX_TEXT),
        current_participants=fields.whole_number(tags.first(rows, "current_participants"), _MAX_COUNT) or 0,
        total_participants=fields.whole_number(tags.first(rows, "total_participants"), _MAX_COUNT) or 0,
        recording_url=fields.web_url(tags.first(rows, "recording")),
        pinned=_pinned(rows),
        created_at=event.created_at,
    )


_STATUS_BY_NAME: Final = {status.value: status for status in MeetingStatus}


def _status_tags(meeting: Meeting, relay_hint: str) -> Tags:
    ended = meeting.status is MeetingStatus.ENDED
    return tags.build(
        (
            ("title", single_line(meeting.title, _MAX_TEXT)),
            ("summary", single_line(meeting.summary, _MAX_TEXT)) if meeting.summary else None,
            ("starts", str(meeting.starts_at)),
            ("ends", str(meeting.ends_at)) if meeting.ends_at is not None else None,
            ("status", meeting.status.value),
            ("current_participants", str(0 if ended else meeting.current_participants)),
            ("total_participants", str(meeting.total_participants)),
            ("p", meeting.session.pubkey, relay_hint, "Host"),
            ("recording", meeting.recording_url) if ended and meeting.recording_url else None,
            *(("pinned", event_id) for event_id in meeting.pinned),
            # NIP-31: for clients that do not know the kind
            ("alt", f"Live session: {single_line(meeting.title, _MAX_TEXT)} ({meeting.status.value})"),
        )
    )


def _pinned(rows: Tags) -> tuple[EventId, ...]:
    found = map(fields.event_id, tags.values(rows, "pinned"))
    return tuple(event_id for event_id in found if event_id is not None)[:_MAX_PINNED]


def _event(kind: int, rows: Tags, service: Pubkey, now: int, previous_created_at: int | None) -> UnsignedEvent:
    return UnsignedEvent(service, next_created_at(now, previous_created_at), kind, rows, "")

"""What programs ask a daemon to compose."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from podium_protocol.events import Pubkey
from podium_protocol.live.session_spec import DEFAULT_LIMITS
from podium_protocol.tags import Tag
from podium_protocol.text import single_line


class SessionWish(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A session to be scheduled. `scheduled_at` in Unix seconds, `duration` in minutes."""

    title: str
    scheduled_at: int
    duration: int
    summary: str = ""
    description: str = ""
    timezone: str | None = None
    max_participants: int | None = None
    requires_rsvp: bool = msgspec.field(default=False, name="requiresRSVP")
    waiting_room: bool = False
    allow_recording: bool = False
    e2ee_required: bool = False
    visibility: str = "public"
    recording_access: str | None = None
    attendance: str | None = None
    co_hosts: tuple[Pubkey, ...] = ()
    invited: tuple[Pubkey, ...] = ()
    identifier: str | None = None


class SessionChanges(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What changes in the next revision; None empties what may be empty, and what is not given stays."""

    title: str | UnsetType = UNSET
    scheduled_at: int | UnsetType = UNSET
    duration: int | UnsetType = UNSET
    summary: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    timezone: str | UnsetType | None = UNSET
    max_participants: int | UnsetType | None = UNSET
    requires_rsvp: bool | UnsetType = msgspec.field(default=UNSET, name="requiresRSVP")
    waiting_room: bool | UnsetType = UNSET
    allow_recording: bool | UnsetType = UNSET
    recording_access: str | UnsetType = UNSET
    attendance: str | UnsetType = UNSET
    co_hosts: tuple[Pubkey, ...] | UnsetType = UNSET
    invited: tuple[Pubkey, ...] | UnsetType = UNSET


def tags_of(title: str, scheduled_at: int, duration: int) -> tuple[Tag, ...]:
    """The tags that the composed event must have, exactly."""
    cleaned = single_line(title, DEFAULT_LIMITS.max_title)  # as it is written into the event
    return (("title", cleaned), ("start", str(scheduled_at)), ("end", str(scheduled_at + duration * 60)))

"""What a person asks for when a session is scheduled, and whether it is possible."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import msgspec

from podium_protocol.events import Pubkey
from podium_protocol.live.fields import MAX_TIME
from podium_protocol.text import single_line
from podium_protocol.times import expectation, zone_or_none

# an attendance record's `d` is `<session address>:<participant>` and must itself fit the 255 bytes of an naddr (NIP-19)
MAX_IDENTIFIER_BYTES: Final = 255 - len(f"31923:{64 * '0'}:") - len(f":{64 * '0'}")


class Visibility(StrEnum):
    """Whether the session event is plain on relays or only travels gift-wrapped (wire-formats.md)."""

    PUBLIC = "public"
    PRIVATE = "private"


class GuestPolicy(StrEnum):
    """Who may come without a signer."""

    OFF = "off"
    INVITED = "invited"
    ANYONE = "anyone"


class RecordingAccess(StrEnum):
    """Who may see a session's recording: people who answered, were invited or attended, or all (semantics.md)."""

    PARTICIPANTS = "participants"
    PUBLIC = "public"


class SessionLimits(msgspec.Struct, frozen=True):
    """Bounds on one session. Lengths in characters unless the name says bytes, durations in minutes."""

    max_title: int = 200
    max_summary: int = 1000
    max_description_bytes: int = 16_384  # the cap of a message text (wire-formats.md)
    min_duration_minutes: int = 1
    default_duration_minutes: int = 60  # of an event without `end`, which NIP-52 makes optional
    max_duration_minutes: int = 24 * 60
    max_participants: int = 100_000
    max_people: int = 400  # co-hosts and invited together: each costs about 110 bytes of the event
    max_hashtags: int = 20
    max_event_bytes: int = 60_000  # many relays refuse 64 KiB (wire-formats.md, trap 7)
    start_grace: int = 60  # seconds a start may lie in the past: "now" was typed a moment ago


class SessionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A session as its instructor wants it. Times in Unix seconds, the duration in minutes as in the model.

    `attendance`: whether its records are published, or go sealed to the person and the instructor; None: the service's
    default. `recording_access`: who may see the recording; None: the service's default.
    """

    identifier: str
    title: str
    starts_at: int
    duration_minutes: int
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
    guests: GuestPolicy | None = None
    recording_access: RecordingAccess | None = None
    co_hosts: tuple[Pubkey, ...] = ()
    invited: tuple[Pubkey, ...] = ()
    hashtags: tuple[str, ...] = ()
    series: str | None = None
    """The address of the calendar that lists it (`live.series`)."""

    @property
    def ends_at(self) -> int:
        """Unix seconds, exclusive."""
        return self.starts_at + self.duration_minutes * 60

    @property
    def effective_visibility(self) -> Visibility:
        """Private if asked for or if end-to-end encryption is required, which forces it (wire-formats.md)."""
        return Visibility.PRIVATE if self.e2ee_required else self.visibility

    @property
    def effective_attendance(self) -> Visibility | None:
        """Private in a private session: nothing public carries a participant's pubkey (wire-formats.md)."""
        return Visibility.PRIVATE if self.effective_visibility is Visibility.PRIVATE else self.attendance

    @property
    def effective_recording_access(self) -> RecordingAccess | None:
        """Never public in a private session: its recording shows who took part."""
        is_private = self.effective_visibility is Visibility.PRIVATE
        return RecordingAccess.PARTICIPANTS if is_private and self.recording_access else self.recording_access


DEFAULT_LIMITS: Final = SessionLimits()


def problems_of(
    spec: SessionSpec, now: int, *, start_before: int | None = None, limits: SessionLimits = DEFAULT_LIMITS
) -> tuple[str, ...]:
    """List what keeps `spec` from being written, each text with what was expected; empty if it is good.

    Args:
        spec: what is wanted.
        now: Unix seconds.
        start_before: on an edit, the start that is published now; keeping it is allowed though it lies in the past.
        limits: the bounds.
    """
    return (
        *_problems_of_words(spec, limits),
        *_problems_of_time(spec, now, start_before, limits),
        *_problems_of_people(spec, limits),
    )


def _problems_of_words(spec: SessionSpec, limits: SessionLimits) -> Iterator[str]:
    if not 1 <= len(spec.identifier.encode("utf-8", "replace")) <= MAX_IDENTIFIER_BYTES:
        yield f"the identifier must have 1 to {MAX_IDENTIFIER_BYTES} bytes"
    elif single_line(spec.identifier, MAX_IDENTIFIER_BYTES) != spec.identifier:
        yield "the identifier holds unprintable characters or spaces at its ends: letters, digits and - are expected"
    if not single_line(spec.title, limits.max_title):  # control characters alone are no title either
        yield "the title is empty: give the session a name"
    if len(spec.title) > limits.max_title:
        yield f"the title has {len(spec.title)} characters, at most {limits.max_title} are possible"
    if len(spec.summary) > limits.max_summary:
        yield f"the summary has {len(spec.summary)} characters, at most {limits.max_summary} are possible"
    if len(spec.description.encode("utf-8", "replace")) > limits.max_description_bytes:
        yield f"the description is longer than {limits.max_description_bytes} bytes"
    if any("\ud800" <= character <= "\udfff" for character in _all_text(spec)):
        yield "a text holds half a surrogate pair, which cannot be sent: type it again"


def _all_text(spec: SessionSpec) -> str:
    return "".join((spec.identifier, spec.title, spec.summary, spec.description, *spec.hashtags))


def _problems_of_time(spec: SessionSpec, now: int, start_before: int | None, limits: SessionLimits) -> Iterator[str]:
    if not limits.min_duration_minutes <= spec.duration_minutes <= limits.max_duration_minutes:
        yield (
            f"the duration is {spec.duration_minutes} minutes, expected {limits.min_duration_minutes} to "
            f"{limits.max_duration_minutes}: the end comes after the start"
        )
    if not 0 < spec.starts_at <= MAX_TIME:
        yield "the start is no usable time: Unix seconds are expected"
    elif spec.starts_at < now - limits.start_grace and spec.starts_at != start_before:
        yield "the session would start in the past: give a later time"
    elif spec.ends_at <= now:
        yield "the session would already be over: give a later end"
    if zone_or_none(spec.timezone) is None:
        yield expectation(spec.timezone)


def _problems_of_people(spec: SessionSpec, limits: SessionLimits) -> Iterator[str]:
    if spec.max_participants is not None and not 1 <= spec.max_participants <= limits.max_participants:
        yield f"max participants is {spec.max_participants}, expected 1 to {limits.max_participants}, or none"
    people = len(spec.co_hosts) + len(spec.invited)
    if people > limits.max_people:
        yield f"{people} people are named, at most {limits.max_people} fit into one event: invite the others by link"
    if len(spec.hashtags) > limits.max_hashtags:
        yield f"{len(spec.hashtags)} hashtags are given, at most {limits.max_hashtags} are possible"

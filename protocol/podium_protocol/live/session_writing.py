"""Writing the session event, kind 31923: scheduled, edited, recording attached, cancelled (wire-formats.md)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.errors import InvalidInput, LocalProtocolError
from podium_protocol.events import Pubkey, UnsignedEvent, canonical
from podium_protocol.live import fields
from podium_protocol.live.fields import AuthoredEvent, next_created_at
from podium_protocol.live.session_spec import DEFAULT_LIMITS, SessionLimits, SessionSpec, Visibility, problems_of
from podium_protocol.nips.nip09 import write_deletion
from podium_protocol.tags import Tag, Tags
from podium_protocol.text import paragraphs, single_line

SECONDS_PER_DAY: Final = 86_400


def days_covered(starts_at: int, ends_at: int) -> range:
    """Days since the epoch that [starts_at, ends_at) touches; the end is exclusive (NIP-52): midnight adds no day."""
    return range(starts_at // SECONDS_PER_DAY, (max(ends_at, starts_at + 1) - 1) // SECONDS_PER_DAY + 1)


def day_tags(starts_at: int, ends_at: int) -> tuple[Tag, ...]:
    """One `D` tag per day covered."""
    return tuple(("D", str(day)) for day in days_covered(starts_at, ends_at))


LIVE_SESSION: Final = "live-session"
MAX_CANCEL_REASON: Final = 500
NO_CANCEL_REASON: Final = "The session is cancelled."
"""The content of our kind 5 if the instructor gave no reason."""


class SessionRole(StrEnum):
    """Role of a `p` tag in a session."""

    INSTRUCTOR = "instructor"
    SERVICE = "service"
    CO_HOST = "co-host"
    INVITED = "invited"


class Cancellation(NamedTuple):
    """The two events of a cancellation; publish them in this order."""

    revision: UnsignedEvent
    deletion: UnsignedEvent


# Written anew by each edit. Everything else in a former revision (a calendar's `a`, an image, another application's
# tag) is carried over. `name` is deprecated (NIP-52); `end_tzid` would contradict a new zone; `nonce` (NIP-13) and
# `expiration` (NIP-40) speak of one revision only.
_OWNED: Final = frozenset(
    {
        *("d", "title", "name", "summary", "start", "end", "D", "start_tzid", "end_tzid", "t", "status", "visibility"),
        *("max_participants", "rsvp", "waiting_room", "recording", "e2ee", "attendance", "guests", "nonce"),
        *("expiration", "reason", "recording_access", "alt"),
    }
)


def write_session(
    spec: SessionSpec,
    *,
    instructor: Pubkey,
    service: Pubkey,
    relay_hint: str,
    join_url: str,
    now: int,
    previous: AuthoredEvent | None = None,
    previous_created_at: int | None = None,
    start_before: int | None = None,
    limits: SessionLimits = DEFAULT_LIMITS,
) -> UnsignedEvent:
    """The kind 31923 event for `spec`, for the instructor to sign.

    Args:
        spec: what is wanted.
        instructor: author of the event.
        service: key of the daemon.
        relay_hint: a relay where the session is found, or an empty text.
        join_url: address of the session's page.
        now: Unix seconds.
        previous: the revision that this one replaces; its unknown tags are carried over.
        previous_created_at: time of the last revision or deletion, if only the time is known.
        start_before: the start in force, if that of `previous` is not; keeping it is allowed even in the past.
        limits: bounds on the spec and on the finished event.

    Raises:
        InvalidInput: the spec cannot be met; the text names each problem (`problems_of` gives them as values).
        LocalProtocolError: `previous` is another session's.
    """
    _check(spec, previous, instructor=instructor, now=now, start_before=start_before, limits=limits)
    own = _tags_of(spec, instructor=instructor, service=service, relay=relay_hint, join_url=join_url, limits=limits)
    event = UnsignedEvent(
        pubkey=instructor,
        created_at=next_created_at(now, previous.created_at if previous else None, previous_created_at),
        kind=kinds.SESSION,
        tags=(*own, *_kept(previous, spec.series)),
        content=paragraphs(spec.description, limits.max_description_bytes),
    )
    return _fitting(event, limits)


def _check(
    spec: SessionSpec,
    previous: AuthoredEvent | None,
    *,
    instructor: Pubkey,
    now: int,
    start_before: int | None,
    limits: SessionLimits,
) -> None:
    if previous is not None and Address.from_event(previous) != Address(kinds.SESSION, instructor, spec.identifier):
        raise LocalProtocolError("the revision to replace belongs to another session")
    start = _start_of(previous) if start_before is None else start_before
    problems = problems_of(spec, now, start_before=start, limits=limits)
    if problems:
        raise InvalidInput("; ".join(problems))


def _fitting(event: UnsignedEvent, limits: SessionLimits) -> UnsignedEvent:
    if len(canonical(event)) > limits.max_event_bytes:
        raise InvalidInput(
            f"the session event exceeds {limits.max_event_bytes} bytes: shorten the text or invite fewer"
        )
    return event


def attach_recording(previous: AuthoredEvent, url: str, now: int) -> UnsignedEvent:
    """The next revision with `["r", url]` before other links, for the instructor to sign.

    Raises:
        InvalidInput: the URL is no http(s) link.
    """
    if fields.web_url(url) is None:
        raise InvalidInput("a recording URL is an http or https link with a host and no user name")
    others = tuple(row for row in previous.tags if row[:2] != ("r", url))
    place = next((at for at, row in enumerate(others) if row[0] == "r"), len(others))
    return _revision(previous, (*others[:place], ("r", url), *others[place:]), now)


def detach_recording(previous: AuthoredEvent, url: str, now: int) -> UnsignedEvent:
    """The next revision without `["r", url]`, for the instructor to sign."""
    return _revision(previous, tuple(row for row in previous.tags if row[:2] != ("r", url)), now)


def cancel(previous: AuthoredEvent, now: int, reason: str = "") -> Cancellation:
    """The cancelled revision and the kind 5 (NIP-09) that follows it, both for the instructor to sign.

    `reason` is for the participants. It is in both, as the tag `reason` and as the content of the kind 5: a relay that
    obeys the deletion serves only the kind 5.

    The revision keeps the original times, so that a client that reads `status` shows it as cancelled, also from a relay
    that ignores kind 5. The deletion carries the same `created_at`, so that its `a` reaches every revision including
    that one: calendar clients do not know `status`, and would go on showing a cancelled session. Its `e` names the
    cancelled revision (an `e` counts only on the newest one) and the one before. A later revision, at least a second
    newer, is not covered, so the identifier can be used again.

    Raises:
        LocalProtocolError: `previous` is no session event.
    """
    address = Address.from_event(previous)
    if previous.kind != kinds.SESSION or address is None:
        raise LocalProtocolError("only a session event can be cancelled here")
    kept = tuple(row for row in previous.tags if row[0] not in ("status", "reason"))
    words = paragraphs(reason, MAX_CANCEL_REASON)
    why = (("reason", words),) if words else ()
    revision = _revision(previous, (*kept, ("status", "cancelled"), *why), now)
    deletion = write_deletion(
        previous.pubkey,
        created_at=revision.created_at,
        events=((revision.id, kinds.SESSION), (previous.id, kinds.SESSION)),
        addresses=(address,),
        reason=words or NO_CANCEL_REASON,
    )
    return Cancellation(revision, deletion)


def _revision(previous: AuthoredEvent, rows: Tags, now: int) -> UnsignedEvent:
    return UnsignedEvent(
        pubkey=previous.pubkey,
        created_at=next_created_at(now, previous.created_at),
        kind=previous.kind,
        tags=rows,
        content=previous.content,
    )


def _start_of(previous: AuthoredEvent | None) -> int | None:
    return None if previous is None else fields.timestamp(tags.first(previous.tags, "start"))


def _tags_of(
    spec: SessionSpec, *, instructor: Pubkey, service: Pubkey, relay: str, join_url: str, limits: SessionLimits
) -> Tags:
    private = spec.effective_visibility is Visibility.PRIVATE
    cap = spec.max_participants
    return tags.build(
        (
            ("d", spec.identifier),
            ("title", single_line(spec.title, limits.max_title)),
            ("summary", single_line(spec.summary, limits.max_summary)) if spec.summary else None,
            ("start", str(spec.starts_at)),
            ("end", str(spec.ends_at)),
            *day_tags(spec.starts_at, spec.ends_at),
            ("start_tzid", spec.timezone),
            ("t", LIVE_SESSION),
            *(("t", tag) for tag in dict.fromkeys(spec.hashtags) if tag != LIVE_SESSION),
            ("p", instructor, relay, SessionRole.INSTRUCTOR.value),
            ("p", service, relay, SessionRole.SERVICE.value),
            *_people(spec.co_hosts, SessionRole.CO_HOST),
            *_people(spec.invited, SessionRole.INVITED),
            ("location", join_url),
            ("a", spec.series, relay) if spec.series else None,  # it requests to be listed there (NIP-52)
            ("max_participants", str(cap)) if cap is not None else None,
            ("rsvp", "required" if spec.rsvp_required else "optional"),
            ("waiting_room", "on") if spec.waiting_room else None,
            ("recording", "allowed") if spec.recording_allowed else None,
            ("e2ee", "required") if spec.e2ee_required else None,
            ("visibility", "private") if private else None,
            ("attendance", spec.effective_attendance.value) if spec.effective_attendance else None,
            ("guests", spec.guests.value) if spec.guests is not None else None,
            ("recording_access", spec.effective_recording_access.value) if spec.effective_recording_access else None,
            ("alt", f"Live session: {single_line(spec.title, limits.max_title)}"),
        )
    )


def _people(pubkeys: Iterable[Pubkey], role: SessionRole) -> Iterator[Tag]:
    return (("p", pubkey, "", role.value) for pubkey in dict.fromkeys(pubkeys))


def _kept(previous: AuthoredEvent | None, series: str | None) -> Iterator[Tag]:
    rows = previous.tags if previous else ()
    return (row for row in rows if not _is_owned(row) and row[:2] != ("a", series))


def _is_owned(row: Tag) -> bool:
    if row[0] == "p":
        return len(row) > 3 and row[3] in set(SessionRole)
    if row[0] == "location":  # a link is a former join page; an address or a room number is kept
        return fields.web_url(row[1] if len(row) > 1 else None) is not None
    return row[0] in _OWNED

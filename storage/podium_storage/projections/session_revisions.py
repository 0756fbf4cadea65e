"""One session's row and one revision of it: what is in force after it, as values without I/O.

In force is the newest revision that can be read. It is withdrawn by `status` cancelled, `start` 0 or its author's
kind 5, and by nothing else (semantics.md, "A revision that cannot be read is no deletion"). A revision that carries no
tag of our own, as a client that knows NIP-52 only writes it, leaves the rules of the one before.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from podium_protocol.events import EventId, VerifiedEvent
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.session import RecordingAccess, Session, Visibility
from podium_storage.mirror.fold import Position
from podium_storage.table.models import LiveSessionRow

_KEPT_REVISIONS: Final = 30
_RULES: Final = (
    *("max_participants", "requires_rsvp", "waiting_room", "allow_recording", "e2ee_required", "visibility", "guests"),
)
"""The values of our own tags, kept if a revision has none. `attendance` and `recording_access` have other rules."""


def room_of(session_address: str) -> str:
    """The model's `conferenceRoomId`: the `d` of the 30313. It names the session without showing its address."""
    return hashlib.sha256(session_address.encode()).hexdigest()[:32]


def adopted(
    session: Session,
    received_at: int,
    *,
    attendance: Visibility = Visibility.PUBLIC,
    recording_access: RecordingAccess = RecordingAccess.PARTICIPANTS,
) -> LiveSessionRow:
    """The row for a session that is new here; `attendance` and `recording_access` apply if it does not say."""
    return LiveSessionRow(
        session_address=session.session_address,
        conference_room_id=room_of(session.session_address),
        instructor_pubkey=session.instructor,
        # a session that was over before we knew of it needs no announcement
        state=SessionState.CANCELLED if session.cancelled else SessionState.SCHEDULED,
        withdrawn=session.cancelled,
        cancel_reason=session.cancel_reason or None,
        epoch=0,
        runs=(),
        revisions=((session.event_id, session.starts_at),),
        adopted_at=received_at,
        status_due_at=None if session.cancelled else received_at,
        attendance=(session.attendance or attendance).value,
        recording_access=(session.recording_access or recording_access).value,
        rules_at=None if session.has_rules else 0,
        length_at=None if session.has_end else 0,
        series=session.series,
        **_described(session),
    )


def revised(row: LiveSessionRow, session: Session, received_at: int) -> LiveSessionRow:
    """The row after a newer revision. An older revision only fills in what the one in force does not say."""
    if not _position(session).outranks(_in_force(row)):
        return _completed(row, session)
    row = _without_flag(row, session)
    if session.cancelled:
        kept = msgspec.structs.replace(row, event_id=session.event_id, event_created_at=session.created_at)
        return withdrawn(kept, session.cancel_reason)
    session = _with_length(row, session)
    revisions = (*row.revisions, (session.event_id, session.starts_at))[-_KEPT_REVISIONS:]
    # people answered because it was private: no later revision makes public what they said
    is_private = row.visibility == Visibility.PRIVATE
    changed = msgspec.structs.replace(
        row,
        **(_described(session) | _kept(row, session) | ({"visibility": row.visibility} if is_private else {})),
        rules_at=None if session.has_rules else _said_at(row, row.rules_at),
        length_at=None if session.has_end else _said_at(row, row.length_at),
        attendance=_attendance_after(row, session).value,
        recording_access=_recording_access_after(row, session),
        withdrawn=False,
        cancel_reason=None,
        series=session.series or row.series,  # the `d` says it too, and a client that edits may drop our `a`
        revisions=revisions,
        version=row.version + 1,
        status_due_at=received_at,
    )
    if row.state not in (SessionState.SCHEDULED, SessionState.CANCELLED):
        # a session that has begun keeps its announced start: credit and reminders were counted from it
        return msgspec.structs.replace(
            changed, scheduled_at=row.scheduled_at, ends_at=row.ends_at, duration=row.duration
        )
    # people who were told of the cancellation get their reminders again
    is_taken_back = row.state == SessionState.CANCELLED
    if not is_taken_back and (changed.scheduled_at, changed.ends_at) == (row.scheduled_at, row.ends_at):
        return changed
    return msgspec.structs.replace(
        changed, epoch=row.epoch + 1, moved_from=row.scheduled_at, moved_at=received_at, warned_at=None
    )


def flagged(row: LiveSessionRow, event: VerifiedEvent, reason: str) -> LiveSessionRow:
    """The row when a newer revision cannot be read: the old one stays in force, with the reason noted."""
    position, unread = Position(event.created_at, event.id), _unread(row)
    if not position.outranks(_in_force(row)) or (unread is not None and not position.outranks(unread)):
        return row
    return msgspec.structs.replace(
        row,
        unread_event_id=event.id,
        unread_created_at=event.created_at,
        unread_reason=reason,
        version=row.version + 1,
    )


def withdrawn(row: LiveSessionRow, reason: str = "") -> LiveSessionRow:
    """The row after a cancellation by revision or deletion; the lifecycle service decides about the state."""
    if row.withdrawn and (row.cancel_reason is not None or not reason):
        return row
    return msgspec.structs.replace(
        row, withdrawn=True, cancel_reason=reason or row.cancel_reason, version=row.version + 1
    )


def _attendance_after(row: LiveSessionRow, session: Session) -> Visibility:
    # people came because they were told that their attendance is sealed: no later revision publishes it
    if row.attendance == Visibility.PRIVATE or session.attendance is None:
        return Visibility(row.attendance)
    return session.attendance


def _recording_access_after(row: LiveSessionRow, session: Session) -> str | None:
    # what was recorded before keeps the audience that was agreed to (`RecordingRow.access`)
    return row.recording_access if session.recording_access is None else session.recording_access.value


def _without_flag(row: LiveSessionRow, session: Session) -> LiveSessionRow:
    """The row without the note about an unreadable revision, if this readable one is newer."""
    unread = _unread(row)
    if unread is None or not _position(session).outranks(unread):
        return row
    return msgspec.structs.replace(row, unread_event_id=None, unread_created_at=None, unread_reason=None)


def _said_at(row: LiveSessionRow, at: int | None) -> int:
    """The time of the revision that said what the next one leaves open: `at`, or that of the one in force."""
    return row.event_created_at if at is None else at


def _with_length(row: LiveSessionRow, session: Session) -> Session:
    """The session with the duration of the revision before, if it gives no end itself."""
    if session.has_end:
        return session
    return msgspec.structs.replace(session, ends_at=session.starts_at + row.ends_at - row.scheduled_at)


def _kept(row: LiveSessionRow, session: Session) -> dict[str, Any]:
    """The values to keep when a client that knows only NIP-52 wrote the revision; it may drop people's roles."""
    if session.has_rules:
        return {}
    kept = {name: getattr(row, name) for name in _RULES}
    for name in ("co_hosts", "invited"):
        still = (pubkey for pubkey in getattr(row, name) if pubkey in session.named)
        kept[name] = tuple(dict.fromkeys((*still, *getattr(session, name))))
    return kept


def _completed(row: LiveSessionRow, session: Session) -> LiveSessionRow:
    """The row with values that only an older revision gives: a slower relay may deliver it late."""
    changed = _late_rules(row, session) | _late_length(row, session)
    return msgspec.structs.replace(row, **changed, version=row.version + 1) if changed else row


def _late_rules(row: LiveSessionRow, session: Session) -> dict[str, Any]:
    if row.rules_at is None or not session.has_rules or session.created_at <= row.rules_at:
        return {}
    described, is_private = _described(session), row.visibility == Visibility.PRIVATE
    return {
        **{name: described[name] for name in _RULES if not (is_private and name == "visibility")},
        "attendance": _attendance_after(row, session).value,
        "recording_access": _recording_access_after(row, session),
        "rules_at": session.created_at,
    }


def _late_length(row: LiveSessionRow, session: Session) -> dict[str, Any]:
    if row.length_at is None or not (session.has_end and session.ends_at) or session.created_at <= row.length_at:
        return {}
    if row.state != SessionState.SCHEDULED:
        return {"length_at": session.created_at}
    ends_at = row.scheduled_at + session.duration_seconds
    return {"ends_at": ends_at, "duration": session.duration_minutes, "length_at": session.created_at}


def _position(session: Session) -> Position:
    return Position(session.created_at, session.event_id)


def _in_force(row: LiveSessionRow) -> Position:
    return Position(row.event_created_at, EventId(row.event_id))


def _unread(row: LiveSessionRow) -> Position | None:
    if row.unread_event_id is None or row.unread_created_at is None:
        return None
    return Position(row.unread_created_at, EventId(row.unread_event_id))


def _described(session: Session) -> dict[str, Any]:
    return {
        "scheduled_at": session.starts_at,
        "ends_at": session.ends_at,
        "duration": session.duration_minutes,
        "title": session.title,
        "summary": session.summary,
        "description": session.description,
        "timezone": session.timezone,
        "location": session.location,
        "max_participants": session.max_participants,
        "requires_rsvp": session.rsvp_required,
        "waiting_room": session.waiting_room,
        "allow_recording": session.recording_allowed,
        "e2ee_required": session.e2ee_required,
        "visibility": session.visibility.value,
        "guests": None if session.guests is None else session.guests.value,
        "co_hosts": session.co_hosts,
        "invited": session.invited,
        "event_id": session.event_id,
        "event_created_at": session.created_at,
    }

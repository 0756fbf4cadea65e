"""Session rows out of session events (31923) and of our own status events (30313), in the transaction that stored them.

What an event says (title, times, caps) is written here; what a service decides (start, end, seats) is written by the
service. A status event of our own key is memory: it brings the state back to a daemon that lost its disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Pubkey, VerifiedEvent
from podium_protocol.filters import Filter
from podium_protocol.live.lifecycle import State
from podium_protocol.live.meeting import Meeting, MeetingStatus, read_meeting
from podium_protocol.live.plain_text import paragraphs
from podium_protocol.live.session import NotASession, Session, Visibility, read_session
from podium_protocol.live.session_writing import MAX_CANCEL_REASON, NO_CANCEL_REASON
from podium_protocol.nips.nip09 import read_deletion
from podium_storage.database import Transaction
from podium_storage.event_queries import EventQueries
from podium_storage.replacement import Effect, Position
from podium_storage.rows import LiveSessionRow
from podium_storage.table import Table

Accepts = Callable[[Session], bool]
"""Whether this service takes the session over: its instructor is on the allow-list and it names the service."""

_KEPT_REVISIONS: Final = 30
_REMEMBERED: Final = "remembered"
_ORDER: Final = {State.SCHEDULED: 0, State.ACTIVE: 1, State.ENDED: 2, State.CANCELLED: 2}
_STATE_OF: Final = {
    MeetingStatus.PLANNED: State.SCHEDULED,
    MeetingStatus.LIVE: State.ACTIVE,
    MeetingStatus.ENDED: State.ENDED,
}


def room_of(lesson_id: str) -> str:
    """The model's `conferenceRoomId`: the `d` of the 30313. It names the session without showing its address."""
    return hashlib.sha256(lesson_id.encode()).hexdigest()[:32]


class SessionProjection:
    """Keeps `trainingLiveSessions` in step with the mirror."""

    def __init__(
        self,
        sessions: Table[LiveSessionRow],
        *,
        service: Pubkey,
        accepts: Accepts,
        attendance: Callable[[], Visibility] = lambda: Visibility.PUBLIC,
    ) -> None:
        """`attendance`: where the records of sessions go that do not say it."""
        self._attendance = attendance
        self._sessions = sessions
        self._service = service
        self._accepts = accepts

    async def apply(self, tx: Transaction, effects: Sequence[Effect], *, received_at: int) -> None:
        """Fold a batch of effects into the rows, in order, with one read and one write."""
        sessions = [effect for effect in effects if effect.event.kind == kinds.SESSION]
        meetings = self._own_meetings(effects)
        deleted = {str(one) for event in _deletions(effects) for one in read_deletion(event).addresses}
        if not sessions and not meetings and not deleted:
            return
        lessons = {str(Address.of(effect.event)) for effect in sessions} | {meeting.lesson_id for meeting in meetings}
        lessons |= deleted
        before = await self._rows(tx, lessons)
        rows = dict(before)
        for effect in sessions:
            self._fold(rows, effect, received_at)
        # a relay may have told the status before the session: what is new here is remembered from the mirror
        meetings += await self._told_before(tx, [rows[key] for key in rows.keys() - before.keys()])
        for meeting in meetings:
            if (row := rows.get(meeting.lesson_id)) is not None:
                rows[meeting.lesson_id] = remembered(row, meeting)
        _explain(rows, effects)
        await self._sessions.within(tx).bulk_put([row for key, row in rows.items() if row != before.get(key)])

    async def remember(self, tx: Transaction, meetings: Sequence[Meeting]) -> None:
        """Fold in status events of our own that came another way: those of private sessions are in no mirror.

        They come in any order and more than once, so only one that is newer than what is known says anything.
        """
        rows = await self._rows(tx, {meeting.lesson_id for meeting in meetings})
        after = dict(rows)
        for meeting in sorted(meetings, key=lambda meeting: meeting.created_at):
            row = after.get(meeting.lesson_id)
            if row is not None and meeting.created_at > row.status_created_at:
                ends_withdrawn = row.withdrawn and meeting.status is MeetingStatus.ENDED
                after[meeting.lesson_id] = (
                    _cancelled_before(row, meeting) if ends_withdrawn else remembered(_as_if_new(row, meeting), meeting)
                )
        await self._sessions.within(tx).bulk_put([row for key, row in after.items() if row != rows[key]])

    async def _rows(self, tx: Transaction, lessons: set[str]) -> dict[str, LiveSessionRow]:
        found = await self._sessions.within(tx).where("lessonId").any_of(sorted(lessons)).to_list()
        return {row.lesson_id: row for row in found}

    def _own_meetings(self, effects: Sequence[Effect]) -> list[Meeting]:
        own = (e.event for e in effects if e.held and e.event.kind == kinds.MEETING and e.event.pubkey == self._service)
        return [meeting for meeting in map(read_meeting, own) if meeting is not None]

    async def _told_before(self, tx: Transaction, fresh: Sequence[LiveSessionRow]) -> list[Meeting]:
        if not fresh:
            return []
        rooms = tuple(row.conference_room_id or "" for row in fresh)
        own = Filter(kinds=(kinds.MEETING,), authors=(self._service,), tags=(("d", rooms),))
        events = await EventQueries(tx).by_filter(own)
        return [meeting for meeting in map(read_meeting, events) if meeting is not None]

    def _fold(self, rows: dict[str, LiveSessionRow], effect: Effect, received_at: int) -> None:
        lesson_id = str(Address.of(effect.event))
        row = rows.get(lesson_id)
        if not effect.held:
            # a superseded revision dies too; only the death of the one we show is a cancellation (NIP-09)
            if row is not None and row.event_id == effect.event.id:
                rows[lesson_id] = withdrawn(row)
            return
        session = read_session(effect.event)
        if isinstance(session, NotASession) or not self._accepts(session):
            return
        if row is None:
            rows[lesson_id] = adopted(session, received_at, attendance=self._attendance())
        else:
            rows[lesson_id] = revised(row, session, received_at)


def adopted(session: Session, received_at: int, *, attendance: Visibility = Visibility.PUBLIC) -> LiveSessionRow:
    """A new row for a session nobody here has seen; `attendance` where it does not say it itself."""
    return LiveSessionRow(
        lesson_id=session.lesson_id,
        conference_room_id=room_of(session.lesson_id),
        instructor_pubkey=session.instructor,
        # a session that was over before we knew of it needs no announcement
        state=State.CANCELLED if session.cancelled else State.SCHEDULED,
        withdrawn=session.cancelled,
        cancel_reason=session.cancel_reason or None,
        epoch=0,
        runs=(),
        revisions=((session.event_id, session.starts_at),),
        adopted_at=received_at,
        status_due_at=None if session.cancelled else received_at,
        attendance=(session.attendance or attendance).value,
        **_described(session),
    )


def revised(row: LiveSessionRow, session: Session, received_at: int) -> LiveSessionRow:
    """The row after a newer revision; an older one changes nothing."""
    if not _position(session).outranks(Position(row.event_created_at, EventId(row.event_id))):
        return row
    if session.cancelled:
        kept = msgspec.structs.replace(row, event_id=session.event_id, event_created_at=session.created_at)
        return withdrawn(kept, session.cancel_reason)
    revisions = (*row.revisions, (session.event_id, session.starts_at))[-_KEPT_REVISIONS:]
    # people answered because it was private: no later revision makes public what they said
    is_private = row.visibility == Visibility.PRIVATE
    changed = msgspec.structs.replace(
        row,
        **(_described(session) | ({"visibility": row.visibility} if is_private else {})),
        attendance=_attendance_after(row, session).value,
        withdrawn=False,
        cancel_reason=None,
        revisions=revisions,
        version=row.version + 1,
        status_due_at=received_at,
    )
    if row.state != State.SCHEDULED:
        # what has begun keeps the hour it was announced for: credit and reminders were counted from it
        return msgspec.structs.replace(
            changed, scheduled_at=row.scheduled_at, ends_at=row.ends_at, duration=row.duration
        )
    if (changed.scheduled_at, changed.ends_at) == (row.scheduled_at, row.ends_at):
        return changed
    return msgspec.structs.replace(
        changed, epoch=row.epoch + 1, moved_from=row.scheduled_at, moved_at=received_at, warned_at=None
    )


def withdrawn(row: LiveSessionRow, reason: str = "") -> LiveSessionRow:
    """The row after a cancellation by revision or deletion; what becomes of the state, the lifecycle decides."""
    return msgspec.structs.replace(
        row, withdrawn=True, cancel_reason=reason or row.cancel_reason, version=row.version + 1
    )


def _deletions(effects: Sequence[Effect]) -> list[VerifiedEvent]:
    return [effect.event for effect in effects if effect.held and effect.event.kind == kinds.DELETION]


def _explain(rows: dict[str, LiveSessionRow], effects: Sequence[Effect]) -> None:
    """Write down what instructors said when they deleted their sessions (NIP-09), by address or by id."""
    by_event = {row.event_id: lesson_id for lesson_id, row in rows.items()}
    for event in _deletions(effects):
        words = paragraphs(event.content[: 2 * MAX_CANCEL_REASON], MAX_CANCEL_REASON)
        deletion = read_deletion(event)
        named = {str(one) for one in deletion.addresses} | {by_event.get(one, "") for one in deletion.ids}
        for lesson_id in named & rows.keys() if words and words != NO_CANCEL_REASON else ():
            row = rows[lesson_id]
            if row.withdrawn and row.cancel_reason is None and row.instructor_pubkey == event.pubkey:
                rows[lesson_id] = msgspec.structs.replace(row, cancel_reason=words, version=row.version + 1)


def remembered(row: LiveSessionRow, meeting: Meeting) -> LiveSessionRow:
    """The row with what our own status event says; a state never goes back."""
    state = _STATE_OF[meeting.status]
    created = max(row.status_created_at, meeting.created_at)
    if _ORDER[state] <= _ORDER[State(row.state)]:
        return msgspec.structs.replace(row, status_created_at=created)
    ended_at = meeting.ends_at if state is State.ENDED else None
    return msgspec.structs.replace(
        row,
        state=state,
        started_at=meeting.starts_at,
        ended_at=ended_at,
        runs=((meeting.starts_at, ended_at),),
        end_reason=_REMEMBERED if ended_at is not None else None,
        recording_url=meeting.recording_url or row.recording_url,
        recording_state="available" if meeting.recording_url else row.recording_state,
        status_created_at=created,
        status_due_at=None if state is State.ENDED else row.status_due_at,
        version=row.version + 1,
    )


def _cancelled_before(row: LiveSessionRow, meeting: Meeting) -> LiveSessionRow:
    """A cancellation that everybody was told of: NIP-53 has one word for it and for an end."""
    return msgspec.structs.replace(
        row,
        state=State.CANCELLED,
        ended_at=meeting.ends_at,
        end_reason=_REMEMBERED,
        status_created_at=meeting.created_at,
        status_due_at=None,
        version=row.version + 1,
    )


def _as_if_new(row: LiveSessionRow, meeting: Meeting) -> LiveSessionRow:
    """An end that was itself only remembered gives way to a newer status: the session was opened again."""
    if row.end_reason != _REMEMBERED or meeting.status is not MeetingStatus.LIVE:
        return row
    return msgspec.structs.replace(row, state=State.SCHEDULED, ended_at=None, end_reason=None)


def _attendance_after(row: LiveSessionRow, session: Session) -> Visibility:
    # people came because they were told that it is sealed: no later revision publishes it
    if row.attendance == Visibility.PRIVATE or session.attendance is None:
        return Visibility(row.attendance)
    return session.attendance


def _position(session: Session) -> Position:
    return Position(session.created_at, session.event_id)


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
        "co_hosts": session.co_hosts,
        "invited": session.invited,
        "event_id": session.event_id,
        "event_created_at": session.created_at,
    }

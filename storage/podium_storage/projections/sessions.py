"""Session rows from session events (31923) and our own status events (30313), in the transaction that stores them.

The content of an event (title, times, caps) is written here; what a service decides (start, end, seats) is written by
the service. A status event of our own key brings the state back to a daemon that lost its disk.

The row follows from the set of revisions that were seen, not from their order (`session_revisions`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import Pubkey, VerifiedEvent
from podium_protocol.filters import Filter
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.live_status import Meeting, MeetingStatus, read_meeting
from podium_protocol.live.session import (
    UNNAMED,
    GuestPolicy,
    NotASession,
    RecordingAccess,
    Session,
    SessionLimits,
    Visibility,
    names_service,
    read_session,
)
from podium_protocol.live.session_spec import DEFAULT_LIMITS
from podium_protocol.live.session_writing import MAX_CANCEL_REASON, NO_CANCEL_REASON
from podium_protocol.nips.nip09 import read_deletion
from podium_protocol.text import paragraphs
from podium_storage.backend import Value
from podium_storage.database import Database, Transaction
from podium_storage.mirror.fold import Death, EventChange
from podium_storage.mirror.queries import EventQueries
from podium_storage.projections.session_revisions import adopted, flagged, revised, room_of, withdrawn
from podium_storage.sqlite import SqliteDialect
from podium_storage.table.models import LiveSessionRow
from podium_storage.table.table import Table

__all__ = [
    "Accepts",
    "PassedOver",
    "SessionProjection",
    "adopted",
    "remembered",
    "revised",
    "room_of",
    "rows_of_series",
]

Accepts = Callable[[Session], bool]
"""Whether this service takes the session over: its instructor is on the allow-list and it names the service."""

PassedOver = Callable[[VerifiedEvent, str], None]
"""Called with each revision that was not accepted, and why; it may be called again for the same one."""
_REMEMBERED: Final = "remembered"
_ORDER: Final = {SessionState.SCHEDULED: 0, SessionState.ACTIVE: 1, SessionState.ENDED: 2, SessionState.CANCELLED: 2}
_STATE_OF: Final = {
    MeetingStatus.PLANNED: SessionState.SCHEDULED,
    MeetingStatus.LIVE: SessionState.ACTIVE,
    MeetingStatus.ENDED: SessionState.ENDED,
}


class SessionProjection:
    """Keeps `trainingLiveSessions` in step with the mirror."""

    def __init__(
        self,
        sessions: Table[LiveSessionRow],
        *,
        service: Pubkey,
        accepts: Accepts,
        attendance: Callable[[], Visibility] = lambda: Visibility.PUBLIC,
        recording_access: Callable[[], RecordingAccess] = lambda: RecordingAccess.PARTICIPANTS,
        guests: GuestPolicy = GuestPolicy.INVITED,
        limits: SessionLimits = DEFAULT_LIMITS,
        passed_over: PassedOver = lambda _event, _reason: None,
    ) -> None:
        """`attendance`, `recording_access`, `guests`: the defaults of sessions; `limits`: bounds on reading them."""
        self._guests = guests
        self._attendance = attendance
        self._recording_access = recording_access
        self._limits = limits
        self._passed_over = passed_over
        self._sessions = sessions
        self._service = service
        self._accepts = accepts

    async def apply(self, tx: Transaction, effects: Sequence[EventChange], *, received_at: int) -> None:
        """Fold a batch of effects into the rows, in order, with one read and one write."""
        told = [(effect, addresses) for effect in effects if (addresses := _addresses_of(effect))]
        meetings = self._own_meetings(effects)
        if not told and not meetings:
            return
        named = {address for _, addresses in told for address in addresses} | {
            meeting.session_address for meeting in meetings
        }
        before = await self._rows(tx, named)
        rows = dict(before)
        for effect, addresses in told:
            self._fold(rows, effect, addresses, received_at)
        for held in await self._held_beside(tx, [rows[key] for key in rows.keys() - before.keys()]):
            self._fold(rows, held, _addresses_of(held), received_at)
        # a relay may have told the status before the session: what is new here is remembered from the mirror
        meetings += await self._told_before(tx, [rows[key] for key in rows.keys() - before.keys()])
        for meeting in meetings:
            if (row := rows.get(meeting.session_address)) is not None:
                rows[meeting.session_address] = remembered(row, meeting)
        _explain(rows, effects)
        await self._sessions.within(tx).bulk_put([row for key, row in rows.items() if row != before.get(key)])

    async def remember(self, tx: Transaction, meetings: Sequence[Meeting]) -> None:
        """Fold in our own status events from another source: those of private sessions are not in the mirror.

        They come in any order and more than once, so only one that is newer than the known state counts.
        """
        rows = await self._rows(tx, {meeting.session_address for meeting in meetings})
        after = dict(rows)
        for meeting in sorted(meetings, key=lambda meeting: meeting.created_at):
            row = after.get(meeting.session_address)
            if row is not None and meeting.created_at > row.status_created_at:
                ends_withdrawn = row.withdrawn and meeting.status is MeetingStatus.ENDED
                after[meeting.session_address] = (
                    _cancelled_before(row, meeting) if ends_withdrawn else remembered(_as_if_new(row, meeting), meeting)
                )
        await self._sessions.within(tx).bulk_put([row for key, row in after.items() if row != rows[key]])

    async def _rows(self, tx: Transaction, addresses: set[str]) -> dict[str, LiveSessionRow]:
        found = await self._sessions.within(tx).where("lessonId").any_of(sorted(addresses)).to_list()
        return {row.session_address: row for row in found}

    def _own_meetings(self, effects: Sequence[EventChange]) -> list[Meeting]:
        own = (
            e.event for e in effects if e.is_live and e.event.kind == kinds.MEETING and e.event.pubkey == self._service
        )
        return [meeting for meeting in map(read_meeting, own) if meeting is not None]

    async def _told_before(self, tx: Transaction, fresh: Sequence[LiveSessionRow]) -> list[Meeting]:
        if not fresh:
            return []
        rooms = tuple(row.conference_room_id or "" for row in fresh)
        own = Filter(kinds=(kinds.MEETING,), authors=(self._service,), tags=(("d", rooms),))
        events = await EventQueries(tx).by_filter(own)
        return [meeting for meeting in map(read_meeting, events) if meeting is not None]

    async def _held_beside(self, tx: Transaction, fresh: Sequence[LiveSessionRow]) -> list[EventChange]:
        """Revisions in the mirror that could not be read before an older revision made their session known."""
        addresses = [address for row in fresh if (address := Address.parse(row.session_address)) is not None]
        newest = [await EventQueries(tx).newest(address) for address in addresses]
        pairs = zip(fresh, newest, strict=True)
        return [
            EventChange(event, is_live=True) for row, event in pairs if event is not None and event.id != row.event_id
        ]

    def _fold(
        self, rows: dict[str, LiveSessionRow], effect: EventChange, addresses: Sequence[str], received_at: int
    ) -> None:
        event = effect.event
        if event.kind == kinds.DELETION:
            for session_address in addresses:
                # the mirror holds one revision of an address: this may speak of the one before, which we show
                if (row := rows.get(session_address)) is not None and row.event_created_at <= event.created_at:
                    rows[session_address] = withdrawn(row)
            return
        (session_address,) = addresses
        row = rows.get(session_address)
        if effect.death in (Death.DELETED, Death.BURIED):
            if row is not None and event.id in (row.event_id, row.unread_event_id):
                rows[session_address] = withdrawn(row)
        elif effect.death is not Death.EXPIRED:
            self._take(rows, session_address, event, received_at)

    def _take(
        self, rows: dict[str, LiveSessionRow], session_address: str, event: VerifiedEvent, received_at: int
    ) -> None:
        """Fold in a revision, even one that a newer one replaced: the newer one may be unreadable."""
        row, session = rows.get(session_address), read_session(event, self._limits)
        if isinstance(session, Session):
            if self._accepts(session):
                rows[session_address] = self._after(row, session, received_at)
                return
            if names_service(session, self._service):
                return  # its author is not on the list; if the list grows, the revision is read again
        reason = session.reason if isinstance(session, NotASession) else UNNAMED
        self._passed_over(event, reason)
        if row is not None:
            rows[session_address] = flagged(row, event, reason)

    def _after(self, row: LiveSessionRow | None, session: Session, received_at: int) -> LiveSessionRow:
        if row is None:
            after = adopted(
                session, received_at, attendance=self._attendance(), recording_access=self._recording_access()
            )
        else:
            after = revised(row, session, received_at)
        return after if after.guests is not None else msgspec.structs.replace(after, guests=self._guests.value)


def _addresses_of(effect: EventChange) -> tuple[str, ...]:
    """The sessions that an effect may change: a revision its own session, a kind 5 those of its author."""
    event = effect.event
    if event.kind == kinds.SESSION:
        return (str(Address.from_event(event)),)
    if event.kind != kinds.DELETION or not effect.is_live:
        return ()
    return tuple(str(one) for one in read_deletion(event).addresses if one.kind == kinds.SESSION)


def _deletions(effects: Sequence[EventChange]) -> list[VerifiedEvent]:
    return [effect.event for effect in effects if effect.is_live and effect.event.kind == kinds.DELETION]


def _explain(rows: dict[str, LiveSessionRow], effects: Sequence[EventChange]) -> None:
    """Store the reasons that instructors gave when they deleted their sessions (NIP-09), by address or by id."""
    by_event = {row.event_id: session_address for session_address, row in rows.items()}
    for event in _deletions(effects):
        words = paragraphs(event.content[: 2 * MAX_CANCEL_REASON], MAX_CANCEL_REASON)
        deletion = read_deletion(event)
        named = {str(one) for one in deletion.addresses} | {by_event.get(one, "") for one in deletion.ids}
        for session_address in named & rows.keys() if words and words != NO_CANCEL_REASON else ():
            row = rows[session_address]
            if row.withdrawn and row.cancel_reason is None and row.instructor_pubkey == event.pubkey:
                rows[session_address] = msgspec.structs.replace(row, cancel_reason=words, version=row.version + 1)


def remembered(row: LiveSessionRow, meeting: Meeting) -> LiveSessionRow:
    """The row with the state from our own status event; a state never goes back."""
    state = _STATE_OF[meeting.status]
    created = max(row.status_created_at, meeting.created_at)
    if _ORDER[state] <= _ORDER[SessionState(row.state)]:
        return msgspec.structs.replace(row, status_created_at=created)
    ended_at = meeting.ends_at if state is SessionState.ENDED else None
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
        status_due_at=None if state is SessionState.ENDED else row.status_due_at,
        version=row.version + 1,
    )


def _cancelled_before(row: LiveSessionRow, meeting: Meeting) -> LiveSessionRow:
    """The row of a session whose cancellation was published already: NIP-53 has one word for that and for an end."""
    return msgspec.structs.replace(
        row,
        state=SessionState.CANCELLED,
        ended_at=meeting.ends_at,
        end_reason=_REMEMBERED,
        status_created_at=meeting.created_at,
        status_due_at=None,
        version=row.version + 1,
    )


def _as_if_new(row: LiveSessionRow, meeting: Meeting) -> LiveSessionRow:
    """The row without an end that came from an older status event: the session was reopened since."""
    if row.end_reason != _REMEMBERED or meeting.status is not MeetingStatus.LIVE:
        return row
    return msgspec.structs.replace(row, state=SessionState.SCHEDULED, ended_at=None, end_reason=None)


async def rows_of_series(sessions: Table[LiveSessionRow], series: Address) -> list[LiveSessionRow]:
    """The sessions of a series (`live.series`), by their numbers.

    Raises:
        StoreError: what the database said.
    """
    named = f"{kinds.SESSION}:{series.pubkey}:{series.identifier}-"
    found = await sessions.where("lessonId").starts_with(named).and_("series").equals(str(series)).to_list()
    return sorted(found, key=lambda row: row.session_address)


_ASKED: Final = "FROM json_each(?1) AS asked CROSS JOIN atoms AS lesson ON lesson.value = asked.value"
# one statement for all counts: what they wait for is the way to the database's thread and back
_COUNTS: Final = f"""
SELECT 'answers', lesson.value, r.status, r.seat, COUNT(*), NULL {_ASKED}
CROSS JOIN "trainingLiveSessionRSVPs" AS r ON r."lessonId" = lesson.id
GROUP BY lesson.id, r.status, r.seat
UNION ALL
SELECT 'present', lesson.value, COUNT(DISTINCT CASE WHEN i."leftAt" IS NULL THEN i.pubkey END),
  COUNT(DISTINCT i.pubkey), NULL, NULL {_ASKED}
CROSS JOIN "attendanceIntervals" AS i ON i."lessonId" = lesson.id
GROUP BY lesson.id
UNION ALL
SELECT 'locked', lesson.value, NULL, NULL, NULL, NULL {_ASKED}
CROSS JOIN "roomControls" AS c ON c."lessonId" = lesson.id WHERE c."lockedIn" IS NOT NULL
UNION ALL
SELECT 'recording', lesson.value, r.state, r.progress, NULL, MAX(r.run) {_ASKED}
CROSS JOIN "recordings" AS r ON r."lessonId" = lesson.id
GROUP BY lesson.id
"""  # with MAX, SQLite takes the other columns from the row that has it


class SessionCounts(msgspec.Struct, kw_only=True):
    """One session's answers by status and by seat, people present, those who came, lock, the newest recording."""

    answers: Counter[str] = msgspec.field(default_factory=Counter)
    seats: Counter[str] = msgspec.field(default_factory=Counter)
    present: int = 0
    came: int = 0
    locked: bool = False
    recording: str | None = None
    progress: int = 0


async def session_counts(database: Database, addresses: Sequence[str]) -> dict[str, SessionCounts]:
    """The counts of each of these sessions.

    Raises:
        StoreError: what the database said.
    """
    found = {address: SessionCounts() for address in addresses}
    for what, address, *values in await database.fetch_all(_COUNTS, (SqliteDialect.json(list(found)),)):
        _COUNTED[str(what)](found[str(address)], values)
    return found


def _count_answers(counts: SessionCounts, row: Sequence[Value]) -> None:
    status, seat, count, _ = row
    counts.answers[str(status)] += _number(count)
    counts.seats[str(seat)] += _number(count)


def _count_people(counts: SessionCounts, row: Sequence[Value]) -> None:
    counts.present, counts.came = _number(row[0]), _number(row[1])


def _note_lock(counts: SessionCounts, _: Sequence[Value]) -> None:
    counts.locked = True


def _note_recording(counts: SessionCounts, row: Sequence[Value]) -> None:
    counts.recording, counts.progress = str(row[0]), _number(row[1])


_COUNTED: Final[dict[str, Callable[[SessionCounts, Sequence[Value]], None]]] = {
    "answers": _count_answers,
    "present": _count_people,
    "locked": _note_lock,
    "recording": _note_recording,
}


# the lists of people are looked into for private sessions only
_VISIBLE: Final = """
SELECT s.id FROM trainingLiveSessions AS s WHERE s.scheduledAt >= 0 AND {state} AND (
  s.visibility = 'public' OR ?3 OR s.instructorPubkey = (SELECT id FROM atoms WHERE value = ?2)
  OR EXISTS (SELECT 1 FROM json_each(s.coHosts) AS one WHERE one.value = ?2)
  OR EXISTS (SELECT 1 FROM json_each(s.invited) AS one WHERE one.value = ?2)
) ORDER BY s.scheduledAt {order}, s.id {order} LIMIT ?4 OFFSET ?5"""


class VisiblePart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the list of sessions as `viewer` may see it: public ones, and private ones that name them.

    `sees_all`: private ones that do not name them, too.
    """

    viewer: str | None
    sees_all: bool
    state: str | None
    newest_first: bool
    offset: int
    limit: int


async def visible_sessions(database: Database, part: VisiblePart) -> list[int]:
    """The primary keys of the sessions in this part, in the order of their start.

    Raises:
        StoreError: what the database said.
    """
    # said only where it is asked for: with an `OR` SQLite would look through the sessions of all states
    state = "?1 IS NULL" if part.state is None else "s.state = ?1"
    sql = _VISIBLE.format(state=state, order="DESC" if part.newest_first else "ASC")
    rows = await database.fetch_all(sql, (part.state, part.viewer, part.sees_all, part.limit, part.offset))
    return [_number(key) for (key,) in rows]


_CALLED: Final = """
SELECT lesson.value FROM trainingLiveSessions AS s CROSS JOIN atoms AS lesson ON lesson.id = s.lessonId
WHERE substr(lesson.value, ?1, length(?2)) = ?2 ORDER BY length(lesson.value), lesson.value LIMIT ?3
"""
_BEFORE_IDENTIFIER: Final = len(f"{kinds.SESSION}:") + 64 + 1
_MOST_CALLED: Final = 1_000


async def sessions_called(database: Database, prefix: str) -> list[str]:
    """The addresses of the sessions whose `d` begins with `prefix`, an exact `d` first; a thousand at most.

    Raises:
        StoreError: what the database said.
    """
    rows = await database.fetch_all(_CALLED, (_BEFORE_IDENTIFIER + 1, prefix, _MOST_CALLED))
    return [str(address) for (address,) in rows]


def _number(value: object) -> int:
    assert isinstance(value, int), "counts are whole numbers"
    return value

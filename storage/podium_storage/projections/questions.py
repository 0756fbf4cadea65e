"""Rows of questions and answers (kind 1311) from the mirror, in the transaction that stores the events.

A row begins as held, and a service decides whether it is shown. A question that its author deletes (NIP-09) is removed
for good, also if the deletion came first. Questions that the service pinned before it lost its disk are pinned again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Pubkey, VerifiedEvent
from podium_protocol.filters import Filter
from podium_protocol.live.live_status import SPACE_IDENTIFIER, read_meeting
from podium_protocol.live.questions import Question, read_question
from podium_protocol.live.session import Visibility
from podium_storage.database import Transaction
from podium_storage.mirror.fold import EventChange
from podium_storage.mirror.queries import EventQueries
from podium_storage.store import Tables
from podium_storage.table.models import LiveSessionRow, QuestionRow

_OLDEST: Final = 15 * 24 * 3600  # seconds; of sessions that began longer ago nothing is read
_AHEAD: Final = 600  # seconds, as relays take it
_LONGEST: Final = 2 * 24 * 3600  # seconds that a session lasts at most, runs it was reopened for among them
MAX_ROWS: Final = 5_000  # of one session: an attacker who floods a meeting fills a list, not the disk


class QuestionProjection:
    """Keeps `liveQuestions` in step with the mirror."""

    def __init__(self, tables: Tables, *, service: Pubkey) -> None:
        self._sessions = tables.sessions
        self._questions = tables.questions
        self._votes = tables.question_votes
        self._service = service
        self.passed_over: Counter[str] = Counter()
        """Counts messages to the room that belong to no session, or to one of several, by reason."""

    async def apply(self, tx: Transaction, effects: Sequence[EventChange], *, received_at: int) -> None:
        """Fold a batch in: held events become rows, and rows of dead events are removed."""
        chat = {effect.event.id: effect for effect in effects if effect.event.kind == kinds.LIVE_CHAT}
        if not chat:
            return
        dead = [event_id for event_id, effect in chat.items() if not effect.is_live]
        if dead:
            await self._questions.within(tx).where("eventId").any_of(dead).delete()
            await self._votes.within(tx).where("eventId").any_of(dead).delete()
        read = [self._read(effect.event) for effect in chat.values() if effect.is_live]
        questions = [question for question in read if question is not None]
        to_room = [one for one in questions if one.meeting == Address(kinds.SPACE, self._service, SPACE_IDENTIFIER)]
        to_meetings = [one for one in questions if one.meeting.kind != kinds.SPACE]
        for row in await self._meant(tx, to_meetings):
            mine = [one for one in to_meetings if one.meeting.identifier == row.conference_room_id]
            await self.add_questions(tx, row, mine, received_at=received_at)
        for row, mine in await self._by_time(tx, to_room, received_at):
            await self.add_questions(tx, row, mine, received_at=received_at)

    async def add_questions(
        self, tx: Transaction, session: LiveSessionRow, questions: Sequence[Question], *, received_at: int
    ) -> None:
        """Add rows for messages to one session, also those that came another way; known ones stay as they are."""
        table = self._questions.within(tx)
        room = MAX_ROWS - await table.where("lessonId").equals(session.session_address).count()
        known = await table.where("eventId").any_of([one.event_id for one in questions]).to_list()
        there = {row.event_id for row in known}
        fresh = [one for one in questions if one.event_id not in there][: max(room, 0)]
        if fresh:
            pinned = await self._pinned(tx, session)
            await table.bulk_add([_row(session, one, pinned, received_at) for one in fresh])

    def _read(self, event: VerifiedEvent) -> Question | None:
        question = read_question(event)
        is_ours = isinstance(question, Question) and question.meeting.pubkey == self._service
        return question if isinstance(question, Question) and is_ours else None

    async def _meant(self, tx: Transaction, questions: Sequence[Question]) -> list[LiveSessionRow]:
        rooms = sorted({one.meeting.identifier for one in questions})
        rows = await self._sessions.within(tx).where("conferenceRoomId").any_of(rooms).to_list() if rooms else []
        # a private session has no public meeting: the author of such a message has its address from another source
        return [row for row in rows if row.visibility != Visibility.PRIVATE]

    async def _by_time(
        self, tx: Transaction, questions: Sequence[Question], received_at: int
    ) -> list[tuple[LiveSessionRow, list[Question]]]:
        """Messages to the room, with the one public session that was live when they were written.

        The message's own time counts, so that events read later lead to the same session.
        """
        young = [one for one in questions if received_at - _OLDEST <= one.created_at <= received_at + _AHEAD]
        self.passed_over["too_old_or_new"] += len(questions) - len(young)
        if not young:
            return []
        since = min(one.created_at for one in young) - _LONGEST
        until = max(one.created_at for one in young) + _LONGEST  # a session may be started a little before its time
        sessions = await self._sessions.within(tx).where("scheduledAt").between(since + 1, until).to_list()
        public = [row for row in sessions if row.visibility != Visibility.PRIVATE and row.runs]
        found: dict[str, tuple[LiveSessionRow, list[Question]]] = {}
        for one in young:
            live = [row for row in public if _was_live(row, one.created_at)]
            if len(live) == 1:
                found.setdefault(live[0].session_address, (live[0], []))[1].append(one)
            else:
                self.passed_over["several_live" if live else "nothing_live"] += 1
        return list(found.values())

    async def _pinned(self, tx: Transaction, session: LiveSessionRow) -> Collection[EventId]:
        own = Filter(
            kinds=(kinds.MEETING,), authors=(self._service,), tags=(("d", (session.conference_room_id or "",)),)
        )
        meetings = [read_meeting(event) for event in await EventQueries(tx).by_filter(own)]
        return {event_id for meeting in meetings if meeting is not None for event_id in meeting.pinned}


def _was_live(row: LiveSessionRow, at: int) -> bool:
    return any(start <= at and (end is None or at <= end) for start, end in row.runs)


def _row(session: LiveSessionRow, question: Question, pinned: Collection[EventId], received_at: int) -> QuestionRow:
    return QuestionRow(
        session_address=session.session_address,
        pubkey=question.pubkey,
        event_id=question.event_id,
        text=question.text,
        created_at=question.created_at,
        first_seen_at=received_at,
        reply_to=question.reply_to,
        pinned=question.event_id in pinned,
    )

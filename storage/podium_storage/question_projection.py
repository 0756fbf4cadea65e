"""Rows of questions and answers (kind 1311) out of the mirror, in the transaction that stores them.

A row begins as held: whether it is shown, a service decides. One whose author deletes it (NIP-09) is gone for good,
also if the deletion came first. What the service itself pinned before it lost its disk is pinned again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from podium_protocol import kinds
from podium_protocol.events import EventId, Pubkey, VerifiedEvent
from podium_protocol.filters import Filter
from podium_protocol.live.meeting import read_meeting
from podium_protocol.live.questions import Question, read_question
from podium_protocol.live.session import Visibility
from podium_storage.database import Transaction
from podium_storage.event_queries import EventQueries
from podium_storage.replacement import Effect
from podium_storage.rows import LiveSessionRow, QuestionRow
from podium_storage.store import Tables

MAX_ROWS: Final = 5_000  # of one session; whoever floods a meeting fills a list and not the disk


class QuestionProjection:
    """Keeps `liveQuestions` in step with the mirror."""

    def __init__(self, tables: Tables, *, service: Pubkey) -> None:
        self._sessions = tables.sessions
        self._questions = tables.questions
        self._service = service

    async def apply(self, tx: Transaction, effects: Sequence[Effect], *, received_at: int) -> None:
        """Fold a batch in: what is held becomes rows, what is dead is removed."""
        chat = {effect.event.id: effect for effect in effects if effect.event.kind == kinds.LIVE_CHAT}
        if not chat:
            return
        dead = [event_id for event_id, effect in chat.items() if not effect.held]
        if dead:
            await self._questions.within(tx).where("eventId").any_of(dead).delete()
        read = [self._read(effect.event) for effect in chat.values() if effect.held]
        questions = [question for question in read if question is not None]
        for row in await self._meant(tx, questions):
            mine = [one for one in questions if one.meeting.identifier == row.conference_room_id]
            await self.take(tx, row, mine, received_at=received_at)

    async def take(
        self, tx: Transaction, session: LiveSessionRow, questions: Sequence[Question], *, received_at: int
    ) -> None:
        """Add rows for messages to one session, also those that came another way; known ones stay as they are."""
        table = self._questions.within(tx)
        room = MAX_ROWS - await table.where("lessonId").equals(session.lesson_id).count()
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
        # a private session has no public meeting: who names one on a relay has it from somewhere else
        return [row for row in rows if row.visibility != Visibility.PRIVATE]

    async def _pinned(self, tx: Transaction, session: LiveSessionRow) -> Collection[EventId]:
        own = Filter(
            kinds=(kinds.MEETING,), authors=(self._service,), tags=(("d", (session.conference_room_id or "",)),)
        )
        meetings = [read_meeting(event) for event in await EventQueries(tx).by_filter(own)]
        return {event_id for meeting in meetings if meeting is not None for event_id in meeting.pinned}


def _row(session: LiveSessionRow, question: Question, pinned: Collection[EventId], received_at: int) -> QuestionRow:
    return QuestionRow(
        lesson_id=session.lesson_id,
        pubkey=question.pubkey,
        event_id=question.event_id,
        text=question.text,
        created_at=question.created_at,
        first_seen_at=received_at,
        reply_to=question.reply_to,
        pinned=question.event_id in pinned,
    )

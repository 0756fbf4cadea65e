"""Counts of many sessions in three queries: answers, seats, people present, and the newest recording."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from podium_storage.database import Database
from podium_storage.sqlite import SqliteDialect

_ASKED: Final = "FROM json_each(?) AS asked CROSS JOIN atoms AS lesson ON lesson.value = asked.value"
_ANSWERS: Final = f"""
SELECT lesson.value, r.status, r.seat, COUNT(*) {_ASKED}
CROSS JOIN "trainingLiveSessionRSVPs" AS r ON r."lessonId" = lesson.id
GROUP BY lesson.id, r.status, r.seat
"""
_PRESENT: Final = f"""
SELECT lesson.value, COUNT(DISTINCT i.pubkey) {_ASKED}
CROSS JOIN "attendanceIntervals" AS i ON i."lessonId" = lesson.id
WHERE i."leftAt" IS NULL GROUP BY lesson.id
"""
_RECORDINGS: Final = f"""
SELECT lesson.value, r.state, r.progress, MAX(r.run) {_ASKED}
CROSS JOIN "recordings" AS r ON r."lessonId" = lesson.id
GROUP BY lesson.id
"""  # with MAX, SQLite takes the other columns from the row that has it


class SessionCounts(msgspec.Struct, kw_only=True):
    """One session's answers by status and by seat, its people present, and the newest recording's progress."""

    answers: Counter[str] = msgspec.field(default_factory=Counter)
    seats: Counter[str] = msgspec.field(default_factory=Counter)
    present: int = 0
    recording: str | None = None
    progress: int = 0


async def session_counts(database: Database, lessons: Sequence[str]) -> dict[str, SessionCounts]:
    """The counts of each of these sessions.

    Raises:
        StoreError: what the database said.
    """
    found = {lesson: SessionCounts() for lesson in lessons}
    asked = (SqliteDialect.json(list(found)),)
    for lesson, status, seat, count in await database.fetch_all(_ANSWERS, asked):
        found[str(lesson)].answers[str(status)] += _number(count)
        found[str(lesson)].seats[str(seat)] += _number(count)
    for lesson, count in await database.fetch_all(_PRESENT, asked):
        found[str(lesson)].present = _number(count)
    for lesson, state, progress, _ in await database.fetch_all(_RECORDINGS, asked):
        found[str(lesson)].recording, found[str(lesson)].progress = str(state), _number(progress)
    return found


def _number(value: object) -> int:
    assert isinstance(value, int), "counts are whole numbers"
    return value

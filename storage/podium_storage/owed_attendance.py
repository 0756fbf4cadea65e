"""Sessions that are over and whose attendance was not attested to the end: what a daemon that died left undone."""

from __future__ import annotations

from typing import Final

from podium_storage.database import Database

# Three ways to die: before the last record of somebody, before the first, and before that of somebody who only watched.
_OWED: Final = """
SELECT lesson.value FROM "trainingLiveSessions" AS s JOIN atoms AS lesson ON lesson.id = s."lessonId"
WHERE s.state = 'ended' AND s.runs <> '[]' AND (
  EXISTS (SELECT 1 FROM "trainingLiveSessionAttendance" AS a WHERE a."lessonId" = s."lessonId" AND a.final = 0)
  OR EXISTS (
    SELECT 1 FROM "attendanceIntervals" AS i WHERE i."lessonId" = s."lessonId" AND NOT EXISTS (
      SELECT 1 FROM "trainingLiveSessionAttendance" AS a WHERE a."lessonId" = i."lessonId" AND a.pubkey = i.pubkey))
  OR EXISTS (
    SELECT 1 FROM "recordingWatches" AS w
    WHERE w."lessonId" = s."lessonId" AND w."completedAt" IS NOT NULL AND w."recordCreatedAt" = 0 AND NOT EXISTS (
      SELECT 1 FROM "trainingLiveSessionAttendance" AS a
      WHERE a."lessonId" = w."lessonId" AND a.pubkey = w.pubkey AND a."completedAt" IS NOT NULL)))
ORDER BY s."scheduledAt"
"""


async def sessions_with_owed_attendance(database: Database) -> list[str]:
    """The addresses of ended sessions, of whatever age, where somebody's attendance is not final; by their start.

    It looks at every interval, so it is for the start of a daemon and for the time after a failure.

    Raises:
        StoreError: what the database said.
    """
    return [str(lesson) for (lesson,) in await database.fetch_all(_OWED)]

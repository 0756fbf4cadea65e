"""What the messages to the people of a session say about them, counted in the database."""

from __future__ import annotations

from typing import Final

from podium_protocol.events import Pubkey
from podium_storage.database import Database

# of a group SQLite gives the row that has the greatest value of the one aggregate
_OUT_OF_REACH: Final = """
WITH lesson AS (SELECT id FROM atoms WHERE value = ?1), tried AS (
  SELECT m.pubkey, m.state, m.updatedAt, m.dueAt FROM lesson CROSS JOIN reminderLedger AS m ON m.lessonId = lesson.id
  WHERE m.epoch = ?2 UNION ALL
  SELECT m.pubkey, m.state, m.updatedAt, m.dueAt FROM lesson CROSS JOIN privateLetters AS m ON m.lessonId = lesson.id
), newest AS (
  SELECT pubkey, state, max((updatedAt - 1500000000) * 4294967296 + dueAt) AS at FROM tried
  WHERE state IN ('undeliverable', 'prepared', 'claimed', 'sent') GROUP BY pubkey
)
SELECT person.value FROM newest CROSS JOIN atoms AS person ON person.id = newest.pubkey
WHERE newest.state = 'undeliverable' AND person.value <> ?3 ORDER BY newest.at, person.id"""


async def people_out_of_reach(database: Database, session_address: str, *, epoch: int, but: str) -> list[Pubkey]:
    """The people whose last tried message about a session could not be sent, without `but`; the longest so first.

    Raises:
        StoreError: what the database said.
    """
    rows = await database.fetch_all(_OUT_OF_REACH, (session_address, epoch, but))
    return [Pubkey(str(person)) for (person,) in rows]

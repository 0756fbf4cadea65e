"""Whether the daemon stores what somebody else wrote: within what they may have, and while there is room on the disk.

What the service and its instructors write is stored whatever strangers do: that is what the room is kept for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from podium_daemon.runtime.allowances import Allowances
from podium_daemon.runtime.clock import Clock
from podium_protocol import kinds
from podium_protocol.events import Pubkey, VerifiedEvent
from podium_protocol.live import fields
from podium_protocol.live.rsvp import read_rsvp
from podium_storage.database import Database

FULL: Final = "disk"
"""The objection where the budget is reached; the others are names of buckets."""

_LOOK_EVERY: Final = 5.0  # seconds
USED_BYTES: Final = """
SELECT (p.page_count - f.freelist_count) * s.page_size
FROM pragma_page_count AS p, pragma_freelist_count AS f, pragma_page_size AS s"""
"""The bytes of a database that hold something."""

_log = structlog.get_logger(__name__)


class DiskBudget:
    """How much of the disk the database may use for what strangers write; `most` gives the bytes, 0 for no bound.

    Pages that were freed are used again and do not count: what retention deletes makes room.
    """

    def __init__(self, database: Database, most: Callable[[], int], clock: Clock) -> None:
        self._database = database
        self._most = most
        self._clock = clock
        self._look_at = float("-inf")
        self.used = 0
        self.is_reached = False

    async def look(self) -> bool:
        """Whether it is reached: as it was a moment ago, for this is asked for each batch."""
        now = self._clock.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY
            row = await self._database.fetch_one(USED_BYTES)
            self.used = row[0] if row is not None and isinstance(row[0], int) else 0
            self._tell(0 < self._most() <= self.used)
        return self.is_reached

    def _tell(self, is_reached: bool) -> None:
        if is_reached and not self.is_reached:
            _log.error(
                "the database is as large as it may become: what strangers send is refused, own writes go on",
                action="disk.budget",
                megabytes=self.used // 1_000_000,
                advice="raise storage.max_megabytes, or lower attendance.retention_days",
            )
        elif self.is_reached and not is_reached:
            _log.info("the database has room again", action="disk.room", megabytes=self.used // 1_000_000)
        self.is_reached = is_reached


class Strangers:
    """One way in for what others wrote. `is_own` says whose events are always stored."""

    def __init__(self, allowances: Allowances, budget: DiskBudget | None, is_own: Callable[[Pubkey], bool]) -> None:
        self._allowances = allowances
        self._budget = budget
        self._is_own = is_own

    async def objection(self, event: VerifiedEvent) -> str | None:
        """Why an event is not stored now: `FULL`, or the name of an empty bucket; None where it is."""
        if self._is_own(event.pubkey):
            return None
        if self._budget is not None and await self._budget.look():
            return FULL
        return self._allowances.take(key=event.pubkey, session=_session_of(event))


def _session_of(event: VerifiedEvent) -> str:
    """What the event is about: the session of an answer, the meeting of a question; empty for anything else."""
    rsvp = read_rsvp(event)
    if rsvp is not None:
        return rsvp.session_address
    meeting = fields.address(event.tags, kinds.MEETING)
    return "" if meeting is None else str(meeting)

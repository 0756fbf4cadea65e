"""Whether the daemon stores a stranger's event: only within the stranger's allowance, and while the disk has room.

Events of the service and its instructors are always stored: the budget keeps room for them.
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
from podium_storage.database import Database

FULL: Final = "disk"
"""The objection when the budget is used up; the other objections are names of buckets."""

_LOOK_EVERY: Final = 5.0  # seconds
USED_BYTES: Final = """
SELECT (p.page_count - f.freelist_count) * s.page_size
FROM pragma_page_count AS p, pragma_freelist_count AS f, pragma_page_size AS s"""
"""Returns the bytes of the database that are in use."""

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

    async def is_used_up(self) -> bool:
        """Whether the budget is used up, as of some seconds ago, since this is asked for each batch."""
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
    """The limits on one source of other people's events. `is_own` says whose events are always stored."""

    def __init__(self, allowances: Allowances, budget: DiskBudget | None, is_own: Callable[[Pubkey], bool]) -> None:
        self._allowances = allowances
        self._budget = budget
        self._is_own = is_own

    async def objection(self, event: VerifiedEvent) -> str | None:
        """Why an event is not stored now: `FULL`, or the name of an empty bucket; None if it may be stored."""
        if self._is_own(event.pubkey):
            return None
        if self._budget is not None and await self._budget.is_used_up():
            return FULL
        return self._allowances.take_token(key=event.pubkey, session=_session_of(event))


def _session_of(event: VerifiedEvent) -> str:
    """The session of an answer, or the meeting of a question; empty for any other event."""
    about = fields.address(event.tags, kinds.SESSION if event.kind == kinds.RSVP else kinds.MEETING)
    return "" if about is None else str(about)

"""Which sessions changed since a service last dealt with all of it, noted in the transactions that change them.

The change feed tells a running service; this tells the next start, which would have to look at every session else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from podium_storage.changes import Change, ChangeSubscription
from podium_storage.database import Database, Transaction
from podium_storage.table.interning import Interner
from podium_storage.table.models import AttendanceRow, IntervalRow, LiveSessionRow, RsvpRow, WatchRow

_NOTE: Final = "INSERT INTO changedSessions (work, lesson) VALUES (?, ?) ON CONFLICT DO NOTHING"
_ALL: Final = """
SELECT lesson.value FROM changedSessions AS c CROSS JOIN atoms AS lesson ON lesson.id = c.lesson
WHERE c.work = ? ORDER BY c.id"""
_CLEAR: Final = "DELETE FROM changedSessions WHERE work = ?"
_OF_MESSAGES: Final = ("epoch", "state", "withdrawn", "moved_at", "recording_state", "title")


class ChangedSessions:
    """The sessions with changes for one kind of work."""

    def __init__(
        self, work: str, concerns: Callable[[Change], str | None], database: Database, interner: Interner
    ) -> None:
        """`concerns` tells of a change the address of the session on which there is work now, if any."""
        self._work = work
        self._concerns = concerns
        self._database = database
        self._interner = interner
        database.before_commit.append(self._note)

    async def addresses(self) -> list[str]:
        """The addresses of the sessions, those first that changed first; some may be gone."""
        return [str(address) for (address,) in await self._database.fetch_all(_ALL, (self._work,))]

    async def clear(self, changes: ChangeSubscription) -> bool:
        """Forget them all, by a service that has dealt with every change it was told of.

        `changes`: its subscription. If a change waits there nothing is forgotten, and the answer is False.
        """

        async def scope(tx: Transaction) -> bool:
            # no other transaction is under way, and what the ones before changed has been published
            if changes.has_waiting:
                return False
            await tx.execute(_CLEAR, (self._work,))
            return True

        return await self._database.transact(scope)

    async def _note(self, tx: Transaction) -> None:
        found = dict.fromkeys(address for change in tx.changes if (address := self._concerns(change)) is not None)
        if found:
            ids = await self._interner.ids(tx, found)
            await tx.execute_many(_NOTE, [(self._work, ids[address]) for address in found])


def session_with_messages(change: Change) -> str | None:
    """The address of the session whose messages may have to be planned again after a change, else None."""
    before, row = change.before, change.after or change.before
    if isinstance(row, LiveSessionRow):
        return row.session_address if _concerns_all(before, change.after) else None
    if isinstance(row, RsvpRow) and isinstance(before, RsvpRow) and isinstance(change.after, RsvpRow):
        return None if _is_only_reminded(before, change.after) else row.session_address
    return row.session_address if isinstance(row, RsvpRow | AttendanceRow) else None


def session_with_attendance(change: Change) -> str | None:
    """The address of the session whose attendance may have to be attested again after a change, else None."""
    row = change.after or change.before
    if isinstance(row, LiveSessionRow):
        return row.session_address if row.runs else None
    if isinstance(row, IntervalRow) or (isinstance(row, WatchRow) and row.completed_at is not None):
        return row.session_address
    return None


def _concerns_all(before: object, after: object) -> bool:
    """Whether a change of a session row changes people's messages; a refreshed status does not."""
    if not isinstance(before, LiveSessionRow) or not isinstance(after, LiveSessionRow):
        return True
    return any(getattr(before, name) != getattr(after, name) for name in _OF_MESSAGES)


def _is_only_reminded(before: RsvpRow, after: RsvpRow) -> bool:
    fields = (name for name in before.__struct_fields__ if name != "reminder_sent")
    return all(getattr(before, name) == getattr(after, name) for name in fields)

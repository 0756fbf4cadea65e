"""Which sessions the lifecycle looks at next: those that are due, then those that changed, then all the others.

A session that is due waits for a few others at most, however many are being read in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Final

from podium_daemon.runtime.wakeups import Wakeups
from podium_protocol.live.lifecycle import SessionState
from podium_storage.changes import Batch
from podium_storage.store import Store
from podium_storage.table.models import IntervalRow, LiveSessionRow

LOOK_BACK: Final = 8 * 24 * 3600  # seconds; a session scheduled longer ago has ended, whatever the policy
AT_ONCE: Final = 50  # sessions that a due one waits for: some 30 ms of work
_RUNNING: Final = (SessionState.SCHEDULED, SessionState.ACTIVE)


class Agenda:
    """Knows of each session when it is due again, and who leads it; reads the rows in small parts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._wakeups: Wakeups[str] = Wakeups()
        self._leads: dict[str, str] = {}
        self._changed: dict[str, None] = {}
        self._unread: deque[int] = deque()
        self._seen: set[str] = set()

    async def note_all(self, now: int) -> None:
        """Look at every session again, the earliest start first."""
        since = self._store.sessions.where("scheduledAt").above(now - LOOK_BACK)
        self._unread = deque(await since.primary_keys())  # those that are due by what is known still come first

    def note_changes(self, batch: Batch) -> None:
        """Look at the sessions that a batch can change: of joins and leaves only those of the instructor matter."""
        for change in batch.changes:
            row = change.after or change.before
            if isinstance(row, LiveSessionRow) or (
                isinstance(row, IntervalRow) and self._leads.get(row.session_address) == row.pubkey
            ):
                self._changed[row.session_address] = None

    def begin(self) -> None:
        """Begin a turn: each session is looked at once in it, unless it changes meanwhile."""
        self._seen.clear()

    async def take(self, now: int) -> list[LiveSessionRow]:
        """Read the next sessions to look at; none: there is nothing to do before `next_at`, or in this turn."""
        found: list[LiveSessionRow] = []
        while not found and (addresses := self._next_addresses(now)):
            found = self._recent(await self._read(addresses), now)
        while not found and self._unread:
            found = self._recent(await self._read_unread(), now)
        self._seen.update(row.session_address for row in found)
        return found

    def _next_addresses(self, now: int) -> list[str]:
        due = [address for address in self._wakeups.due(now) if address not in self._seen][:AT_ONCE]
        changed = list(islice(self._changed, AT_ONCE - len(due)))
        for address in changed:
            del self._changed[address]
        return list(dict.fromkeys((*due, *changed)))

    def _recent(self, rows: Iterable[LiveSessionRow], now: int) -> list[LiveSessionRow]:
        return [row for row in rows if row.scheduled_at > now - LOOK_BACK]

    def note(self, row: LiveSessionRow, wakeup: float | None) -> None:
        """Look at the session again at `wakeup` (Unix seconds); None: when it changes."""
        if wakeup is not None:
            self._wakeups.set(row.session_address, wakeup)
        if row.state in _RUNNING:
            self._leads[row.session_address] = row.instructor_pubkey

    @property
    def next_at(self) -> float | None:
        """When the next session is due; 0: more of them are to be looked at now."""
        return 0.0 if self._changed or self._unread else self._wakeups.next_at

    async def _read(self, addresses: list[str]) -> list[LiveSessionRow]:
        self._forget(addresses)
        return await self._store.sessions.where("lessonId").any_of(addresses).to_list()

    async def _read_unread(self) -> list[LiveSessionRow]:
        keys = [self._unread.popleft() for _ in range(min(AT_ONCE, len(self._unread)))]
        rows = [row for row in await self._store.sessions.bulk_get(keys) if row is not None]
        fresh = [row for row in rows if row.session_address not in self._seen]
        self._forget(row.session_address for row in fresh)
        return fresh

    def _forget(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            self._wakeups.discard(address)
            self._leads.pop(address, None)

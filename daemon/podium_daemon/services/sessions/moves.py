"""The writes of the lifecycle: a session's state, the signed events that show it and their outbox rows are one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec
import structlog

from podium_daemon.conference.engine import ConferenceEngine, RoomId
from podium_daemon.runtime.clock import Clock
from podium_daemon.services.sessions.agenda import Agenda
from podium_daemon.writers.event_writer import EventWriter
from podium_daemon.writers.live_status import StatusEvents
from podium_daemon.writers.private_outbox import PrivateOutbox, status_letter
from podium_protocol.events import UnsignedEvent, VerifiedEvent
from podium_protocol.live.lifecycle import OVER, Run, SessionState, Trigger, begin_run, end_run, move
from podium_storage.database import Transaction
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow

_log = structlog.get_logger(__name__)


class _Written(NamedTuple):
    before: LiveSessionRow
    row: LiveSessionRow
    events: Sequence[VerifiedEvent]
    memory: UnsignedEvent | None


class SessionMoves:
    """Moves sessions from state to state, and writes their rows."""

    def __init__(
        self,
        store: Store,
        agenda: Agenda,
        *,
        event_writer: EventWriter,
        private_outbox: PrivateOutbox,
        status: StatusEvents,
        engine: ConferenceEngine,
        clock: Clock,
        at_end: Callable[[str], Awaitable[None]] | None,
    ) -> None:
        """`at_end` is called with the address of a session that has ended, before its room is closed."""
        self._store = store
        self._agenda = agenda
        self._event_writer = event_writer
        self._private_outbox = private_outbox
        self._status = status
        self._engine = engine
        self._clock = clock
        self._at_end = at_end

    async def move(self, row: LiveSessionRow, trigger: Trigger, at: int) -> LiveSessionRow | None:
        """Move a session (`at` in Unix seconds) and close the room of one that is over; None if its row changed first.

        Raises:
            IllegalMove: the table has no such move.
        """
        after = moved(row, trigger, at)
        if not await self.commit([(row, after)]):
            return None
        _log.info(
            "a session moved", action="session.moved", session=row.session_address, trigger=trigger, state=after.state
        )
        if after.state in OVER and after.conference_room_id is not None:
            try:
                if self._at_end is not None:
                    await self._at_end(row.session_address)
            finally:
                await self._engine.close_room(RoomId(after.conference_room_id))
        return after

    async def commit(self, moves: Sequence[tuple[LiveSessionRow, LiveSessionRow]]) -> bool:
        """Store rows (before, after) together with the signed events that show them, in one transaction.

        Returns whether all of them were stored: one that another task changed first is left out, and looked at again.
        """
        if not moves:
            return True
        shown = await self._status.events_of([after for _, after in moves])
        written = [await self._written(*move, events) for move, events in zip(moves, shown, strict=True)]

        async def scope(tx: Transaction) -> bool:
            sessions = self._store.sessions.within(tx)
            stored = await sessions.bulk_get([one.before.id for one in written if one.before.id is not None])
            current = {row.session_address: row.version for row in stored if row is not None}
            fresh = [one for one in written if current.get(one.before.session_address) == one.before.version]
            await sessions.bulk_put([one.row for one in fresh])
            await self._event_writer.add_many(tx, [(one.row.session_address, one.events) for one in fresh])
            letters = [status_letter(one.row, one.memory) for one in fresh if one.memory is not None]
            await self._private_outbox.add(tx, letters)
            return len(fresh) == len(written)

        is_all = await self._store.database.transact(scope)
        if not is_all:
            for before, _ in moves:
                self._agenda.note(before, self._clock.now())
        return is_all

    async def _written(
        self, before: LiveSessionRow, after: LiveSessionRow, events: Sequence[VerifiedEvent]
    ) -> _Written:
        # not every ten minutes, as for other people: only on a change of state, or on news after the end
        is_news = after.state != before.state or after.state == SessionState.ENDED
        memory = await self._status.memory_of(after) if is_news else None
        written = [event.created_at for event in events] if memory is None else [memory.created_at]
        created_at = max(written, default=int(self._clock.now()))
        row = msgspec.structs.replace(self._status.refreshed_at(after, created_at), version=before.version + 1)
        return _Written(before, row, events, memory)

    async def put(self, before: LiveSessionRow, after: LiveSessionRow) -> bool:
        """Store the row; False if another task changed it first."""

        async def scope(tx: Transaction) -> bool:
            if not await self._is_current(tx, before):
                return False
            await self._store.sessions.within(tx).put(after)
            return True

        return await self._store.database.transact(scope)

    async def _is_current(self, tx: Transaction, row: LiveSessionRow) -> bool:
        assert row.id is not None, "rows that were read have an id"
        stored = await self._store.sessions.within(tx).get(row.id)
        return stored is not None and stored.version == row.version


def moved(row: LiveSessionRow, trigger: Trigger, at: int) -> LiveSessionRow:
    """The row after a legal move.

    Raises:
        IllegalMove: the table has no such move.
    """
    before, after = SessionState(row.state), move(SessionState(row.state), trigger)
    runs = tuple(Run(*run) for run in row.runs)
    changed = msgspec.structs.replace(row, state=after.value, blocked_reason=None)
    if after is SessionState.ACTIVE:
        runs = begin_run(runs, at)
        changed = msgspec.structs.replace(changed, started_at=at, ended_at=None, end_reason=None, warned_at=None)
    elif after is SessionState.SCHEDULED:
        changed = msgspec.structs.replace(changed, ended_at=None, end_reason=None, warned_at=None)
    elif after in OVER:
        if before is SessionState.ACTIVE:
            runs = end_run(runs, max(at, runs[-1].start))
        changed = msgspec.structs.replace(changed, ended_at=at, end_reason=trigger.value.replace(" ", "_"))
    return msgspec.structs.replace(changed, runs=tuple((run.start, run.end) for run in runs))

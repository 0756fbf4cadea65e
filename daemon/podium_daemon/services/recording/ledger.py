"""The rows of recordings: every change is checked against the table of states and copied to the session's row."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from podium_daemon.runtime.clock import Clock
from podium_protocol.live.recording import RecordingStage, moved
from podium_storage.database import Transaction
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow, RecordingRow

With = Callable[[Transaction, LiveSessionRow], Awaitable[LiveSessionRow]]
"""More work in the transaction that changes a recording; returns the session's row to write."""

_BY_RUN = "[lessonId+run]"


class RecordingLedger:
    """State first: engines and files are changed after the rows were written here."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def session(self, session_address: str) -> LiveSessionRow | None:
        """Read the session."""
        return await self._store.sessions.where("lessonId").equals(session_address).first()

    async def within(self, tx: Transaction, session_address: str) -> LiveSessionRow | None:
        """Read the session inside a transaction."""
        return await self._store.sessions.within(tx).where("lessonId").equals(session_address).first()

    async def recordings_of(self, session_address: str) -> list[RecordingRow]:
        """The recordings of a session, one for each run of it, in order."""
        rows = await self._store.recordings.where("lessonId").equals(session_address).to_list()
        return sorted(rows, key=lambda row: row.run)

    async def current(self, row: LiveSessionRow) -> RecordingRow | None:
        """The recording of the live run, or else of the last one."""
        return await self._store.recordings.where(_BY_RUN).equals([row.session_address, _run(row)]).first()

    async def in_stages(self, *stages: RecordingStage) -> list[RecordingRow]:
        """All recordings in these stages."""
        return await self._store.recordings.where("state").any_of([stage.value for stage in stages]).to_list()

    async def open(self, row: LiveSessionRow) -> RecordingRow:
        """The recording of the live run; a new one is paused until its first segment begins."""
        known = await self.current(row)
        if known is not None:
            return known
        now = int(self._clock.now())
        fresh = RecordingRow(
            session_address=row.session_address,
            run=_run(row),
            state=RecordingStage.PAUSED,
            created_at=now,
            updated_at=now,
        )
        (key,) = await self._store.recordings.upsert([fresh], by=_BY_RUN)
        return msgspec.structs.replace(fresh, id=key)

    async def forget(self, row: RecordingRow) -> None:
        """Delete a recording that never had a segment."""
        assert row.id is not None, "rows that were read have an id"
        await self._store.recordings.delete(row.id)

    async def change(
        self, row: RecordingRow, to: RecordingStage | None = None, also: With | None = None, /, **fields: object
    ) -> RecordingRow:
        """Move a recording to a stage and set some of its fields; return the new row.

        Raises:
            IllegalStage: another task moved it meanwhile, or the move is not in the table. Nothing was changed.
        """
        assert row.id is not None, "rows that were read have an id"
        key = row.id

        async def scope(tx: Transaction) -> RecordingRow:
            stored = await self._store.recordings.within(tx).get(key)
            assert stored is not None, "recordings are not deleted"
            before = RecordingStage(stored.state)
            stage = before if to is None else moved(before, to)
            changed = msgspec.structs.replace(stored, state=stage.value, updated_at=int(self._clock.now()), **fields)
            await self._store.recordings.within(tx).put(changed)
            is_news = stage is not before or changed.progress != stored.progress
            await self._show(tx, changed, stage, also, is_news=is_news)
            return changed

        return await self._store.database.transact(scope)

    async def _show(
        self, tx: Transaction, row: RecordingRow, stage: RecordingStage, also: With | None, *, is_news: bool
    ) -> None:
        session = await self.within(tx, row.session_address)
        if session is None:
            return
        after = session
        # a second run that is being recorded does not change the recording of the first
        if is_news and stage.shown != "none":
            after = msgspec.structs.replace(after, recording_state=stage.shown)
        if also is not None:
            after = await also(tx, after)
        if is_news or after != session:
            # the version wakes the readers of the session: its page, its door
            version = max(session.version, after.version) + 1
            await self._store.sessions.within(tx).put(msgspec.structs.replace(after, version=version))


def _run(row: LiveSessionRow) -> int:
    return max(len(row.runs) - 1, 0)

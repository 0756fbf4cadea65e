"""The mirror: the events of the relays that count, under the rules of NIP-01, NIP-09 and NIP-40."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, runtime_checkable

from podium_protocol import kinds
from podium_protocol.events import VerifiedEvent
from podium_protocol.filters import Filter
from podium_protocol.nips import nip09
from podium_storage.backend import SqlRow
from podium_storage.changes import Change, ChangeKind
from podium_storage.database import Database, Transaction
from podium_storage.mirror.batch import MirrorBatch
from podium_storage.mirror.fold import EventChange, IngestOutcome, MirrorEntry
from podium_storage.mirror.queries import EventQueries, id_bytes, read_entries, tag_range
from podium_storage.slices import in_slices
from podium_storage.sqlite import SqliteDialect
from podium_storage.table.interning import Interner

TABLE: Final = "events"
"""The mirror's name in the change feed: keys are event ids, `before` and `after` are `VerifiedEvent`s."""

_SWEEP: Final = 1_000  # events a transaction
_EXPIRED: Final = "SELECT id, json FROM events WHERE expiresAt <= ? ORDER BY expiresAt LIMIT ?"
_BY_ROW: Final = "SELECT id, json FROM events WHERE id IN ({rows})"
_BY_ID: Final = "SELECT id, json FROM events WHERE eventId IN ({ids})"
_DELETE: Final = "DELETE FROM events WHERE id = ?"
_DELETE_TAGS: Final = "DELETE FROM eventTags WHERE id BETWEEN ? AND ?"
_UNBURY: Final = "DELETE FROM tombstones WHERE eventId = ? AND author = (SELECT id FROM atoms WHERE value = ?)"


class Projection(Protocol):
    """Derives rows from events, in the transaction that stores the events."""

    async def apply(self, tx: Transaction, effects: Sequence[EventChange], *, received_at: int) -> None:
        """Fold one batch in: events that are held now and events that are dead, in the order in which it happened."""


@runtime_checkable
class Pruning(Protocol):
    """A projection that knows which events have no effect any more, so that they need not be kept."""

    async def idle(self, tx: Transaction, effects: Sequence[EventChange]) -> Sequence[SqlRow]:
        """Return rows (surrogate key, JSON) of such events by the authors in this batch, after it was folded in."""


class Mirror(EventQueries):
    """The mirror of one database; nothing else writes to it."""

    def __init__(self, database: Database, interner: Interner, projections: Sequence[Projection] = ()) -> None:
        """Keep `projections` in step with the mirror; they are applied in their order."""
        super().__init__(database)
        self._database = database
        self._interner = interner
        self._projections = tuple(projections)

    def within(self, tx: Transaction) -> EventQueries:
        """The same queries inside a transaction: they see what it wrote."""
        return EventQueries(tx)

    async def ingest(self, events: Sequence[VerifiedEvent], *, received_at: int) -> list[IngestOutcome]:
        """Take in a batch in one write transaction; the outcomes are in the order of the events.

        The result is the same as for one event at a time. `received_at` (Unix seconds) decides what has expired. The
        change feed is told of each event that is held from now on (created) or no longer (deleted).

        Raises:
            StoreError: nothing was stored, except after `CommitUncertain`; the same batch can be given again.
        """
        return await self._database.transact(lambda tx: self.ingest_within(tx, events, received_at=received_at))

    async def ingest_within(
        self, tx: Transaction, events: Sequence[VerifiedEvent], *, received_at: int
    ) -> list[IngestOutcome]:
        """Do as `ingest` does in the caller's transaction, beside the state that the events stand for."""
        entries: list[MirrorEntry] = []
        async for part in in_slices(events):
            entries += map(MirrorEntry.of, part)
        batch = MirrorBatch(tx, self._interner)
        await batch.read([entry for entry in entries if not kinds.is_ephemeral(entry.event.kind)])
        outcomes: list[IngestOutcome] = []
        async for admitted in in_slices(entries):
            outcomes += [batch.standing.admit(entry, received_at) for entry in admitted]
        await self._settle(tx, batch, received_at)
        return outcomes

    async def sweep_expired(self, now: int) -> int:
        """Remove the events whose NIP-40 time has come by `now` (Unix seconds) and return their number."""
        total = 0
        while True:
            swept = await self._database.transact(lambda tx: self._sweep(tx, now))
            total += swept
            if swept < _SWEEP:
                return total

    async def forget(self, rows: Sequence[int]) -> None:
        """Remove events, by their surrogate keys, as if they had never come.

        No projection is told and no floor is raised: use it for events past their retention, not for dead ones.
        """

        async def scope(tx: Transaction) -> None:
            values, parameters = SqliteDialect.values(rows)
            found = await tx.fetch_all(_BY_ROW.format(rows=values), parameters)
            await self._forget(tx, await read_entries(found))

        await self._database.transact(scope)

    async def forget_answering(self, wanted: Filter) -> int:
        """Remove the events that match a filter, as `forget` does, and return their number."""

        async def scope(tx: Transaction) -> int:
            events = await self.within(tx).by_filter(wanted)
            values, parameters = SqliteDialect.values([id_bytes(event.id) for event in events])
            found = await tx.fetch_all(_BY_ID.format(ids=values), parameters) if events else []
            await self._forget(tx, await read_entries(found))
            return len(found)

        return await self._database.transact(scope)

    async def _sweep(self, tx: Transaction, now: int) -> int:
        batch = MirrorBatch(tx, self._interner)
        expired = await read_entries(await tx.fetch_all(_EXPIRED, (now, _SWEEP)))
        for entry in expired:
            batch.standing.expire(entry)
        await self._settle(tx, batch, now)
        return len(expired)

    async def _prune(self, tx: Transaction, effects: Sequence[EventChange]) -> None:
        for projection in self._projections:
            if isinstance(projection, Pruning) and (rows := await projection.idle(tx, effects)):
                await self._forget(tx, await read_entries(rows))

    async def _forget(self, tx: Transaction, entries: Sequence[MirrorEntry]) -> None:
        rows = [entry.row for entry in entries if entry.row is not None]
        await tx.execute_many(_DELETE_TAGS, (tag_range(row) for row in rows))
        await tx.execute_many(_DELETE, ((row,) for row in rows))
        deletions = [entry.event for entry in entries if entry.event.kind == kinds.DELETION]
        buried = ((id_bytes(one), event.pubkey) for event in deletions for one in nip09.read_deletion(event).ids)
        await tx.execute_many(_UNBURY, buried)
        tx.note(*(Change(TABLE, ChangeKind.DELETED, entry.event.id, before=entry.event) for entry in entries))

    async def _settle(self, tx: Transaction, batch: MirrorBatch, received_at: int) -> None:
        await batch.write()
        effects, gone, fresh = batch.standing.effects, batch.standing.gone.values(), batch.standing.fresh
        tx.note(*(Change(TABLE, ChangeKind.DELETED, event.id, before=event) for event in gone))
        tx.note(*(Change(TABLE, ChangeKind.CREATED, entry.event.id, after=entry.event) for entry in fresh))
        if effects:
            for projection in self._projections:
                await projection.apply(tx, effects, received_at=received_at)
            await self._prune(tx, effects)

"""The mirror: the events of the relays that count, under the rules of NIP-01, NIP-09 and NIP-40."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from podium_protocol import kinds
from podium_protocol.events import VerifiedEvent
from podium_storage.changes import Change, ChangeKind
from podium_storage.database import Database, Transaction
from podium_storage.event_queries import EventQueries
from podium_storage.event_rows import read_entries
from podium_storage.interning import Interner
from podium_storage.mirror_batch import MirrorBatch
from podium_storage.replacement import Effect, Entry, IngestOutcome
from podium_storage.slices import in_slices

TABLE: Final = "events"
"""The mirror's name in the change feed: keys are event ids, `before` and `after` are `VerifiedEvent`s."""

_SWEEP: Final = 1_000  # events a transaction
_EXPIRED: Final = "SELECT id, json FROM events WHERE expiresAt <= ? ORDER BY expiresAt LIMIT ?"
_NEXT_EXPIRY: Final = "SELECT min(expiresAt) FROM events WHERE expiresAt IS NOT NULL"


class Projection(Protocol):
    """Whoever derives rows from events, in the transaction that stores them."""

    async def apply(self, tx: Transaction, effects: Sequence[Effect], *, received_at: int) -> None:
        """Fold one batch in: events that are held now and events that are dead, in the order in which it happened."""


class Mirror(EventQueries):
    """The mirror of one database, and the only one who writes it."""

    def __init__(self, database: Database, interner: Interner, projections: Sequence[Projection] = ()) -> None:
        """Keep `projections` in step with the mirror; they are applied in their order."""
        super().__init__(database)
        self._database = database
        self._interner = interner
        self._projections = tuple(projections)

    def within(self, tx: Transaction) -> EventQueries:
        """The same questions, asked inside a transaction: they see what it wrote."""
        return EventQueries(tx)

    async def ingest(self, events: Sequence[VerifiedEvent], *, received_at: int) -> list[IngestOutcome]:
        """Take in a batch in one write transaction; the outcomes are in the order of the events.

        The result is that of taking them one by one. `received_at` (Unix seconds) decides what has expired. The change
        feed is told of each event that is held from now on (created) and of each that was and is no more (deleted).

        Raises:
            StoreError: nothing was stored, except after `CommitUncertain`; the same batch can be given again.
        """
        return await self._database.transact(lambda tx: self.ingest_within(tx, events, received_at=received_at))

    async def ingest_within(
        self, tx: Transaction, events: Sequence[VerifiedEvent], *, received_at: int
    ) -> list[IngestOutcome]:
        """Do as `ingest` does in the caller's transaction, beside the state that the events stand for."""
        entries: list[Entry] = []
        async for part in in_slices(events):
            entries += map(Entry.of, part)
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

    async def next_expiry(self) -> int | None:
        """When the next held event expires (Unix seconds)."""
        row = await self._database.fetch_one(_NEXT_EXPIRY)
        return row[0] if row is not None and isinstance(row[0], int) else None

    async def _sweep(self, tx: Transaction, now: int) -> int:
        batch = MirrorBatch(tx, self._interner)
        expired = await read_entries(await tx.fetch_all(_EXPIRED, (now, _SWEEP)))
        for entry in expired:
            batch.standing.expire(entry)
        await self._settle(tx, batch, now)
        return len(expired)

    async def _settle(self, tx: Transaction, batch: MirrorBatch, received_at: int) -> None:
        await batch.write()
        effects, gone, fresh = batch.standing.effects, batch.standing.gone.values(), batch.standing.fresh
        tx.note(*(Change(TABLE, ChangeKind.DELETED, event.id, before=event) for event in gone))
        tx.note(*(Change(TABLE, ChangeKind.CREATED, entry.event.id, after=entry.event) for entry in fresh))
        if effects:
            for projection in self._projections:
                await projection.apply(tx, effects, received_at=received_at)

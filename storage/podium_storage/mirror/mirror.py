"""The mirror: the events of the relays that count, under the rules of NIP-01, NIP-09 and NIP-40.

It takes events in, and knows how far each relay has been read and which gift wraps were dealt with, so that a
restart asks for the gap only.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Protocol, runtime_checkable

import msgspec

from podium_protocol import kinds
from podium_protocol.events import EventId, VerifiedEvent
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
    """Derives rows from events, in the transaction that stores the events; often on the database's thread."""

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
        return await self._database.transact(
            lambda tx: self.ingest_within(tx, events, received_at=received_at), in_one_hop=True
        )

    async def ingest_within(
        self, tx: Transaction, events: Sequence[VerifiedEvent], *, received_at: int
    ) -> list[IngestOutcome]:
        """Do as `ingest` does in the caller's transaction, beside the state that the events stand for."""
        entries: list[MirrorEntry] = []
        async for part in in_slices(events):
            entries += map(MirrorEntry.from_event, part)
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
        tx.queue_changes(*(Change(TABLE, ChangeKind.DELETED, entry.event.id, before=entry.event) for entry in entries))

    async def _settle(self, tx: Transaction, batch: MirrorBatch, received_at: int) -> None:
        await batch.write()
        effects, gone, fresh = batch.standing.effects, batch.standing.gone.values(), batch.standing.fresh
        tx.queue_changes(*(Change(TABLE, ChangeKind.DELETED, event.id, before=event) for event in gone))
        tx.queue_changes(*(Change(TABLE, ChangeKind.CREATED, entry.event.id, after=entry.event) for entry in fresh))
        if effects:
            for projection in self._projections:
                await projection.apply(tx, effects, received_at=received_at)
            await self._prune(tx, effects)


_GET: Final = "SELECT eoseAt FROM watermarks WHERE relay = ? AND subscription = ?"
_GET_ALL: Final = "SELECT relay, eoseAt FROM watermarks WHERE subscription = ?"
# Not the maximum of both: a clock that was ahead must not hide what came after it was put right.
_SET: Final = """
INSERT INTO watermarks (relay, subscription, eoseAt) VALUES (?, ?, ?)
ON CONFLICT (relay, subscription) DO UPDATE SET eoseAt = excluded.eoseAt"""
_FORGET: Final = "DELETE FROM watermarks WHERE relay = ?"


class Watermarks:
    """The last EOSE by (relay, name of the subscription). Times are Unix seconds of our clock."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, relay: str, subscription: str) -> int | None:
        """When the relay last had no more stored events for the subscription, or None if it never said so."""
        row = await self._database.fetch_one(_GET, (relay, subscription))
        return row[0] if row is not None and isinstance(row[0], int) else None

    async def watermarks_of(self, subscription: str) -> dict[str, int]:
        """The last EOSE of this subscription for each relay that sent one."""
        rows = await self._database.fetch_all(_GET_ALL, (subscription,))
        return {str(relay): eose_at for relay, eose_at in rows if isinstance(eose_at, int)}

    async def set(self, relay: str, subscription: str, eose_at: int) -> None:
        """Store an EOSE. Call it after the events before it are committed, else a crash loses them."""
        await self._database.transact(lambda tx: tx.execute(_SET, (relay, subscription, eose_at)))

    async def forget(self, relay: str) -> None:
        """Read everything of this relay again next time."""
        await self._database.transact(lambda tx: tx.execute(_FORGET, (relay,)))


MAX_UNOPENED: Final = 100_000
"""Most wraps remembered that could not be opened, or say nothing to us; the oldest are dropped, and may come again."""

_KNOWN: Final = """
SELECT eventId FROM openedWraps WHERE eventId IN (SELECT value FROM json_each(?1))
UNION ALL SELECT eventId FROM unopenedWraps WHERE eventId IN (SELECT value FROM json_each(?1))"""
_ADD_UNOPENED: Final = "INSERT INTO unopenedWraps (eventId, seenAt) VALUES (?, ?) ON CONFLICT DO NOTHING"
_DROP_OLDEST: Final = "DELETE FROM unopenedWraps WHERE id <= (SELECT max(id) FROM unopenedWraps) - ?"
_SWEEP_UNOPENED: Final = "DELETE FROM unopenedWraps WHERE seenAt < ?"
_ADD: Final = "INSERT INTO openedWraps (eventId, openedAt) VALUES (?, ?) ON CONFLICT DO NOTHING"
_SWEEP_OPENED: Final = "DELETE FROM openedWraps WHERE openedAt < ?"


class OpenedWraps:
    """The ids of opened gift wraps, and when they were opened (Unix seconds)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def known(self, ids: Collection[EventId]) -> frozenset[EventId]:
        """Those of `ids` that were opened and had their effect, or have none."""
        return await self._database.snapshot(lambda tx: self.known_within(tx, ids))

    async def known_within(self, tx: Transaction, ids: Collection[EventId]) -> frozenset[EventId]:
        """As `known`, but as the caller's transaction sees it."""
        rows = await tx.fetch_all(_KNOWN, (msgspec.json.encode(list(ids)).decode(),))
        return frozenset(EventId(str(row[0])) for row in rows)

    async def add_within(self, tx: Transaction, ids: Collection[EventId], *, now: int) -> None:
        """Remember `ids` in the transaction that stores the wraps' content."""
        await tx.execute_many(_ADD, ((event_id, now) for event_id in ids))

    async def add_unopened(self, ids: Collection[EventId], *, now: int, at_most: int = MAX_UNOPENED) -> None:
        """Remember wraps that could not be opened, or say nothing to us, so that they are not decrypted again.

        The newest `at_most` are kept.
        """

        async def scope(tx: Transaction) -> None:
            await tx.execute_many(_ADD_UNOPENED, ((event_id, now) for event_id in ids))
            await tx.execute(_DROP_OLDEST, (at_most,))

        if ids:
            await self._database.transact(scope)

    async def sweep(self, before: int) -> int:
        """Forget those opened before a time (Unix seconds) and return their number.

        A wrap that is read again afterwards changes nothing that is newer.
        """

        async def scope(tx: Transaction) -> int:
            return await tx.execute(_SWEEP_OPENED, (before,)) + await tx.execute(_SWEEP_UNOPENED, (before,))

        return await self._database.transact(scope)

"""One batch of the mirror in SQL: all that it touches is read at once, and all its changes are written at once.

The number of statements does not depend on the number of events: what to look up goes into a temporary table, since a
join with it is quicker than any list of parameters, and is not limited.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Pubkey
from podium_protocol.nips import nip09
from podium_storage.backend import Parameter, SqlRow, Value
from podium_storage.database import Transaction
from podium_storage.mirror.fold import MirrorEntry, MirrorFold, Position
from podium_storage.mirror.queries import id_bytes, indexed_tags, read_entries, tag_range
from podium_storage.slices import in_slices
from podium_storage.table.interning import Interner

_LOOKUPS: Final = """
CREATE TEMP TABLE IF NOT EXISTS lookups (
  isNamed INTEGER NOT NULL, eventId BLOB, author INTEGER, kind INTEGER, identifier TEXT
)"""
_LOOK_UP: Final = "INSERT INTO lookups (isNamed, eventId, author, kind, identifier) VALUES (?, ?, ?, ?, ?)"
_FORGET: Final = "DELETE FROM lookups"

# CROSS JOIN keeps the order of the loops: SQLite has no figures about a temporary table and might turn them round.
_STORED: Final = """
SELECT e.eventId FROM lookups AS l CROSS JOIN events AS e ON e.eventId = l.eventId WHERE NOT l.isNamed"""
_AT_STAKE: Final = """
SELECT id, json FROM events WHERE id IN (
  SELECT e.id FROM lookups AS l CROSS JOIN events AS e ON e.eventId = l.eventId WHERE l.isNamed
  UNION ALL
  SELECT e.id FROM lookups AS l CROSS JOIN events AS e
    ON e.identifier = l.identifier AND e.kind = l.kind AND e.author = l.author AND e.eventId IS NOT l.eventId
)"""
_FLOORS: Final = """
SELECT DISTINCT f.kind, f.author, f.identifier, f.createdAt, f.eventId
FROM lookups AS l CROSS JOIN addressFloors AS f
  ON f.identifier = l.identifier AND f.kind = l.kind AND f.author = l.author"""
_TOMBSTONES: Final = """
SELECT t.eventId, t.author FROM lookups AS l CROSS JOIN tombstones AS t
  ON t.eventId = l.eventId AND t.author = l.author"""

_NEXT_ROW: Final = "SELECT coalesce(max(id), 0) + 1 FROM events"
_INSERT: Final = """
INSERT INTO events (id, eventId, author, kind, identifier, createdAt, expiresAt, json)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
_INSERT_TAG: Final = "INSERT INTO eventTags (id, name, value) VALUES (?, ?, ?)"
_DELETE: Final = "DELETE FROM events WHERE id = ?"
_DELETE_TAGS: Final = "DELETE FROM eventTags WHERE id BETWEEN ? AND ?"
_BURY: Final = "INSERT INTO tombstones (eventId, author) VALUES (?, ?) ON CONFLICT DO NOTHING"
# Floors only rise: the fold knew the old one, or an event that stood above it.
_RAISE_FLOOR: Final = """
INSERT INTO addressFloors (identifier, kind, author, createdAt, eventId) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (identifier, kind, author) DO UPDATE SET createdAt = excluded.createdAt, eventId = excluded.eventId"""

_TEXTS: Final = 2_000  # texts interned at a time: some 5 ms of the event loop
_Row = tuple[Parameter, ...]


class MirrorBatch:
    """One batch in one transaction: `read`, then fold events into `standing`, then `write`."""

    def __init__(self, tx: Transaction, interner: Interner) -> None:
        """Begin a batch in `tx`; `read` comes first."""
        self.standing = MirrorFold()
        self._tx = tx
        self._interner = interner
        self._atoms: dict[str, int] = {}

    async def read(self, entries: Sequence[MirrorEntry]) -> None:
        """Read what the mirror holds of the ids and addresses that these events touch."""
        entries = await self._by_known_authors(entries)
        if not entries:
            return
        pubkeys = {key: Pubkey(pubkey) for pubkey, key in self._atoms.items()}
        await self._tx.execute(_LOOKUPS)
        await self._tx.execute_many(_LOOK_UP, _lookups(entries, self._atoms))
        for (event_id,) in await self._tx.fetch_all(_STORED):
            self.standing.know(_event_id(event_id))
        for entry in await read_entries(await self._tx.fetch_all(_AT_STAKE)):
            self.standing.add_stored(entry)
        for row in await self._tx.fetch_all(_FLOORS):
            self.standing.set_floor(*_floor(row, pubkeys))
        for event_id, author in await self._tx.fetch_all(_TOMBSTONES):
            self.standing.set_tombstone(_event_id(event_id), pubkeys[_integer(author)])
        await self._tx.execute(_FORGET)

    async def _by_known_authors(self, entries: Sequence[MirrorEntry]) -> Sequence[MirrorEntry]:
        """Intern the authors; return the entries of those who were known before, since of others nothing is here."""
        authors = dict.fromkeys(entry.event.pubkey for entry in entries)
        unknown = [author for author in authors if self._interner.known(author, self._tx) is None]
        await self._intern(authors)
        new = {author for author in unknown if self._interner.is_new(author, self._tx)}
        return [entry for entry in entries if entry.event.pubkey not in new] if new else entries

    async def write(self) -> None:
        """Write the result of the fold to the mirror."""
        standing = self.standing
        if standing.gone:
            await self._tx.execute_many(_DELETE_TAGS, (tag_range(row) for row in standing.gone))
            await self._tx.execute_many(_DELETE, ((row,) for row in standing.gone))
        if fresh := standing.fresh:
            await self._insert(fresh)
        if standing.buried:
            await self._tx.execute_many(_BURY, ((id_bytes(key), self._atoms[by]) for key, by in standing.buried))
        if standing.raised:
            await self._intern(dict.fromkeys(address.pubkey for address in standing.raised))
            await self._tx.execute_many(_RAISE_FLOOR, _floor_rows(standing.raised, self._atoms))

    async def _insert(self, fresh: Sequence[MirrorEntry]) -> None:
        tags: list[dict[tuple[str, str], None]] = []
        texts: dict[str, None] = {}
        async for part in in_slices(fresh):
            for entry in part:
                tags.append(indexed := indexed_tags(entry))
                for _, value in indexed:
                    texts[value] = None
        await self._intern(texts)
        row = await self._tx.fetch_one(_NEXT_ROW)
        assert row is not None
        first = _integer(row[0])
        # generators: the rows are made on the database's thread, one by one, and not all at once on the loop
        await self._tx.execute_many(_INSERT, _event_rows(fresh, first, self._atoms))
        await self._tx.execute_many(_INSERT_TAG, _tag_rows(tags, first, self._atoms))

    async def _intern(self, texts: Iterable[str]) -> None:
        async for part in in_slices([text for text in texts if text not in self._atoms], _TEXTS):
            self._atoms |= await self._interner.ids(self._tx, part)


def _lookups(entries: Sequence[MirrorEntry], atoms: Mapping[str, int]) -> Iterator[_Row]:
    for entry in entries:
        event, address, author = entry.event, entry.address, atoms[entry.event.pubkey]
        yield 0, bytearray.fromhex(event.id), author, event.kind, None if address is None else address.identifier
        if event.kind == kinds.DELETION:
            deletion = nip09.read_deletion(event)
            yield from ((1, id_bytes(event_id), None, None, None) for event_id in deletion.ids)
            yield from ((1, None, author, area.kind, area.identifier) for area in deletion.addresses)


def _event_rows(entries: Sequence[MirrorEntry], first: int, atoms: Mapping[str, int]) -> Iterator[_Row]:
    for row, entry in enumerate(entries, first):
        event, address = entry.event, entry.address
        identifier = None if address is None else address.identifier
        author = atoms[event.pubkey]
        # bytearrays: the driver asks for an adapter for each value that is bytes, which takes longer than to bind it
        event_id, json = bytearray.fromhex(event.id), bytearray(event.to_json())
        yield row, event_id, author, event.kind, identifier, event.created_at, entry.expires_at, json


def _tag_rows(tags: Iterable[Iterable[tuple[str, str]]], first: int, atoms: Mapping[str, int]) -> Iterator[_Row]:
    for row, indexed in enumerate(tags, first):
        for key, (name, value) in enumerate(indexed, tag_range(row)[0]):
            yield key, name, atoms[value]


def _floor_rows(raised: Mapping[Address, Position], authors: Mapping[str, int]) -> Iterator[_Row]:
    for address, position in raised.items():
        author, event_id = authors[address.pubkey], id_bytes(position.id)
        yield address.identifier, address.kind, author, position.created_at, event_id


def _floor(row: SqlRow, pubkeys: Mapping[int, Pubkey]) -> tuple[Address, Position]:
    kind, author, identifier, created_at, event_id = row
    address = Address(_integer(kind), pubkeys[_integer(author)], str(identifier))
    return address, Position(_integer(created_at), _event_id(event_id))


def _event_id(value: Value) -> EventId:
    assert isinstance(value, bytes)
    return EventId(value.hex())


def _integer(value: Value) -> int:
    assert isinstance(value, int)
    return value

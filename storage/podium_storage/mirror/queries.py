"""Reading the mirror: by id, by address, by filter (NIP-01); events as its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Pubkey, SignedEvent, VerifiedEvent
from podium_protocol.filters import Filter
from podium_storage.backend import SqlRow, Value
from podium_storage.errors import BadQuery, StoreDamaged
from podium_storage.mirror.fold import MirrorEntry, Position
from podium_storage.slices import in_slices
from podium_storage.sqlite import SqliteDialect

# all their values; of `d` those that are not the event's identifier. Not `e` and `p`: no query asks for them alone, and
# each row and its place in the index cost what a tenth of an event does
INDEXED_TAGS: Final = ("a",)
MAX_INDEXED_CHARS: Final = 512  # an address has 327 at most; longer values are compared, not indexed
TAG_BITS: Final = 16  # a frame of 512 KiB has room for fewer than 65536 different tags

# Only verified events are ever stored, so reading one back needs no second check of the signature.
_decode = msgspec.json.Decoder(VerifiedEvent).decode


def read_event(json: object) -> VerifiedEvent:
    """The event in a column.

    Raises:
        StoreDamaged: the column holds something else.
    """
    try:
        return _decode(json)  # type: ignore[arg-type]  # whatever the driver gave; anything but bytes is refused below
    except (msgspec.MsgspecError, TypeError) as error:
        raise StoreDamaged(
            f"an event in the mirror cannot be read ({error}): restore a backup, or start empty"
        ) from None


async def read_entries(rows: Sequence[SqlRow]) -> list[MirrorEntry]:
    """Decode the events of rows (surrogate key, JSON) without blocking the event loop."""
    entries: list[MirrorEntry] = []
    async for part in in_slices(rows):
        entries += [MirrorEntry.from_event(read_event(json), key) for key, json in part if isinstance(key, int)]
    return entries


def id_bytes(event_id: EventId) -> bytes:
    """An id as its column keeps it."""
    return bytes.fromhex(event_id)


def is_indexable(value: str) -> bool:
    """Whether a tag's value is interned; others must be compared with the event itself."""
    return len(value) <= MAX_INDEXED_CHARS


def indexed_tags(entry: MirrorEntry) -> dict[tuple[str, str], None]:
    """The tags of an event that have rows of their own: pairs of name and value, each once, in order."""
    identifier = None if entry.address is None else entry.address.identifier
    return {
        (tag[0], tag[1]): None
        for tag in entry.event.tags
        if len(tag) > 1
        and (tag[0] in INDEXED_TAGS or (tag[0] == "d" and tag[1] != identifier))
        and is_indexable(tag[1])
    }


def tag_range(row: int) -> tuple[int, int]:
    """The first and last key that an event's tags can have."""
    return row << TAG_BITS, ((row + 1) << TAG_BITS) - 1


MAX_IDS: Final = 10_000  # each is a parameter of its own, and a statement has some 32,000 at most

_GET: Final = "SELECT json FROM events WHERE eventId = ?"
_NEWEST: Final = """
SELECT json FROM events
WHERE identifier = ? AND kind = ? AND author = (SELECT id FROM atoms WHERE value = ?)"""
_TOMBSTONE: Final = """
SELECT 1 FROM tombstones WHERE eventId = ? AND author = (SELECT id FROM atoms WHERE value = ?)"""
_FLOOR: Final = """
SELECT createdAt, eventId FROM addressFloors
WHERE identifier = ? AND kind = ? AND author = (SELECT id FROM atoms WHERE value = ?)"""
_BY_FILTER: Final = "SELECT e.json FROM events AS e WHERE {terms} ORDER BY e.createdAt DESC, e.eventId"
_ATOMS: Final = "SELECT id FROM atoms WHERE value IN ({texts})"
_TAGGED: Final = "SELECT id >> {bits} FROM eventTags WHERE name = ? AND value IN ({atoms})"
_IDENTIFIED: Final = "SELECT id FROM events WHERE identifier IN ({texts}) UNION ALL {tagged}"
_TOGETHER: Final = {"author": ("kind", "createdAt"), "kind": ("createdAt",)}  # columns of the leading one's index


class _Term(NamedTuple):
    """One condition on `events AS e`: an index is used for it, unless its column is shown with a `+` (SQLite)."""

    column: str
    test: str
    parameters: tuple[Value, ...]

    def sql(self, *, indexed: bool) -> str:
        return f"{'' if indexed else '+'}e.{self.column} {self.test}"


class Readable(Protocol):
    """A source of rows: the database, or a transaction that sees its own writes."""

    async def fetch_all(self, sql: str, parameters: Sequence[Value] = ()) -> list[SqlRow]:
        """Run one statement and return its rows."""

    async def fetch_one(self, sql: str, parameters: Sequence[Value] = ()) -> SqlRow | None:
        """Run one statement and return its first row."""


class EventQueries:
    """Queries on the mirror. Expired events are found until `Mirror.sweep_expired` removes them."""

    def __init__(self, source: Readable) -> None:
        """Read from a database, or inside a transaction."""
        self._source = source

    async def get(self, event_id: EventId) -> VerifiedEvent | None:
        """The event with this id, if it is held."""
        return _event(await self._source.fetch_one(_GET, (id_bytes(event_id),)))

    async def newest(self, address: Address) -> VerifiedEvent | None:
        """The revision of an addressable or replaceable event that counts, if there is one."""
        return _event(await self._source.fetch_one(_NEWEST, (address.identifier, address.kind, address.pubkey)))

    async def newest_replaceable(self, kind: int, pubkey: Pubkey) -> VerifiedEvent | None:
        """The event of a replaceable kind (0, 3, 10000-19999) that counts for this author."""
        return await self.newest(Address(kind, pubkey, ""))

    async def is_deleted(self, event: SignedEvent) -> bool:
        """Whether the event is refused from now on: its author deleted it, or a revision that is as new or newer."""
        if event.kind == kinds.DELETION:
            return False  # NIP-09: a deletion of a deletion has no effect
        if await self._source.fetch_one(_TOMBSTONE, (id_bytes(event.id), event.pubkey)) is not None:
            return True
        address = Address.from_event(event)
        floor = None if address is None else await self._floor(address)
        return floor is not None and not Position(event.created_at, event.id).outranks(floor)

    async def by_filter(self, wanted: Filter) -> list[VerifiedEvent]:
        """The events that answer the filter, newest first, at equal times the lowest id first (NIP-01).

        Conditions on ids, authors, kinds and the tags `a` and `d` use an index; other tags are compared.

        Raises:
            BadQuery: it names more than 10,000 ids.
        """
        if wanted.ids is not None and len(wanted.ids) > MAX_IDS:
            raise BadQuery(f"a filter names {len(wanted.ids)} ids: ask for {MAX_IDS} at a time")
        sql, parameters = _compiled(wanted)
        answers: list[VerifiedEvent] = []
        async for rows in in_slices(await self._source.fetch_all(sql, parameters)):
            answers += [event for event in map(read_event, (row[0] for row in rows)) if wanted.matches(event)]
        return answers[: wanted.limit]

    async def _floor(self, address: Address) -> Position | None:
        row = await self._source.fetch_one(_FLOOR, (address.identifier, address.kind, address.pubkey))
        if row is None:
            return None
        created_at, event_id = row
        assert isinstance(created_at, int)
        assert isinstance(event_id, bytes)
        return Position(created_at, EventId(event_id.hex()))


def _event(row: SqlRow | None) -> VerifiedEvent | None:
    return None if row is None else read_event(row[0])


def _compiled(wanted: Filter) -> tuple[str, tuple[Value, ...]]:
    terms = [*_terms(wanted), *_times(wanted)]
    # One index leads: nothing tells SQLite how few events carry a tag, so it is not left to guess.
    together = _TOGETHER.get(terms[0].column, ()) if terms else ()
    clauses = [term.sql(indexed=number == 0 or term.column in together) for number, term in enumerate(terms)]
    sql = _BY_FILTER.format(terms=" AND ".join(clauses) or "TRUE")
    parameters = tuple(value for term in terms for value in term.parameters)
    if wanted.limit is None or not _is_exact(wanted):
        return sql, parameters
    return f"{sql} LIMIT ?", (*parameters, wanted.limit)


def _terms(wanted: Filter) -> Iterator[_Term]:
    """The conditions, the one that leaves the fewest events first."""
    if wanted.ids is not None:
        sql, parameters = SqliteDialect.values([id_bytes(event_id) for event_id in wanted.ids])
        yield _Term("eventId", f"IN ({sql})", parameters)
    for name, values in wanted.tags:
        if _is_indexed(name, values):
            yield _tag_term(name, values)
    if wanted.authors is not None:
        sql, parameters = SqliteDialect.values(wanted.authors)
        yield _Term("author", f"IN ({_ATOMS.format(texts=sql)})", parameters)
    if wanted.kinds is not None:
        sql, parameters = SqliteDialect.values(wanted.kinds)
        yield _Term("kind", f"IN ({sql})", parameters)


def _times(wanted: Filter) -> Iterator[_Term]:
    if wanted.since is not None:
        yield _Term("createdAt", ">= ?", (wanted.since,))
    if wanted.until is not None:
        yield _Term("createdAt", "<= ?", (wanted.until,))


def _tag_term(name: str, values: Sequence[str]) -> _Term:
    texts, parameters = SqliteDialect.values(values)
    tagged = _TAGGED.format(bits=TAG_BITS, atoms=_ATOMS.format(texts=texts))
    if name != "d":
        return _Term("id", f"IN ({tagged})", (name, *parameters))
    identified = _IDENTIFIED.format(texts=texts, tagged=tagged)
    return _Term("id", f"IN ({identified})", (*parameters, name, *parameters))


def _is_indexed(name: str, values: Sequence[str]) -> bool:
    return (name == "d" or name in INDEXED_TAGS) and all(map(is_indexable, values))


def _is_exact(wanted: Filter) -> bool:
    """Whether SQL alone decides: `d` finds too much, as an event without a `d` has the identifier ''."""
    return all(name != "d" and _is_indexed(name, values) for name, values in wanted.tags)

"""RSVP rows from events, in the transaction that stores the events.

One answer counts for each (session, author): the newest `created_at`, at equal times the lowest id. `d` is ignored:
an event that replaces another on relays ends its answer only if it answers to the same session (semantics.md, "RSVPs
and seats"). When the answer that counts is deleted (kind 5) or expires, no older one comes back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final
from weakref import WeakKeyDictionary

import msgspec

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Pubkey
from podium_protocol.filters import Filter
from podium_protocol.live.rsvp import Rsvp, RsvpStatus, read_rsvp
from podium_protocol.nips import nip09
from podium_storage.backend import SqlRow, Value
from podium_storage.database import Database, Transaction
from podium_storage.mirror.fold import Death, EventChange, Position
from podium_storage.mirror.queries import EventQueries, id_bytes
from podium_storage.slices import in_slices
from podium_storage.sqlite import SqliteDialect
from podium_storage.table import interning as sequences
from podium_storage.table.columns import InternedText, StoredRow
from podium_storage.table.interning import Interner
from podium_storage.table.models import RsvpRow
from podium_storage.table.schema import TableSchema
from podium_storage.table.table import Table

FIRST_SEEN: Final = "rsvpFirstSeen"
"""The sequence that orders RSVPs by arrival; the number of a deleted row is not used again."""

_PEOPLE: Final = 1_000  # looked up, and written, at a time: some 5 ms of the event loop
_BY_PERSON: Final = "[lessonId+pubkey]"
_Person = tuple[str, str]
_AMONG: Final = "SELECT id, json FROM events WHERE kind = 31925 AND eventId IN ({ids})"
# CROSS JOIN keeps the order of the loops: SQLite has no figures about a list of values
_IDLE: Final = """
SELECT e.id, e.json FROM json_each(?) AS p CROSS JOIN atoms AS a ON a.value = p.value
CROSS JOIN events AS e INDEXED BY eventsByAuthor ON e.author = a.id AND e.kind = 31925
WHERE NOT EXISTS (
  SELECT 1 FROM trainingLiveSessionRSVPs AS r WHERE r.pubkey = a.id AND r.eventId = lower(hex(e.eventId))
)"""

# an answer that was given to another start counts as settled only where no other start was ever announced
_UNSETTLED: Final = """
SELECT lesson.value FROM trainingLiveSessions AS s CROSS JOIN atoms AS lesson ON lesson.id = s.lessonId
WHERE s.scheduledAt > ? AND s.state IN ('scheduled', 'active') AND EXISTS (
  SELECT 1 FROM trainingLiveSessionRSVPs AS r WHERE r.lessonId = s.lessonId AND (
    (r.status = 'confirmed') <> (r.seat = 'held') OR r.needsReconfirmation OR json_array_length(s.revisions) > 1
  )
)"""

_PEOPLE_OF: Final = """
SELECT person.value FROM json_each(?) AS asked CROSS JOIN atoms AS lesson ON lesson.value = asked.value
CROSS JOIN trainingLiveSessionRSVPs AS r ON r.lessonId = lesson.id CROSS JOIN atoms AS person ON person.id = r.pubkey
GROUP BY r.pubkey ORDER BY min(r.firstSeen)"""
_SESSIONS_OF: Final = """
SELECT asked.value, lesson.value FROM json_each(?) AS asked CROSS JOIN atoms AS person ON person.value = asked.value
CROSS JOIN trainingLiveSessionRSVPs AS r ON r.pubkey = person.id CROSS JOIN atoms AS lesson ON lesson.id = r.lessonId"""


class RsvpFloorRow(StoredRow, frozen=True, kw_only=True):
    """The newest dead answer of a person who has no answer that counts."""

    session_address: InternedText
    pubkey: InternedText
    created_at: int
    event_id: str


RSVP_FLOORS: Final = TableSchema("rsvpFloors", RsvpFloorRow, "++id, &[lessonId+pubkey]")


class FoldedRsvp(msgspec.Struct, frozen=True, gc=False):
    """One RSVP, and whether it is still valid; a dead one still outranks older ones."""

    rsvp: Rsvp
    held: bool = True


class _Outdone:
    """What one transaction knows of events in the mirror that do not count.

    `ids`: events that came with it and do not, and those that did before it; `people`: those whose answer had come in
    another way, so that events of theirs may have been outdone by it. `folded`: people with answers in it.
    """

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.people: set[str] = set()
        self.folded: set[str] = set()

    def note(self, book: RsvpBook, before: Mapping[_Person, RsvpRow]) -> None:
        """Note which answers count now, and which did before."""
        self.ids |= {row.event_id for row in before.values()}
        self.ids -= {row.event_id for row in book.rows.values()}
        self.people |= {row.pubkey for row in before.values() if row.identifier is None}


class RsvpProjection:
    """Keeps `trainingLiveSessionRSVPs` in step with the mirror.

    A row keeps what services decide (seat, position, reminder sent). `first_seen` and `first_seen_at` are kept while
    the same status is only repeated; a person who changes it, or answers again after a deletion, goes to the back.
    """

    def __init__(self, rsvps: Table[RsvpRow], database: Database, interner: Interner) -> None:
        """Write to this table, which belongs to this database."""
        self._rsvps = rsvps
        self._interner = interner
        self._floors = Table.from_schema(RSVP_FLOORS, database, interner)
        self._outdone: WeakKeyDictionary[Transaction, _Outdone] = WeakKeyDictionary()

    async def apply(self, tx: Transaction, effects: Sequence[EventChange], *, received_at: int) -> None:
        """Fold a batch of the mirror in; `received_at` is in Unix seconds."""
        answers: list[FoldedRsvp] = []
        self._of(tx).ids |= {one.event.id for one in effects if one.is_live and one.event.kind == kinds.RSVP}
        async for part in in_slices(effects):
            answers += _answers(part, dead=await self._deleted_beneath(tx, part))
        await self.fold_answers(tx, answers, received_at=received_at)
        await self.fold_answers(tx, await self._deleted(tx, _deletions(effects)), received_at=received_at)

    async def idle(self, tx: Transaction, effects: Sequence[EventChange]) -> Sequence[SqlRow]:
        """Return answers in the mirror that do not count: clients use a new `d` for each, so every one would be kept.

        Otherwise one key could fill the disk with answers to one session.
        """
        outdone = self._of(tx)
        rows: dict[Value, SqlRow] = {}
        async for part in in_slices(sorted(outdone.ids), _PEOPLE):
            values, parameters = SqliteDialect.values([id_bytes(EventId(one)) for one in part])
            rows |= {row[0]: row for row in await tx.query(_AMONG.format(ids=values), parameters)}
        authors = {effect.event.pubkey for effect in effects if effect.event.kind == kinds.RSVP}
        if people := sorted(outdone.people & authors):
            rows |= {row[0]: row for row in await tx.query(_IDLE, (SqliteDialect.json(people),))}
        outdone.ids.clear()
        outdone.people.clear()
        return list(rows.values())

    async def fold_answers(self, tx: Transaction, answers: Sequence[FoldedRsvp], *, received_at: int) -> None:
        """Fold in answers from another source, such as those to a private session, or replies to a message."""
        if not answers:
            return
        people = self._known_before(tx, answers)
        before = await self._rows(tx, people)
        floors = await self._floor_rows(tx, people) if people else {}
        book = RsvpBook(before, floors, next_place=await sequences.reserve(tx, FIRST_SEEN, len(answers)))
        async for part in in_slices(answers):
            for answer in part:
                book.fold(answer, received_at)
        self._of(tx).note(book, before)
        await self._write(tx, book, before, floors)

    def _known_before(self, tx: Transaction, answers: Sequence[FoldedRsvp]) -> list[_Person]:
        """The people who may have rows: not those whose key is new in this transaction, and in it for the first time.

        Most answers of a first reading are by people who were never heard of.
        """
        folded = self._of(tx).folded
        authors = {answer.rsvp.pubkey for answer in answers}
        new = {author for author in authors if author not in folded and self._interner.is_new(author, tx)}
        folded |= authors
        pairs = {(answer.rsvp.session_address, answer.rsvp.pubkey): None for answer in answers}
        return [pair for pair in pairs if pair[1] not in new] if new else list(pairs)

    def _of(self, tx: Transaction) -> _Outdone:
        return self._outdone.setdefault(tx, _Outdone())

    async def _deleted_beneath(self, tx: Transaction, effects: Sequence[EventChange]) -> set[EventId]:
        """Among events older than a deleted revision: those that the same deletion covers, by address."""
        buried = [e.event for e in effects if e.event.kind == kinds.RSVP and e.death is Death.BURIED]
        dead: set[EventId] = set()
        for event in buried:
            address = str(Address.from_event(event))
            wanted = Filter(kinds=(kinds.DELETION,), authors=(event.pubkey,), tags=(("a", (address,)),))
            if any(one.created_at >= event.created_at for one in await EventQueries(tx).by_filter(wanted)):
                dead.add(event.id)
        return dead

    async def _deleted(self, tx: Transaction, deletions: Sequence[nip09.Deletion]) -> list[FoldedRsvp]:
        """Deleted answers that counted although the mirror holds another event at their address."""
        if not deletions:
            return []
        authors = list({deletion.author: None for deletion in deletions})
        rows: list[RsvpRow] = []
        async for part in in_slices(authors, _PEOPLE):
            rows += await self._rsvps.within(tx).where("pubkey").any_of(part).to_list()
        return [FoldedRsvp(_rsvp_of(row), held=False) for row in rows if any(_covers(one, row) for one in deletions)]

    async def _rows(self, tx: Transaction, people: Sequence[_Person]) -> dict[_Person, RsvpRow]:
        rows: dict[_Person, RsvpRow] = {}
        async for part in in_slices(people, _PEOPLE):
            found = await self._rsvps.within(tx).where(_BY_PERSON).any_of(part).to_list()
            rows |= {(row.session_address, row.pubkey): row for row in found}
        return rows

    async def _floor_rows(self, tx: Transaction, people: Sequence[_Person]) -> dict[_Person, RsvpFloorRow]:
        """Read the floors: all of a session at once, unless it has more dead answers than there are people to read."""
        floors, addresses = self._floors.within(tx), list({session_address for session_address, _ in people})
        found = await floors.where("lessonId").any_of(addresses).limit(len(people) + 1).to_list()
        if len(found) > len(people):
            found = await floors.where(_BY_PERSON).any_of(people).to_list()
        return {(row.session_address, row.pubkey): row for row in found}

    async def _write(
        self,
        tx: Transaction,
        book: RsvpBook,
        before: dict[_Person, RsvpRow],
        floors: dict[_Person, RsvpFloorRow],
    ) -> None:
        kept = {row.id for row in book.rows.values()}
        rsvps = self._rsvps.within(tx)
        if gone := [row.id for row in before.values() if row.id is not None and row.id not in kept]:
            await rsvps.bulk_delete(gone)
        if changed := [row for person, row in book.rows.items() if row != before.get(person)]:
            async for part in in_slices(changed, _PEOPLE):
                await rsvps.bulk_put(part)
        if raised := [row for person, row in book.floors.items() if row != floors.get(person)]:
            await self._floors.within(tx).upsert(raised, _BY_PERSON)


async def unsettled_sessions(database: Database, since: int) -> list[str]:
    """The addresses of open sessions that start after `since` (Unix seconds) and have answers whose seat may change.

    It looks at every answer to them, so call it only when a daemon starts and after a failure.

    Raises:
        StoreError: what the database said.
    """
    rows = await database.snapshot(lambda tx: tx.fetch_all(_UNSETTLED, (since,)))
    return [str(address) for (address,) in rows]


async def people_who_answered(database: Database, addresses: Collection[str]) -> list[Pubkey]:
    """The people with an answer to one of these sessions, each once, in the order in which they first came.

    Raises:
        StoreError: what the database said.
    """
    asked = (SqliteDialect.json(list(addresses)),)
    rows = await database.snapshot(lambda tx: tx.fetch_all(_PEOPLE_OF, asked))
    return [Pubkey(str(person)) for (person,) in rows]


async def sessions_answered_by(database: Database, people: Collection[str]) -> dict[Pubkey, set[str]]:
    """The addresses of the sessions that each of these people has answered; people without an answer are left out.

    Raises:
        StoreError: what the database said.
    """
    found: dict[Pubkey, set[str]] = {}
    async for part in in_slices(list(people)):
        for person, address in await database.fetch_all(_SESSIONS_OF, (SqliteDialect.json(list(part)),)):
            found.setdefault(Pubkey(str(person)), set()).add(str(address))
    return found


class RsvpBook:
    """The rows of some people, and answers folded into them one by one, without I/O."""

    def __init__(
        self, rows: dict[_Person, RsvpRow], floors: dict[_Person, RsvpFloorRow], *, next_place: int = 1
    ) -> None:
        """Begin with what is stored of these people; `next_place` is the next free `first_seen`."""
        self.rows = dict(rows)
        self.floors = dict(floors)
        self._next_place = next_place

    def fold(self, answer: FoldedRsvp, received_at: int) -> None:
        """Fold in one answer; `received_at` is Unix seconds."""
        rsvp = answer.rsvp
        person, position = (rsvp.session_address, rsvp.pubkey), Position(rsvp.created_at, rsvp.event_id)
        row = self.rows.get(person)
        outranks_row = row is None or position.outranks(_position(row.rsvp_time, row.event_id))
        if answer.held:
            if outranks_row and self._is_above_floor(person, position):
                self.rows[person] = self._written(rsvp, row, received_at)
        elif outranks_row or (row is not None and row.event_id == rsvp.event_id):
            self.rows.pop(person, None)
            self._raise_floor(person, position)

    def _written(self, rsvp: Rsvp, row: RsvpRow | None, received_at: int) -> RsvpRow:
        status = rsvp.status.value
        if row is None:
            return RsvpRow(
                session_address=rsvp.session_address,
                pubkey=rsvp.pubkey,
                status=status,
                rsvp_time=rsvp.created_at,
                event_id=rsvp.event_id,
                revision_id=rsvp.revision_id,
                first_seen=self._place(),
                first_seen_at=received_at,
                note=rsvp.note or None,
                identifier=rsvp.identifier,
                assurance=rsvp.assurance,
            )
        again = status == row.status
        # a new place in the queue is one without a seat: confirmed, declined, confirmed in one batch looks unchanged
        kept = row if again else msgspec.structs.replace(row, seat="none", position=None)
        return msgspec.structs.replace(
            kept,
            status=status,
            rsvp_time=rsvp.created_at,
            event_id=rsvp.event_id,
            revision_id=rsvp.revision_id,
            note=rsvp.note or None,
            identifier=rsvp.identifier,
            assurance=rsvp.assurance,
            needs_reconfirmation=row.needs_reconfirmation and rsvp.revision_id == row.revision_id,
            first_seen=row.first_seen if again else self._place(),
            first_seen_at=row.first_seen_at if again else received_at,
        )

    def _place(self) -> int:
        self._next_place += 1
        return self._next_place - 1

    def _is_above_floor(self, person: _Person, position: Position) -> bool:
        floor = self.floors.get(person)
        return floor is None or position.outranks(_position(floor.created_at, floor.event_id))

    def _raise_floor(self, person: _Person, position: Position) -> None:
        if self._is_above_floor(person, position):
            session_address, pubkey = person
            self.floors[person] = RsvpFloorRow(
                id=self.floors[person].id if person in self.floors else None,
                session_address=session_address,
                pubkey=pubkey,
                created_at=position.created_at,
                event_id=position.id,
            )


def _answers(effects: Sequence[EventChange], dead: set[EventId]) -> Iterator[FoldedRsvp]:
    for effect in effects:
        if (rsvp := read_rsvp(effect.event)) is not None:
            # the event that replaced it on relays may answer to another session: then this answer still counts
            is_dead = effect.death in (Death.DELETED, Death.EXPIRED) or effect.event.id in dead
            yield FoldedRsvp(rsvp, held=not is_dead)


def _deletions(effects: Sequence[EventChange]) -> list[nip09.Deletion]:
    """Those of a batch that may be about answers."""
    events = (effect.event for effect in effects if effect.is_live and effect.event.kind == kinds.DELETION)
    found = map(nip09.read_deletion, events)
    return [one for one in found if one.ids or any(address.kind == kinds.RSVP for address in one.addresses)]


def _covers(deletion: nip09.Deletion, row: RsvpRow) -> bool:
    """Whether it asks for this answer: by id, or by the address of its event up to the request's own time."""
    if row.pubkey != deletion.author:
        return False
    if row.event_id in deletion.ids:
        return True
    if row.identifier is None or row.rsvp_time > deletion.created_at:
        return False
    return Address(kinds.RSVP, Pubkey(row.pubkey), row.identifier) in deletion.addresses


def _rsvp_of(row: RsvpRow) -> Rsvp:
    return Rsvp(
        session_address=row.session_address,
        pubkey=Pubkey(row.pubkey),
        status=RsvpStatus(row.status),
        created_at=row.rsvp_time,
        event_id=EventId(row.event_id),
    )


def _position(created_at: int, event_id: str) -> Position:
    return Position(created_at, EventId(event_id))

"""Rows derived from events, in the transaction that stores them: who answered what to which session.

One answer counts for each (session, author): the newest `created_at`, at equal times the lowest id. `d` is ignored.
When that one dies (kind 5, or its own `d` moved to another session) there is no answer, and no older one comes back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from podium_protocol.events import EventId
from podium_protocol.live.rsvp import Rsvp, read_rsvp
from podium_storage import sequences
from podium_storage.columns import InternedText, StoredRow
from podium_storage.database import Database, Transaction
from podium_storage.interning import Interner
from podium_storage.replacement import Effect, Position
from podium_storage.rows import RsvpRow
from podium_storage.schema import TableSchema
from podium_storage.slices import in_slices
from podium_storage.table import Table

FIRST_SEEN: Final = "rsvpFirstSeen"
"""The sequence that orders RSVPs by arrival; a deleted row's number is not given again."""

_PEOPLE: Final = 1_000  # looked up, and written, at a time: some 5 ms of the loop's
_BY_PERSON: Final = "[lessonId+pubkey]"
_Person = tuple[str, str]


class RsvpFloorRow(StoredRow, frozen=True, kw_only=True, rename="camel"):
    """The newest dead answer of a person who has none alive."""

    lesson_id: InternedText
    pubkey: InternedText
    created_at: int
    event_id: str


RSVP_FLOORS: Final = TableSchema("rsvpFloors", RsvpFloorRow, "++id, &[lessonId+pubkey]")


class Answer(msgspec.Struct, frozen=True):
    """One RSVP and whether it stands; one that is dead still outranks those before it."""

    rsvp: Rsvp
    held: bool = True


class RsvpProjection:
    """Keeps `trainingLiveSessionRSVPs` in step with the mirror.

    A row keeps what services decide (seat, position, reminder sent). `first_seen` and `first_seen_at` are kept while
    the same status is only repeated; whoever changes it, or answers again after a deletion, goes to the back.
    """

    def __init__(self, rsvps: Table[RsvpRow], database: Database, interner: Interner) -> None:
        """Write to this table, which belongs to this database."""
        self._rsvps = rsvps
        self._floors = Table.of(RSVP_FLOORS, database, interner)

    async def apply(self, tx: Transaction, effects: Sequence[Effect], *, received_at: int) -> None:
        """Fold a batch of the mirror in; `received_at` is in Unix seconds."""
        answers: list[Answer] = []
        async for part in in_slices(effects):
            answers += _answers(part)
        await self.take(tx, answers, received_at=received_at)

    async def take(self, tx: Transaction, answers: Sequence[Answer], *, received_at: int) -> None:
        """Fold answers in that came another way, such as a private session's or a reply to a message."""
        if not answers:
            return
        people = list({(answer.rsvp.lesson_id, answer.rsvp.pubkey): None for answer in answers})
        before = await self._rows(tx, people)
        floors = await self._floor_rows(tx, people)
        book = RsvpBook(before, floors, next_place=await sequences.reserve(tx, FIRST_SEEN, len(answers)))
        async for part in in_slices(answers):
            for answer in part:
                book.fold(answer, received_at)
        await self._write(tx, book, before, floors)

    async def _rows(self, tx: Transaction, people: Sequence[_Person]) -> dict[_Person, RsvpRow]:
        rows: dict[_Person, RsvpRow] = {}
        async for part in in_slices(people, _PEOPLE):
            found = await self._rsvps.within(tx).where(_BY_PERSON).any_of(part).to_list()
            rows |= {(row.lesson_id, row.pubkey): row for row in found}
        return rows

    async def _floor_rows(self, tx: Transaction, people: Sequence[_Person]) -> dict[_Person, RsvpFloorRow]:
        """Few answers die: unless a session has more dead ones than we ask for, all of them are read at once."""
        floors, lessons = self._floors.within(tx), list({lesson_id for lesson_id, _ in people})
        found = await floors.where("lessonId").any_of(lessons).limit(len(people) + 1).to_list()
        if len(found) > len(people):
            found = await floors.where(_BY_PERSON).any_of(people).to_list()
        return {(row.lesson_id, row.pubkey): row for row in found}

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


class RsvpBook:
    """The rows of some people, and answers folded into them one by one, without I/O."""

    def __init__(
        self, rows: dict[_Person, RsvpRow], floors: dict[_Person, RsvpFloorRow], *, next_place: int = 1
    ) -> None:
        """Begin with what is stored of these people; `next_place` is the next free `first_seen`."""
        self.rows = dict(rows)
        self.floors = dict(floors)
        self._next_place = next_place

    def fold(self, answer: Answer, received_at: int) -> None:
        """Let one answer count, or be dead."""
        rsvp = answer.rsvp
        person, position = (rsvp.lesson_id, rsvp.pubkey), Position(rsvp.created_at, rsvp.event_id)
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
                lesson_id=rsvp.lesson_id,
                pubkey=rsvp.pubkey,
                status=status,
                rsvp_time=rsvp.created_at,
                event_id=rsvp.event_id,
                revision_id=rsvp.revision_id,
                first_seen=self._place(),
                first_seen_at=received_at,
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
            lesson_id, pubkey = person
            self.floors[person] = RsvpFloorRow(
                id=self.floors[person].id if person in self.floors else None,
                lesson_id=lesson_id,
                pubkey=pubkey,
                created_at=position.created_at,
                event_id=position.id,
            )


def _answers(effects: Sequence[Effect]) -> Iterator[Answer]:
    for effect in effects:
        if (rsvp := read_rsvp(effect.event)) is not None:
            yield Answer(rsvp, effect.held)


def _position(created_at: int, event_id: str) -> Position:
    return Position(created_at, EventId(event_id))

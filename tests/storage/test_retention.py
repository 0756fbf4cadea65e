"""What is deleted when: sessions as a whole, in short steps, and every table has its rule."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import UnsignedEvent
from podium_protocol.filters import Filter
from podium_protocol.nips import nip17
from podium_storage.database import Transaction
from podium_storage.retention import RULES, Forgotten, Retention, of_a_session
from podium_storage.table.columns import ColumnKind, StoredRow
from podium_storage.table.models import LiveSessionRow
from podium_storage.table.schema import TABLES, TableSchema
from podium_storage.table.table import Table
from tests.support.world import RELAY, World, new_key, signed, world

_SOMETHING = {
    ColumnKind.INTEGER: 1,
    ColumnKind.BOOLEAN: False,
    ColumnKind.TEXT: "x",
    ColumnKind.ATOM: "x",
    ColumnKind.BYTES: b"x",
    ColumnKind.JSON: (),
}


def retention(here: World) -> Retention:
    """That of a world."""
    return Retention(here.store, here.mirror, here.outbox, service=here.service.pubkey)


async def forget(here: World, row: LiveSessionRow, but: Sequence[str] = ()) -> None:
    """Forget a session at once."""
    await retention(here).begin(row, here.now)
    for session in await retention(here).begun():
        await retention(here).delete(session, but=but)


async def fill(here: World, table: TableSchema[StoredRow], session_address: str, count: int = 1) -> Table[StoredRow]:
    """Rows of a session in one table, whatever its columns are."""
    rows = Table.from_schema(table, here.store.database, here.store.interner)
    known = {column.field: column for column in table.columns}
    for number in range(count):
        values = {
            field.name: _SOMETHING[known[field.name].kind]
            for field in msgspec.structs.fields(table.row_type)
            if field.required
        }
        unique = {
            name: f"{session_address}{number}" for name in ("pubkey", "event_id", "connection_id") if name in values
        }
        await rows.add(table.row_type(**values | unique | {"session_address": session_address}))
    return rows


async def test_every_table_has_its_rule() -> None:
    """A table that nobody has thought about when to empty fills the disk of a service that runs for years."""
    async with world() as here:
        rows = await here.store.database.fetch_all("SELECT name FROM sqlite_schema WHERE type = 'table'")
    named = {str(name) for (name,) in rows}
    with_a_session = {table.name for table in of_a_session()}
    assert named - with_a_session == set(RULES)
    assert {table.name for table in TABLES} - with_a_session == {"trainingLiveSessions"}


async def test_what_belongs_to_a_session_goes_with_it() -> None:
    """Every declared table loses the rows of the forgotten session, and keeps those of another one."""
    async with world() as here:
        gone, kept = await here.schedule(), await here.schedule()
        for table in of_a_session():
            await fill(here, table, gone.session_address)
            await fill(here, table, kept.session_address)
        await forget(here, gone)
        assert [row.session_address for row in await here.store.sessions.to_list()] == [kept.session_address]
        for table in of_a_session():
            rows = await Table.from_schema(table, here.store.database, here.store.interner).to_list()
            assert [getattr(row, "session_address", None) for row in rows] == [kept.session_address], table.name


async def test_it_is_done_in_short_steps() -> None:
    """Thousands of rows are deleted a few hundred at a time, and a step that was done is not done again."""
    async with world() as here:
        row = await here.schedule()
        (ledger,) = [table for table in of_a_session() if table.name == "attendanceIntervals"]
        rows = await fill(here, ledger, row.session_address, count=1_201)
        with here.store.changes.subscribe("attendanceIntervals", limit=10_000) as changes:
            sizes: list[int] = []
            published = here.store.changes.publish
            here.store.changes.publish = lambda told: (sizes.append(len(told)), published(told))[1]  # type: ignore[method-assign]
            await forget(here, row)
            batch = changes.take_changes()
        assert batch is not None
        assert len(batch.changes) == 1_201
        assert max(sizes) == 500
        assert await rows.count() == 0


async def test_a_restart_in_between_goes_on() -> None:
    """The row went first; what is left is known and deleted later."""
    async with world() as here:
        row, person = await here.schedule(), new_key()
        await here.answer(person, row)
        await retention(here).begin(row, here.now)
        assert await here.store.rsvps.count() == 1
        left = await retention(here).begun()
        assert left == [Forgotten(row.session_address, row.conference_room_id or "")]
        await retention(here).delete(left[0], but=["recordings"])
        assert await here.store.rsvps.count() == 0
        assert await retention(here).begun() == left, "its recordings may still be somewhere"
        await retention(here).delete(left[0])
        assert await retention(here).begun() == []


async def test_its_events_leave_the_mirror() -> None:
    """The session, its answers, its status and the records are not in the mirror any more; another's are."""
    async with world() as here:
        row, other, person = await here.schedule(), await here.schedule(), new_key()
        await here.answer(person, row)
        await here.answer(person, other)
        await here.cancel(row)
        await here.turn()
        gone = await here.row(row.session_address)
        await forget(here, gone)
        named = Filter(tags=(("a", (row.session_address,)),))
        assert await here.mirror.by_filter(named) == []
        assert await here.mirror.newest(Address.parse(row.session_address) or Address(0, person.pubkey, "")) is None
        assert (
            await here.mirror.newest(Address(kinds.MEETING, here.service.pubkey, gone.conference_room_id or "")) is None
        )
        answers = await here.mirror.by_filter(Filter(kinds=(kinds.RSVP,)))
        assert [answer.pubkey for answer in answers] == [person.pubkey]
        assert (
            await here.store.database.fetch_all("SELECT 1 FROM eventTags WHERE id >> 16 NOT IN (SELECT id FROM events)")
            == []
        )


async def test_what_was_on_its_way_is_not_sent_any_more() -> None:
    """A session that is forgotten sends nothing."""
    async with world() as here:
        row = await here.schedule()
        event = await here.event_of(row)

        async def queue(tx: Transaction) -> None:
            await here.event_writer.add(tx, [event], session_address=row.session_address)

        await here.store.database.transact(queue)
        await forget(here, row)
        assert await here.outbox.due(here.now) == []


async def test_people_who_are_in_no_session_are_forgotten() -> None:
    """Their lists and profiles go by age; those of people with an answer, and the service's own, stay."""
    async with world() as here:
        row, guest, stranger = await here.schedule(), await here.person(), await here.person()
        await here.open_inbox(here.service)
        await here.answer(guest, row)
        await retention(here).delete_old(here.now + 1)
        lists = await here.mirror.by_filter(Filter(kinds=(kinds.DM_RELAY_LIST,)))
        assert {event.pubkey for event in lists} == {guest.pubkey, here.service.pubkey}
        assert stranger.pubkey not in {event.pubkey for event in lists}


async def test_old_deletions_take_their_tombstones_along() -> None:
    """What keeps a deleted event away is kept as long as the deletion."""
    async with world() as here:
        key = new_key()
        event = await here.publish(key, nip17.write_dm_relays(key.pubkey, ["wss://a.example"], created_at=here.now))
        await here.publish(key, UnsignedEvent(key.pubkey, here.now, kinds.DELETION, (("e", event.id),), ""))
        assert await here.mirror.is_deleted(event)
        await retention(here).delete_old(here.now)
        assert await here.mirror.is_deleted(event)
        await retention(here).delete_old(here.now + 1)
        tables = ("tombstones", "addressFloors")
        left = [await here.store.database.fetch_all(f"SELECT 1 FROM {table}") for table in tables]  # noqa: S608
        assert left == [[], []]


async def test_relays_nothing_goes_to_are_forgotten() -> None:
    """Message relays of strangers are not kept when their last letter is."""
    async with world() as here:
        event = signed(here.service, nip17.write_dm_relays(here.service.pubkey, [RELAY], created_at=here.now))

        async def queue(tx: Transaction) -> None:
            await here.event_writer.add(tx, [event], relays=["wss://somebody.example"])

        await here.store.database.transact(queue)
        await retention(here).delete_unused()
        assert await here.outbox.pending_by_relay() == {"wss://somebody.example": 1}
        await here.deliver()
        await here.outbox.sweep(here.now + 1)
        await retention(here).delete_unused()
        assert await here.store.database.fetch_all("SELECT 1 FROM outboxRelays") == []

"""The mirror as a whole: fields kept, one transaction a batch, the change feed, hostile values, sweeping."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import VerifiedEvent, verify_json
from podium_protocol.filters import Filter
from podium_storage.backend import BackendConnection, Parameter, SqlRow, Value
from podium_storage.changes import ChangeKind
from podium_storage.database import Transaction
from podium_storage.errors import StoreDamaged
from podium_storage.mirror.fold import EventChange, IngestOutcome
from podium_storage.mirror.mirror import TABLE, Mirror
from tests.support.events import NOW, key_of, verified
from tests.support.mirrors import Mirrored, deletion, lesson, mirrored, rsvp, session

ALICE, BOB = key_of(1), key_of(2)
T = TypeVar("T")


class CountingConnection:
    """The writer's connection, which counts its statements."""

    def __init__(self, inner: BackendConnection) -> None:
        self.inner = inner
        self.statements = 0

    @property
    def in_transaction(self) -> bool:
        return self.inner.in_transaction

    async def execute(self, sql: str, parameters: Sequence[Value] = ()) -> int:
        self.statements += 1
        return await self.inner.execute(sql, parameters)

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Parameter]]) -> int:
        self.statements += 1
        return await self.inner.execute_many(sql, rows)

    async def fetch_all(self, sql: str, parameters: Sequence[Value] = ()) -> list[SqlRow]:
        self.statements += 1
        return await self.inner.fetch_all(sql, parameters)

    async def fetch_one(self, sql: str, parameters: Sequence[Value] = ()) -> SqlRow | None:
        self.statements += 1
        return await self.inner.fetch_one(sql, parameters)

    async def in_one_hop(self, work: Callable[[BackendConnection], Coroutine[Any, Any, T]]) -> T:
        async def counted(inner: BackendConnection) -> T:
            there = CountingConnection(inner)
            try:
                return await work(there)
            finally:
                self.statements += there.statements

        return await self.inner.in_one_hop(counted)

    async def begin(self, *, write: bool) -> None:
        await self.inner.begin(write=write)

    async def commit(self) -> None:
        await self.inner.commit()

    async def rollback(self) -> None:
        await self.inner.rollback()

    async def close(self) -> None:
        await self.inner.close()


class Watching:
    """A projection that writes down what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bool]] = []

    async def apply(self, tx: Transaction, effects: Sequence[EventChange], *, received_at: int) -> None:  # noqa: ARG002  (the interface's)
        self.told += [(effect.event.id, effect.is_live) for effect in effects]


class Refusing:
    """A projection that cannot go on."""

    async def apply(self, tx: Transaction, effects: Sequence[EventChange], *, received_at: int) -> None:  # noqa: ARG002  (the interface's)
        raise ValueError("no")


async def statements_for(here: Mirrored, events: Sequence[VerifiedEvent]) -> int:
    counting = CountingConnection(here.store.database._writer)
    here.store.database._writer = counting
    await here.mirror.ingest(events, received_at=NOW)
    here.store.database._writer = counting.inner
    return counting.statements


@pytest.mark.parametrize(
    "event",
    [
        verified(ALICE, content='quote " backslash \\ newline \n tab \t nul \0 emoji 🎓 del \x7f   end'),
        verified(ALICE, tags=(("t",), ("x", ""), ("p", "\0"), ("r", "a", "b", "c"))),
        verified(ALICE, created_at=0),
        verified(ALICE, created_at=2**53 - 1),
        verified(ALICE, kind=65_535),
        verified(ALICE, kind=30_000, tags=(("d", "\0"),)),
    ],
    ids=["content", "tags", "epoch", "far future", "kind", "nul"],
)
async def test_an_event_comes_back_as_it_came(event: VerifiedEvent) -> None:
    """What is read is equal in every field, and its bytes verify, so that it can be sent on."""
    async with mirrored() as here:
        await here.ingest(event)
        kept = await here.mirror.get(event.id)
        assert kept == event
        assert isinstance(kept, VerifiedEvent)
        assert verify_json(kept.to_json()) == event


async def test_an_unknown_id_is_not_there() -> None:
    """Asking for what was never stored gives None, in every way of asking."""
    async with mirrored() as here:
        assert await here.mirror.get(verified(ALICE).id) is None
        assert await here.mirror.newest(Address(kinds.SESSION, ALICE.pubkey, "s")) is None
        assert await here.mirror.newest_replaceable(kinds.METADATA, ALICE.pubkey) is None


async def test_an_empty_batch_is_nothing() -> None:
    """No events give no outcomes."""
    async with mirrored() as here:
        assert await here.mirror.ingest([], received_at=NOW) == []


async def test_an_ephemeral_event_leaves_no_trace() -> None:
    """What is not for storing is reported, and not even its author is written down."""
    async with mirrored() as here:
        event = verified(ALICE, kind=20_001, tags=(("p", BOB.pubkey),))
        assert await here.ingest(event, event) == [IngestOutcome.EPHEMERAL] * 2
        assert await here.store.database.fetch_all("SELECT count(*) FROM atoms") == [(0,)]


async def test_a_batch_costs_the_same_statements_whatever_its_size() -> None:
    """Twenty times the events take not one statement more (performance.md: never one await a row)."""

    def batch(size: int, *, first: int) -> list[VerifiedEvent]:
        notes = [verified(ALICE, content=str(number), created_at=number) for number in range(first, first + size)]
        answers = [rsvp(ALICE, lesson(BOB), d=str(number), at=number) for number in range(first, first + size)]
        requests = [deletion(ALICE, e=[event.id], at=number) for number, event in enumerate(notes, first)]
        return [*notes, *answers, *requests]

    async with mirrored() as here:
        await statements_for(here, batch(3, first=0))
        small = await statements_for(here, batch(5, first=500))
        assert await statements_for(here, batch(100, first=1000)) == small


async def test_a_transaction_that_fails_leaves_nothing() -> None:
    """A projection that raises undoes the batch; the same batch can then be given again."""
    async with mirrored() as here:
        broken = Mirror(here.store.database, here.store.interner, [Refusing()])
        event = rsvp(ALICE, lesson(BOB))
        with pytest.raises(ValueError, match="no"):
            await broken.ingest([event], received_at=NOW)
        assert await here.held() == set()
        assert await here.ingest(event) == [IngestOutcome.STORED]


async def test_ingest_within_shares_the_callers_transaction() -> None:
    """State change and event are stored together or not at all, and the transaction sees its own event."""
    async with mirrored() as here:
        event = session(ALICE)

        async def scope(tx: Transaction, *, fail: bool) -> VerifiedEvent | None:
            await here.mirror.ingest_within(tx, [event], received_at=NOW)
            seen = await here.mirror.within(tx).get(event.id)
            if fail:
                raise ValueError("changed my mind")
            return seen

        with pytest.raises(ValueError, match="changed my mind"):
            await here.store.database.transact(lambda tx: scope(tx, fail=True))
        assert await here.held() == set()
        assert await here.store.database.transact(lambda tx: scope(tx, fail=False)) == event
        assert await here.held() == {event.id}


async def test_batches_at_the_same_time_do_not_mix() -> None:
    """Many tasks that hand in the same events store each event once."""
    events = [session(ALICE, str(number % 5), at=number) for number in range(25)]
    async with mirrored() as here:
        results = await asyncio.gather(
            *(here.mirror.ingest(events[::step], received_at=NOW) for step in (1, -1, 1, -1))
        )
        assert await here.held() == {event.id for event in events[20:]}
        stored = [outcome for result in results for outcome in result if outcome is IngestOutcome.STORED]
        assert len(stored) <= len(events)


async def test_the_feed_tells_what_is_held_and_what_is_no_more() -> None:
    """A replacement is told as the old one's end and the new one's begin; what came and went in one batch is not."""
    old, middle, new = (session(ALICE, at=at) for at in (1, 2, 3))
    async with mirrored() as here:
        await here.ingest(old)
        with here.store.changes.subscribe(TABLE) as changes:
            await here.ingest(middle, new, old)
            batch = changes.take_changes()
        assert batch is not None
        assert [(change.kind, change.key, change.before, change.after) for change in batch.changes] == [
            (ChangeKind.DELETED, old.id, old, None),
            (ChangeKind.CREATED, new.id, None, new),
        ]


async def test_copies_are_not_told() -> None:
    """A batch of duplicates tells the feed and the projections nothing."""
    event, watching = session(ALICE), Watching()
    async with mirrored() as here:
        mirror = Mirror(here.store.database, here.store.interner, [watching])
        await mirror.ingest([event], received_at=NOW)
        watching.told.clear()
        with here.store.changes.subscribe(TABLE) as changes:
            await mirror.ingest([event, event], received_at=NOW)
            assert changes.take_changes() is None
        assert watching.told == []


async def test_projections_hear_everything_in_order() -> None:
    """A projection hears of each event that is held and of each that is dead, those that came too late among them."""
    old, new = session(ALICE, at=1), session(ALICE, at=2)
    gone = deletion(ALICE, e=[new.id], at=3)
    async with mirrored() as here:
        watching = Watching()
        mirror = Mirror(here.store.database, here.store.interner, [watching])
        await mirror.ingest([old], received_at=NOW)
        await mirror.ingest([new, gone, old], received_at=NOW)
        assert watching.told == [
            (old.id, True),
            (new.id, True),
            (old.id, False),
            (gone.id, True),
            (new.id, False),
            (old.id, False),
        ]


@pytest.mark.parametrize(
    "event",
    [
        verified(ALICE, kind=30_000, tags=(("d", "x" * 60_000),)),
        verified(ALICE, tags=tuple(("p", f"{number:064x}") for number in range(7_000))),
        verified(ALICE, tags=tuple(("e", "same") for _ in range(20_000))),
        verified(ALICE, tags=(("p", "y" * 60_000), ("a", "\0" * 400), ("d", "z" * 60_000))),
        deletion(ALICE, e=[f"{number:064x}" for number in range(6_000)]),
        verified(ALICE, tags=(("expiration", "9" * 16),)),
        verified(ALICE, tags=(("expiration", "9007199254740992"),)),
    ],
    ids=["long d", "many tags", "repeated tags", "long values", "many targets", "16 digits", "2**53"],
)
async def test_hostile_values_are_stored_and_removed_whole(event: VerifiedEvent) -> None:
    """Whatever an event's tags hold, it is kept, found, and leaves nothing but its atoms when it goes."""
    async with mirrored() as here:
        assert await here.ingest(event) == [IngestOutcome.STORED]
        assert await here.mirror.by_filter(Filter(kinds=(event.kind,))) == [event]
        await here.ingest(deletion(ALICE, e=[event.id]))
        left = [one for one in await here.mirror.by_filter(Filter()) if one.kind != kinds.DELETION]
        assert left == []
        if event.kind != kinds.DELETION:
            names = "SELECT count(*) FROM eventTags WHERE (id >> 16) NOT IN (SELECT id FROM events)"
            assert await here.store.database.fetch_all(names) == [(0,)]


async def test_sweeping_removes_what_expired_and_nothing_else() -> None:
    """At its second an event is removed, told as deleted, refused when it comes again; the rest stays."""
    short = [verified(ALICE, content=str(number), tags=(("expiration", str(NOW + number)),)) for number in range(5)]
    lasting = verified(ALICE, content="stays")
    async with mirrored() as here:
        await here.ingest(*short, lasting, at=NOW - 1)
        with here.store.changes.subscribe(TABLE) as changes:
            assert await here.mirror.sweep_expired(NOW + 2) == 3
            batch = changes.take_changes()
        assert batch is not None
        assert {(change.kind, change.key) for change in batch.changes} == {
            (ChangeKind.DELETED, event.id) for event in short[:3]
        }
        assert await here.held() == {event.id for event in (*short[3:], lasting)}
        assert await here.ingest(short[0], at=NOW + 2) == [IngestOutcome.EXPIRED]
        assert await here.mirror.sweep_expired(NOW + 2) == 0


async def test_sweeping_goes_on_past_one_transaction() -> None:
    """More expired events than one transaction takes are all removed."""
    events = [verified(ALICE, content=str(number), tags=(("expiration", str(NOW)),)) for number in range(1_001)]
    async with mirrored() as here:
        await here.ingest(*events, at=NOW - 1)
        assert await here.mirror.sweep_expired(NOW) == 1_001
        assert await here.held() == set()


async def test_the_mirror_is_there_after_a_restart(tmp_path: Path) -> None:
    """Events, tombstones and floors outlive the process."""
    note, old, new = verified(ALICE), session(ALICE, at=1), session(ALICE, at=2)
    async with mirrored(tmp_path / "p.sqlite") as here:
        await here.ingest(deletion(ALICE, e=[note.id]), new, deletion(ALICE, a=[lesson(ALICE)], at=2))
    async with mirrored(tmp_path / "p.sqlite") as here:
        assert await here.ingest(note, old, new) == [IngestOutcome.DELETED] * 3
        assert len(await here.held()) == 2


async def test_a_damaged_event_is_said_to_be_damaged() -> None:
    """Bytes that are no event give an error with the next step, not a decoder's."""
    event = verified(ALICE)
    async with mirrored() as here:
        await here.ingest(event)
        await here.store.database.transact(lambda tx: tx.execute("UPDATE events SET json = x'7b7d'"))
        with pytest.raises(StoreDamaged, match="restore a backup"):
            await here.mirror.get(event.id)


async def test_one_answer_of_a_person_to_a_session_is_kept() -> None:
    """Whatever `d` each of them has, in one batch or in many: the newest stays, and other people's do."""
    async with mirrored() as here:
        mirror = here.mirror
        one, two = lesson(ALICE, "one"), lesson(ALICE, "two")
        answers = [rsvp(BOB, one, d=f"{number}", at=NOW + number % 7) for number in range(50)]
        others = [rsvp(BOB, two, d="x"), rsvp(ALICE, one, d="x")]
        await mirror.ingest([*answers[:20], *others], received_at=NOW)
        for start in range(20, 50, 5):
            await mirror.ingest(answers[start : start + 5], received_at=NOW)
        newest = min(answers, key=lambda event: (-event.created_at, event.id))
        held = {event.id for event in await mirror.by_filter(Filter(kinds=(kinds.RSVP,)))}
        assert held == {newest.id, *(event.id for event in others)}
        tags = await here.store.database.fetch_all("SELECT count(DISTINCT id >> 16) FROM eventTags")
        assert tags == [(3,)]

"""Live queries run again for changes in what they read, and for no others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from podium_storage.changes import DEFAULT_LIMIT, Batch, Change, ChangeKind
from podium_storage.database import Transaction
from podium_storage.store import live_query
from podium_storage.table.table import Table
from podium_storage.table.where import MIN_KEY
from podium_storage.transaction import ReadLog
from tests.support.store import NoteRow, SeatRow, opened


def _note(lesson: str, stars: int = 0, pubkey: str = "p") -> NoteRow:
    return NoteRow(session_address=lesson, pubkey=pubkey, star_count=stars)


def _seat(number: int) -> SeatRow:
    return SeatRow(session_address="l", pubkey=f"p{number}", number=number)


async def test_it_fires_for_rows_in_range_and_for_no_others(tmp_path: Path) -> None:
    """A row that enters, changes in, or leaves the range makes the query run; rows elsewhere do not."""
    async with opened(tmp_path / "a.db") as tables:
        runs = 0

        async def stars(tx: Transaction) -> list[int]:
            nonlocal runs
            runs += 1
            return [row.star_count for row in await tables.notes.within(tx).where("lessonId").equals("mine").to_list()]

        async with aclosing(live_query(tables.database, stars)) as live:
            assert await anext(live) == []
            outside = await tables.notes.add(_note("other", 7))
            inside = await tables.notes.add(_note("mine", 1))
            assert await anext(live) == [1]
            assert runs == 2
            await tables.notes.update(outside, star_count=8)
            await tables.seats.add(_seat(1))
            await tables.notes.update(inside, star_count=2)
            assert await anext(live) == [2]
            assert runs == 3
            await tables.notes.update(outside, session_address="mine")
            assert await anext(live) == [8, 2] or runs == 4
            await tables.notes.update(inside, session_address="other")
            assert await anext(live) == [8]
            await tables.notes.delete(inside)
            await tables.notes.delete(outside)
            assert await anext(live) == []
            assert runs == 6


@pytest.mark.parametrize(
    ("inside", "outside"),
    [((5, "p"), (4, "p")), ((9, "p"), (10, "p")), ((5, "p"), (5, "q"))],
)
async def test_the_ranges_are_those_of_the_index(
    tmp_path: Path, inside: tuple[int, str], outside: tuple[int, str]
) -> None:
    """The bounds of a compound range decide: [5, 10) of one person."""
    async with opened(tmp_path / "a.db") as tables:
        runs = 0

        async def count(tx: Transaction) -> int:
            nonlocal runs
            runs += 1
            where = tables.notes.within(tx).where("[pubkey+starCount+lessonId]")
            return await where.between(["p", 5, MIN_KEY], ["p", 10, MIN_KEY]).count()

        async with aclosing(live_query(tables.database, count)) as live:
            assert await anext(live) == 0
            await tables.notes.add(_note("l", outside[0], outside[1]))
            await tables.notes.add(_note("l", inside[0], inside[1]))
            assert await anext(live) == 1
            assert runs == 2


async def _streamed(seats: Table[SeatRow]) -> list[SeatRow]:
    return [row async for row in seats.where("number").equals(1).each()]


READS: dict[str, Callable[[Table[SeatRow]], Awaitable[object]]] = {
    "get": lambda seats: seats.get(1),
    "bulk_get": lambda seats: seats.bulk_get([1, 99]),
    "first": lambda seats: seats.where("number").equals(1).first(),
    "primary_keys": lambda seats: seats.where("number").equals(1).primary_keys(),
    "count": lambda seats: seats.where("number").below(2).count(),
    "each": _streamed,
    "or": lambda seats: seats.where("number").equals(1).or_("note").equals("x").to_list(),
    "and": lambda seats: seats.where("number").above(0).and_("note").equals(None).and_("number").below(2).keys(),
}


@pytest.mark.parametrize("name", READS)
async def test_every_way_to_read_is_noticed(tmp_path: Path, name: str) -> None:
    """Whatever the word, the row it could find is in the log and the other one is not."""
    async with opened(tmp_path / "a.db") as tables:
        await tables.seats.bulk_add([_seat(1), _seat(2)])
        mine, other = await tables.seats.to_list()
        log = ReadLog()

        async def scope(tx: Transaction) -> None:
            tx.reads = log
            await READS[name](tables.seats.within(tx))

        await tables.database.snapshot(scope)
        assert log.is_touched_by(Batch((Change("seats", ChangeKind.DELETED, 1, mine, None),)))
        assert not log.is_touched_by(Batch((Change("seats", ChangeKind.DELETED, 2, other, None),)))


async def test_changes_meanwhile_are_answered_by_one_run(tmp_path: Path) -> None:
    """While the consumer is busy many commits go by; it then gets the newest state once."""
    async with opened(tmp_path / "a.db") as tables:
        runs = 0

        async def count(tx: Transaction) -> int:
            nonlocal runs
            runs += 1
            return await tables.notes.within(tx).count()

        async with aclosing(live_query(tables.database, count)) as live:
            assert await anext(live) == 0
            for _ in range(5):
                await tables.notes.add(NoteRow())
            assert await anext(live) == 5
            assert runs == 2


async def test_a_run_that_reads_another_table_misses_nothing(tmp_path: Path) -> None:
    """What is committed during a run, in a table that only this run reads, makes the query run again."""
    async with opened(tmp_path / "a.db") as tables:
        read, written = asyncio.Event(), asyncio.Event()

        async def seats_if_notes(tx: Transaction) -> int:
            if not await tables.notes.within(tx).count():
                return 0
            count = await tables.seats.within(tx).count()
            read.set()
            await written.wait()
            return 10 + count

        async with aclosing(live_query(tables.database, seats_if_notes)) as live:
            assert await anext(live) == 0
            await tables.notes.add(NoteRow())
            second = asyncio.create_task(anext(live))
            await read.wait()
            await tables.seats.add(_seat(1))
            written.set()
            assert await second == 10
            assert await anext(live) == 11


async def test_sql_of_ones_own_makes_every_change_count(tmp_path: Path) -> None:
    """Nobody knows what plain SQL read, so that any change runs it again."""
    async with (
        opened(tmp_path / "a.db") as tables,
        aclosing(live_query(tables.database, lambda tx: tx.fetch_one("SELECT count(*) FROM notes"))) as live,
    ):
        assert await anext(live) == (0,)
        await tables.seats.add(_seat(1))
        assert await anext(live) == (0,)
        await tables.notes.add(NoteRow())
        assert await anext(live) == (1,)


async def test_after_an_overflow_the_query_runs_again(tmp_path: Path) -> None:
    """When changes were dropped nobody knows what they were, so that the query runs, though none was in its range."""
    async with opened(tmp_path / "a.db") as tables:

        async def mine(tx: Transaction) -> int:
            return await tables.notes.within(tx).where("lessonId").equals("mine").count()

        async with aclosing(live_query(tables.database, mine)) as live:
            assert await anext(live) == 0
            await tables.notes.bulk_add([_note("other") for _ in range(DEFAULT_LIMIT + 1)])
            assert await anext(live) == 0


async def test_what_the_querier_raises_ends_the_query(tmp_path: Path) -> None:
    """An error comes to the consumer, and the subscription is gone."""
    async with opened(tmp_path / "a.db") as tables:

        async def failing(tx: Transaction) -> int:
            if await tables.notes.within(tx).count():
                raise ValueError("mine")
            return 0

        live = live_query(tables.database, failing)
        assert await anext(live) == 0
        await tables.notes.add(NoteRow())
        with pytest.raises(ValueError, match="mine"):
            await anext(live)
        assert tables.database.changes._subscriptions == set()


async def test_it_ends_when_the_store_closes(tmp_path: Path) -> None:
    """A consumer that waits for changes is released by `close`."""
    async with opened(tmp_path / "a.db") as tables:
        results = []

        async def consume() -> None:
            async for count in live_query(tables.database, lambda tx: tables.notes.within(tx).count()):
                results.append(count)
                seen.set()

        seen = asyncio.Event()
        consuming = asyncio.create_task(consume())
        await seen.wait()
        await tables.database.close()
        await consuming
        assert results == [0]
        late = live_query(tables.database, lambda tx: tables.notes.within(tx).count())
        assert [count async for count in late] == []

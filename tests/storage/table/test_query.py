"""Queries: how conditions join, what order rows come in, what the last word does, and that an index is used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from podium_storage.database import Transaction
from podium_storage.errors import BadQuery, BadRow, TransactionMisused
from podium_storage.table.query import Query
from podium_storage.table.row_store import key_of
from podium_storage.table.where import MAX_KEY, MIN_KEY
from tests.support.store import NoteRow, TestTables, opened


async def _fill(tables: TestTables, count: int = 12) -> None:
    """Rows 1..count: stars count down, lesson by thirds, person by fours, every second one done."""
    await tables.notes.bulk_add(
        [
            NoteRow(
                session_address=f"lesson {number % 3}",
                pubkey=f"person {number % 4}",
                status=["open", "closed", None][number % 3],
                star_count=count - number,
                done=number % 2 == 0,
                labels=(f"label {number % 2}",),
            )
            for number in range(1, count + 1)
        ]
    )


async def _ids(query: Query[NoteRow]) -> list[int]:
    return [key_of(row) for row in await query.to_list()]


async def test_and_narrows(tmp_path: Path) -> None:
    """A column that has no index of its own can narrow, a function can, and both together."""
    async with opened(tmp_path / "a.db") as tables:
        await _fill(tables)
        query = tables.notes.where("lessonId").equals("lesson 1")
        assert await _ids(query) == [1, 4, 7, 10]
        assert await _ids(query.and_("done").equals(True)) == [4, 10]
        assert await _ids(query.and_("pubkey").any_of(["person 1", "person 3"])) == [1, 7]
        assert await _ids(query.and_("pubkey").starts_with("person")) == [1, 4, 7, 10]
        assert await _ids(query.and_(lambda row: row.star_count > 4)) == [1, 4, 7]
        assert await _ids(query.and_("done").equals(True).and_(lambda row: row.star_count > 4)) == [4]


async def test_and_joins_every_side_of_what_was_said(tmp_path: Path) -> None:
    """Where one index has both columns, and the first side takes several searches, each of them is narrowed."""
    async with opened(tmp_path / "a.db") as tables:
        await _fill(tables)
        query = tables.notes.where("status").any_of([None, "open"]).and_("starCount").below(7)
        assert await _ids(query) == [8, 11, 6, 9, 12]
        assert await _ids(query.order_by("id")) == [6, 8, 9, 11, 12]


async def test_or_widens(tmp_path: Path) -> None:
    """Rows of either side come once, by primary key."""
    async with opened(tmp_path / "a.db") as tables:
        await _fill(tables)
        query = tables.notes.where("lessonId").equals("lesson 1").or_("pubkey").equals("person 2")
        assert await _ids(query) == [1, 2, 4, 6, 7, 10]
        assert await _ids(query.or_("starCount").below(1)) == [1, 2, 4, 6, 7, 10, 12]
        assert await _ids(query.and_("done").equals(False)) == [1, 7]
        assert await _ids(query.or_("labels").equals("label 1")) == [1, 2, 3, 4, 5, 6, 7, 9, 10, 11]
        assert await _ids(query.and_(lambda row: row.star_count > 8)) == [1, 2]
        with pytest.raises(BadQuery, match="put the function last"):
            query.and_(lambda row: row.done).or_("lessonId")
        with pytest.raises(BadQuery, match="has no index 'body'"):
            query.or_("body")
        with pytest.raises(BadQuery, match="and_, or widen it with or_"):
            query.where("pubkey")


async def test_rows_come_in_the_order_of_their_index(tmp_path: Path) -> None:
    """Without an order of its own a query gives rows by the keys of its index, equal ones by primary key."""
    async with opened(tmp_path / "a.db") as tables:
        await _fill(tables)
        assert await _ids(tables.notes.all()) == list(range(1, 13))
        assert await _ids(tables.notes.where("starCount").below(5)) == [12, 11, 10, 9, 8]
        assert await _ids(tables.notes.where("starCount").below(5).reverse()) == [8, 9, 10, 11, 12]
        assert await _ids(tables.notes.where("pubkey").above("person 1")) == [2, 6, 10, 3, 7, 11]
        assert await _ids(tables.notes.where("pubkey").above("person 1").reverse()) == [11, 7, 3, 10, 6, 2]


async def test_order_by_any_column(tmp_path: Path) -> None:
    """An index, a column without one, and an interned column by its text; missing values come first."""
    async with opened(tmp_path / "a.db") as tables:
        await _fill(tables, 6)
        assert await _ids(tables.notes.order_by("starCount")) == [6, 5, 4, 3, 2, 1]
        assert await _ids(tables.notes.order_by("status")) == [2, 5, 1, 4, 3, 6]
        assert await _ids(tables.notes.order_by("lessonId")) == [3, 6, 1, 4, 2, 5]
        assert await _ids(tables.notes.order_by("[pubkey+starCount]")) == [4, 5, 1, 6, 2, 3]
        assert await _ids(tables.notes.where("done").equals(True).order_by("starCount")) == [6, 4, 2]
        assert await _ids(tables.notes.order_by("status").reverse()) == [6, 3, 4, 1, 5, 2]
        for path in ("body", "labels", "nobody", "[a+b]"):
            with pytest.raises(BadQuery, match="no column or index"):
                tables.notes.order_by(path)


async def test_offset_and_limit_cut(tmp_path: Path) -> None:
    """The cut is made after the order and after functions on rows; a negative one is refused."""
    async with opened(tmp_path / "a.db") as tables:
        await _fill(tables)
        query = tables.notes.where("starCount").above_or_equal(0)
        assert await _ids(query.limit(2)) == [12, 11]
        assert await _ids(query.offset(10)) == [2, 1]
        assert await _ids(query.offset(3).limit(2)) == [9, 8]
        assert await _ids(query.limit(0)) == []
        assert await _ids(query.offset(99)) == []
        odd = query.and_(lambda row: key_of(row) % 2 == 1)
        assert await _ids(odd.offset(1).limit(2)) == [9, 7]
        assert await query.offset(3).limit(20).count() == 9
        assert await odd.offset(1).count() == 5
        for cut in (query.limit, query.offset):
            with pytest.raises(BadQuery, match="from 0 on"):
                cut(-1)


async def test_first_and_last(tmp_path: Path) -> None:
    """The two ends of the rows, also of a cut and of a turned query; None when there is no row."""
    async with opened(tmp_path / "a.db") as tables:
        await _fill(tables)
        query = tables.notes.where("starCount").above_or_equal(0)

        async def ends(query: Query[NoteRow]) -> tuple[int | None, int | None]:
            first, last = await query.first(), await query.last()
            return (None, None) if first is None or last is None else (first.id, last.id)

        assert await ends(query) == (12, 1)
        assert await ends(query.reverse()) == (1, 12)
        assert await ends(query.offset(2).limit(3)) == (10, 8)
        assert await ends(query.limit(0)) == (None, None)
        assert await ends(query.and_(lambda row: row.done)) == (12, 2)
        assert await ends(tables.notes.where("starCount").above(100)) == (None, None)


async def test_keys(tmp_path: Path) -> None:
    """The keys of the index that was asked, once for each row or once for each key, and the primary keys."""
    async with opened(tmp_path / "a.db") as tables:
        await _fill(tables, 6)
        query = tables.notes.where("pubkey").above("person 0")
        assert await query.keys() == ["person 1", "person 1", "person 2", "person 2", "person 3"]
        assert await query.unique_keys() == ["person 1", "person 2", "person 3"]
        assert await query.primary_keys() == [1, 5, 2, 6, 3]
        assert await query.and_(lambda row: row.done).primary_keys() == [2, 6]
        assert await tables.notes.all().limit(2).keys() == [1, 2]
        compound = tables.notes.where("[lessonId+pubkey]").between(["lesson 1", MIN_KEY], ["lesson 1", MAX_KEY])
        assert await compound.keys() == [("lesson 1", "person 0"), ("lesson 1", "person 1")]


async def test_each_gives_every_row_in_order(tmp_path: Path) -> None:
    """Rows stream in the order of the query, across chunks; those deleted meanwhile are left out."""
    async with opened(tmp_path / "a.db", cache_size=100_000) as tables:
        await tables.notes.bulk_add([NoteRow(star_count=-number) for number in range(2_500)])
        seen: list[int] = []
        async for row in tables.notes.where("starCount").below(0).each():
            if not seen:
                await tables.notes.where("id").between(3, 1_000).delete()
                await tables.notes.where("id").between(1_200, 1_210).delete()
            seen.append(key_of(row))
        kept = [key for key in range(2_500, 1, -1) if not (3 <= key < 1_000 or 1_200 <= key < 1_210)]
        assert [key for key in seen if key > 1_501] == list(range(2_500, 1_501, -1))
        assert seen == kept
        assert [key_of(row) async for row in tables.notes.each()] == [1, *sorted(kept)]


async def test_modify_changes_what_the_query_finds(tmp_path: Path) -> None:
    """To values or by a function; the number is that of rows that became different."""
    async with opened(tmp_path / "a.db") as tables:
        await _fill(tables)
        query = tables.notes.where("lessonId").equals("lesson 1")
        assert await query.modify(status="new", done=True) == 4
        assert await query.modify(done=True) == 0
        assert await query.limit(1).modify(lambda row: msgspec.structs.replace(row, star_count=100)) == 1
        assert await query.and_(lambda row: row.star_count == 100).modify(session_address="moved") == 1
        assert await _ids(tables.notes.where("lessonId").equals("moved")) == [1]
        assert await _ids(tables.notes.where("status").equals("new")) == [1, 4, 7, 10]
        with pytest.raises(BadRow, match="no field 'nobody'"):
            await query.modify(nobody=1)
        with pytest.raises(BadRow, match=r"NoteRow\.done"):
            await query.modify(done="yes")
        assert await _ids(tables.notes.where("[status+starCount]").equals(["new", 100])) == [1]


async def test_delete_deletes_what_the_query_finds(tmp_path: Path) -> None:
    """With its order and its cut."""
    async with opened(tmp_path / "a.db") as tables:
        await _fill(tables)
        assert await tables.notes.where("starCount").above_or_equal(0).limit(3).delete() == 3
        assert await tables.notes.where("lessonId").equals("lesson 1").and_(lambda row: row.done).delete() == 1
        assert await tables.notes.where("lessonId").equals("nothing").delete() == 0
        assert await _ids(tables.notes.all()) == [1, 2, 3, 5, 6, 7, 8, 9]
        assert await tables.notes.all().delete() == 8
        assert await tables.notes.count() == 0


async def test_a_query_can_be_used_again(tmp_path: Path) -> None:
    """Queries do not change: each word gives a new one."""
    async with opened(tmp_path / "a.db") as tables:
        await _fill(tables)
        query = tables.notes.where("done").equals(True)
        query.limit(1)
        query.and_("lessonId").equals("x")
        query.reverse()
        assert await _ids(query) == [2, 4, 6, 8, 10, 12]


async def test_a_query_within_a_transaction_sees_its_writes_and_ends_with_it(tmp_path: Path) -> None:
    """Queries of a bound table run in the transaction, and not after it."""
    async with opened(tmp_path / "a.db") as tables:
        kept: list[Query[NoteRow]] = []

        async def scope(tx: Transaction) -> None:
            notes = tables.notes.within(tx)
            await notes.add(NoteRow(star_count=5))
            query = notes.where("starCount").equals(5)
            kept.append(query)
            assert await query.count() == 1
            assert await query.modify(star_count=6) == 1
            assert await query.count() == 0
            assert [row.star_count async for row in notes.where("starCount").equals(6).each()] == [6]

        await tables.database.transact(scope)
        with pytest.raises(TransactionMisused, match="has ended"):
            await kept[0].count()
        with pytest.raises(TransactionMisused, match="has ended"):
            await kept[0].delete()


QUERIES: dict[str, Callable[[TestTables], Query[NoteRow]]] = {
    "primary key": lambda t: t.notes.where("id").equals(5),
    "primary keys": lambda t: t.notes.where("id").any_of([1, 5, 9]),
    "interned equal": lambda t: t.notes.where("lessonId").equals("lesson 1"),
    "interned, not in the cache": lambda t: t.notes.where("lessonId").equals("never seen"),
    "interned any": lambda t: t.notes.where("lessonId").any_of(["lesson 1", "lesson 2"]),
    "interned range": lambda t: t.notes.where("pubkey").between("a", "q"),
    "interned prefix": lambda t: t.notes.where("pubkey").starts_with("pers"),
    "interned none": lambda t: t.notes.where("pubkey").none_of(["a", "b", "c"]),
    "text prefix": lambda t: t.notes.where("status").starts_with("op"),
    "text none": lambda t: t.notes.where("status").not_equal("open"),
    "missing": lambda t: t.notes.where("status").equals(None),
    "missing or any": lambda t: t.notes.where("status").any_of([None, "open", "closed"]),
    "number range": lambda t: t.notes.where("starCount").between(3, 5),
    "compound": lambda t: t.notes.where("[lessonId+pubkey]").equals(["lesson 1", "person 1"]),
    "compound any": lambda t: t.notes.where("[lessonId+pubkey]").any_of([["a", "b"], ["c", "d"]]),
    "compound of one lesson": lambda t: t.notes.where("[lessonId+pubkey]").between(["l", MIN_KEY], ["l", MAX_KEY]),
    "compound from one": lambda t: t.notes.where("[lessonId+pubkey]").above_or_equal(["lesson 1", "person 1"]),
    "compound due": lambda t: t.notes.where("[status+starCount]").between(["open", MIN_KEY], ["open", 5]),
    "compound of three": lambda t: t.notes.where("[pubkey+starCount+lessonId]").between(
        ["p", 1, MIN_KEY], ["p", 2, MAX_KEY]
    ),
    "beginning of a compound": lambda t: t.notes.where("[pubkey+starCount]").equals(["person 1", 1]),
    "elements": lambda t: t.notes.where("labels").any_of(["label 0", "x"]),
    "and": lambda t: t.notes.where("lessonId").equals("lesson 1").and_("status").equals("open"),
    "or": lambda t: t.notes.where("lessonId").equals("l").or_("starCount").above(3).or_("status").starts_with("x"),
    "or, then and": lambda t: t.notes.where("lessonId").equals("l").or_("pubkey").equals("p").and_("done").equals(True),
    "and, then or": lambda t: t.notes.where("lessonId").equals("l").and_("done").equals(True).or_("pubkey").equals("p"),
    "ordered": lambda t: t.notes.where("lessonId").equals("lesson 1").order_by("starCount").limit(3),
}


@pytest.mark.parametrize("name", QUERIES)
async def test_the_plan_uses_an_index(tmp_path: Path, name: str) -> None:
    """Every kind of query searches by an index and reads no table from one end to the other."""
    async with opened(tmp_path / "a.db") as tables:
        await _fill(tables)
        plan = await QUERIES[name](tables).explain()
    searches = [step for step in plan if step.startswith("SEARCH notes ")]
    assert searches != []
    assert all(" USING INDEX " in s or " USING COVERING INDEX " in s or " PRIMARY KEY " in s for s in searches), plan
    assert [step for step in plan if step.startswith("SCAN") and "json_each" not in step] == []


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("interned equal", "notes.lessonId"),
        ("interned range", "notes.pubkey"),
        ("compound", "notes.[lessonId+pubkey]"),
        ("compound any", "notes.[lessonId+pubkey]"),
        ("compound due", "notes.[status+starCount]"),
        ("and", "notes.lessonId"),
        ("beginning of a compound", "notes.[pubkey+starCount+lessonId]"),
    ],
)
async def test_the_plan_uses_the_index_that_was_named(tmp_path: Path, name: str, index: str) -> None:
    """Where several would do, the one that `where` named is taken, by all its columns."""
    async with opened(tmp_path / "a.db") as tables:
        await _fill(tables)
        plan = await QUERIES[name](tables).explain()
    assert any(step.startswith(f"SEARCH notes USING INDEX {index} ") for step in plan), plan


async def test_a_lookup_by_a_unique_key_needs_no_sorting(tmp_path: Path) -> None:
    """Where the index gives the order there is no sorting step."""
    async with opened(tmp_path / "a.db") as tables:
        await _fill(tables)
        plans = [
            await tables.seats.where("[lessonId+pubkey]").equals(["l", "p"]).explain(),
            await tables.seats.where("number").between(1, 5).explain(),
            await tables.notes.where("[status+starCount]").between(["open", MIN_KEY], ["open", 5]).explain(),
        ]
    assert not any("TEMP B-TREE" in step for plan in plans for step in plan)


async def test_many_searches_in_one_query(tmp_path: Path) -> None:
    """Hundreds of ranges are one query; thousands are refused, and are fine as a filter on the rows of another."""
    async with opened(tmp_path / "a.db") as tables:
        await _fill(tables)
        assert await tables.notes.where("starCount").none_of(range(1, 300)).primary_keys() == [12]
        with pytest.raises(BadQuery, match="2000 searches"):
            await tables.notes.where("starCount").none_of(range(1, 2_000)).count()
        filtered = tables.notes.where("id").above(0).and_("starCount").none_of(range(1, 2_000))
        assert await filtered.primary_keys() == [12]

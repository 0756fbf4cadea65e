"""Conditions as SQL; what they find is tested in `test_query`, `test_where` and `test_query_model`."""

from __future__ import annotations

from pathlib import Path

import pytest

from podium_storage.errors import StoreError
from podium_storage.table.query import Query
from podium_storage.table.where import WhereClause
from tests.support.store import NoteRow, TestTables, opened

HOSTILE = "x' OR 1=1; DROP TABLE notes; --\""
PAIR = [HOSTILE, HOSTILE]


def _queries(tables: TestTables) -> list[Query[NoteRow]]:
    queries = []
    for path in ("lessonId", "status", "labels"):
        where: WhereClause[Query[NoteRow]] = tables.notes.where(path)
        queries += [
            where.equals(HOSTILE),
            where.any_of([HOSTILE, "b", f"{HOSTILE}\0"]),
            where.none_of([HOSTILE]),
            where.between(HOSTILE, HOSTILE + "z"),
            where.above(HOSTILE),
            where.below_or_equal(HOSTILE),
            tables.notes.where("id").above(0).and_("pubkey").equals(HOSTILE),
            tables.notes.where("id").above(0).or_("pubkey").equals(HOSTILE),
        ]
    where = tables.notes.where("[lessonId+pubkey]")
    return [
        *queries,
        tables.notes.where("lessonId").starts_with(HOSTILE),
        where.equals(PAIR),
        where.any_of([PAIR, ["a", HOSTILE + "\0"]]),
        where.between(PAIR, ["z", HOSTILE]),
    ]


async def test_no_value_is_part_of_the_sql(tmp_path: Path) -> None:
    """Whatever is asked for, the text of the statement holds none of it; all of it is bound."""
    async with opened(tmp_path / "a.db") as tables:
        await tables.notes.add(NoteRow())
        for query in _queries(tables):
            sql = query._select("*")
            assert "DROP" not in sql.text
            assert "'x" not in sql.text
            assert sql.text.count("?") == len(sql.parameters)
            await query.to_list()
        assert await tables.notes.count() == 1


async def test_a_search_that_its_index_cannot_make_fails(tmp_path: Path) -> None:
    """The index is prescribed: were it gone, the query would fail and not read the whole table."""
    async with opened(tmp_path / "a.db") as tables:
        await tables.database.transact(lambda tx: tx.execute('DROP INDEX "notes.starCount"'))
        with pytest.raises(StoreError, match=r"no such index: notes\.starCount"):
            await tables.notes.where("starCount").equals(1).to_list()

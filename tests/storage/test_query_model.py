"""Random queries, held against a list of rows and a few lines of Python."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podium_storage.table.query import Query
from podium_storage.table.table import Table
from podium_storage.table.where import WhereClause
from tests.support.store import NoteRow, opened

# few values, so that they meet; among them what sorts differently in UTF-16, in JSON and in SQL
TEXTS = st.sampled_from(["", "a", "aa", "b", "B", "é", "\0", "a\0", "\uffff", "💥", "'", '"', "%"])
NUMBERS = st.integers(-2, 2)
ROWS = st.lists(
    st.builds(
        NoteRow,
        session_address=TEXTS,
        pubkey=TEXTS,
        status=st.none() | TEXTS,
        star_count=NUMBERS,
        done=st.booleans(),
        labels=st.lists(TEXTS, max_size=2).map(tuple),
    ),
    max_size=12,
)
FIELDS = {
    "lessonId": ("session_address",),
    "pubkey": ("pubkey",),
    "status": ("status",),
    "starCount": ("star_count",),
    "[lessonId+pubkey]": ("session_address", "pubkey"),
    "[status+starCount]": ("status", "star_count"),
    "[pubkey+starCount+lessonId]": ("pubkey", "star_count", "session_address"),
}
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "above": lambda key, bound: key > bound,
    "above_or_equal": lambda key, bound: key >= bound,
    "below": lambda key, bound: key < bound,
    "below_or_equal": lambda key, bound: key <= bound,
}


class Clause(NamedTuple):
    """One `where` or what joins it, and what it means."""

    path: str
    word: str
    arguments: tuple[Any, ...]
    options: dict[str, bool]

    def apply(self, where: WhereClause[Query[NoteRow]]) -> Query[NoteRow]:
        """Say the word."""
        arguments = [_asked(argument) for argument in self.arguments]
        query: Query[NoteRow] = getattr(where, self.word)(*arguments, **self.options)
        return query

    def matches(self, row: NoteRow) -> bool:
        """Whether the row should be found."""
        key = tuple(getattr(row, field) for field in FIELDS[self.path])
        if self.word == "any_of":
            return bool(key in self.arguments[0])
        if self.word == "starts_with":
            return bool(key[0] is not None and key[0].startswith(self.arguments[0][0]))
        if None in key:
            return False  # one column of a key may be missing in `status` only, the first of its index
        if self.word == "none_of":
            return bool(key not in self.arguments[0])
        if self.word == "between":
            low, high = self.arguments
            above = key >= low if self.options["include_lower"] else key > low
            return bool(above and (key <= high if self.options["include_upper"] else key < high))
        return COMPARE[self.word](key, self.arguments[0])


def _asked(argument: Any) -> Any:
    """A key tuple as a query takes it, or a list of them."""
    if isinstance(argument, list):
        return [_asked(key) for key in argument]
    return argument[0] if len(argument) == 1 else list(argument)


@st.composite
def clauses(draw: st.DrawFn) -> Clause:
    """Any index, any word, any keys."""
    path = draw(st.sampled_from(list(FIELDS)))
    parts = [NUMBERS if field == "star_count" else TEXTS for field in FIELDS[path]]
    keys = st.tuples(*parts)
    gaps = st.tuples(
        *(st.none() | part if field == "status" else part for field, part in zip(FIELDS[path], parts, strict=True))
    )
    words = ["any_of", "none_of", "between", *COMPARE]
    if len(parts) == 1 and path != "starCount":
        words.append("starts_with")
    word = draw(st.sampled_from(words))
    if word == "any_of":
        return Clause(path, word, (draw(st.lists(gaps, max_size=4)),), {})
    if word == "none_of":
        return Clause(path, word, (draw(st.lists(keys, max_size=3)),), {})
    if word == "between":
        options = {"include_lower": draw(st.booleans()), "include_upper": draw(st.booleans())}
        return Clause(path, word, (draw(keys), draw(keys)), options)
    return Clause(path, word, (draw(keys),), {})


def _order(path: str) -> Callable[[NoteRow], Any]:
    fields = FIELDS[path]
    return lambda row: (*((getattr(row, f) is not None, getattr(row, f)) for f in fields), row.id)


def _narrowed(
    query: Query[NoteRow], kept: list[NoteRow], joins: list[tuple[bool, Clause]], rows: list[NoteRow]
) -> tuple[Query[NoteRow], list[NoteRow]]:
    for is_and, clause in joins:
        if is_and:
            query = clause.apply(query.and_(clause.path))
            kept = [row for row in kept if clause.matches(row)]
        else:
            query = clause.apply(query.or_(clause.path))
            kept = [row for row in rows if row in kept or clause.matches(row)]
    return query, kept


async def _check(table: Table[NoteRow], rows: list[NoteRow], data: st.DataObject) -> None:
    first = data.draw(clauses())
    joins = data.draw(st.lists(st.tuples(st.booleans(), clauses()), max_size=2))
    query, kept = _narrowed(
        first.apply(table.where(first.path)), [row for row in rows if first.matches(row)], joins, rows
    )
    is_widened = any(not is_and for is_and, _ in joins)
    path = data.draw(st.none() | st.sampled_from(list(FIELDS)))
    if path is not None:
        query = query.order_by(path)
    by = path or (None if is_widened else first.path)
    expected = sorted(kept, key=_order(by) if by else lambda row: row.id)
    assert await query.to_list() == expected
    assert await query.count() == len(expected)
    assert await query.primary_keys() == [row.id for row in expected]
    assert [row for row in rows if query._condition.matches(row)] == kept
    offset, limit = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 5))
    assert await query.reverse().offset(offset).limit(limit).to_list() == expected[::-1][offset : offset + limit]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=ROWS, cache_size=st.sampled_from([1, 1000]), data=st.data())
async def test_queries_find_what_a_list_of_rows_would(
    rows: list[NoteRow], cache_size: int, data: st.DataObject
) -> None:
    """Any words on any indexes, joined and ordered, give the rows a list comprehension gives, in SQL and in Python."""
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder) / "a.db", cache_size=cache_size) as tables:
            await tables.notes.bulk_add(rows)
            stored = await tables.notes.to_list()
            assert [row.id for row in stored] == list(range(1, len(rows) + 1))
            for _ in range(4):
                await _check(tables.notes, stored, data)


@pytest.mark.parametrize("cache_size", [1, 1000])
async def test_the_model_can_fail(tmp_path: Path, cache_size: int) -> None:
    """The comparison above has rows to find: a query that matches finds them."""
    clause = Clause("status", "any_of", ([("a",)],), {})
    async with opened(tmp_path / "a.db", cache_size=cache_size) as tables:
        await tables.notes.bulk_add([NoteRow(status="a"), NoteRow(status="b")])
        rows = await tables.notes.to_list()
        assert [clause.matches(row) for row in rows] == [True, False]
        assert await clause.apply(tables.notes.where("status")).primary_keys() == [1]

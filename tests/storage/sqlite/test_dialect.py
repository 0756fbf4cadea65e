"""Lists as parameters."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_storage.backend import Value
from podium_storage.errors import BadRow
from podium_storage.sqlite import SqliteBackend, SqliteDialect, quoted

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
NUMBERS = st.integers(-(2**63), 2**63 - 1)


async def _read_back(path: Path, sql: str, parameters: tuple[Value, ...]) -> list[tuple[Value, ...]]:
    connection = await SqliteBackend(path).open_writer()
    try:
        return await connection.fetch_all(sql, parameters)
    finally:
        await connection.close()


@settings(max_examples=40, deadline=None)
@given(items=st.lists(TEXTS, max_size=8) | st.lists(NUMBERS, max_size=8))
async def test_a_list_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, items: list[Value]) -> None:
    """Every text, U+0000 and what JSON escapes included, and every 64 bit integer survives the way into SQL."""
    sql, parameters = SqliteDialect.values(items)
    rows = await _read_back(tmp_path_factory.mktemp("d") / "a.db", sql, parameters)
    assert [value for (value,) in rows] == items


@settings(max_examples=40, deadline=None)
@given(items=st.lists(st.tuples(TEXTS, NUMBERS), min_size=1, max_size=8))
async def test_compound_keys_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, items: list[tuple[str, int]]
) -> None:
    """Each key comes back as one row."""
    sql, parameters = SqliteDialect.keys(items)
    assert await _read_back(tmp_path_factory.mktemp("d") / "a.db", sql, parameters) == items


def test_text_without_utf8_is_refused() -> None:
    """A lone surrogate has no form in the database."""
    with pytest.raises(BadRow):
        SqliteDialect.values(["\ud800"])
    with pytest.raises(BadRow):
        SqliteDialect.keys([["\ud800", 1]])


@pytest.mark.parametrize("items", [["a\0b"], [b"a"]])
def test_a_json_parameter_refuses_what_it_would_change(items: list[Value]) -> None:
    """Where only JSON will do, what SQLite would cut is refused."""
    with pytest.raises(BadRow):
        SqliteDialect.json(items)
    assert SqliteDialect.json(["a", 1]) == '["a",1]'


def test_a_name_is_quoted() -> None:
    """A quote in a name cannot end it."""
    assert quoted('a"b') == '"a""b"'

"""The words after `where`, and what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from podium_storage.errors import BadQuery
from podium_storage.table.where import MAX_KEY, MIN_KEY
from tests.support.store import NoteRow, TestTables, opened

LESSONS = ["a", "b", "c", "ca", "cb", "d", "é", "\ue000", "\U0010ffff", "\U0010ffffz"]


async def _fill(tables: TestTables) -> None:
    # interned in another order than that of the texts, so that an order by id shows
    rows = [NoteRow(session_address=text, pubkey="p", status=text, star_count=at) for at, text in enumerate(LESSONS)]
    await tables.notes.bulk_add([*rows[::-2], *rows[::2][::-1]])


@pytest.mark.parametrize("path", ["lessonId", "status"])
@pytest.mark.parametrize(
    ("word", "arguments", "options", "expected"),
    [
        ("equals", ("c",), {}, ["c"]),
        ("equals", ("nothing",), {}, []),
        ("any_of", (["d", "a", "nothing", "d"],), {}, ["a", "d"]),
        ("any_of", ([],), {}, []),
        ("not_equal", ("c",), {}, [text for text in LESSONS if text != "c"]),
        ("none_of", (["c", "a", "é"],), {}, ["b", "ca", "cb", "d", *LESSONS[7:]]),
        ("none_of", ([],), {}, LESSONS),
        ("between", ("b", "d"), {}, ["b", "c", "ca", "cb"]),
        ("between", ("b", "d"), {"include_lower": False, "include_upper": True}, ["c", "ca", "cb", "d"]),
        ("between", ("d", "b"), {}, []),
        ("between", ("c", "c"), {}, []),
        ("between", ("c", "c"), {"include_upper": True}, ["c"]),
        ("above", ("d",), {}, LESSONS[6:]),
        ("above_or_equal", ("d",), {}, LESSONS[5:]),
        ("below", ("c",), {}, ["a", "b"]),
        ("below_or_equal", ("c",), {}, ["a", "b", "c"]),
        ("starts_with", ("c",), {}, ["c", "ca", "cb"]),
        ("starts_with", ("",), {}, LESSONS),
        ("starts_with", ("\U0010ffff",), {}, LESSONS[8:]),
        ("starts_with", ("c\U0010ffff",), {}, []),
        ("starts_with", ("\ud7ff",), {}, []),
    ],
)
async def test_each_word_on_text(
    tmp_path: Path, *, path: str, word: str, arguments: tuple[Any, ...], options: dict[str, bool], expected: list[str]
) -> None:
    """On a text column and on an interned one each word finds the same rows, in the order of the texts."""
    async with opened(tmp_path / "a.db") as tables:
        await _fill(tables)
        query = getattr(tables.notes.where(path), word)(*arguments, **options)
        assert [row.session_address for row in await query.to_list()] == expected
        assert [row.session_address for row in await query.reverse().to_list()] == expected[::-1]
        assert await query.count() == len(expected)


@pytest.mark.parametrize(
    ("word", "arguments", "expected"),
    [
        ("equals", (["b", "q"],), ["bq"]),
        ("any_of", ([["c", "p"], ["a", "q"], ["a", "z"]],), ["aq", "cp"]),
        ("between", (["a", "q"], ["b", "q"]), ["aq", "bp"]),
        ("between", (["a", MIN_KEY], ["a", MAX_KEY]), ["ap", "aq"]),
        ("between", (["a", MAX_KEY], ["c", MIN_KEY]), ["bp", "bq"]),
        ("between", (["a", MAX_KEY], ["a", MAX_KEY]), []),
        ("between", (["a", "q"], ["a", MAX_KEY]), ["aq"]),
        ("between", (["a", MIN_KEY], ["b", "q"]), ["ap", "aq", "bp"]),
        ("above", (["b", "p"],), ["bq", "cp", "cq"]),
        ("above", (["b", MAX_KEY],), ["cp", "cq"]),
        ("above", (["b", MIN_KEY],), ["bp", "bq", "cp", "cq"]),
        ("above_or_equal", (["b", "q"],), ["bq", "cp", "cq"]),
        ("below", (["b", "q"],), ["ap", "aq", "bp"]),
        ("below", (["b", MIN_KEY],), ["ap", "aq"]),
        ("below_or_equal", (["b", MAX_KEY],), ["ap", "aq", "bp", "bq"]),
        ("below_or_equal", (["b", "p"],), ["ap", "aq", "bp"]),
        ("not_equal", (["b", "p"],), ["ap", "aq", "bq", "cp", "cq"]),
        ("none_of", ([["b", "p"], ["a", "q"]],), ["ap", "bq", "cp", "cq"]),
    ],
)
async def test_each_word_on_a_compound_index(
    tmp_path: Path, word: str, arguments: tuple[Any, ...], expected: list[str]
) -> None:
    """Keys of several interned columns compare one column after the other, by text."""
    async with opened(tmp_path / "a.db") as tables:
        pairs = [("c", "q"), ("a", "q"), ("b", "p"), ("c", "p"), ("b", "q"), ("a", "p")]
        await tables.notes.bulk_add([NoteRow(session_address=lesson, pubkey=person) for lesson, person in pairs])
        query = getattr(tables.notes.where("[lessonId+pubkey]"), word)(*arguments)
        assert [row.session_address + row.pubkey for row in await query.to_list()] == expected


async def test_numbers_compare_as_numbers(tmp_path: Path) -> None:
    """Negative numbers, zero and 64 bits are in order."""
    numbers = [5, -3, 0, 2**63 - 1, -(2**63 - 1), 10]
    async with opened(tmp_path / "a.db") as tables:
        await tables.notes.bulk_add([NoteRow(star_count=number) for number in numbers])
        where = tables.notes.where("starCount")
        assert [row.star_count for row in await where.above(-3).to_list()] == [0, 5, 10, 2**63 - 1]
        assert [row.star_count for row in await where.below_or_equal(0).to_list()] == [-(2**63 - 1), -3, 0]


async def test_truth_values_are_looked_up_as_such(tmp_path: Path) -> None:
    """A boolean column takes True and False."""
    async with opened(tmp_path / "a.db") as tables:
        await tables.notes.bulk_add([NoteRow(done=True), NoteRow(done=False)])
        assert [row.id for row in await tables.notes.where("done").equals(True).to_list()] == [1]
        assert [row.id for row in await tables.notes.where("done").any_of([True, False]).to_list()] == [2, 1]


async def test_missing_values_are_found_by_none_only(tmp_path: Path) -> None:
    """`equals(None)` finds rows without a value, no range does, and `not_equal` does not."""
    async with opened(tmp_path / "a.db") as tables:
        await tables.notes.bulk_add([NoteRow(status=None), NoteRow(status="a"), NoteRow(status="b", star_count=1)])
        where = tables.notes.where("status")
        assert [row.id for row in await where.equals(None).to_list()] == [1]
        assert [row.id for row in await where.any_of([None, "b"]).to_list()] == [1, 3]
        assert [row.id for row in await where.below("z").to_list()] == [2, 3]
        assert [row.id for row in await where.not_equal("a").to_list()] == [3]
        compound = tables.notes.where("[status+starCount]")
        assert [row.id for row in await compound.any_of([[None, 0], ["b", 1]]).to_list()] == [1, 3]
        assert [row.id for row in await compound.equals([None, 0]).to_list()] == [1]
        assert [row.id for row in await compound.above(["a", -1]).to_list()] == [2, 3]


async def test_each_element_of_a_multi_entry_column_is_a_key(tmp_path: Path) -> None:
    """A row is found by any of its labels, once, also after its labels changed; a deleted one is not."""
    async with opened(tmp_path / "a.db") as tables:
        labels = [("a", "b"), (), ("b", "c", "b"), ("d",)]
        await tables.notes.bulk_add([NoteRow(labels=value) for value in labels])
        where = tables.notes.where("labels")
        assert [row.id for row in await where.equals("b").to_list()] == [1, 3]
        assert [row.id for row in await where.any_of(["b", "c", "d"]).to_list()] == [1, 3, 4]
        assert [row.id for row in await where.between("b", "d").to_list()] == [1, 3]
        assert await where.above("a").keys() == ["a", "b", "b", "c", "d"]
        await tables.notes.update(1, labels=("z",))
        await tables.notes.delete(4)
        assert [row.id for row in await where.above("a").to_list()] == [1, 3]
        assert [row.id for row in await where.equals("z").to_list()] == [1]
        assert [row.id for row in await where.equals("a").to_list()] == []


@pytest.mark.parametrize(
    "path", ["body", "nobody", "[pubkey+lessonId]", "[starCount+lessonId]", "session_address", "", "id; --"]
)
async def test_where_without_an_index_is_refused_and_names_those_there_are(tmp_path: Path, path: str) -> None:
    """A query that would read every row is refused; the error lists what can be asked."""
    async with opened(tmp_path / "a.db") as tables:
        with pytest.raises(
            BadQuery, match=r"notes has no index .* there are id, lessonId, pubkey, .*\[lessonId\+pubkey\]"
        ):
            tables.notes.where(path)


@pytest.mark.parametrize(
    ("path", "word", "argument"),
    [
        ("starCount", "equals", "1"),
        ("starCount", "equals", True),
        ("starCount", "equals", 1.0),
        ("starCount", "equals", [1]),
        ("starCount", "above", None),
        ("starCount", "above", 2**63),
        ("starCount", "any_of", [1, "2"]),
        ("done", "equals", 1),
        ("status", "equals", 1),
        ("status", "equals", b"x"),
        ("status", "equals", "\ud800"),
        ("status", "equals", MIN_KEY),
        ("status", "below", None),
        ("status", "below", MAX_KEY),
        ("status", "none_of", [None]),
        ("status", "starts_with", None),
        ("lessonId", "equals", 1),
        ("lessonId", "starts_with", "\ud800"),
        ("labels", "equals", 1),
        ("labels", "equals", ["a"]),
        ("starCount", "starts_with", "1"),
        ("[lessonId+pubkey]", "starts_with", "1"),
        ("[lessonId+pubkey]", "equals", "a"),
        ("[lessonId+pubkey]", "equals", ["a"]),
        ("[lessonId+pubkey]", "equals", ["a", "b", "c"]),
        ("[lessonId+pubkey]", "equals", ["a", 1]),
        ("[lessonId+pubkey]", "equals", ["a", MAX_KEY]),
        ("[lessonId+pubkey]", "above", [MIN_KEY, "a"]),
        ("[lessonId+pubkey]", "above", ["a", None]),
    ],
)
async def test_a_key_of_another_type_is_refused(tmp_path: Path, path: str, word: str, argument: Any) -> None:
    """A key that no row can have, or that SQL would convert, is refused and not searched for."""
    async with opened(tmp_path / "a.db") as tables:
        with pytest.raises(BadQuery):
            getattr(tables.notes.where(path), word)(argument)

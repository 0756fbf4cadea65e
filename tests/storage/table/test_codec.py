"""Rows between Python and SQL."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_storage.errors import BadRow, StoreDamaged
from podium_storage.table.codec import CHUNK, RowCodec, turned
from podium_storage.table.columns import StoredRow
from podium_storage.table.schema import TableSchema
from tests.support.store import NOTES, NoteRow, rsvp

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


class Status(StrEnum):
    """Words that are texts too."""

    YES = "yes"


@given(
    row=st.builds(
        NoteRow,
        id=st.integers(1, 2**63 - 1),
        session_address=TEXTS,
        pubkey=TEXTS,
        status=st.none() | TEXTS,
        star_count=st.integers(-(2**63), 2**63 - 1),
        done=st.booleans(),
        labels=st.lists(TEXTS, max_size=3).map(tuple),
        body=st.none() | st.binary(max_size=5),
    )
)
def test_a_row_comes_back_as_it_was(row: NoteRow) -> None:
    """Encoding and decoding give the same row, with any text and any value missing that may be."""
    codec = RowCodec(NOTES)
    texts = codec.texts_in([row])
    ids = {text: number for number, text in enumerate(sorted(texts), start=1)}
    values = tuple(codec.encode(row, ids))
    assert codec.atoms_in([values]) == set(ids.values())
    assert codec.decode(values, {number: text for text, number in ids.items()}) == row


class RunsRow(StoredRow, frozen=True, kw_only=True):
    """A row with lists in a list, as sessions have."""

    runs: tuple[tuple[int, int | None], ...]


def test_nested_lists_keep_their_types() -> None:
    """Tuples of tuples come back as tuples, with the None inside them."""
    codec = RowCodec(TableSchema("runs", RunsRow, "++id"))
    row = RunsRow(id=1, runs=((1, 2), (3, None)))
    assert codec.decode(tuple(codec.encode(row, {})), {}) == row


def test_a_word_of_an_enumeration_is_a_text() -> None:
    """A StrEnum member goes where a text goes."""
    row = NoteRow(id=1, status=Status.YES, session_address=Status.YES)
    values = RowCodec(NOTES).encode(row, {"yes": 5, "pubkey": 6})
    assert values[1:4] == [5, 6, "yes"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("star_count", "1"),
        ("star_count", 1.0),
        ("star_count", True),
        ("star_count", None),
        ("done", 1),
        ("done", None),
        ("status", 5),
        ("status", b"x"),
        ("labels", ("a", 1)),
        ("labels", ["a"]),
        ("labels", None),
        ("labels", ("\ud800",)),
        ("labels", "ab"),
        ("body", "text"),
        ("id", "1"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(field: str, value: object) -> None:
    """What SQL would convert without a word, or could not be read back, is refused; the value is not quoted."""
    fields: dict[str, Any] = {"id": 1, field: value}
    with pytest.raises(BadRow, match=f"NoteRow.{field}: expected"):
        RowCodec(NOTES).encode(NoteRow(**fields), {"lesson": 1, "pubkey": 2})


def test_an_interned_column_takes_texts_only() -> None:
    """A number where a lesson belongs is refused before anything is looked up."""
    fields: dict[str, Any] = {"session_address": 5}
    with pytest.raises(BadRow, match="session_address and pubkey are texts"):
        RowCodec(NOTES).texts_in([NoteRow(**fields)])


def test_a_json_column_that_was_tampered_with_is_damage() -> None:
    """JSON of another shape is no row."""
    codec = RowCodec(TableSchema("runs", RunsRow, "++id"))
    for text in ('[["a"]]', "[[1]]", "nothing", '{"a": 1}'):
        with pytest.raises(StoreDamaged, match=r"RunsRow\.runs"):
            codec.decode((1, text), {})


async def test_many_rows_leave_the_loop_time() -> None:
    """Between the chunks of a long list other tasks have their turn."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    assert await turned(range(3 * CHUNK), lambda number: number + 1) == list(range(1, 3 * CHUNK + 1))
    counting.cancel()
    assert turns >= 2
    assert await turned([], str) == []


def test_json_names_are_the_models() -> None:
    """In JSON a row has the model's names."""
    assert set(msgspec.to_builtins(rsvp("l", "p"))) >= {
        "id",
        "lessonId",
        "pubkey",
        "status",
        "rsvpTime",
        "reminderSent",
    }

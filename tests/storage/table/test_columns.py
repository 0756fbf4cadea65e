"""Columns from annotations."""

from __future__ import annotations

from typing import Annotated, NewType

import msgspec
import pytest

from podium_storage.errors import BadSchema
from podium_storage.table.columns import ColumnKind, Interned, InternedText, StoredRow, columns_of
from podium_storage.table.schema import SESSIONS

Name = NewType("Name", str)


class Part(msgspec.Struct, frozen=True):
    """A struct inside a row."""

    text: str


class EveryKind(StoredRow, frozen=True, kw_only=True):
    """One field of each kind."""

    a_number: int
    a_truth: bool
    a_text: str | None
    a_name: Name
    an_atom: InternedText | None = None
    a_bytes: bytes | None = None
    a_list: tuple[tuple[int, int | None], ...] = ()
    a_part: Part | None = None


class WithFloat(StoredRow, frozen=True, kw_only=True):
    """No column keeps floats: they compare badly."""

    ratio: float


class WithUnion(StoredRow, frozen=True, kw_only=True):
    """Two types in one column."""

    either: int | str


class WithInternedNumber(StoredRow, frozen=True, kw_only=True):
    """Only texts are interned, so this is a plain number."""

    number: Annotated[int, Interned()]


def test_each_annotation_becomes_its_kind() -> None:
    """A column's kind, its name in camelCase and whether it may be empty follow from the field."""
    found = [(column.name, column.kind, column.is_nullable) for column in columns_of(EveryKind)]
    assert found == [
        ("id", ColumnKind.INTEGER, True),
        ("aNumber", ColumnKind.INTEGER, False),
        ("aTruth", ColumnKind.BOOLEAN, False),
        ("aText", ColumnKind.TEXT, True),
        ("aName", ColumnKind.TEXT, False),
        ("anAtom", ColumnKind.ATOM, True),
        ("aBytes", ColumnKind.BYTES, True),
        ("aList", ColumnKind.JSON, False),
        ("aPart", ColumnKind.JSON, True),
    ]


def test_lists_and_bytes_cannot_be_indexed() -> None:
    """What has no order on which SQL and Python agree cannot stand in an index."""
    assert {column.name for column in columns_of(EveryKind) if not column.can_be_indexed} == {
        "aBytes",
        "aList",
        "aPart",
    }


@pytest.mark.parametrize(("row_type", "field"), [(WithFloat, "ratio"), (WithUnion, "either")])
def test_a_type_without_column_is_refused(row_type: type[StoredRow], field: str) -> None:
    """A field that no column can keep is refused by its name."""
    with pytest.raises(BadSchema, match=f"{row_type.__name__}.{field}"):
        columns_of(row_type)


def test_only_texts_are_interned() -> None:
    """The mark on a number changes nothing."""
    assert columns_of(WithInternedNumber)[1].kind is ColumnKind.INTEGER


def test_the_model_s_names_are_kept_to_the_letter() -> None:
    """Columns of the model's session are called as the model calls them, `requiresRSVP` in capitals."""
    names = {column.name for column in SESSIONS.columns}
    wanted = {"scheduledAt", "duration", "instructorPubkey", "conferenceRoomId", "recordingUrl", "maxParticipants"}
    assert wanted | {"lessonId", "requiresRSVP"} <= names

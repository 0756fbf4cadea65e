"""Columns: what the annotations of a row struct say about the table that keeps it."""

from __future__ import annotations

import types
from enum import StrEnum
from typing import Annotated, Final, NewType, Union, get_args, get_origin, get_type_hints

import msgspec

from podium_storage.errors import BadSchema


class Interned:
    """Marks a text column whose values repeat (lessons, people): it is stored as the integer id of its text.

    Two integers in four indexes cost half of what two texts of 64 characters and more do.
    """


InternedText = Annotated[str, Interned()]


def model_name(field: str) -> str:
    """A field's name in JSON and SQL: the model's camelCase, with its one abbreviation in capitals."""
    if field == "session_address":
        return "lessonId"  # the model's name; inside, a session is known by its address
    first, *rest = field.split("_")
    return first + "".join("RSVP" if part == "rsvp" else part.capitalize() for part in rest)


class StoredRow(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename=model_name):
    """A row of a declared table. `id` is None until the table has given it one."""

    id: int | None = None


class ColumnKind(StrEnum):
    """How a column's values are kept."""

    INTEGER = "integer"
    BOOLEAN = "boolean"
    TEXT = "text"
    ATOM = "atom"  # the id of an interned text
    BYTES = "bytes"
    JSON = "json"


class Column(msgspec.Struct, frozen=True):
    """One column: `field` is its name in Python, `name` the model's camelCase one."""

    field: str
    name: str
    kind: ColumnKind
    is_nullable: bool
    annotation: object  # without the None of an optional one

    @property
    def can_be_indexed(self) -> bool:
        """Whether its values have an order that SQL and Python agree upon."""
        return self.kind not in {ColumnKind.BYTES, ColumnKind.JSON}


_PLAIN: Final = {
    int: ColumnKind.INTEGER,
    bool: ColumnKind.BOOLEAN,
    str: ColumnKind.TEXT,
    bytes: ColumnKind.BYTES,
}


def columns_of(row_type: type[StoredRow]) -> tuple[Column, ...]:
    """The columns of a row struct, in the order of its fields.

    Raises:
        BadSchema: a field has a type that no column can keep.
    """
    hints = get_type_hints(row_type, include_extras=True)
    names = zip(row_type.__struct_fields__, row_type.__struct_encode_fields__, strict=True)
    return tuple(_column(row_type, field, name, hints[field]) for field, name in names)


def _column(row_type: type[StoredRow], field: str, name: str, hint: object) -> Column:
    annotation, is_nullable = _without_none(hint)
    kind = _kind(annotation)
    if kind is None:
        raise BadSchema(f"{row_type.__name__}.{field}: no column can keep a {annotation!r}")
    return Column(field, name, kind, is_nullable, annotation)


def _without_none(hint: object) -> tuple[object, bool]:
    if get_origin(hint) not in {types.UnionType, Union}:
        return hint, False
    rest = [part for part in get_args(hint) if part is not types.NoneType]
    return (rest[0], True) if len(rest) == 1 else (hint, False)


def _kind(annotation: object) -> ColumnKind | None:
    if get_origin(annotation) is Annotated:
        base, *marks = get_args(annotation)
        is_interned = base is str and any(isinstance(mark, Interned) for mark in marks)
        return ColumnKind.ATOM if is_interned else _kind(base)
    if isinstance(annotation, NewType):
        return _kind(annotation.__supertype__)
    if isinstance(annotation, type) and annotation in _PLAIN:
        return _PLAIN[annotation]
    is_struct = isinstance(annotation, type) and issubclass(annotation, msgspec.Struct)
    return ColumnKind.JSON if is_struct or get_origin(annotation) is tuple else None

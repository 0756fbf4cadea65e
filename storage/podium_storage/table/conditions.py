"""Conditions on the keys of rows: what a query asks SQL for, and what a live query holds changed rows against.

Keys compare as in SQL: by number, or by code point of text; a missing value (None) is in no range, and equals None.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import Final, Protocol

import msgspec

from podium_storage.table.index_spec import Index

Scalar = int | str | bool | None
Key = tuple[Scalar, ...]


class KeyRange(msgspec.Struct, frozen=True):
    """Keys between two bounds. A bound shorter than the index stands for all keys that begin with it."""

    lower: Key | None = None
    upper: Key | None = None
    lower_open: bool = False
    upper_open: bool = False

    @property
    def shared(self) -> Key:
        """The leading values that both bounds have in common, and so all keys between them."""
        size = 0
        for low, high in zip(self.lower or (), self.upper or (), strict=False):
            if low != high:
                break
            size += 1
        return (self.lower or ())[:size]

    def __contains__(self, key: Key) -> bool:
        """Whether a key lies in the range."""
        if self.lower is None and self.upper is None:
            return key[0] is not None
        return (self.lower is None or _beyond(key, self.lower, is_open=self.lower_open, sign=1)) and (
            self.upper is None or _beyond(key, self.upper, is_open=self.upper_open, sign=-1)
        )


class Condition(Protocol):
    """What a row must satisfy."""

    def matches(self, row: msgspec.Struct) -> bool:
        """Whether the row does."""


class Everything(msgspec.Struct, frozen=True):
    """Every row of the table."""

    def matches(self, row: msgspec.Struct) -> bool:  # noqa: ARG002  (the interface's)
        """Always."""
        return True


EVERYTHING: Final = Everything()


class Points(msgspec.Struct, frozen=True):
    """The key in an index is one of these."""

    index: Index
    fields: tuple[str, ...]
    keys: frozenset[Key]

    def matches(self, row: msgspec.Struct) -> bool:
        """Whether the row has one of the keys."""
        return any(key in self.keys for key in keys_of(row, self.fields, self.index))


NOTHING: Final = Points(Index(("id",), is_unique=True), ("id",), frozenset())


class Ranges(msgspec.Struct, frozen=True):
    """The key in an index lies in one of these ranges."""

    index: Index
    fields: tuple[str, ...]
    ranges: tuple[KeyRange, ...]

    def matches(self, row: msgspec.Struct) -> bool:
        """Whether a key of the row lies in one of the ranges."""
        return any(key in keys for key in keys_of(row, self.fields, self.index) for keys in self.ranges)


class Both(msgspec.Struct, frozen=True):
    """Both conditions hold."""

    left: Condition
    right: Condition

    def matches(self, row: msgspec.Struct) -> bool:
        """Whether the row satisfies both."""
        return self.left.matches(row) and self.right.matches(row)


class Either(msgspec.Struct, frozen=True):
    """One of the conditions holds."""

    left: Condition
    right: Condition

    def matches(self, row: msgspec.Struct) -> bool:
        """Whether the row satisfies one of them."""
        return self.left.matches(row) or self.right.matches(row)


def fixed_columns(condition: Condition) -> int:
    """How many leading columns of the index have one value in all rows that satisfy the condition."""
    if isinstance(condition, Points) and len(condition.keys) == 1:
        return len(condition.index.columns)
    if isinstance(condition, Ranges) and len(condition.ranges) == 1:
        return len(condition.ranges[0].shared)
    return 0


def keys_of(row: msgspec.Struct, fields: tuple[str, ...], index: Index) -> Iterator[Key]:
    """The keys under which the row stands in an index: one, or one for each element of a multi-entry column."""
    if index.is_multi:
        yield from ((element,) for element in dict.fromkeys(attrgetter(fields[0])(row) or ()))
    else:
        yield tuple(getattr(row, field) for field in fields)


def _beyond(key: Key, bound: Key, *, is_open: bool, sign: int) -> bool:
    for value, limit in zip(key, bound, strict=False):
        if value is None or limit is None:
            return False  # SQL: a comparison with NULL is not true
        if value != limit:
            return _is_greater(value, limit) == (sign > 0)
    return not is_open


def _is_greater(value: int | str, limit: int | str) -> bool:
    if isinstance(value, str) or isinstance(limit, str):
        return str(value) > str(limit)  # a column has one type, and the query was checked against it
    return value > limit

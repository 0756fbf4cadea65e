"""The words that follow `where`: equals, any_of, between and their kin. Each gives a query, with conditions on keys.

Conditions are what a query asks SQL for, and what a live query holds changed rows against. Keys compare as in SQL: by
number, or by code point of text; a missing value (None) is in no range, and equals None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from operator import attrgetter
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from podium_storage.errors import BadQuery
from podium_storage.table.columns import ColumnKind, StoredRow
from podium_storage.table.schema import Index, TableSchema

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
    """A condition on rows."""

    def matches(self, row: msgspec.Struct) -> bool:
        """Whether the row satisfies the condition."""


class Everything(msgspec.Struct, frozen=True):
    """Every row of the table."""

    def matches(self, row: msgspec.Struct) -> bool:  # noqa: ARG002  (the interface's)
        """True for every row."""
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


def holds_for_none(condition: Condition) -> bool:
    """Whether no row at all can satisfy the condition, so that the database need not be asked."""
    if isinstance(condition, Both):
        return holds_for_none(condition.left) or holds_for_none(condition.right)
    if isinstance(condition, Either):
        return holds_for_none(condition.left) and holds_for_none(condition.right)
    return isinstance(condition, Points) and not condition.keys


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


Q_co = TypeVar("Q_co", covariant=True)


class Extreme(Enum):
    """Before and after every key, within a compound key: `between([lesson, MIN_KEY], [lesson, MAX_KEY])`."""

    MIN = "min"
    MAX = "max"


MIN_KEY: Final = Extreme.MIN
MAX_KEY: Final = Extreme.MAX

KeyLike = Scalar | Sequence[Scalar | Extreme]
"""A key as it is asked for: one value, or for a compound index a list of them."""

_TEXTS: Final = frozenset({ColumnKind.TEXT, ColumnKind.ATOM})
_MAX_INTEGER: Final = 2**63 - 1
_LAST_CHARACTER: Final = "\U0010ffff"


class WhereClause(Generic[Q_co]):
    """An index that waits for the word that says which of its keys are meant."""

    def __init__(self, schema: TableSchema[StoredRow], index: Index, then: Callable[[Condition], Q_co]) -> None:
        """Hand the condition on to `then`, which makes the query."""
        self._schema = schema
        self._index = index
        self._then = then
        self._columns = [schema.by_name[name] for name in index.columns]
        self._fields = tuple(column.field for column in self._columns)

    def equals(self, key: KeyLike) -> Q_co:
        """Rows with this key. None finds the rows that have no value."""
        return self.any_of([key])

    def any_of(self, keys: Iterable[KeyLike]) -> Q_co:
        """Rows with one of these keys."""
        return self._then(Points(self._index, self._fields, frozenset(self._key(key) for key in keys)))

    def not_equal(self, key: KeyLike) -> Q_co:
        """Rows with another key; rows without a value are not among them."""
        return self.none_of([key])

    def none_of(self, keys: Iterable[KeyLike]) -> Q_co:
        """Rows with none of these keys; rows without a value are not among them."""
        excluded = sorted({self._key(key, may_be_none=False) for key in keys})
        lower: list[Key | None] = [None, *excluded]
        upper: list[Key | None] = [*excluded, None]
        return self._ranges(
            KeyRange(low, high, lower_open=True, upper_open=True) for low, high in zip(lower, upper, strict=True)
        )

    def between(
        self, lower: KeyLike, upper: KeyLike, *, include_lower: bool = True, include_upper: bool = False
    ) -> Q_co:
        """Rows with keys from `lower` to `upper`, by default without the upper one, as in Dexie."""
        low, low_open = self._bound(lower, Extreme.MAX, is_open=not include_lower)
        high, high_open = self._bound(upper, Extreme.MIN, is_open=not include_upper)
        return self._ranges([KeyRange(low, high, low_open, high_open)])

    def above(self, key: KeyLike) -> Q_co:
        """Rows with keys greater than this one."""
        low, is_open = self._bound(key, Extreme.MAX, is_open=True)
        return self._ranges([KeyRange(lower=low, lower_open=is_open)])

    def above_or_equal(self, key: KeyLike) -> Q_co:
        """Rows with this key and greater ones."""
        low, is_open = self._bound(key, Extreme.MAX, is_open=False)
        return self._ranges([KeyRange(lower=low, lower_open=is_open)])

    def below(self, key: KeyLike) -> Q_co:
        """Rows with keys less than this one."""
        high, is_open = self._bound(key, Extreme.MIN, is_open=True)
        return self._ranges([KeyRange(upper=high, upper_open=is_open)])

    def below_or_equal(self, key: KeyLike) -> Q_co:
        """Rows with this key and lesser ones."""
        high, is_open = self._bound(key, Extreme.MIN, is_open=False)
        return self._ranges([KeyRange(upper=high, upper_open=is_open)])

    def starts_with(self, prefix: str) -> Q_co:
        """Rows with a text that begins so.

        Raises:
            BadQuery: the index is compound, or of numbers.
        """
        if len(self._columns) > 1 or self._kind(0) not in _TEXTS:
            raise BadQuery(f"starts_with needs an index of one text column, and {self._name()} is none")
        key = self._key(prefix, may_be_none=False)
        end = _end_of_prefix(prefix)
        return self._ranges([KeyRange(key, None if end is None else (end,), upper_open=True)])

    def _ranges(self, ranges: Iterable[KeyRange]) -> Q_co:
        return self._then(Ranges(self._index, self._fields, tuple(ranges)))

    def _key(self, key: KeyLike, *, may_be_none: bool = True) -> Key:
        parts = self._parts(key)
        for at, part in enumerate(parts):
            self._check(at, part, may_be_none=may_be_none)
        return tuple([part for part in parts if not isinstance(part, Extreme)])

    def _bound(self, key: KeyLike, shuts_out: Extreme, *, is_open: bool) -> tuple[Key, bool]:
        """The bound up to its first extreme. [l, MAX] as the lower one shuts out all of l, as the upper one none."""
        parts = self._parts(key)
        for at, part in enumerate(parts):
            if isinstance(part, Extreme) and at > 0:
                return self._checked(parts[:at]), part is shuts_out
        return self._checked(parts), is_open

    def _checked(self, parts: Sequence[Scalar | Extreme]) -> Key:
        for at, part in enumerate(parts):
            self._check(at, part, may_be_none=False)
        return tuple(part for part in parts if not isinstance(part, Extreme))

    def _parts(self, key: KeyLike) -> tuple[Scalar | Extreme, ...]:
        parts: tuple[Scalar | Extreme, ...]
        # a tuple first: asking whether something is a Sequence takes longer than all the rest
        if isinstance(key, tuple) or (not isinstance(key, str | int) and isinstance(key, Sequence)):
            is_list, parts = True, tuple(key)
        else:
            is_list, parts = False, (key,)
        if is_list != (len(self._columns) > 1) or len(parts) != len(self._columns):
            expected = f"a list of {len(self._columns)} values" if len(self._columns) > 1 else "one value"
            raise BadQuery(f"a key in {self._name()} is {expected}")
        return parts

    def _check(self, at: int, value: object, *, may_be_none: bool) -> None:
        if value is None and may_be_none:
            return
        kind = self._kind(at)
        if isinstance(value, str):
            fits = kind in _TEXTS and (value.isascii() or _has_utf8(value))
        elif isinstance(value, bool):
            fits = kind is ColumnKind.BOOLEAN
        else:
            fits = kind is ColumnKind.INTEGER and isinstance(value, int) and -_MAX_INTEGER <= value <= _MAX_INTEGER
        if not fits:
            column = self._columns[at].name
            raise BadQuery(f"{column} in {self._name()} takes a {kind} value, not this {type(value).__name__}")

    def _kind(self, at: int) -> ColumnKind:
        return self._schema.element_kind(self._index) if self._index.is_multi else self._columns[at].kind

    def _name(self) -> str:
        return f"{self._schema.name}.{self._index.path}"


def find_index(schema: TableSchema[StoredRow], path: str) -> Index:
    """The index of that name.

    Raises:
        BadQuery: there is none; the text names those there are.
    """
    index = schema.by_path.get(path)
    if index is None:
        there_are = ", ".join(schema.by_path)
        raise BadQuery(f"{schema.name} has no index {path!r}, and would have to read every row: there are {there_are}")
    return index


def _end_of_prefix(prefix: str) -> str | None:
    """The least text that is greater than all that begin with the prefix, or None when there is none."""
    kept = prefix.rstrip(_LAST_CHARACTER)
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(0xE000 if 0xD800 <= following <= 0xDFFF else following)


def _has_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

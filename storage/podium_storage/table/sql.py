"""Conditions, keys and orders as SQL: each alternative is one search by a named index; values are parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from podium_storage.backend import Value
from podium_storage.errors import BadQuery
from podium_storage.sqlite import SqliteDialect, quoted
from podium_storage.table.columns import Column, ColumnKind, StoredRow
from podium_storage.table.schema import TableSchema
from podium_storage.table.where import Both, Condition, Either, Everything, Key, KeyRange, Points, Ranges, Scalar

AtomId = Callable[[str], int | None]
"""The id of an interned text if it is known without asking the database."""


class Sql(msgspec.Struct, frozen=True):
    """A piece of SQL and its parameters."""

    text: str
    parameters: tuple[Value, ...] = ()


NOTHING: Final = Sql("0")
MAX_JOINED: Final = 100


def joined(word: str, parts: Iterable[Sql]) -> Sql:
    """The parts with a word between them, in brackets when there are several.

    Many are joined by halves: SQLite refuses an expression that is nested 1,000 deep, and `a OR b OR c` is nested.
    """
    pieces = list(parts)
    if len(pieces) == 1:
        return pieces[0]
    if len(pieces) > MAX_JOINED:
        middle = len(pieces) // 2
        pieces = [joined(word, pieces[:middle]), joined(word, pieces[middle:])]
    parameters = tuple(value for piece in pieces for value in piece.parameters)
    return Sql("(" + f" {word} ".join(piece.text for piece in pieces) + ")", parameters)


class Expressions:
    """The keys of one table's indexes as expressions."""

    def __init__(self, schema: TableSchema[StoredRow], atom_id: AtomId, *, is_filter: bool = False) -> None:
        """Write for this table, with the ids of interned texts that are known by now.

        In a filter the columns are kept from the planner, so that it searches by another index.
        """
        self._schema = schema
        self._is_filter = is_filter
        self._atom_id = atom_id

    def alternatives(self, condition: Points | Ranges) -> list[Sql]:
        """Expressions of which one must hold; none of them needs more than one search."""
        return self._points(condition) if isinstance(condition, Points) else self._ranges(condition)

    def text(self, column: Column) -> str:
        """The value of a column as it compares: an interned one by its text."""
        if column.kind is not ColumnKind.ATOM:
            return quoted(column.name)
        table = quoted(self._schema.name)
        return f'(SELECT "value" FROM "atoms" WHERE "atoms"."id" = {table}.{quoted(column.name)})'

    def _points(self, condition: Points) -> list[Sql]:
        if not condition.keys:
            return [NOTHING]
        if condition.index.is_multi:
            return [self._in_side(condition, _equal_or_in('"value"', [key[0] for key in condition.keys]))]
        columns = [self._schema.by_name[name] for name in condition.index.columns]
        if len(columns) == 1:
            return self._one_of(columns[0], [key[0] for key in condition.keys])
        # IN compares with NULL as "unknown", so that keys with a gap are spelled out
        gaps = [key for key in condition.keys if None in key]
        whole = [key for key in condition.keys if None not in key]
        if len(whole) == 1:
            gaps, whole = [*gaps, *whole], []
        parts = [joined("AND", map(self._equal, columns, key)) for key in gaps]
        return [*parts, self._rows_of(columns, whole)] if whole else parts

    def _one_of(self, column: Column, values: Sequence[Scalar]) -> list[Sql]:
        present = [value for value in values if value is not None]
        parts = [self._equal(column, None)] if len(present) < len(values) else []
        if len(present) == 1:
            parts.append(self._equal(column, present[0]))
        elif present:
            sql, parameters = SqliteDialect.values(present)
            if column.kind is ColumnKind.ATOM:
                sql = f'SELECT "id" FROM "atoms" WHERE "value" IN ({sql})'
            parts.append(Sql(f"{self._name(column)} IN ({sql})", parameters))
        return parts

    def _equal(self, column: Column, value: Scalar) -> Sql:
        if value is None:
            return Sql(f"{self._name(column)} IS NULL")
        sql, parameter = self._operand(column, value)
        return Sql(f"{self._name(column)} = {sql}", (parameter,))

    def _operand(self, column: Column, value: Scalar) -> tuple[str, Value]:
        if column.kind is not ColumnKind.ATOM:
            return "?", value
        known = self._atom_id(str(value))
        return ("?", known) if known is not None else ('(SELECT "id" FROM "atoms" WHERE "value" = ?)', value)

    def _rows_of(self, columns: Sequence[Column], keys: Sequence[Key]) -> Sql:
        names = ", ".join(map(self._name, columns))
        elements = [
            f'(SELECT "id" FROM "atoms" WHERE "value" = k.{name})' if column.kind is ColumnKind.ATOM else f"k.{name}"
            for column, name in zip(columns, SqliteDialect.key_names(len(columns)), strict=True)
        ]
        source, parameters = SqliteDialect.keys(keys)
        return Sql(f"({names}) IN (SELECT {', '.join(elements)} FROM ({source}) AS k)", parameters)

    def _ranges(self, condition: Ranges) -> list[Sql]:
        if condition.index.is_multi:
            inner = joined("OR", [_bounded('"value"', keys) for keys in condition.ranges])
            return [self._in_side(condition, inner)]
        columns = [self._schema.by_name[name] for name in condition.index.columns]
        return [self._range(columns, keys) for keys in condition.ranges]

    def _range(self, columns: Sequence[Column], keys: KeyRange) -> Sql:
        """A range as equalities of what both bounds share, a range on the next column, and the rest row by row.

        SQLite seeks by the first two; the rest is exact, and needed for compound bounds only.
        """
        shared = keys.shared
        parts = [self._equal(column, value) for column, value in zip(columns, shared, strict=False)]
        rest = KeyRange(_after(keys.lower, shared), _after(keys.upper, shared), keys.lower_open, keys.upper_open)
        columns = columns[len(shared) :]
        if rest.lower == () or rest.upper == ():
            # one bound is the prefix of the other, or both are the same
            if (rest.lower == () and rest.lower_open) or (rest.upper == () and rest.upper_open):
                return NOTHING
            rest = KeyRange(rest.lower or None, rest.upper or None, rest.lower_open, rest.upper_open)
        if rest.lower or rest.upper:
            parts += self._rest_of_range(columns, rest)
        return joined("AND", parts) if parts else Sql(f"{self._name(columns[0])} IS NOT NULL")

    def _rest_of_range(self, columns: Sequence[Column], rest: KeyRange) -> list[Sql]:
        first = KeyRange(
            rest.lower and rest.lower[:1],
            rest.upper and rest.upper[:1],
            rest.lower_open and rest.lower is not None and len(rest.lower) == 1,
            rest.upper_open and rest.upper is not None and len(rest.upper) == 1,
        )
        parts = [self._seek(columns[0], first)]
        if rest.lower and len(rest.lower) > 1:
            parts.append(self._beyond(columns, rest.lower, ">", is_open=rest.lower_open))
        if rest.upper and len(rest.upper) > 1:
            parts.append(self._beyond(columns, rest.upper, "<", is_open=rest.upper_open))
        return parts

    def _seek(self, column: Column, keys: KeyRange) -> Sql:
        if column.kind is not ColumnKind.ATOM:
            return _bounded(self._name(column), keys)
        inner = _bounded('"value"', keys)
        return Sql(f'{self._name(column)} IN (SELECT "id" FROM "atoms" WHERE {inner.text})', inner.parameters)

    def _beyond(self, columns: Sequence[Column], bound: Key, sign: str, *, is_open: bool) -> Sql:
        text, value = self.text(columns[0]), bound[0]
        if len(bound) == 1:
            return Sql(f"{text} {sign if is_open else sign + '='} ?", (value,))
        rest = self._beyond(columns[1:], bound[1:], sign, is_open=is_open)
        return Sql(f"({text} {sign} ? OR ({text} = ? AND {rest.text}))", (value, value, *rest.parameters))

    def _name(self, column: Column) -> str:
        return f"+{quoted(column.name)}" if self._is_filter else quoted(column.name)

    def _in_side(self, condition: Points | Ranges, inner: Sql) -> Sql:
        table = quoted(self._schema.side_table(condition.index))
        return Sql(f'"id" IN (SELECT "id" FROM {table} WHERE {inner.text})', inner.parameters)


def _equal_or_in(name: str, values: Sequence[Scalar]) -> Sql:
    if len(values) == 1:
        return Sql(f"{name} = ?", (values[0],))
    sql, parameters = SqliteDialect.values(values)
    return Sql(f"{name} IN ({sql})", parameters)


def _bounded(name: str, keys: KeyRange) -> Sql:
    parts = []
    if keys.lower:
        parts.append(Sql(f"{name} {'>' if keys.lower_open else '>='} ?", keys.lower[:1]))
    if keys.upper:
        parts.append(Sql(f"{name} {'<' if keys.upper_open else '<='} ?", keys.upper[:1]))
    return joined("AND", parts) if parts else Sql(f"{name} IS NOT NULL")


def _after(bound: Key | None, shared: Key) -> Key | None:
    return None if bound is None else bound[len(shared) :]


MAX_SEARCHES: Final = 400  # in one query; SQLite joins 500 SELECTs at most


class Search(msgspec.Struct, frozen=True):
    """Rows that one search by one index finds; `index` is None for the primary key and for multi-entry indexes."""

    where: Sql
    index: str | None = None

    @property
    def tail(self) -> str:
        """What follows the name of the table."""
        return (f"{SqliteDialect.by_index(self.index)} " if self.index else "") + f"WHERE {self.where.text}"


class Compiler:
    """Conditions on one table."""

    def __init__(self, schema: TableSchema[StoredRow], atom_id: AtomId) -> None:
        """Compile for this table, with the ids of interned texts that are known by now."""
        self._schema = schema
        self._searching = Expressions(schema, atom_id)
        self._filtering = Expressions(schema, atom_id, is_filter=True)
        self._orders: dict[tuple[tuple[str, ...], bool], str] = {}

    def where(self, condition: Condition) -> Sql:
        """What follows the name of the table so that the rows which satisfy the condition are found.

        Raises:
            BadQuery: it takes too many searches.
        """
        if isinstance(condition, Everything):
            return Sql("")
        searches = self._searches(condition)
        if len(searches) == 1:
            return Sql(searches[0].tail, searches[0].where.parameters)
        if len(searches) > MAX_SEARCHES:
            raise BadQuery(f"the query takes {len(searches)} searches, and {MAX_SEARCHES} are possible: ask in parts")
        table = quoted(self._schema.name)
        union = " UNION ".join(f'SELECT "id" FROM {table} {search.tail}' for search in searches)
        parameters = tuple(value for search in searches for value in search.where.parameters)
        return Sql(f'WHERE "id" IN ({union})', parameters)

    def order(self, columns: tuple[str, ...], *, is_descending: bool) -> str:
        """ORDER BY these columns and then the primary key. Interned columns are ordered by their text."""
        known = self._orders.get((columns, is_descending))
        if known is None:
            direction = " DESC" if is_descending else ""
            names = dict.fromkeys([*columns, self._schema.spec.primary.path])
            texts = (self._searching.text(self._schema.by_name[name]) for name in names)
            known = self._orders[columns, is_descending] = "ORDER BY " + ", ".join(text + direction for text in texts)
        return known

    def _searches(self, condition: Condition) -> list[Search]:
        """The searches that together find the rows."""
        if isinstance(condition, Either):
            return [*self._searches(condition.left), *self._searches(condition.right)]
        if isinstance(condition, Both):
            return self._narrowed(condition)
        assert isinstance(condition, Points | Ranges)
        if condition.index.is_multi:
            return [Search(where) for where in self._searching.alternatives(condition)]
        index = self._schema.backing(condition.index.columns)
        return [Search(where, index) for where in self._searching.alternatives(condition)]

    def _narrowed(self, condition: Both) -> list[Search]:
        """The searches of the left side, each with the right side as a filter, or with both in one compound index."""
        together = _columns_of(condition)
        index = self._schema.backing(together) if together else None
        if index is not None and isinstance(condition.right, Points | Ranges):
            right = self._searching.alternatives(condition.right)
            left = self._searches(condition.left)
            if len(right) == len(left) == 1:
                return [Search(joined("AND", [left[0].where, right[0]]), index)]
        filtering = self._filter(condition.right)
        return [
            Search(joined("AND", [search.where, filtering]), search.index) for search in self._searches(condition.left)
        ]

    def _filter(self, condition: Condition) -> Sql:
        if isinstance(condition, Both):
            return joined("AND", map(self._filter, (condition.left, condition.right)))
        if isinstance(condition, Either):
            return joined("OR", map(self._filter, (condition.left, condition.right)))
        assert isinstance(condition, Points | Ranges)
        return joined("OR", self._filtering.alternatives(condition))


def _columns_of(condition: Condition) -> tuple[str, ...]:
    """The columns that conditions joined by "and" look at, in order, or nothing when one of them is not that simple."""
    if isinstance(condition, Both):
        left, right = _columns_of(condition.left), _columns_of(condition.right)
        return left + right if left and right else ()
    is_simple = isinstance(condition, Points | Ranges) and not condition.index.is_multi
    return condition.index.columns if is_simple and isinstance(condition, Points | Ranges) else ()

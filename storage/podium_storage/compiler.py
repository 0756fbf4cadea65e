# ruff: noqa: S608  (identifiers come from the declared schema and are quoted; values are parameters)
"""Conditions and orders as SQL, each search by the index that the query named.

Without statistics SQLite takes `status = ?` to be as good as `pubkey = ?`, and two ranges to be worth reading the whole
table. Dexie's `where` names the index, so SQLite is told which one.
"""

from __future__ import annotations

from typing import Final

import msgspec

from podium_storage.columns import StoredRow
from podium_storage.conditions import Both, Condition, Either, Everything, Points, Ranges
from podium_storage.errors import BadQuery
from podium_storage.expressions import AtomId, Expressions, Sql, joined
from podium_storage.schema import TableSchema
from podium_storage.sqlite import SqliteDialect, quoted

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

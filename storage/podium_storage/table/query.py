"""Queries: immutable, built word by word, run by the last word (`first`, `to_list`, `count`, `modify`, ...)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Generic, TypeVar, overload

import msgspec
from msgspec.structs import replace

from podium_storage.backend import SqlRow
from podium_storage.database import Transaction
from podium_storage.errors import BadQuery, BadRow
from podium_storage.sqlite import quoted
from podium_storage.table.codec import chunks, turned
from podium_storage.table.columns import StoredRow
from podium_storage.table.row_store import RowStore, key_of
from podium_storage.table.schema import Index
from podium_storage.table.sql import Sql
from podium_storage.table.where import (
    EVERYTHING,
    Both,
    Condition,
    Either,
    Scalar,
    WhereClause,
    find_index,
    fixed_columns,
    holds_for_none,
    keys_of,
)

Row = TypeVar("Row", bound=StoredRow)

KeyOut = Scalar | tuple[Scalar, ...]


class Query(msgspec.Struct, Generic[Row], frozen=True):
    """Rows that satisfy a condition, in an order.

    The order is by the keys of the index that `where` named, after `or_` by primary key; rows with equal keys come by
    primary key. Text is ordered by code point (IndexedDB: by UTF-16 unit), and a missing value comes first (IndexedDB
    leaves such rows out). Each row comes once, also where several of its multi-entry keys match.
    """

    _store: RowStore[Row]
    _tx: Transaction | None
    _condition: Condition = EVERYTHING
    _index: Index | None = None
    _order: tuple[str, ...] = ()
    _is_descending: bool = False
    _offset: int = 0
    _limit: int | None = None
    _predicates: tuple[Callable[[Row], bool], ...] = ()

    def where(self, path: str) -> WhereClause[Query[Row]]:
        """Name the index to look in; the words of `WhereClause` follow. Only for a query without a condition.

        Raises:
            BadQuery: there is no such index (the text names those there are), or the query has a condition already.
        """
        if self._condition is not EVERYTHING:
            raise BadQuery("the query has a condition already: narrow it with and_, or widen it with or_")
        index = find_index(self._store.schema, path)

        def then(condition: Condition) -> Query[Row]:
            order = () if index.is_multi else index.columns[fixed_columns(condition) :]
            return replace(self, _condition=condition, _index=index, _order=order)

        return WhereClause(self._store.schema, index, then)

    @overload
    def and_(self, what: str) -> WhereClause[Query[Row]]: ...
    @overload
    def and_(self, what: Callable[[Row], bool]) -> Query[Row]: ...
    def and_(self, what: str | Callable[[Row], bool]) -> WhereClause[Query[Row]] | Query[Row]:
        """Narrow the query: by a column, on which the words of `WhereClause` follow, or by a function on rows.

        The column needs no index, since the first `where` has one. The function runs here, on what SQL has found.

        Raises:
            BadQuery: no such column or index.
        """
        if not isinstance(what, str):
            return replace(self, _predicates=(*self._predicates, what))
        index = self._column_or_index(what)
        return WhereClause(
            self._store.schema, index, lambda condition: replace(self, _condition=Both(self._condition, condition))
        )

    def or_(self, path: str) -> WhereClause[Query[Row]]:
        """Widen the query: rows that satisfy all said so far, or what follows. The index must be there.

        Raises:
            BadQuery: no such index, or the query was narrowed by a function before.
        """
        if self._predicates:
            raise BadQuery("or_ after and_(function) is ambiguous: put the function last")
        index = find_index(self._store.schema, path)
        return WhereClause(
            self._store.schema,
            index,
            lambda condition: replace(self, _condition=Either(self._condition, condition), _order=()),
        )

    def order_by(self, path: str) -> Query[Row]:
        """Order by a column or by the columns of an index; without an index on it the rows are sorted.

        Raises:
            BadQuery: no such column or index.
        """
        return replace(self, _order=self._column_or_index(path).columns)

    def reverse(self) -> Query[Row]:
        """Turn the order round."""
        return replace(self, _is_descending=not self._is_descending)

    def offset(self, count: int) -> Query[Row]:
        """Leave out the first rows."""
        return replace(self, _offset=_natural(count, "offset"))

    def limit(self, count: int) -> Query[Row]:
        """Take this many rows at most."""
        return replace(self, _limit=_natural(count, "limit"))

    async def to_list(self) -> list[Row]:
        """The rows.

        Raises:
            StoreError: what the database said; so for every word that runs the query.
            TransactionMisused: the table was bound to a transaction that has ended or did not declare it.
        """
        if holds_for_none(self._condition):
            if self._tx is not None:
                self._tx.admit(self._store.schema.name, write=False)
            return []  # SQLite would walk an index for it, and another thread would be woken
        rows = await self._store.rows(self._tx, self._condition, self._tail(is_cut=not self._predicates))
        if not self._predicates:
            return rows
        kept = await turned(rows, lambda row: row if all(says(row) for says in self._predicates) else None)
        matching = [row for row in kept if row is not None]
        return matching[self._offset :][: self._limit]

    async def first(self) -> Row | None:
        """The first row, or None."""
        rows = await self.limit(1 if self._limit is None else min(1, self._limit)).to_list()
        return rows[0] if rows else None

    async def last(self) -> Row | None:
        """The last row, or None."""
        if self._offset or self._limit is not None:
            rows = await self.to_list()
            return rows[-1] if rows else None
        return await self.reverse().first()

    async def count(self) -> int:
        """The number of rows."""
        if self._predicates:
            return len(await self.to_list())
        is_cut = self._offset > 0 or self._limit is not None
        inner = self._select("1", is_ordered=is_cut)
        rows = await self._run(Sql(f"SELECT count(*) FROM ({inner.text})", inner.parameters))
        return int(rows[0][0] or 0)

    async def keys(self) -> list[KeyOut]:
        """The keys of the rows in the index that `where` named, in order: one for each row, or for each element of
        a multi-entry column that matches. Without `where`, the primary keys.
        """
        index = self._index or self._store.schema.spec.primary
        fields = tuple(self._store.schema.by_name[name].field for name in index.columns)
        rows = await self.to_list()
        return [key if len(key) > 1 else key[0] for row in rows for key in keys_of(row, fields, index)]

    async def unique_keys(self) -> list[KeyOut]:
        """The keys of the rows as `keys` gives them, each once."""
        return list(dict.fromkeys(await self.keys()))

    async def primary_keys(self) -> list[int]:
        """The primary keys of the rows."""
        if self._predicates:
            return [key_of(row) for row in await self.to_list()]
        rows = await self._run(self._select('"id"'))
        return [key for (key,) in rows if isinstance(key, int)]

    async def each(self) -> AsyncIterator[Row]:
        """The rows one by one, a thousand in memory at a time: `async for row in query.each()`.

        Which rows, and their order, is fixed at the beginning. A row is read when its turn comes: it then has the
        changes that other writers made since, and is left out if they deleted it. In a transaction no other writer can.
        """
        for ids in chunks(await self.primary_keys()):
            rows = await self._store.by_ids(self._tx, self._condition, ids)
            for key in ids:
                if key in rows:
                    yield rows[key]

    async def modify(self, change: Callable[[Row], Row] | None = None, /, **fields: object) -> int:
        """Change every row, by a function from row to row or to these values: `modify(status="declined")`.

        Returns the number of rows that became different.

        Raises:
            BadRow: no such field, or a value of another type.
            TransactionMisused: the transaction only reads, or has not declared the table.
        """
        self._check_fields(fields)
        turn = change or (lambda row: row)

        async def scope(tx: Transaction) -> int:
            rows = await self._within(tx).to_list()
            return await self._store.replace(tx, [(row, replace(turn(row), **fields)) for row in rows])

        return await self._writing(scope)

    async def delete(self) -> int:
        """Delete every row. Returns how many."""

        async def scope(tx: Transaction) -> int:
            return await self._store.remove(tx, await self._within(tx).to_list())

        return await self._writing(scope)

    async def explain(self) -> list[str]:
        """SQLite's plan, one line a step: `SEARCH .. USING INDEX ..` is an index, `SCAN` reads every row."""
        select = self._select("*")
        rows = await self._run(Sql(f"EXPLAIN QUERY PLAN {select.text}", select.parameters))
        return [str(row[3]) for row in rows]

    async def _run(self, sql: Sql) -> list[SqlRow]:
        return await self._store.query(self._tx, self._condition, sql)

    def _select(self, what: str, *, is_ordered: bool = True) -> Sql:
        tail = self._tail(is_ordered=is_ordered)
        return Sql(f"SELECT {what} FROM {quoted(self._store.schema.name)} {tail.text}", tail.parameters)

    def _tail(self, *, is_ordered: bool = True, is_cut: bool = True) -> Sql:
        """All that follows the table's name. Functions on rows run before the cut, which is then made here."""
        compiler = self._store.compiler(self._tx)
        where = compiler.where(self._condition)
        words, parameters = [where.text], where.parameters
        if is_ordered:
            words.append(compiler.order(self._order, is_descending=self._is_descending))
        if is_cut and (self._offset or self._limit is not None):
            words.append("LIMIT ? OFFSET ?")
            parameters = (*parameters, 2**63 - 1 if self._limit is None else self._limit, self._offset)
        return Sql(" ".join(words), parameters)

    def _column_or_index(self, path: str) -> Index:
        schema = self._store.schema
        index = schema.by_path.get(path)
        if index is not None and not index.is_multi:
            return index
        column = schema.by_name.get(path)
        if column is None or not column.can_be_indexed:
            there_are = ", ".join(dict.fromkeys([*schema.by_path, *schema.by_name]))
            raise BadQuery(f"{schema.name} has no column or index {path!r} with an order: there are {there_are}")
        return Index((path,))

    def _within(self, tx: Transaction) -> Query[Row]:
        return replace(self, _tx=tx)

    async def _writing(self, scope: Callable[[Transaction], Awaitable[int]]) -> int:
        if self._tx is not None:
            return await scope(self._tx)
        return await self._store.database.transact(scope, tables=[self._store.schema.name])

    def _check_fields(self, fields: Collection[str]) -> None:
        known = [column.field for column in self._store.schema.columns if column.field != "id"]
        for field in fields:
            if field not in known:
                name = self._store.schema.row_type.__name__
                raise BadRow(f"{name} has no field {field!r} that can change: there are {', '.join(known)}")


def _natural(count: int, word: str) -> int:
    if count < 0:
        raise BadQuery(f"{word} takes a number from 0 on, not {count}")
    return count

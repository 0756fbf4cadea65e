"""Tables as Dexie has them: `await rsvps.where("[lessonId+pubkey]").equals([lesson, person]).first()`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import msgspec

from podium_storage.database import Database, Transaction
from podium_storage.errors import BadQuery, BadRow
from podium_storage.table.codec import chunks
from podium_storage.table.columns import StoredRow
from podium_storage.table.interning import Interner
from podium_storage.table.query import Query
from podium_storage.table.row_store import Hooks, RowStore, key_of
from podium_storage.table.schema import Index, TableSchema
from podium_storage.table.where import NOTHING, Key, KeyLike, Points, WhereClause, find_index, keys_of

Row = TypeVar("Row", bound=StoredRow)
T = TypeVar("T")


class Table(Generic[Row]):
    """One table. Each call is a transaction of its own; on `within(tx)` all calls are part of that transaction.

    Every call that reads or writes raises `StoreError` for errors of the database, such as `NotUnique`, and
    `TransactionMisused` for a transaction that has ended, only reads or did not declare this table.
    """

    def __init__(self, store: RowStore[Row], tx: Transaction | None = None) -> None:
        """Bind rows to a transaction, or to none; `Table.from_schema` makes one from a declaration."""
        self._store = store
        self._tx = tx
        self._by_id = (store.schema.spec.primary, ("id",))

    @classmethod
    def from_schema(cls, schema: TableSchema[Row], database: Database, interner: Interner) -> Table[Row]:
        """The table of this declaration. All tables of a database share one interner."""
        return cls(RowStore(schema, database, interner))

    @property
    def name(self) -> str:
        """The table's name, for `transaction` and the change feed."""
        return self._store.schema.name

    @property
    def schema(self) -> TableSchema[Row]:
        """The table's declaration."""
        return self._store.schema

    @property
    def hooks(self) -> Hooks[Row]:
        """The hooks of this table, the same ones within every transaction."""
        return self._store.hooks

    def within(self, tx: Transaction) -> Table[Row]:
        """The same table as part of a transaction."""
        return Table(self._store, tx)

    async def get(self, key: int) -> Row | None:
        """The row with this primary key, or None."""
        return (await self.bulk_get([key]))[0]

    async def bulk_get(self, keys: Sequence[int]) -> list[Row | None]:
        """The row for each primary key, in the order of the keys."""
        found = await self._store.by_ids(self._tx, Points(*self._by_id, frozenset((key,) for key in keys)), keys)
        return [found.get(key) for key in keys]

    async def add(self, row: Row) -> int:
        """Add a row and return its primary key; `NotUnique` when there is one with its key."""
        return (await self.bulk_add([row]))[0]

    async def bulk_add(self, rows: Sequence[Row]) -> list[int]:
        """Add all rows or none, and return their primary keys in order."""
        return await self._writing(lambda tx: self._store.insert(tx, rows))

    async def put(self, row: Row) -> int:
        """Add a row, or write it over the one with its primary key; returns the key."""
        return (await self.bulk_put([row]))[0]

    async def bulk_put(self, rows: Sequence[Row]) -> list[int]:
        """Put all rows or none, and return their primary keys in order.

        Rows without an id are added each time. After `CommitUncertain` they may be there already: use `upsert`.
        """
        return await self._writing(lambda tx: self._put(tx, rows))

    async def upsert(self, rows: Sequence[Row], by: str) -> list[int]:
        """Put all rows or none by a unique index instead of the primary key: safe to repeat.

        A row with the same key in the index keeps its id and takes the rest from the new one; of several new rows
        with one key the last counts. Returns the primary keys in the order of the rows.

        Raises:
            BadQuery: `by` is no unique index.
            BadRow: a row has no value in a column of the index.
        """
        index = find_index(self._store.schema, by)
        if not index.is_unique or index.is_multi or index == self._store.schema.spec.primary:
            unique = ", ".join(index.path for index in self._store.schema.spec.indexes if index.is_unique)
            raise BadQuery(f"{self.name}.{by} is not unique: upsert goes by one of {unique or 'none'}")
        return await self._writing(lambda tx: self._upsert(tx, rows, index))

    async def update(self, key: int, **fields: object) -> int:
        """Change some fields (by their Python names) of one row; returns 1 if that made it different, else 0."""
        return await self.where("id").equals(key).modify(**fields)

    async def delete(self, key: int) -> int:
        """Delete the row with this primary key; returns how many there were, 0 or 1."""
        return await self.bulk_delete([key])

    async def bulk_delete(self, keys: Sequence[int]) -> int:
        """Delete the rows with these primary keys; returns how many there were."""
        return await self.where("id").any_of(keys).delete()

    def all(self) -> Query[Row]:
        """A query for every row, by primary key."""
        return Query(self._store, self._tx)

    def where(self, path: str) -> WhereClause[Query[Row]]:
        """Begin a query in an index, by its Dexie path: `"lessonId"`, `"[lessonId+pubkey]"`.

        Raises:
            BadQuery: there is no such index; the text names those there are.
        """
        return self.all().where(path)

    def filter(self, predicate: Callable[[Row], bool]) -> Query[Row]:
        """A query that reads every row and keeps those the function says yes to."""
        return self.all().and_(predicate)

    def order_by(self, path: str) -> Query[Row]:
        """A query for every row in the order of a column or an index."""
        return self.all().order_by(path)

    async def count(self) -> int:
        """The number of rows."""
        return await self.all().count()

    async def to_list(self) -> list[Row]:
        """Every row, by primary key."""
        return await self.all().to_list()

    def each(self) -> AsyncIterator[Row]:
        """Every row one by one, by primary key, a thousand in memory at a time."""
        return self.all().each()

    async def _put(self, tx: Transaction, rows: Sequence[Row]) -> list[int]:
        given = [row.id for row in rows if row.id is not None]
        if len(set(given)) < len(given):
            raise BadRow(f"{self.name}: two rows of one bulk_put have the same id")
        keys: list[int] = []
        for chunk in chunks(rows):
            keys += await self._put_chunk(tx, chunk)
        return keys

    async def _put_chunk(self, tx: Transaction, rows: Sequence[Row]) -> list[int]:
        given = [row.id for row in rows if row.id is not None]
        stored = await self._store.by_ids(tx, NOTHING, given) if given else {}
        keys = iter(await self._store.insert(tx, [row for row in rows if row.id not in stored]))
        await self._store.replace(tx, [(stored[row.id], row) for row in rows if row.id in stored])
        return [row.id if row.id in stored else next(keys) for row in rows]

    async def _upsert(self, tx: Transaction, rows: Sequence[Row], index: Index) -> list[int]:
        keys: list[int] = []
        for chunk in chunks(rows):
            keys += await self._upsert_chunk(tx, chunk, index)
        return keys

    async def _upsert_chunk(self, tx: Transaction, rows: Sequence[Row], index: Index) -> list[int]:
        fields = tuple(self._store.schema.by_name[name].field for name in index.columns)
        keys = [next(keys_of(row, fields, index)) for row in rows]
        if any(None in key for key in keys):
            raise BadRow(f"{self.name}: a row without a value in {index.path} cannot be found again by it")
        wanted = dict(zip(keys, rows, strict=True))
        found = await self.within(tx).where(index.path).any_of([_as_asked(key) for key in wanted]).to_list()
        stored = {next(keys_of(row, fields, index)): row for row in found}
        added = iter(await self._store.insert(tx, [row for key, row in wanted.items() if key not in stored]))
        await self._store.replace(tx, [(old, _with_id(wanted[key], old.id)) for key, old in stored.items()])
        ids = {key: key_of(stored[key]) if key in stored else next(added) for key in wanted}
        return [ids[key] for key in keys]

    async def _writing(self, scope: Callable[[Transaction], Awaitable[T]]) -> T:
        if self._tx is not None:
            return await scope(self._tx)
        return await self._store.database.transact(scope, tables=[self.name])


def _as_asked(key: Key) -> KeyLike:
    return list(key) if len(key) > 1 else key[0]


def _with_id(row: Row, key: int | None) -> Row:
    return msgspec.structs.replace(row, id=key)

"""The rows of one table in SQL, for `Table` and `Query`. No call makes one statement for each row.

Writes go a thousand rows at a time, each with a constant number of statements, so that the event loop has its turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

import msgspec

from podium_storage.backend import SqlRow, Value
from podium_storage.changes import Change, ChangeKind
from podium_storage.database import Database, Transaction
from podium_storage.errors import BadRow
from podium_storage.sqlite import SqliteDialect, quoted
from podium_storage.table import interning as sequences
from podium_storage.table.codec import RowCodec, chunks, turned
from podium_storage.table.columns import StoredRow
from podium_storage.table.interning import Interner, Read
from podium_storage.table.schema import Index, TableSchema
from podium_storage.table.sql import Compiler, Sql
from podium_storage.table.where import Condition

Row = TypeVar("Row", bound=StoredRow)

Creating = Callable[[Row, Transaction], Row | None]
"""Given the row to be added; returns another one to be added in its place, or None."""
Updating = Callable[[Row, Row, Transaction], Row | None]
"""Given the row as it is and as it shall be; returns another one to be written, or None."""
Deleting = Callable[[Row, Transaction], None]
"""Given the row to be deleted."""


class Hooks(Generic[Row]):
    """The hooks of one table, called in the order in which they were added. They must not wait, so they are plain."""

    def __init__(self) -> None:
        self._creating: list[Creating[Row]] = []
        self._updating: list[Updating[Row]] = []
        self._deleting: list[Deleting[Row]] = []

    def creating(self, hook: Creating[Row]) -> Creating[Row]:
        """Call the function before a row is added; serves as a decorator."""
        self._creating.append(hook)
        return hook

    def updating(self, hook: Updating[Row]) -> Updating[Row]:
        """Call the function before a row is changed; serves as a decorator."""
        self._updating.append(hook)
        return hook

    def deleting(self, hook: Deleting[Row]) -> Deleting[Row]:
        """Call the function before a row is deleted; serves as a decorator."""
        self._deleting.append(hook)
        return hook

    def before_create(self, row: Row, tx: Transaction) -> Row:
        """The row to add."""
        for hook in self._creating:
            row = hook(row, tx) or row
        return row

    def before_update(self, before: Row, after: Row, tx: Transaction) -> Row:
        """The row to write."""
        for hook in self._updating:
            after = hook(before, after, tx) or after
        return after

    def before_delete(self, row: Row, tx: Transaction) -> None:
        """Let the hooks see the row, and refuse."""
        for hook in self._deleting:
            hook(row, tx)


class RowStore(Generic[Row]):
    """Reads and writes rows of one table; every write notes its changes and calls the hooks."""

    def __init__(self, schema: TableSchema[Row], database: Database, interner: Interner) -> None:
        """Serve this table of this database."""
        self.schema = schema
        self.database = database
        self.hooks: Hooks[Row] = Hooks()
        self._interner = interner
        self._codec = RowCodec(schema)
        self._compiler = Compiler(schema, lambda text: interner.known(text, None))
        self._columns = ", ".join(quoted(column.name) for column in schema.columns)
        self._sides = [index for index in schema.spec.indexes if index.is_multi]
        marks = ", ".join("?" * len(schema.columns))
        self._insert = f"INSERT INTO {quoted(schema.name)} ({self._columns}) VALUES ({marks})"

    def compiler(self, tx: Transaction | None) -> Compiler:
        """A compiler that knows the interned texts of this moment."""
        if tx is None:
            return self._compiler
        return Compiler(self.schema, lambda text: self._interner.known(text, tx))

    async def query(self, tx: Transaction | None, condition: Condition, sql: Sql) -> list[SqlRow]:
        """Run a statement that reads rows which satisfy `condition`, in the transaction or on what is committed."""
        return await self._reader(tx, condition)(sql.text, sql.parameters)

    async def rows(self, tx: Transaction | None, condition: Condition, rest: Sql) -> list[Row]:
        """The rows of SELECT .. FROM table `rest`, which satisfy `condition`."""
        read = self._reader(tx, condition)
        found = await read(f"SELECT {self._columns} FROM {quoted(self.schema.name)} {rest.text}", rest.parameters)
        texts = await self._interner.texts(read, tx, self._codec.atoms_in(found))
        return await turned(found, lambda row: self._codec.decode(row, texts))

    async def by_ids(self, tx: Transaction | None, condition: Condition, ids: Sequence[int]) -> dict[int, Row]:
        """The rows that have one of these primary keys."""
        sql, parameters = SqliteDialect.values(ids)
        found = await self.rows(tx, condition, Sql(f'WHERE "id" IN ({sql})', parameters))
        return {key_of(row): row for row in found}

    async def insert(self, tx: Transaction, rows: Iterable[Row]) -> list[int]:
        """Add rows; those without an id are given the next ones. Returns the ids in the order of the rows."""
        tx.admit(self.schema.name, write=True)
        keys: list[int] = []
        for chunk in chunks(rows):
            ready = [self.hooks.before_create(row, tx) for row in await self._numbered(tx, chunk)]
            await self._write(tx, self._insert, ready)
            await self._add_sides(tx, ready, self._sides)
            tx.queue_changes(*(Change(self.schema.name, ChangeKind.CREATED, key_of(row), None, row) for row in ready))
            keys += map(key_of, ready)
        return keys

    async def replace(self, tx: Transaction, pairs: Iterable[tuple[Row, Row]]) -> int:
        """Write rows over what they were (before, after). Returns how many really changed."""
        tx.admit(self.schema.name, write=True)
        return sum([await self._replace(tx, chunk) for chunk in chunks(pairs)])

    async def remove(self, tx: Transaction, rows: Iterable[Row]) -> int:
        """Delete rows that are there. Returns how many."""
        tx.admit(self.schema.name, write=True)
        count = 0
        for chunk in chunks(rows):
            for row in chunk:
                self.hooks.before_delete(row, tx)
            sql, parameters = SqliteDialect.values([key_of(row) for row in chunk])
            count += await tx.execute(f'DELETE FROM {quoted(self.schema.name)} WHERE "id" IN ({sql})', parameters)
            tx.queue_changes(*(Change(self.schema.name, ChangeKind.DELETED, key_of(row), row, None) for row in chunk))
        return count

    def _reader(self, tx: Transaction | None, condition: Condition) -> Read:
        if tx is None:
            return self.database.fetch_all
        tx.admit(self.schema.name, write=False)
        if tx.reads is not None:
            tx.reads.add(self.schema.name, condition)
        return tx.query

    async def _replace(self, tx: Transaction, pairs: Sequence[tuple[Row, Row]]) -> int:
        ready = [(before, self._kept_id(before, self.hooks.before_update(before, row, tx))) for before, row in pairs]
        ready = [(before, after) for before, after in ready if before != after]
        if not ready:
            return 0
        changed = [at for at, column in enumerate(self.schema.columns) if _differs(ready, column.field)]
        names = [self.schema.columns[at].name for at in changed]
        assignments = ", ".join(f"{quoted(name)} = ?" for name in names)
        after = [row for _, row in ready]
        sql = f'UPDATE {quoted(self.schema.name)} SET {assignments} WHERE "id" = ?'
        await self._write(tx, sql, after, changed)
        await self._renew_sides(tx, after, [index for index in self._sides if index.path in names])
        tx.queue_changes(*(Change(self.schema.name, ChangeKind.UPDATED, key_of(new), old, new) for old, new in ready))
        return len(ready)

    async def _numbered(self, tx: Transaction, rows: Sequence[Row]) -> list[Row]:
        given = [row.id for row in rows if row.id is not None]
        if given:
            await sequences.raise_to(tx, self.schema.name, max(given))
        missing = len(rows) - len(given)
        if not missing:
            return list(rows)
        following = iter(range(await sequences.reserve(tx, self.schema.name, missing), 2**63))
        return [row if row.id is not None else msgspec.structs.replace(row, id=next(following)) for row in rows]

    async def _write(
        self, tx: Transaction, sql: str, rows: Sequence[Row], columns: Sequence[int] | None = None
    ) -> None:
        """Run the statement with each row's values: all of them, or those of some columns and then the id."""
        ids = await self._interner.ids(tx, self._codec.texts_in(rows))
        values = await turned(rows, lambda row: self._codec.encode(row, ids))
        if columns is not None:
            values = [[row[at] for at in (*columns, 0)] for row in values]
        await tx.execute_many(sql, values)

    async def _add_sides(self, tx: Transaction, rows: Sequence[Row], sides: Sequence[Index]) -> None:
        for index in sides:
            field = self.schema.by_name[index.path].field
            entries = [(value, key_of(row)) for row in rows for value in dict.fromkeys(getattr(row, field) or ())]
            await tx.execute_many(
                f'INSERT INTO {quoted(self.schema.side_table(index))} ("value", "id") VALUES (?, ?)', entries
            )

    async def _renew_sides(self, tx: Transaction, rows: Sequence[Row], sides: Sequence[Index]) -> None:
        keys: list[Value] = [key_of(row) for row in rows]
        for index in sides:
            sql, parameters = SqliteDialect.values(keys)
            await tx.execute(f'DELETE FROM {quoted(self.schema.side_table(index))} WHERE "id" IN ({sql})', parameters)
        await self._add_sides(tx, rows, sides)

    def _kept_id(self, before: Row, after: Row) -> Row:
        if before.id != after.id:
            raise BadRow(f"{self.schema.name}: the id of a row cannot change (from {before.id} to {after.id})")
        return after


def key_of(row: StoredRow) -> int:
    """The primary key of a row that is in a table."""
    assert row.id is not None
    return row.id


def _differs(pairs: Iterable[tuple[StoredRow, StoredRow]], field: str) -> bool:
    return any(getattr(before, field) != getattr(after, field) for before, after in pairs)

"""A transaction, as the scope that runs in it sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal, TypeVar

from podium_storage.backend import BackendConnection, Parameter, SqlRow, Value
from podium_storage.changes import Batch, Change
from podium_storage.errors import StoreError, TransactionLost, TransactionMisused
from podium_storage.table.where import Condition


class ReadLog:
    """The ranges that were read during one run."""

    def __init__(self) -> None:
        self._conditions: dict[str, set[Condition]] = {}
        self._anything = False

    def add(self, table: str, condition: Condition) -> None:
        """Note that rows which satisfy the condition were read."""
        self._conditions.setdefault(table, set()).add(condition)

    @property
    def tables(self) -> frozenset[str] | None:
        """The tables that were read, or None when it may be any."""
        return None if self._anything else frozenset(self._conditions)

    def add_anything(self) -> None:
        """Note the caller's own SQL: it is unknown what it read, so every change may matter."""
        self._anything = True

    def is_touched_by(self, batch: Batch) -> bool:
        """Whether a change in the batch enters, leaves or alters what was read."""
        return batch.resync or (self._anything and bool(batch.changes)) or any(map(self._sees, batch.changes))

    def _sees(self, change: Change) -> bool:
        rows = [row for row in (change.before, change.after) if row is not None]
        return any(condition.matches(row) for condition in self._conditions.get(change.table, ()) for row in rows)


if TYPE_CHECKING:
    from podium_storage.database import Database

T = TypeVar("T")
Mode = Literal["r", "rw"]


class Transaction:
    """A transaction, valid inside its scope only. It must be passed on explicitly."""

    def __init__(
        self, database: Database, connection: BackendConnection, mode: Mode, tables: frozenset[str] | None
    ) -> None:
        self.database = database
        self.mode = mode
        self.reads: ReadLog | None = None
        self._connection = connection
        self._tables = tables
        self._open = True
        self._lost: StoreError | None = None
        self._changes: list[Change] = []
        self._after_commit: list[Callable[[], None]] = []
        self.outer = inside.get()

    @property
    def is_open(self) -> bool:
        """Whether the scope still runs."""
        return self._open

    @property
    def changes(self) -> Sequence[Change]:
        """The changes so far that will be published after COMMIT."""
        return self._changes

    async def execute(self, sql: str, parameters: Sequence[Value] = ()) -> int:
        """Run one statement and return the number of rows it changed.

        Raises:
            TransactionMisused: the scope has ended, or this is a transaction to read.
            StoreError: what the database said; `NotUnique` and its kin leave the transaction usable.
        """
        self._check(write=True)
        return await self._guarded(self._connection.execute(sql, parameters))

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Parameter]]) -> int:
        """Run one statement for each row of parameters, in one hop; returns and raises as `execute` does."""
        self._check(write=True)
        return await self._guarded(self._connection.execute_many(sql, rows))

    async def fetch_all(self, sql: str, parameters: Sequence[Value] = ()) -> list[SqlRow]:
        """Run one statement and return its rows; a write with RETURNING is fine where writes are."""
        if self.reads is not None:
            self.reads.add_anything()
        return await self.query(sql, parameters)

    async def fetch_one(self, sql: str, parameters: Sequence[Value] = ()) -> SqlRow | None:
        """Run one statement and return its first row."""
        rows = await self.fetch_all(sql, parameters)
        return rows[0] if rows else None

    async def query(self, sql: str, parameters: Sequence[Value] = ()) -> list[SqlRow]:
        """Do as `fetch_all` does for a table handle, which says itself what it reads."""
        self._check(write=False)
        return await self._guarded(self._connection.fetch_all(sql, parameters))

    def queue_changes(self, *changes: Change) -> None:
        """Hand changes to the change feed after COMMIT; they are dropped on rollback."""
        self._check(write=True)
        self._changes += changes

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call this once the transaction is durable, before its changes are published; never after a rollback."""
        self._check(write=True)
        self._after_commit.append(callback)

    def admit(self, table: str, *, write: bool) -> None:
        """Refuse a table or an access that the transaction did not declare.

        Raises:
            TransactionMisused: naming the table and what was declared.
        """
        self._check(write=write)
        if self._tables is not None and table not in self._tables:
            declared = ", ".join(sorted(self._tables)) or "none"
            raise TransactionMisused(f"table {table} is not in this transaction, which declared: {declared}")

    def _check(self, *, write: bool) -> None:
        if not self._open:
            raise TransactionMisused("the transaction has ended: its scope returned, and something kept using it")
        if self._lost is not None:
            raise TransactionLost(f"the database ended the transaction before this statement: {self._lost}")
        if write and self.mode == "r":
            raise TransactionMisused('this transaction only reads: open one with "rw" to write')

    async def _guarded(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except StoreError as error:
            # a full disk, for example, rolls the whole transaction back; later statements would be committed alone
            if not self._connection.in_transaction:
                self._lost = error
            raise

    async def finish(self) -> None:
        """COMMIT. Only the database calls it."""
        if self._lost is not None:
            raise TransactionLost(f"nothing was written, the database ended the transaction: {self._lost}")
        self._open = False
        await self._connection.commit()

    def publish_changes(self) -> None:
        """Run what waited for the commit. Only the database calls it."""
        for callback in self._after_commit:
            callback()
        self.database.changes.publish(self._changes)

    def end(self) -> None:
        """Refuse everything from now on. Only the database calls it."""
        self._open = False


inside: ContextVar[Transaction | None] = ContextVar("podium_storage_transaction", default=None)

"""The database: one writer, its transactions, and connections to read.

A connection shared by several tasks is not transactional: one task's commit would save another's half. So every
write goes through `Database.transact`, which runs BEGIN IMMEDIATE .. COMMIT as one task under the writer's lock.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, Self, TypeVar

from podium_storage import migrations
from podium_storage.backend import Backend, BackendConnection, SqlRow, Value, ended, settled
from podium_storage.changes import ChangeFeed
from podium_storage.errors import CommitUncertain, StoreClosed, StoreError, TransactionLost, TransactionMisused
from podium_storage.migrations import Migration
from podium_storage.sqlite import SqliteBackend
from podium_storage.transaction import Mode, Transaction, inside

__all__ = ["MAX_SNAPSHOTS", "Database", "Mode", "Transaction"]

T = TypeVar("T")

MAX_SNAPSHOTS: Final = 4  # read transactions at a time; each one costs a thread and a page cache


class Database:
    """One writer connection with its lock, one connection for single reads, and a few for snapshots.

    After a commit that raised (`CommitUncertain`) it is unknown whether it is durable. So writes carry a unique key
    and can be made again: `upsert` by a unique index, or INSERT .. ON CONFLICT.
    """

    def __init__(self, backend: Backend, writer: BackendConnection, reader: BackendConnection) -> None:
        self.changes = ChangeFeed()
        self.before_commit: list[Callable[[Transaction], Awaitable[None]]] = []
        """What adds to each write transaction after its scope, as part of it; it may run on the database's thread."""
        self._backend = backend
        self._writer = writer
        self._reader = reader
        self._idle: list[BackendConnection] = []
        self._snapshots = asyncio.Semaphore(MAX_SNAPSHOTS)
        self._lock = asyncio.Lock()
        self._suspect = False
        self._closing = False
        self._closed: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, path: Path | str, schema: Sequence[Migration] | None = None) -> Self:
        """Open the file, made when missing, and bring it to the newest migration (`schema`: the shipped ones).

        Raises:
            WrongDatabase: another program's file, a newer Podium's, or one whose migrations were edited.
            InvalidInput: the path cannot be opened.
            StoreError: what the database said.
        """
        backend = SqliteBackend(path)
        wanted = migrations.shipped() if schema is None else migrations.checked(schema)
        writer = await backend.open_writer()
        try:
            await migrations.migrate(backend, writer, wanted)
            reader = await backend.open_reader()
        except BaseException:
            await writer.close()
            raise
        return cls(backend, writer, reader)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Wait for the transactions under way, end the change feed and close every connection; safe to call twice."""
        if self._closed is None:
            self._refuse_inside("close the store after it")
            self._closing = True
            self._closed = asyncio.create_task(self._close(), name="close the store")
        await settled(self._closed)

    async def transact(
        self,
        scope: Callable[[Transaction], Awaitable[T]],
        *,
        tables: Iterable[str] | None = None,
        in_one_hop: bool = False,
    ) -> T:
        """Run `scope` in one write transaction: committed when it returns, rolled back when it raises.

        A caller that is cancelled while it waits for its turn leaves no trace. Once begun, the transaction runs to
        its end, and only then is the cancellation passed on: `CancelledError` says that it is over, not whether it was
        committed. The scope should wait for nothing but the database, since all other writers wait.

        Args:
            scope: is given the transaction and must not use it after it returned.
            tables: table handles may touch these only; None for all. The caller's own SQL is not checked.
            in_one_hop: run the whole transaction on the database's thread. Quicker for scopes of many statements; what
                such a scope touches besides the transaction must bear another thread.

        Raises:
            TransactionMisused: called inside the scope of another transaction, which would wait for itself.
            CommitUncertain: COMMIT raised. Write again under the same unique keys.
            StoreError: what the database said, and whatever the scope raised.
        """
        self._refuse_inside("open no second transaction: pass the one you have")
        await self._lock.acquire()
        if self._closing:
            self._lock.release()
            raise StoreClosed("the store is closed")
        task = asyncio.create_task(self._write(scope, _names(tables), in_one_hop), name="write transaction")
        task.add_done_callback(lambda _: self._lock.release())
        return await settled(task)

    async def snapshot(self, scope: Callable[[Transaction], Awaitable[T]], *, tables: Iterable[str] | None = None) -> T:
        """Run `scope` in one read transaction: all its reads see the same moment, and no writer waits for it.

        A few run at a time, so the scope should wait for nothing but the database. A cancelled one is cut short.

        Raises:
            TransactionMisused: called inside the scope of a transaction, or the scope tries to write.
            StoreError: what the database said, and whatever the scope raised.
        """
        self._refuse_inside("open no second transaction: pass the one you have")
        self._refuse_closed()
        async with self._snapshots:
            self._refuse_closed()
            task = asyncio.create_task(self._read(scope, _names(tables)), name="read transaction")
            try:
                return await asyncio.shield(task)
            finally:
                # a cancelled reader has nothing to save, but its connection is given back before we go
                task.cancel()
                await ended(task)

    async def fetch_all(self, sql: str, parameters: Sequence[Value] = ()) -> list[SqlRow]:
        """Read committed rows, on a connection that never waits for a writer.

        Raises:
            TransactionMisused: called inside the scope of a transaction, whose own writes it would not see.
        """
        self._refuse_inside("read through the transaction")
        self._refuse_closed()
        return await self._reader.fetch_all(sql, parameters)

    async def fetch_one(self, sql: str, parameters: Sequence[Value] = ()) -> SqlRow | None:
        """Read the first committed row of the answer; raises as `fetch_all` does."""
        self._refuse_inside("read through the transaction")
        self._refuse_closed()
        return await self._reader.fetch_one(sql, parameters)

    def _refuse_inside(self, instead: str) -> None:
        """Refuse when a scope of this database is around us: it would deadlock, or read past its own writes.

        A child task inherits the context of its parent, and may outlive the scope: then it is outside.
        """
        transaction = inside.get()
        while transaction is not None:
            if transaction.database is self and transaction.is_open:
                raise TransactionMisused(f"this runs inside the scope of a transaction: {instead}")
            transaction = transaction.outer

    def _refuse_closed(self) -> None:
        if self._closing:
            raise StoreClosed("the store is closed")

    async def _write(
        self, scope: Callable[[Transaction], Awaitable[T]], tables: frozenset[str] | None, in_one_hop: bool
    ) -> T:
        async def whole(connection: BackendConnection) -> tuple[Transaction, T]:
            return await self._written(scope, Transaction(self, connection, "rw", tables), connection)

        await self._mend()
        try:
            transaction, result = await (self._writer.in_one_hop(whole) if in_one_hop else whole(self._writer))
        except BaseException:
            await self._undo()
            with contextlib.suppress(StoreError):
                await self._mend()
            raise
        transaction.publish_changes()
        return result

    async def _written(
        self, scope: Callable[[Transaction], Awaitable[T]], transaction: Transaction, connection: BackendConnection
    ) -> tuple[Transaction, T]:
        try:
            await connection.begin(write=True)
            inside.set(transaction)
            result = await scope(transaction)
            for add in self.before_commit:
                await add(transaction)
            await self._commit(transaction)
        except BaseException:
            transaction.end()
            raise
        return transaction, result

    async def _commit(self, transaction: Transaction) -> None:
        try:
            await transaction.finish()
        except TransactionLost:
            raise
        except StoreError as error:
            self._suspect = True
            raise CommitUncertain(f"it is unknown whether the transaction is durable: {error}") from error

    async def _undo(self) -> None:
        try:
            await self._writer.rollback()
        except StoreError:
            self._suspect = True

    async def _mend(self) -> None:
        """Replace the writer after a failed commit or rollback: closing it undoes whatever it still holds.

        A new connection may also find that the commit took place after all, which no subscriber has been told.
        """
        if self._suspect:
            await self._writer.close()
            self._writer = await self._backend.open_writer()
            self._suspect = False
            self.changes.resync()

    async def _read(self, scope: Callable[[Transaction], Awaitable[T]], tables: frozenset[str] | None) -> T:
        connection = self._idle.pop() if self._idle else await self._backend.open_reader()
        transaction = Transaction(self, connection, "r", tables)
        try:
            await connection.begin(write=False)
            inside.set(transaction)
            return await scope(transaction)
        finally:
            transaction.end()
            await self._retire(connection)

    async def _retire(self, connection: BackendConnection) -> None:
        try:
            await connection.rollback()
        except BaseException:
            await connection.close()
            raise
        self._idle.append(connection)

    async def _close(self) -> None:
        async with self._lock:
            for _ in range(MAX_SNAPSHOTS):
                await self._snapshots.acquire()
            self.changes.close()
            for connection in (*self._idle, self._reader, self._writer):
                with contextlib.suppress(StoreError):
                    await connection.close()


def _names(tables: Iterable[str] | None) -> frozenset[str] | None:
    return None if tables is None else frozenset(tables)

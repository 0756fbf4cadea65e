"""A connection to a SQLite file, on aiosqlite's thread."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, TypeVar

import aiosqlite

from podium_storage.backend import BackendConnection, Parameter, SqlRow, Value, settled
from podium_storage.errors import StoreClosed, TransactionMisused
from podium_storage.sqlite.dialect import DRIVER_ERRORS, classified

T = TypeVar("T")

CACHED_STATEMENTS: Final = 512  # the queries of the store are few and repeat; Python's default is 128


class SqliteThread(aiosqlite.Connection):
    """aiosqlite's connection and its thread, with a way to run a function there and keep hold of its future.

    A coroutine of aiosqlite can be cancelled while its statement runs, and then no caller learns how the statement
    ended. The bare future is not a task, so that not even the end of the loop cancels it.
    """

    def run(self, function: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        connection = self.opened()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._tx.put_nowait((future, partial(function, connection)))
        return future

    def post(self, function: Callable[[sqlite3.Connection], None]) -> None:
        """Run a function on the thread; it reports its own outcome."""
        self._tx.put_nowait((None, partial(function, self.opened())))

    def opened(self) -> sqlite3.Connection:
        """The driver's connection, to be used on the thread only."""
        if self._connection is None:
            raise StoreClosed("the connection is closed")
        return self._connection


class SqliteConnection:
    """One connection to one file. Every answer is fetched whole within the hop.

    An answer left half read would hold the connection's snapshot, and later reads on it would see stale rows.
    """

    def __init__(self, thread: SqliteThread) -> None:
        self._thread = thread

    @classmethod
    async def open(cls, path: Path, pragmas: Sequence[str]) -> Self:
        """Open the file and apply the pragmas; closes what it opened when that fails."""
        connector = partial(
            sqlite3.connect, path, isolation_level=None, cached_statements=CACHED_STATEMENTS, check_same_thread=True
        )
        thread = SqliteThread(connector, iter_chunk_size=64)
        try:
            await settled(asyncio.ensure_future(_started(thread)))
            connection = cls(thread)
            for pragma in pragmas:
                await connection.fetch_all(pragma)
        except BaseException as error:
            await settled(asyncio.ensure_future(thread.close()))
            if isinstance(error, sqlite3.Error):
                raise classified(error, f"open {path}") from error
            raise
        return connection

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._thread.in_transaction

    async def execute(self, sql: str, parameters: Sequence[Value] = ()) -> int:
        """Run one statement and return the number of rows it changed."""
        return await self._run(sql, lambda connection: connection.execute(sql, parameters).rowcount)

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Parameter]]) -> int:
        """Run one statement for each row of parameters and return the number of rows changed."""
        return await self._run(sql, lambda connection: connection.executemany(sql, rows).rowcount)

    async def fetch_all(self, sql: str, parameters: Sequence[Value] = ()) -> list[SqlRow]:
        """Run one statement and return every row of its answer."""
        return await self._run(sql, lambda connection: connection.execute(sql, parameters).fetchall())

    async def fetch_one(self, sql: str, parameters: Sequence[Value] = ()) -> SqlRow | None:
        """Run one statement and return the first row of its answer."""
        rows = await self.fetch_all(sql, parameters)
        return rows[0] if rows else None

    async def begin(self, *, write: bool) -> None:
        """BEGIN IMMEDIATE takes the write lock now; a deferred one would fail half-way when another process has it."""
        await self._settle("BEGIN IMMEDIATE" if write else "BEGIN")

    async def commit(self) -> None:
        """Make the transaction durable."""
        await self._settle("COMMIT")

    async def rollback(self) -> None:
        """Undo the transaction if one is open: some errors have already done so."""
        await self._settle("ROLLBACK", only_if_open=True)

    def interrupt(self) -> None:
        """Break off the statement that runs now."""
        self._thread.opened().interrupt()

    async def in_one_hop(self, work: Callable[[BackendConnection], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine that waits for nothing but the connection it is given, whole, on the connection's thread."""
        context = copy_context()
        return await settled(
            self._thread.run(lambda connection: context.run(_finished, work(_OnThread(self._thread, connection))))
        )

    async def close(self) -> None:
        """Close the connection and end its thread."""
        await settled(asyncio.ensure_future(self._thread.close()))

    async def _run(self, sql: str, function: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._thread.run(function)
        except DRIVER_ERRORS as error:
            raise classified(error, sql) from error

    async def _settle(self, sql: str, *, only_if_open: bool = False) -> None:
        def run(connection: sqlite3.Connection) -> None:
            # asked on the thread: a statement that is still running there may be ending the transaction
            if connection.in_transaction or not only_if_open:
                connection.execute(sql)

        try:
            await settled(self._thread.run(run))
        except sqlite3.Error as error:
            raise classified(error, sql) from error


class _OnThread(SqliteConnection):
    """The connection as a coroutine sees it that runs on the connection's thread: no call of it waits."""

    def __init__(self, thread: SqliteThread, connection: sqlite3.Connection) -> None:
        super().__init__(thread)
        self._connection = connection

    async def _run(self, sql: str, function: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return function(self._connection)
        except DRIVER_ERRORS as error:
            raise classified(error, sql) from error

    async def _settle(self, sql: str, *, only_if_open: bool = False) -> None:
        if self._connection.in_transaction or not only_if_open:
            await self._run(sql, lambda connection: connection.execute(sql))


def _finished(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end without an event loop; `asyncio.sleep(0)` in it does nothing."""
    try:
        while work.send(None) is None:
            pass
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    raise TransactionMisused("work on the database's thread waits for something else than the database")


async def _started(thread: SqliteThread) -> None:
    await thread


QUESTIONS_A_HOP: Final = 64  # queries answered in one hop before the event loop is woken: some 2 ms of lookups


class SqliteReader(SqliteConnection):
    """A connection that only reads. Queries of many tasks at once are answered in one hop.

    Waking the other thread and being woken by it costs several times what a lookup does.
    """

    def __init__(self, thread: SqliteThread) -> None:
        super().__init__(thread)
        self._waiting: deque[_Question] = deque()
        self._is_posted = False

    async def fetch_all(self, sql: str, parameters: Sequence[Value] = ()) -> list[SqlRow]:
        """Run one statement and return every row of its answer."""
        question = _Question(sql, parameters, asyncio.get_running_loop().create_future())
        self._thread.opened()
        self._waiting.append(question)
        if not self._is_posted:
            self._is_posted = True
            self._thread.post(self._answer)
        return await question.answer

    def _answer(self, connection: sqlite3.Connection) -> None:
        """Answer what is waiting, on the thread of the connection."""
        # cleared before the first look: a query that comes from now on posts another hop, perhaps needlessly
        self._is_posted = False
        while self._waiting:
            questions = [self._waiting.popleft() for _ in range(min(len(self._waiting), QUESTIONS_A_HOP))]
            answers = [(question.answer, _asked(connection, question)) for question in questions]
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile, and no task waits
                questions[0].answer.get_loop().call_soon_threadsafe(_deliver, answers)


class _Question(NamedTuple):
    sql: str
    parameters: Sequence[Value]
    answer: asyncio.Future[list[SqlRow]]


def _asked(connection: sqlite3.Connection, question: _Question) -> list[SqlRow] | Exception:
    try:
        return connection.execute(question.sql, question.parameters).fetchall()
    except DRIVER_ERRORS as error:
        return classified(error, question.sql)
    except Exception as error:  # noqa: BLE001  (handed to the caller)
        return error


def _deliver(answers: list[tuple[asyncio.Future[list[SqlRow]], list[SqlRow] | Exception]]) -> None:
    for future, answer in answers:
        if future.done():
            continue  # the caller was cancelled
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)

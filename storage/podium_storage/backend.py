"""What the store needs of a database. `sqlite` is the only backend; PostgreSQL is to follow behind this interface."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

Value = int | float | str | bytes | None
SqlRow = tuple[Value, ...]
Parameter = Value | bytearray
"""A value of a statement that is run for many rows: SQLite's driver binds a bytearray sooner than bytes."""


class BackendConnection(Protocol):
    """One connection. Calls are executed in the order in which they were made, each in one hop to another thread.

    Every method raises `StoreError` and its kinds, and never an exception of the driver.
    """

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open: an error may have ended it."""

    async def execute(self, sql: str, parameters: Sequence[Value] = ()) -> int:
        """Run one statement and return the number of rows it changed."""

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Parameter]]) -> int:
        """Run one statement for each row of parameters, in one hop, and return the number of rows changed."""

    async def fetch_all(self, sql: str, parameters: Sequence[Value] = ()) -> list[SqlRow]:
        """Run one statement and return every row of its answer."""

    async def fetch_one(self, sql: str, parameters: Sequence[Value] = ()) -> SqlRow | None:
        """Run one statement and return the first row of its answer."""

    async def begin(self, *, write: bool) -> None:
        """Open a transaction: one that may write and has the write lock, or a snapshot to read from."""

    async def commit(self) -> None:
        """End the transaction; cannot be cut short by a cancellation."""

    async def rollback(self) -> None:
        """Undo the transaction if one is open; cannot be cut short by a cancellation."""

    def interrupt(self) -> None:
        """Break off the statement that runs now, if one does; may be called while another task waits for it."""

    async def in_one_hop(self, work: Callable[[BackendConnection], Coroutine[Any, Any, T]]) -> T:
        """Run `work` whole on the connection's thread, with a connection that it may use there.

        It cannot be cut short by a cancellation, and has a copy of the caller's context.

        Raises:
            TransactionMisused: `work` waits for something else than the connection.
        """

    async def close(self) -> None:
        """Close the connection and end its thread; safe to call twice."""


class Backend(Protocol):
    """One database that connections are opened to."""

    async def open_writer(self) -> BackendConnection:
        """Open a connection that may write."""

    async def open_reader(self) -> BackendConnection:
        """Open a connection that cannot write."""

    async def read_identity(self, connection: BackendConnection) -> FileIdentity:
        """Read which program the database belongs to."""

    async def write_identity(self, connection: BackendConnection, version: int) -> None:
        """Mark the database as ours, at this version, in the open transaction."""

    def statements(self, script: str) -> list[str]:
        """Split the text of a migration into its statements."""


class FileIdentity(Protocol):
    """Which program a database file belongs to."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever written to it."""

    @property
    def is_ours(self) -> bool:
        """Whether it carries this application's mark."""

    @property
    def version(self) -> int:
        """Number of the newest migration in it."""


async def settled(future: asyncio.Future[T]) -> T:
    """Wait until `future` is done, however often the caller is cancelled meanwhile, then pass the cancellation on.

    So a caller that sees `CancelledError` knows that the work behind it has ended, in success or in failure.
    """
    try:
        await ended(future)
    except asyncio.CancelledError as cancellation:
        raise cancellation from (None if future.cancelled() else future.exception())
    return future.result()


async def ended(future: asyncio.Future[T]) -> None:
    """Wait as `settled` does, but leave the result or the error in `future`."""
    cancellation: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is not None:
        raise cancellation

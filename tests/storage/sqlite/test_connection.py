"""One connection: errors of the store's own, and nothing left behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from podium_storage.errors import BadRow, ConstraintViolated, NotUnique, StoreClosed, StoreDamaged, StoreError
from podium_storage.sqlite.backend import SqliteBackend
from podium_storage.sqlite.connection import SqliteConnection


def _threads_since(before: set[threading.Thread]) -> list[threading.Thread]:
    return [thread for thread in set(threading.enumerate()) - before if "asyncio" not in thread.name]


def _alive_since(before: set[threading.Thread]) -> list[threading.Thread]:
    for thread in _threads_since(before):
        thread.join(60)  # a thread that is at its end answers a little before it is gone
    return _threads_since(before)


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[SqliteConnection]:
    """A connection to a file with one table."""
    opened = await SqliteBackend(tmp_path / "a.db").open_writer()
    await opened.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER UNIQUE CHECK (n > 0), s TEXT NOT NULL) STRICT"
    )
    yield opened
    await opened.close()


async def test_statements_answer(connection: SqliteConnection) -> None:
    """Writes say how many rows changed, reads give tuples, and one row or None where one is asked for."""
    assert await connection.execute("INSERT INTO t (n, s) VALUES (?, ?)", (1, "a")) == 1
    assert await connection.execute_many("INSERT INTO t (n, s) VALUES (?, ?)", [(2, "b"), (3, "c")]) == 2
    assert await connection.fetch_all("SELECT n, s FROM t WHERE n > ?", (1,)) == [(2, "b"), (3, "c")]
    assert await connection.fetch_one("SELECT s FROM t WHERE n = 3") == ("c",)
    assert await connection.fetch_one("SELECT s FROM t WHERE n = 4") is None


@pytest.mark.parametrize(
    ("sql", "parameters", "kind"),
    [
        ("INSERT INTO t (id, s) VALUES (1, 'x')", (), NotUnique),
        ("INSERT INTO t (n, s) VALUES (1, 'x')", (), NotUnique),
        ("INSERT INTO t (n, s) VALUES (-1, 'x')", (), ConstraintViolated),
        ("INSERT INTO t (n, s) VALUES (2, NULL)", (), ConstraintViolated),
        ("INSERT INTO t (n, s) VALUES ('two', 'x')", (), ConstraintViolated),
        ("INSERT INTO t (n, s) VALUES (?, 'x')", (2**63,), BadRow),
        ("INSERT INTO t (n, s) VALUES (2, ?)", ("\ud800",), BadRow),
        ("SELECT * FROM nothing", (), StoreError),
        ("SELECT ?", (), StoreError),
    ],
)
async def test_each_error_is_one_of_ours(
    connection: SqliteConnection, sql: str, parameters: tuple[int | str, ...], kind: type[Exception]
) -> None:
    """No exception of the driver comes through, and the connection can be used afterwards."""
    await connection.execute("INSERT INTO t (id, n, s) VALUES (1, 1, 'a')")
    with pytest.raises(kind):
        await connection.execute(sql, parameters)
    assert await connection.fetch_one("SELECT count(*) FROM t") == (1,)


async def test_an_error_does_not_quote_values(connection: SqliteConnection) -> None:
    """What was bound may be private, so that errors hold the statement and not its parameters."""
    await connection.execute("INSERT INTO t (n, s) VALUES (1, 'a')")
    for values in [(1, "hush"), (2**70, "hush"), (2, "hush\ud800")]:
        with pytest.raises((StoreError, BadRow)) as caught:
            await connection.execute("INSERT INTO t (n, s) VALUES (?, ?)", values)
        assert "hush" not in str(caught.value)


async def test_begin_commit_and_rollback(connection: SqliteConnection) -> None:
    """A transaction is open from `begin` on, and a rollback without one does nothing."""
    await connection.rollback()
    await connection.begin(write=True)
    was_open = connection.in_transaction
    await connection.execute("INSERT INTO t (n, s) VALUES (1, 'a')")
    await connection.rollback()
    assert (was_open, connection.in_transaction) == (True, False)
    assert await connection.fetch_all("SELECT * FROM t") == []
    await connection.begin(write=True)
    await connection.execute("INSERT INTO t (n, s) VALUES (1, 'a')")
    await connection.commit()
    assert await connection.fetch_one("SELECT count(*) FROM t") == (1,)


async def test_a_commit_that_was_cancelled_is_done_when_the_cancellation_comes(connection: SqliteConnection) -> None:
    """The caller that is cancelled in COMMIT goes when it is over."""
    await connection.begin(write=True)
    await connection.execute("INSERT INTO t (n, s) VALUES (1, 'a')")
    committing = asyncio.create_task(connection.commit())
    await asyncio.sleep(0)
    committing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await committing
    assert not connection.in_transaction


async def test_a_closed_connection_says_so(tmp_path: Path) -> None:
    """After `close` there is no thread any more, every call is refused, and closing again is fine."""
    before = set(threading.enumerate())
    opened = await SqliteBackend(tmp_path / "a.db").open_writer()
    assert _threads_since(before) != []
    await opened.close()
    await opened.close()
    with pytest.raises(StoreClosed):
        await opened.execute("SELECT 1")
    with pytest.raises(StoreClosed):
        await opened.begin(write=True)
    assert _alive_since(before) == []


async def test_an_opening_that_fails_leaves_no_thread(tmp_path: Path) -> None:
    """A file that is no database is refused, and its thread ends."""
    path = tmp_path / "a.db"
    path.write_bytes(b"something else" * 1000)
    before = set(threading.enumerate())
    with pytest.raises(StoreDamaged):
        await SqliteBackend(path).open_writer()
    assert _alive_since(before) == []


async def test_an_opening_that_is_cancelled_leaves_no_thread(tmp_path: Path) -> None:
    """Cancelled at any step of opening, nothing stays open."""
    before = set(threading.enumerate())
    for steps in range(25):
        opening = asyncio.create_task(SqliteBackend(tmp_path / "a.db").open_writer())
        for _ in range(steps):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])
        if not opening.cancelled():
            await opening.result().close()
    assert _alive_since(before) == []

"""Transactions: whole or not at all, one after the other, whatever happens to those who asked for them."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from podium_storage.changes import Batch, Change, ChangeKind
from podium_storage.database import MAX_SNAPSHOTS, Database, Transaction
from podium_storage.errors import (
    CommitUncertain,
    NotUnique,
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreFull,
    TransactionLost,
    TransactionMisused,
)
from podium_storage.migrations import Migration

ITEMS = Migration(
    "0001_items",
    "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT UNIQUE) STRICT;\n"
    "CREATE TABLE parts (item INTEGER NOT NULL REFERENCES items (id) DEFERRABLE INITIALLY DEFERRED) STRICT;\n",
)


async def _open(path: Path) -> Database:
    return await Database.open(path / "a.db", [ITEMS])


async def _ids(database: Database) -> list[int]:
    return [int(key or 0) for (key,) in await database.fetch_all("SELECT id FROM items ORDER BY id")]


async def _insert(tx: Transaction, *keys: int) -> None:
    await tx.execute_many("INSERT INTO items (id) VALUES (?)", [(key,) for key in keys])


async def test_a_scope_that_returns_is_committed(tmp_path: Path) -> None:
    """The scope's result comes back, and what it wrote is there for others."""
    async with await _open(tmp_path) as database:

        async def scope(tx: Transaction) -> int:
            assert await tx.execute("INSERT INTO items (id) VALUES (1), (2)") == 2
            assert await tx.fetch_one("SELECT count(*) FROM items") == (2,)
            return 7

        assert await database.transact(scope) == 7
        assert await _ids(database) == [1, 2]
        assert await database.fetch_one("SELECT id FROM items WHERE id = ?", (3,)) is None


async def test_a_scope_that_raises_is_undone(tmp_path: Path) -> None:
    """The error comes through as it is, nothing is written and nothing is told."""
    async with await _open(tmp_path) as database:
        told: list[str] = []

        async def scope(tx: Transaction) -> None:
            await _insert(tx, 1)
            tx.queue_changes(Change("items", ChangeKind.CREATED, 1))
            tx.after_commit(lambda: told.append("committed"))
            raise LookupError("mine")

        with database.changes.subscribe() as changes:
            with pytest.raises(LookupError, match="mine"):
                await database.transact(scope)
            assert changes.take_changes() is None
        assert told == []
        assert await _ids(database) == []


async def test_changes_are_told_after_the_commit(tmp_path: Path) -> None:
    """A subscriber that is told of a change can read it; before the commit none is told."""
    async with await _open(tmp_path) as database:
        with database.changes.subscribe() as changes:

            async def scope(tx: Transaction) -> None:
                await _insert(tx, 1)
                tx.queue_changes(Change("items", ChangeKind.CREATED, 1))
                await tx.fetch_all("SELECT 1")
                assert changes.take_changes() is None

            writing = asyncio.create_task(database.transact(scope))
            assert await anext(changes) == Batch((Change("items", ChangeKind.CREATED, 1),))
            assert await _ids(database) == [1]
            await writing


async def test_an_error_of_one_statement_leaves_the_transaction_usable(tmp_path: Path) -> None:
    """A unique key that is taken can be handled inside the scope, and the rest is committed."""
    async with await _open(tmp_path) as database:

        async def scope(tx: Transaction) -> None:
            await _insert(tx, 1)
            with pytest.raises(NotUnique, match=r"items\.id"):
                await _insert(tx, 1)
            await _insert(tx, 2)

        await database.transact(scope)
        assert await _ids(database) == [1, 2]


async def test_writers_take_turns(tmp_path: Path) -> None:
    """Many writers that wait in the middle never see each other's half, and none is lost."""
    async with await _open(tmp_path) as database:

        async def scope(tx: Transaction) -> None:
            row = await tx.fetch_one("SELECT coalesce(max(id), 0) FROM items")
            assert row is not None
            for _ in range(random.randrange(4)):
                await asyncio.sleep(0)
            await _insert(tx, int(row[0] or 0) + 1)

        await asyncio.gather(*(database.transact(scope) for _ in range(60)))
        assert await _ids(database) == list(range(1, 61))


async def test_one_that_fails_takes_nobody_with_it(tmp_path: Path) -> None:
    """Transactions that raise, between others that do not, undo their own rows only."""
    async with await _open(tmp_path) as database:

        async def write(key: int) -> None:
            async def scope(tx: Transaction) -> None:
                await _insert(tx, key)
                await asyncio.sleep(0)
                if key % 3 == 0:
                    raise ValueError(key)

            await database.transact(scope)

        results = await asyncio.gather(*(write(key) for key in range(1, 31)), return_exceptions=True)
        assert [isinstance(result, ValueError) for result in results] == [key % 3 == 0 for key in range(1, 31)]
        assert await _ids(database) == [key for key in range(1, 31) if key % 3]


async def test_readers_do_not_see_what_is_not_committed(tmp_path: Path) -> None:
    """A read beside an open transaction sees the state before it, without waiting."""
    async with await _open(tmp_path) as database:
        written, may_end = asyncio.Event(), asyncio.Event()

        async def scope(tx: Transaction) -> None:
            await _insert(tx, 1)
            written.set()
            await may_end.wait()

        writing = asyncio.create_task(database.transact(scope))
        await written.wait()
        assert await _ids(database) == []
        may_end.set()
        await writing
        assert await _ids(database) == [1]


async def test_a_cancelled_caller_does_not_split_a_transaction(tmp_path: Path) -> None:
    """A caller that is cancelled in the middle is let go when the transaction is over, and all of it is there."""
    async with await _open(tmp_path) as database:
        begun, may_end = asyncio.Event(), asyncio.Event()

        async def scope(tx: Transaction) -> None:
            await _insert(tx, 1)
            begun.set()
            await may_end.wait()
            await _insert(tx, 2)

        caller = asyncio.create_task(database.transact(scope))
        await begun.wait()
        caller.cancel()
        following = asyncio.create_task(database.transact(lambda tx: _insert(tx, 3)))
        await asyncio.sleep(0)
        caller.cancel()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert await _ids(database) == [1, 2]
        await following
        assert await _ids(database) == [1, 2, 3]


async def test_a_caller_cancelled_while_it_waits_for_its_turn_writes_nothing(tmp_path: Path) -> None:
    """Who gives up in the queue leaves no row and does not hold up those behind."""
    async with await _open(tmp_path) as database:
        begun, may_end = asyncio.Event(), asyncio.Event()

        async def slow(tx: Transaction) -> None:
            await _insert(tx, 1)
            begun.set()
            await may_end.wait()

        first = asyncio.create_task(database.transact(slow))
        await begun.wait()
        second = asyncio.create_task(database.transact(lambda tx: _insert(tx, 2)))
        third = asyncio.create_task(database.transact(lambda tx: _insert(tx, 3)))
        await asyncio.sleep(0)
        second.cancel()
        may_end.set()
        await first
        await third
        with pytest.raises(asyncio.CancelledError):
            await second
        assert await _ids(database) == [1, 3]


async def test_cancelling_at_any_moment_leaves_whole_transactions(tmp_path: Path) -> None:
    """Cancelled after any number of steps, a transaction is there with all its rows or with none, and others go on."""
    async with await _open(tmp_path) as database:
        for at in range(40):
            pair = (2 * at + 1, 2 * at + 2)

            async def scope(tx: Transaction, pair: tuple[int, int] = pair) -> None:
                await _insert(tx, pair[0])
                await asyncio.sleep(0)
                await _insert(tx, pair[1])

            caller = asyncio.create_task(database.transact(scope))
            for _ in range(at):
                await asyncio.sleep(0)
            caller.cancel()
            await asyncio.wait([caller])
            there = set(await _ids(database)) & set(pair)
            assert there in (set(), set(pair)), at
            assert caller.cancelled() or there == set(pair)


async def test_the_end_of_the_loop_leaves_no_half(tmp_path: Path) -> None:
    """When the loop cancels every task, the transaction under way among them, the file holds none of its rows."""

    def run() -> None:
        async def main() -> None:
            database = await _open(tmp_path)
            begun = asyncio.Event()

            async def scope(tx: Transaction) -> None:
                await _insert(tx, 1)
                begun.set()
                await asyncio.Event().wait()

            writing = asyncio.create_task(database.transact(scope))
            await begun.wait()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.wait([writing])
            assert await _ids(database) == []
            await database.transact(lambda tx: _insert(tx, 2))
            assert await _ids(database) == [2]
            await database.close()

        asyncio.run(main())

    await asyncio.to_thread(run)


async def test_a_transaction_inside_a_transaction_is_refused(tmp_path: Path) -> None:
    """Instead of waiting for itself for ever, a nested call of any kind is told what to do."""
    async with await _open(tmp_path) as database:

        async def scope(tx: Transaction) -> None:
            await _insert(tx, 1)
            with pytest.raises(TransactionMisused, match="pass the one you have"):
                await database.transact(lambda inner: _insert(inner, 2))
            with pytest.raises(TransactionMisused, match="pass the one you have"):
                await database.snapshot(lambda inner: inner.fetch_all("SELECT 1"))
            with pytest.raises(TransactionMisused, match="read through the transaction"):
                await database.fetch_all("SELECT 1")
            with pytest.raises(TransactionMisused, match="close the store after it"):
                await database.close()
            with pytest.raises(TransactionMisused, match="pass the one you have"):
                await asyncio.create_task(database.transact(lambda inner: _insert(inner, 2)))

        await database.transact(scope)
        assert await _ids(database) == [1]


async def test_a_child_task_that_outlives_the_scope_is_free(tmp_path: Path) -> None:
    """A task that was started inside a scope may open transactions when the scope is over."""
    async with await _open(tmp_path) as database:
        over = asyncio.Event()
        children: list[asyncio.Task[None]] = []

        async def child() -> None:
            await over.wait()
            await database.transact(lambda tx: _insert(tx, 2))

        async def scope(tx: Transaction) -> None:
            await _insert(tx, 1)
            children.append(asyncio.create_task(child()))

        await database.transact(scope)
        over.set()
        await children[0]
        assert await _ids(database) == [1, 2]


async def test_two_databases_can_be_used_together(tmp_path: Path) -> None:
    """A scope of one database may use another one; a third level back to the first is refused."""
    async with await _open(tmp_path) as one, await Database.open(tmp_path / "b.db", [ITEMS]) as other:

        async def inner(tx: Transaction) -> None:
            await _insert(tx, 2)
            with pytest.raises(TransactionMisused):
                await one.transact(lambda again: _insert(again, 3))

        async def outer(tx: Transaction) -> None:
            await _insert(tx, 1)
            await other.transact(inner)

        await one.transact(outer)
        assert (await _ids(one), await _ids(other)) == ([1], [2])


async def test_a_transaction_is_of_no_use_after_its_scope(tmp_path: Path) -> None:
    """A transaction that was kept refuses everything, also when the scope failed."""
    async with await _open(tmp_path) as database:
        kept: list[Transaction] = []

        async def scope(tx: Transaction) -> None:
            kept.append(tx)
            if len(kept) == 2:
                raise ValueError

        await database.transact(scope)
        with pytest.raises(ValueError, match=r"^$"):
            await database.transact(scope)
        await database.snapshot(scope)
        for tx in kept:
            assert not tx.is_open
            with pytest.raises(TransactionMisused, match="has ended"):
                await tx.execute("DELETE FROM items")
            with pytest.raises(TransactionMisused, match="has ended"):
                await tx.fetch_all("SELECT 1")
            with pytest.raises(TransactionMisused, match="has ended"):
                tx.queue_changes()


async def test_a_snapshot_sees_one_moment(tmp_path: Path) -> None:
    """All reads of one snapshot agree, whatever is committed between them, and no writer waits for it."""
    async with await _open(tmp_path) as database:
        read, written = asyncio.Event(), asyncio.Event()

        async def scope(tx: Transaction) -> list[object]:
            before = await tx.fetch_one("SELECT count(*) FROM items")
            read.set()
            await written.wait()
            return [before, await tx.fetch_one("SELECT count(*) FROM items")]

        reading = asyncio.create_task(database.snapshot(scope))
        await read.wait()
        await database.transact(lambda tx: _insert(tx, 1))
        written.set()
        assert await reading == [(0,), (0,)]
        assert await database.snapshot(lambda tx: tx.fetch_one("SELECT count(*) FROM items")) == (1,)


async def test_a_snapshot_cannot_write(tmp_path: Path) -> None:
    """A read transaction refuses to write, and so does its connection when SQL tries it under another name."""
    async with await _open(tmp_path) as database:

        async def scope(tx: Transaction) -> None:
            with pytest.raises(TransactionMisused, match="only reads"):
                await tx.execute("DELETE FROM items")
            with pytest.raises(TransactionMisused, match="only reads"):
                tx.queue_changes()
            await tx.fetch_all("INSERT INTO items (id) VALUES (1) RETURNING id")

        with pytest.raises(StoreError, match="readonly"):
            await database.snapshot(scope)
        with pytest.raises(StoreError, match="readonly"):
            await database.fetch_all("INSERT INTO items (id) VALUES (1) RETURNING id")


async def test_snapshots_are_bounded_and_their_connections_used_again(tmp_path: Path) -> None:
    """Many snapshots at once share a few connections, also when some of them fail or are cancelled."""
    async with await _open(tmp_path) as database:
        at_once, most = 0, 0

        async def scope(tx: Transaction) -> None:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            try:
                await tx.fetch_all("SELECT 1")
                if random.random() < 0.3:
                    raise ValueError("mine")
            finally:
                at_once -= 1

        tasks = [asyncio.create_task(database.snapshot(scope)) for _ in range(30)]
        await asyncio.sleep(0)
        for task in tasks[::5]:
            task.cancel()
        await asyncio.wait(tasks)
        assert 1 < most <= MAX_SNAPSHOTS
        assert len(database._idle) <= MAX_SNAPSHOTS
        assert await database.snapshot(lambda tx: tx.fetch_one("SELECT 1")) == (1,)


async def test_closing_waits_for_the_transaction_under_way(tmp_path: Path) -> None:
    """What has begun is committed, what waits is refused, and closing again does nothing."""
    database = await _open(tmp_path)
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def scope(tx: Transaction) -> None:
        begun.set()
        await may_end.wait()
        await _insert(tx, 1)

    first = asyncio.create_task(database.transact(scope))
    await begun.wait()
    second = asyncio.create_task(database.transact(lambda tx: _insert(tx, 2)))
    await asyncio.sleep(0)
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    may_end.set()
    await closing
    await first
    with pytest.raises(StoreClosed):
        await second
    await database.close()
    with pytest.raises(StoreClosed):
        await database.fetch_all("SELECT 1")
    with pytest.raises(StoreClosed):
        await database.snapshot(lambda tx: tx.fetch_all("SELECT 1"))
    async with await _open(tmp_path) as again:
        assert await _ids(again) == [1]


async def test_a_full_disk_is_told_and_nothing_is_half_written(tmp_path: Path) -> None:
    """When there is no space the scope fails, its rows are undone, and after room was made writing goes on."""
    async with await _open(tmp_path) as database:
        await database.transact(lambda tx: _insert(tx, 1))
        await database._writer.fetch_all("PRAGMA max_page_count = 12")

        async def scope(tx: Transaction) -> None:
            await _insert(tx, 2)
            await tx.execute("INSERT INTO items (id, name) VALUES (3, ?)", ("x" * 500_000,))

        with pytest.raises(StoreFull):
            await database.transact(scope)
        assert await _ids(database) == [1]
        await database._writer.fetch_all("PRAGMA max_page_count = 100000")
        await database.transact(scope)
        assert await _ids(database) == [1, 2, 3]


async def test_a_lost_transaction_does_not_go_on(tmp_path: Path) -> None:
    """After an error that ended the transaction, a scope that carries on is stopped: its rows would be on their own."""
    async with await _open(tmp_path) as database:

        async def scope(tx: Transaction) -> None:
            await _insert(tx, 1)
            with pytest.raises(NotUnique):
                await tx.execute("INSERT OR ROLLBACK INTO items (id) VALUES (1)")
            with pytest.raises(TransactionLost):
                await _insert(tx, 3)

        with pytest.raises(TransactionLost, match="nothing was written"):
            await database.transact(scope)
        assert await _ids(database) == []
        await database.transact(lambda tx: _insert(tx, 4))
        assert await _ids(database) == [4]


async def test_a_commit_that_fails_is_uncertain_and_the_next_one_works(tmp_path: Path) -> None:
    """COMMIT itself can raise; the caller hears that the outcome is unknown, and a fresh connection goes on."""
    async with await _open(tmp_path) as database:

        async def scope(tx: Transaction) -> None:
            await _insert(tx, 1)
            # a deferred foreign key is looked at in COMMIT
            await tx.execute("INSERT INTO parts (item) VALUES (99)")

        writer = database._writer
        with database.changes.subscribe() as changes:
            with pytest.raises(CommitUncertain):
                await database.transact(scope)
            assert changes.take_changes() == Batch((), resync=True)
        await database.transact(lambda tx: _insert(tx, 2))
        assert database._writer is not writer
        assert await _ids(database) == [2]


async def test_another_process_that_writes_is_named(tmp_path: Path) -> None:
    """A lock held by another process gives a clear error after the busy time-out, and writing goes on afterwards."""
    async with await _open(tmp_path) as database:
        await database._writer.fetch_all("PRAGMA busy_timeout = 50")
        other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy):
            await database.transact(lambda tx: _insert(tx, 1))
        other.execute("ROLLBACK")
        other.close()
        await database.transact(lambda tx: _insert(tx, 1))
        assert await _ids(database) == [1]


WRITE_PAIRS_FOR_EVER = """
    import asyncio, sys
    from podium_storage.database import Database
    from podium_storage.migrations import Migration

    async def main():
        database = await Database.open(sys.argv[1], [Migration(sys.argv[2], sys.argv[3])])
        for number in range(10**9):
            async def scope(tx):
                await tx.execute("INSERT INTO items (id) VALUES (?)", (2 * number + 1,))
                print("half", number, flush=True)
                await tx.execute("INSERT INTO items (id) VALUES (?)", (2 * number + 2,))
            await database.transact(scope)
            print("whole", number, flush=True)

    asyncio.run(main())
"""


@pytest.mark.faults
@pytest.mark.parametrize("lines", [1, 2, 9, 20, 41])
async def test_a_killed_process_leaves_whole_transactions(tmp_path: Path, lines: int) -> None:
    """Killed at some line, in the middle of a transaction or after it, what was committed is there and no half is."""
    command = [
        sys.executable,
        "-c",
        textwrap.dedent(WRITE_PAIRS_FOR_EVER),
        str(tmp_path / "a.db"),
        ITEMS.name,
        ITEMS.sql,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: ASYNC220  (the test has nothing else to do)
        assert process.stdout is not None
        said = [process.stdout.readline().split() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        said += [line.split() for line in process.stdout]
    assert process.returncode == -signal.SIGKILL
    whole = sum(words[0] == "whole" for words in said)
    async with await _open(tmp_path) as database:
        assert await database.fetch_all("PRAGMA integrity_check") == [("ok",)]
        ids = await _ids(database)
    assert ids == list(range(1, len(ids) + 1))
    assert len(ids) % 2 == 0
    assert len(ids) >= 2 * whole


WRITE_ON_A_BAD_DISK = """
    import asyncio, sys
    from podium_storage.database import Database
    from podium_storage.errors import CommitUncertain
    from podium_storage.migrations import Migration

    async def main():
        async with await Database.open(sys.argv[1], [Migration(sys.argv[2], sys.argv[3])]) as database:
            for number in range(20):
                try:
                    await database.transact(lambda tx: tx.execute("INSERT INTO items (id) VALUES (?)", (number,)))
                    print("committed", number)
                except CommitUncertain:
                    print("uncertain", number)

    asyncio.run(main())
"""


def _can_run(command: list[str]) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 0


def _output_of(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.faults
@pytest.mark.parametrize("call", [10, 13, 15])
async def test_an_fsync_that_fails_is_no_lie_and_does_not_last(tmp_path: Path, call: int) -> None:
    """When fsync fails in COMMIT the caller is told so; all that was reported as committed is there, and it goes on."""
    strace = ["strace", "-f", "-qq", "-e", "trace=fdatasync", "-e", f"inject=fdatasync:error=EIO:when={call}"]
    if not _can_run([*strace, "true"]):
        pytest.skip("needs strace and the right to trace")
    program = [sys.executable, "-c", textwrap.dedent(WRITE_ON_A_BAD_DISK)]
    command = [*strace, *program, str(tmp_path / "a.db"), ITEMS.name, ITEMS.sql]
    said = [line.split() for line in _output_of(command).splitlines()]
    committed = {int(number) for word, number in said if word == "committed"}
    uncertain = {int(number) for word, number in said if word == "uncertain"}
    assert len(said) == 20
    assert uncertain != set()
    assert len(committed) >= 15
    async with await _open(tmp_path) as database:
        assert await database.fetch_all("PRAGMA integrity_check") == [("ok",)]
        assert committed <= set(await _ids(database)) <= committed | uncertain


def test_a_program_that_forgets_to_close_still_sees_an_error_and_not_a_hang(tmp_path: Path) -> None:
    """`async with` closes after an error, so that the process ends."""
    program = """
        import asyncio, sys
        from podium_storage.database import Database
        async def main():
            async with await Database.open(sys.argv[1]):
                raise SystemExit(7)
        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "a.db")]
    assert subprocess.run(command, timeout=30, check=False).returncode == 7

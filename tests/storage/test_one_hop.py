"""Transactions that run whole on the database's thread: they hold what the others hold."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from podium_storage.changes import Batch, Change, ChangeKind
from podium_storage.database import Database, Transaction
from podium_storage.errors import NotUnique, TransactionMisused
from podium_storage.migrations import Migration
from podium_storage.table.interning import Interner
from tests.support.store import opened

ITEMS = Migration("0001_items", "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT UNIQUE) STRICT;\n")


async def _open(path: Path) -> Database:
    return await Database.open(path / "a.db", [ITEMS])


async def _ids(database: Database) -> list[object]:
    return [key for (key,) in await database.fetch_all("SELECT id FROM items ORDER BY id")]


async def _insert(tx: Transaction, *keys: int) -> None:
    await tx.execute_many("INSERT INTO items (id) VALUES (?)", [(key,) for key in keys])


async def test_it_is_committed_on_the_other_thread_and_told_on_ours(tmp_path: Path) -> None:
    """The scope runs beside the event loop, its result comes back, and subscribers hear of it after the commit."""
    threads: list[int] = []
    async with await _open(tmp_path) as database:
        with database.changes.subscribe() as changes:

            async def scope(tx: Transaction) -> int:
                threads.append(threading.get_ident())
                await _insert(tx, 1)
                await asyncio.sleep(0)
                tx.after_commit(lambda: threads.append(threading.get_ident()))
                tx.queue_changes(Change("items", ChangeKind.CREATED, 1))
                return len(await tx.fetch_all("SELECT id FROM items"))

            assert await database.transact(scope, in_one_hop=True) == 1
            assert changes.take_changes() == Batch((Change("items", ChangeKind.CREATED, 1),))
        assert threads[0] != threading.get_ident() == threads[1]
        assert await _ids(database) == [1]


async def test_a_scope_that_raises_is_undone_and_others_go_on(tmp_path: Path) -> None:
    """An error of the database, or of the scope itself, leaves nothing behind."""
    async with await _open(tmp_path) as database:

        async def twice(tx: Transaction) -> None:
            await _insert(tx, 1, 2)
            await _insert(tx, 1)

        async def broken(tx: Transaction) -> None:
            await _insert(tx, 3)
            raise LookupError

        with pytest.raises(NotUnique):
            await database.transact(twice, in_one_hop=True)
        with pytest.raises(LookupError):
            await database.transact(broken, in_one_hop=True)
        await database.transact(lambda tx: _insert(tx, 4))
        assert await _ids(database) == [4]


async def test_a_scope_that_waits_for_something_else_is_refused(tmp_path: Path) -> None:
    """There is no event loop on that thread: a scope that would wait for ever is ended and undone."""
    async with await _open(tmp_path) as database:
        other: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def scope(tx: Transaction) -> None:
            await _insert(tx, 1)
            await other

        with pytest.raises(TransactionMisused, match="something else than the database"):
            await database.transact(scope, in_one_hop=True)
        assert await _ids(database) == []


async def test_no_transaction_is_opened_inside_it(tmp_path: Path) -> None:
    """It would wait for itself, as everywhere."""
    async with await _open(tmp_path) as database:

        async def scope(tx: Transaction) -> None:
            await _insert(tx, 1)
            await database.transact(lambda inner: _insert(inner, 2))

        with pytest.raises(TransactionMisused, match="inside the scope"):
            await database.transact(scope, in_one_hop=True)


async def test_cancelling_at_any_moment_leaves_whole_transactions(tmp_path: Path) -> None:
    """Cancelled after any number of steps, it is there with all its rows or with none, and others go on."""
    async with await _open(tmp_path) as database:
        for at in range(12):
            pair = {2 * at + 1, 2 * at + 2}

            async def scope(tx: Transaction, pair: set[int] = pair) -> None:
                for key in sorted(pair):
                    await _insert(tx, key)

            caller = asyncio.create_task(database.transact(scope, in_one_hop=True))
            for _ in range(at):
                await asyncio.sleep(0)
            caller.cancel()
            await asyncio.wait([caller])
            assert set(await _ids(database)) & pair in (set(), pair), at


async def test_texts_are_interned_there_while_the_loop_looks_them_up(tmp_path: Path) -> None:
    """Two threads share the pairs in memory: none gets another text's id, also when old pairs are dropped."""
    async with opened(tmp_path / "a.db") as tables:
        database, interner = tables.database, Interner(cache_size=50)

        async def intern(number: int) -> dict[str, int]:
            texts = [f"{number}-{place}" for place in range(100)]
            return await database.transact(lambda tx: interner.ids(tx, texts), in_one_hop=True)

        async def look(ids: dict[str, int]) -> None:
            assert await interner.texts(database.fetch_all, None, ids.values()) == {
                key: text for text, key in ids.items()
            }

        ids = await intern(0)
        for number in range(1, 30):
            ids, *_ = await asyncio.gather(intern(number), look(ids), look(ids), look(ids))

"""The store as a whole: the model's tables in one database."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from podium_storage.changes import ChangeKind
from podium_storage.errors import NotUnique, TransactionMisused
from podium_storage.store import BoundTables, Store
from podium_storage.table.models import OptOutRow
from podium_storage.table.schema import TABLES
from podium_storage.table.table import Table
from tests.support.store import rsvp


async def test_the_designs_own_example(tmp_path: Path) -> None:
    """The query that the design shows finds the RSVP, by the index on lesson and person."""
    async with await Store.open(tmp_path / "a.db") as store:
        await store.rsvps.bulk_add([rsvp("lesson", f"person {number}", first_seen=number) for number in range(5)])
        query = store.rsvps.where("[lessonId+pubkey]").equals(["lesson", "person 3"])
        found = await query.first()
        assert found is not None
        assert (found.pubkey, found.first_seen) == ("person 3", 3)
        assert await query.explain() == [
            f"SEARCH {store.rsvps.name} USING INDEX {store.rsvps.name}.[lessonId+pubkey] (lessonId=? AND pubkey=?)"
        ]
        with pytest.raises(NotUnique):
            await store.rsvps.add(rsvp("lesson", "person 3"))


async def test_each_declared_table_is_an_attribute(tmp_path: Path) -> None:
    """The store has every declared table, and each can be read."""
    async with await Store.open(tmp_path / "a.db") as store:
        tables: list[Table[Any]] = [
            store.sessions,
            store.rsvps,
            store.attendance,
            store.ledger,
            store.intervals,
            store.members,
            store.opt_outs,
            store.questions,
            store.controls,
            store.letters,
            store.recordings,
            store.consents,
            store.watches,
            store.calendar_entries,
            store.guests,
            store.chat,
            store.polls,
            store.poll_votes,
            store.question_votes,
            store.badges,
        ]
        assert [table.name for table in tables] == [table.name for table in TABLES]
        assert [await table.count() for table in tables] == [0] * len(tables)


async def test_a_transaction_over_tables_is_all_or_nothing(tmp_path: Path) -> None:
    """What the scope wrote to several tables is undone when it raises, and its result comes back otherwise."""
    async with await Store.open(tmp_path / "a.db") as store:

        async def scope(db: BoundTables) -> int:
            key = await db.rsvps.add(rsvp("lesson", "person"))
            await db.opt_outs.add(OptOutRow(pubkey="person", session_address="*", created_at=1))
            await db.tx.execute("UPDATE optOuts SET createdAt = 2")
            if await db.rsvps.count() > 1:
                raise ValueError
            return key

        assert await store.transaction("rw", [store.rsvps, "optOuts"], scope) == 1
        assert [row.created_at for row in await store.opt_outs.to_list()] == [2]
        with pytest.raises(NotUnique):
            await store.transaction("rw", [store.rsvps, "optOuts"], scope)
        await store.rsvps.update(1, pubkey="another")
        await store.opt_outs.all().delete()
        with pytest.raises(ValueError, match=r"^$"):
            await store.transaction("rw", [store.rsvps, "optOuts"], scope)
        assert (await store.rsvps.count(), await store.opt_outs.count()) == (1, 0)


async def test_a_table_that_was_not_declared_is_refused(tmp_path: Path) -> None:
    """Neither reading nor writing is possible, and the error names what was declared."""
    async with await Store.open(tmp_path / "a.db") as store:

        async def scope(db: BoundTables) -> None:
            assert await db.rsvps.count() == 0
            with pytest.raises(TransactionMisused, match=r"optOuts is not in .* declared: trainingLiveSessionRSVPs"):
                await db.opt_outs.add(OptOutRow(pubkey="person", session_address="*", created_at=1))
            with pytest.raises(TransactionMisused, match="optOuts"):
                await db.opt_outs.all().delete()
            with pytest.raises(TransactionMisused, match="optOuts"):
                await db.opt_outs.count()

        await store.transaction("rw", [store.rsvps], scope)

        async def reading(db: BoundTables) -> None:
            with pytest.raises(TransactionMisused, match="optOuts is not in"):
                await db.opt_outs.to_list()

        await store.transaction("r", [store.rsvps], reading)


async def test_a_read_transaction_refuses_every_write(tmp_path: Path) -> None:
    """Whatever the word, "r" does not write."""
    async with await Store.open(tmp_path / "a.db") as store:
        await store.rsvps.add(rsvp("lesson", "person"))

        async def scope(db: BoundTables) -> None:
            for write in (
                lambda: db.rsvps.add(rsvp("lesson", "new")),
                lambda: db.rsvps.put(rsvp("lesson", "new")),
                lambda: db.rsvps.upsert([rsvp("lesson", "person", "declined")], "[lessonId+pubkey]"),
                lambda: db.rsvps.update(1, status="declined"),
                lambda: db.rsvps.where("status").equals("confirmed").delete(),
                lambda: db.rsvps.where("status").equals("nothing").modify(seat="held"),
                lambda: db.tx.execute("DELETE FROM trainingLiveSessionRSVPs"),
            ):
                with pytest.raises(TransactionMisused, match="only reads"):
                    await write()
            assert await db.rsvps.count() == 1

        async def reading(db: BoundTables) -> None:
            with pytest.raises(TransactionMisused, match="optOuts is not in"):
                await db.opt_outs.to_list()

        await store.transaction("r", [store.rsvps], reading)


async def test_a_read_transaction_sees_one_moment_of_all_tables(tmp_path: Path) -> None:
    """Writers go on beside it, and it sees none of that."""
    async with await Store.open(tmp_path / "a.db") as store:
        read, written = asyncio.Event(), asyncio.Event()

        async def scope(db: BoundTables) -> list[int]:
            counts = [await db.rsvps.count()]
            read.set()
            await written.wait()
            return [*counts, await db.rsvps.count(), await db.opt_outs.count()]

        reading = asyncio.create_task(store.transaction("r", [store.rsvps, store.opt_outs], scope))
        await read.wait()
        await store.rsvps.add(rsvp("lesson", "person"))
        await store.opt_outs.add(OptOutRow(pubkey="person", session_address="*", created_at=1))
        written.set()
        assert await reading == [0, 0, 0]


async def test_the_store_tells_changes_and_runs_live_queries(tmp_path: Path) -> None:
    """The feed and live queries of the store are those of its tables."""
    async with await Store.open(tmp_path / "a.db") as store:
        live = store.live_query(lambda db: db.rsvps.where("lessonId").equals("lesson").count())
        with store.changes.subscribe("trainingLiveSessionRSVPs") as changes:
            async with aclosing(live):
                assert await anext(live) == 0
                await store.rsvps.add(rsvp("lesson", "person"))
                assert await anext(live) == 1
            batch = changes.take_changes()
        assert batch is not None
        assert [(change.kind, change.key) for change in batch.changes] == [(ChangeKind.CREATED, 1)]


async def test_what_was_written_is_there_after_opening_again(tmp_path: Path) -> None:
    """Rows, interned texts and keys survive closing."""
    async with await Store.open(tmp_path / "a.db") as store:
        await store.rsvps.bulk_add([rsvp("lesson", "a"), rsvp("lesson", "b")])
        before = await store.rsvps.to_list()
    async with await Store.open(tmp_path / "a.db") as store:
        assert await store.rsvps.to_list() == before
        assert await store.rsvps.where("pubkey").equals("b").count() == 1

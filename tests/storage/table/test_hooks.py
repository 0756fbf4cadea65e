"""Hooks on the rows about to be written."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from podium_storage.database import Transaction
from tests.support.store import NoteRow, opened


async def test_creating_sees_each_new_row_and_may_replace_it(tmp_path: Path) -> None:
    """The hook gets the row with its key; what it returns is written, None leaves the row as it is."""
    async with opened(tmp_path / "a.db") as tables:
        seen: list[int | None] = []

        @tables.notes.hooks.creating
        def mark(row: NoteRow, _: Transaction) -> NoteRow | None:
            seen.append(row.id)
            return msgspec.structs.replace(row, status="marked") if row.star_count else None

        await tables.notes.bulk_add([NoteRow(), NoteRow(star_count=1)])
        await tables.notes.put(NoteRow(star_count=2))
        assert seen == [1, 2, 3]
        assert [row.status for row in await tables.notes.to_list()] == [None, "marked", "marked"]


async def test_updating_sees_the_row_before_and_after(tmp_path: Path) -> None:
    """The hook is called for put, update, modify and upsert of a row that is there; hooks follow each other."""
    async with opened(tmp_path / "a.db") as tables:

        @tables.notes.hooks.updating
        def count_up(before: NoteRow, after: NoteRow, _: Transaction) -> NoteRow:
            return msgspec.structs.replace(after, star_count=before.star_count + 1)

        @tables.notes.hooks.updating
        def tell(_: NoteRow, after: NoteRow, __: Transaction) -> None:
            told.append(after.star_count)

        told: list[int] = []
        key = await tables.notes.add(NoteRow())
        await tables.notes.update(key, done=True)
        await tables.notes.put(NoteRow(id=key))
        await tables.notes.where("done").equals(False).modify(lambda row: row)
        assert told == [1, 2, 3]
        assert (await tables.notes.to_list())[0].star_count == 3


async def test_deleting_can_refuse(tmp_path: Path) -> None:
    """What a hook raises undoes the whole transaction."""
    async with opened(tmp_path / "a.db") as tables:

        @tables.notes.hooks.deleting
        def keep(row: NoteRow, _: Transaction) -> None:
            if row.done:
                raise PermissionError("kept")

        await tables.notes.bulk_add([NoteRow(), NoteRow(done=True)])
        with pytest.raises(PermissionError, match="kept"):
            await tables.notes.all().delete()
        assert await tables.notes.count() == 2
        assert await tables.notes.where("done").equals(False).delete() == 1


async def test_hooks_hold_within_a_transaction_too(tmp_path: Path) -> None:
    """A handle bound to a transaction has the hooks of its table, and hands them the transaction."""
    async with opened(tmp_path / "a.db") as tables:
        given: list[Transaction] = []

        @tables.notes.hooks.creating
        def remember(_: NoteRow, tx: Transaction) -> None:
            given.append(tx)

        async def scope(tx: Transaction) -> None:
            await tables.notes.within(tx).add(NoteRow())
            assert given == [tx]

        await tables.database.transact(scope)

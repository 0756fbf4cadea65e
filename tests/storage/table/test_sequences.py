"""Numbers that only go up."""

from __future__ import annotations

from pathlib import Path

import pytest

from podium_storage.database import Transaction
from podium_storage.table.interning import raise_to, reserve
from tests.support.store import opened


async def test_numbers_follow_each_other(tmp_path: Path) -> None:
    """Each reservation begins where the last one ended, in each sequence by itself, also after opening again."""
    path = tmp_path / "a.db"
    async with opened(path) as tables:
        assert [await tables.database.transact(lambda tx: reserve(tx, "a", 3)) for _ in range(2)] == [1, 4]
        assert await tables.database.transact(lambda tx: reserve(tx, "b")) == 1
    async with opened(path) as tables:
        assert await tables.database.transact(lambda tx: reserve(tx, "a")) == 7


async def test_numbers_that_were_undone_were_never_given(tmp_path: Path) -> None:
    """A transaction that fails gives its numbers back."""

    async def scope(tx: Transaction) -> None:
        assert await reserve(tx, "a", 5) == 1
        raise ValueError

    async with opened(tmp_path / "a.db") as tables:
        with pytest.raises(ValueError, match=r"^$"):
            await tables.database.transact(scope)
        assert await tables.database.transact(lambda tx: reserve(tx, "a")) == 1


async def test_a_sequence_is_raised_and_never_lowered(tmp_path: Path) -> None:
    """After a number from elsewhere the sequence goes on behind it; a lower one changes nothing."""
    async with opened(tmp_path / "a.db") as tables:
        await tables.database.transact(lambda tx: raise_to(tx, "a", 10))
        await tables.database.transact(lambda tx: raise_to(tx, "a", 5))
        assert await tables.database.transact(lambda tx: reserve(tx, "a")) == 11

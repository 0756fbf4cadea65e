"""Interned texts: one id each, never a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_storage.backend import SqlRow, Value
from podium_storage.database import Transaction
from podium_storage.errors import BadRow, StoreDamaged
from podium_storage.table.interning import Interner
from tests.support.store import NoteRow, SeatRow, TestTables, opened

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)


async def _ids(tables: TestTables, *texts: str) -> dict[str, int]:
    return await tables.database.transact(lambda tx: tables.interner.ids(tx, texts))


async def _atoms(tables: TestTables) -> list[SqlRow]:
    return await tables.database.fetch_all("SELECT id, value FROM atoms ORDER BY id")


async def test_a_text_has_one_id_for_ever(tmp_path: Path) -> None:
    """The same text gets the same id again, in the same process and in the next."""
    async with opened(tmp_path / "a.db") as tables:
        first = await _ids(tables, "a", "b", "c")
        assert await _ids(tables, "c", "a", "d") | first == {**first, "d": first["c"] + 1}
    async with opened(tmp_path / "a.db") as tables:
        assert await _ids(tables, "b", "a") == {"b": first["b"], "a": first["a"]}
        assert len(await _atoms(tables)) == 4


@settings(max_examples=25, deadline=None)
@given(batches=st.lists(st.sets(TEXTS, max_size=5), max_size=4), cache_size=st.integers(1, 6))
async def test_every_text_is_kept_apart(
    tmp_path_factory: pytest.TempPathFactory, batches: list[set[str]], cache_size: int
) -> None:
    """Whatever the texts (U+0000 and the empty one included) and however small the cache, ids and texts correspond."""
    async with opened(tmp_path_factory.mktemp("d") / "a.db", cache_size=cache_size) as tables:
        seen: dict[str, int] = {}
        for batch in batches:
            ids = await _ids(tables, *batch)
            assert set(ids) == batch
            assert all(seen.setdefault(text, key) == key for text, key in ids.items())
        assert len(set(seen.values())) == len(seen)
        read = await tables.interner.texts(tables.database.fetch_all, None, seen.values())
        assert {text: key for key, text in read.items()} == seen
        assert len(tables.interner) <= cache_size


async def test_ids_of_a_transaction_that_was_undone_are_forgotten(tmp_path: Path) -> None:
    """After a rollback the same id may be given to another text, and the cache must not hold the first."""
    async with opened(tmp_path / "a.db") as tables:

        async def undone(tx: Transaction) -> None:
            ids = await tables.interner.ids(tx, ["ghost"])
            assert tables.interner.known("ghost", tx) == ids["ghost"]
            assert tables.interner.known("ghost", None) is None
            raise ValueError

        with pytest.raises(ValueError, match=r"^$"):
            await tables.database.transact(undone)
        assert tables.interner.known("ghost", None) is None
        await tables.notes.add(NoteRow(session_address="real", pubkey="person"))
        assert await _atoms(tables) == [(1, "real"), (2, "person")] or await _atoms(tables) == [
            (1, "person"),
            (2, "real"),
        ]
        assert [row.session_address for row in await tables.notes.to_list()] == ["real"]
        await tables.notes.add(NoteRow(session_address="ghost", pubkey="person"))
        assert [row.session_address for row in await tables.notes.to_list()] == ["real", "ghost"]


async def test_what_a_transaction_minted_is_not_cached_by_its_own_reads(tmp_path: Path) -> None:
    """Rows read back inside the transaction that wrote them do not put its ids into the cache before the commit."""
    async with opened(tmp_path / "a.db") as tables:

        async def undone(tx: Transaction) -> None:
            await tables.notes.within(tx).add(NoteRow(session_address="ghost", pubkey="phantom"))
            assert [row.session_address for row in await tables.notes.within(tx).to_list()] == ["ghost"]
            raise ValueError

        with pytest.raises(ValueError, match=r"^$"):
            await tables.database.transact(undone)
        assert len(tables.interner) == 0


async def test_a_batch_takes_a_constant_number_of_statements(tmp_path: Path) -> None:
    """However many texts are new, known or cached, two statements find and mint them all."""
    async with opened(tmp_path / "a.db", cache_size=100_000) as tables:
        asked: list[str] = []

        async def scope(tx: Transaction) -> None:
            query = tx.query

            async def counted(sql: str, parameters: tuple[Value, ...] = ()) -> list[SqlRow]:
                asked.append(sql)
                return await query(sql, parameters)

            tx.query = counted  # type: ignore[method-assign,assignment]  # counts, and passes on
            await tables.interner.ids(tx, [f"text {number}" for number in range(5_000)])
            await tables.interner.ids(tx, [f"text {number}" for number in range(6_000)])

        await tables.database.transact(scope)
        assert len(asked) == 4
        await _ids(tables, *(f"text {number}" for number in range(6_000)))
        assert len(asked) == 4


async def test_the_least_recently_used_pair_goes_first(tmp_path: Path) -> None:
    """The cache keeps what was used last."""
    async with opened(tmp_path / "a.db", cache_size=2) as tables:
        ids = await _ids(tables, "a")
        await _ids(tables, "b")
        assert tables.interner.known("a", None) == ids["a"]
        await _ids(tables, "c")
        assert tables.interner.known("b", None) is None
        assert tables.interner.known("a", None) == ids["a"]


async def test_an_id_without_text_is_damage(tmp_path: Path) -> None:
    """A row whose lesson is gone is no row: the foreign key forbids it, and a damaged file is named."""
    async with opened(tmp_path / "a.db") as tables:
        with pytest.raises(StoreDamaged, match="1 interned texts are missing"):
            await Interner().texts(tables.database.fetch_all, None, [77])


async def test_a_text_without_utf8_is_refused(tmp_path: Path) -> None:
    """A lone surrogate is refused and nothing of its batch is written."""
    async with opened(tmp_path / "a.db") as tables:
        with pytest.raises(BadRow):
            await tables.seats.bulk_add(
                [
                    SeatRow(session_address="l", pubkey="p", number=1),
                    SeatRow(session_address="\ud800", pubkey="p", number=2),
                ]
            )
        assert await _atoms(tables) == []

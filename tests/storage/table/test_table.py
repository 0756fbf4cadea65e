"""Reading and writing rows by their keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from podium_storage.changes import Change, ChangeKind
from podium_storage.database import Transaction
from podium_storage.errors import BadQuery, BadRow, ConstraintViolated, NotUnique, TransactionMisused
from podium_storage.table.row_store import RowStore
from tests.support.store import NoteRow, SeatRow, opened


def _seat(number: int, pubkey: str = "p", **fields: Any) -> SeatRow:
    return SeatRow(session_address="lesson", pubkey=f"{pubkey}{number}", number=number, **fields)


def _with_id(row: SeatRow, key: int) -> SeatRow:
    return msgspec.structs.replace(row, id=key)


async def test_what_was_added_can_be_got(tmp_path: Path) -> None:
    """`add` returns the key under which `get` finds the row; what is not there is None."""
    async with opened(tmp_path / "a.db") as tables:
        row = NoteRow(session_address="l", pubkey="p", status="s", star_count=3, done=True, labels=("a",), body=b"\0\1")
        key = await tables.notes.add(row)
        assert await tables.notes.get(key) == msgspec.structs.replace(row, id=key)
        assert await tables.notes.get(key + 1) is None
    async with opened(tmp_path / "a.db") as tables:
        assert await tables.notes.get(key) == msgspec.structs.replace(row, id=key)


async def test_many_are_added_and_got_in_order(tmp_path: Path) -> None:
    """`bulk_add` returns the keys in the order of the rows, and `bulk_get` the rows in the order of the keys."""
    async with opened(tmp_path / "a.db") as tables:
        keys = await tables.seats.bulk_add([_seat(number) for number in range(5)])
        found = await tables.seats.bulk_get([keys[3], 999, keys[0], keys[3]])
        assert [row and row.number for row in found] == [3, None, 0, 3]
        assert await tables.seats.bulk_get([]) == []
        assert await tables.seats.bulk_add([]) == []
        assert await tables.seats.count() == 5


async def test_adding_what_is_there_changes_nothing(tmp_path: Path) -> None:
    """A primary or unique key that is taken refuses the whole batch."""
    async with opened(tmp_path / "a.db") as tables:
        key = await tables.seats.add(_seat(1))
        for bad in (_with_id(_seat(3), key), _seat(1), _seat(3, note="x")):
            with pytest.raises(NotUnique):
                await tables.seats.bulk_add([_seat(2, note="x"), bad])
        assert [row.number for row in await tables.seats.to_list()] == [1]
        assert await tables.seats.add(_seat(2)) == key + 1


async def test_missing_values_are_not_equal_under_a_unique_index(tmp_path: Path) -> None:
    """Several rows without a value in a unique column are fine, as in IndexedDB."""
    async with opened(tmp_path / "a.db") as tables:
        await tables.seats.bulk_add([_seat(1), _seat(2)])
        assert [row.note for row in await tables.seats.to_list()] == [None, None]


async def test_put_adds_or_writes_over(tmp_path: Path) -> None:
    """With the id of a row it is replaced whole; with a new id, or none, a row is added."""
    async with opened(tmp_path / "a.db") as tables:
        key = await tables.seats.put(_seat(1, note="old"))
        assert await tables.seats.put(_with_id(_seat(5), key)) == key
        assert await tables.seats.bulk_put([_seat(6), _with_id(_seat(7), 50), _with_id(_seat(8), key)]) == [51, 50, key]
        assert [(row.id, row.number, row.note) for row in await tables.seats.to_list()] == [
            (key, 8, None),
            (50, 7, None),
            (51, 6, None),
        ]
        with pytest.raises(BadRow, match="same id"):
            await tables.seats.bulk_put([_with_id(_seat(1), 1), _with_id(_seat(2), 1)])


async def test_a_key_is_never_given_twice(tmp_path: Path) -> None:
    """Keys count on after the highest ever given, also when that row was deleted and the file opened again."""
    path = tmp_path / "a.db"
    async with opened(path) as tables:
        keys = await tables.seats.bulk_add([_seat(1), _seat(2)])
        assert await tables.seats.bulk_delete(keys) == 2
    async with opened(path) as tables:
        assert await tables.seats.add(_seat(3)) == keys[-1] + 1
        await tables.seats.put(_with_id(_seat(4), 1000))
        await tables.seats.delete(1000)
        assert await tables.seats.add(_seat(5)) == 1001


async def test_upsert_goes_by_a_unique_index(tmp_path: Path) -> None:
    """Rows found by the index keep their id, others are added, and doing it again changes nothing."""
    async with opened(tmp_path / "a.db") as tables:
        await tables.seats.bulk_add([_seat(1), _seat(2)])
        rows = [
            SeatRow(session_address="lesson", pubkey="p2", number=20),
            SeatRow(session_address="lesson", pubkey="p3", number=3),
        ]
        with tables.database.changes.subscribe() as changes:
            assert await tables.seats.upsert(rows, "[lessonId+pubkey]") == [2, 3]
            first = changes.take_changes()
            assert await tables.seats.upsert(rows, "[lessonId+pubkey]") == [2, 3]
            assert changes.take_changes() is None
        assert first is not None
        assert [change.kind for change in first.changes] == [ChangeKind.CREATED, ChangeKind.UPDATED]
        assert [(row.id, row.number) for row in await tables.seats.to_list()] == [(1, 1), (2, 20), (3, 3)]
        assert await tables.seats.upsert([], "number") == []


async def test_of_several_rows_with_one_key_the_last_counts(tmp_path: Path) -> None:
    """One batch may hold a key twice; both get the same id."""
    async with opened(tmp_path / "a.db") as tables:
        rows = [_seat(1, pubkey="a"), _seat(2), _seat(1, pubkey="b")]
        assert await tables.seats.upsert(rows, "number") == [1, 2, 1]
        assert [row.pubkey for row in await tables.seats.to_list()] == ["b1", "p2"]


async def test_upsert_refuses_what_cannot_be_found_again(tmp_path: Path) -> None:
    """An index that is not unique, none at all, or a row without a value in it, is refused."""
    async with opened(tmp_path / "a.db") as tables:
        for path in ("lessonId", "id", "pubkey", "nothing"):
            with pytest.raises(BadQuery):
                await tables.seats.upsert([_seat(1)], path)
        with pytest.raises(BadQuery, match=r"one of number, \[lessonId\+pubkey\], note"):
            await tables.seats.upsert([_seat(1)], "lessonId")
        with pytest.raises(BadRow, match="without a value in note"):
            await tables.seats.upsert([_seat(1)], "note")


async def test_update_changes_some_fields(tmp_path: Path) -> None:
    """It says 1 when the row became different, 0 when it did not or is not there, and refuses unknown fields."""
    async with opened(tmp_path / "a.db") as tables:
        key = await tables.seats.add(_seat(1))
        assert await tables.seats.update(key, number=2, note="n") == 1
        assert await tables.seats.update(key, number=2) == 0
        assert await tables.seats.update(key + 1, number=9) == 0
        assert await tables.seats.get(key) == SeatRow(id=key, session_address="lesson", pubkey="p1", number=2, note="n")
        for bad in ({"nobody": 1}, {"id": 5}, {"lessonId": "x"}):
            with pytest.raises(BadRow, match="that can change: there are session_address, pubkey, number, note"):
                await tables.seats.update(key, **bad)
        with pytest.raises(BadRow, match=r"SeatRow\.number"):
            await tables.seats.update(key, number="2")


async def test_delete_says_how_many_there_were(tmp_path: Path) -> None:
    """Deleting what is not there is no error."""
    async with opened(tmp_path / "a.db") as tables:
        keys = await tables.seats.bulk_add([_seat(number) for number in range(4)])
        assert await tables.seats.delete(keys[0]) == 1
        assert await tables.seats.delete(keys[0]) == 0
        assert await tables.seats.bulk_delete([*keys[:3], 77]) == 2
        assert [row.number for row in await tables.seats.to_list()] == [3]


async def test_each_write_tells_the_row_before_and_after(tmp_path: Path) -> None:
    """The change feed gets every row as it was and as it is, with its key, and nothing for a write without effect."""
    async with opened(tmp_path / "a.db") as tables:
        with tables.database.changes.subscribe("seats") as changes:
            key = await tables.seats.add(_seat(1))
            await tables.seats.update(key, note="n")
            await tables.seats.update(key, note="n")
            await tables.seats.put(_with_id(_seat(1), key))
            await tables.seats.delete(key)
            batch = changes.take_changes()
        old, new = _with_id(_seat(1), key), _with_id(_seat(1, note="n"), key)
        assert batch is not None
        assert batch.changes == (
            Change("seats", ChangeKind.CREATED, key, None, old),
            Change("seats", ChangeKind.UPDATED, key, old, new),
            Change("seats", ChangeKind.UPDATED, key, new, old),
            Change("seats", ChangeKind.DELETED, key, old, None),
        )


async def test_a_table_within_a_transaction_is_part_of_it(tmp_path: Path) -> None:
    """Writes of several tables are there together or not at all, and are seen inside before."""
    async with opened(tmp_path / "a.db") as tables:

        async def scope(tx: Transaction) -> None:
            seats, notes = tables.seats.within(tx), tables.notes.within(tx)
            key = await seats.add(_seat(1))
            await notes.add(NoteRow(session_address="lesson"))
            assert await seats.get(key) is not None
            assert await notes.where("lessonId").equals("lesson").count() == 1
            if await seats.count() == 1:
                raise ValueError

        with pytest.raises(ValueError, match=r"^$"):
            await tables.database.transact(scope)
        assert (await tables.seats.count(), await tables.notes.count()) == (0, 0)
        await tables.seats.add(_seat(0))
        await tables.database.transact(scope)
        assert (await tables.seats.count(), await tables.notes.count()) == (2, 1)


async def test_a_table_outside_a_scope_is_refused_inside(tmp_path: Path) -> None:
    """The unbound handle would read past the transaction's writes, or wait for itself: both are refused."""
    async with opened(tmp_path / "a.db") as tables:

        async def scope(_: Transaction) -> None:
            with pytest.raises(TransactionMisused, match="read through the transaction"):
                await tables.seats.get(1)
            with pytest.raises(TransactionMisused, match="pass the one you have"):
                await tables.seats.add(_seat(1))

        await tables.database.transact(scope)


async def test_no_statement_a_row(tmp_path: Path) -> None:
    """A thousand rows take as many statements as ten."""
    async with opened(tmp_path / "a.db", cache_size=100_000) as tables:

        async def counted(count: int, base: int) -> int:
            asked = 0

            async def scope(tx: Transaction) -> None:
                nonlocal asked
                seats = tables.seats.within(tx)
                connection = tx._connection
                for name in ("execute", "execute_many", "fetch_all"):
                    original = getattr(connection, name)

                    async def spy(sql: str, *parameters: object, original: Any = original) -> object:
                        nonlocal asked
                        asked += 1
                        return await original(sql, *parameters)

                    setattr(connection, name, spy)
                try:
                    keys = await seats.bulk_add([_seat(base + number) for number in range(count)])
                    rows = [row for row in await seats.bulk_get(keys) if row is not None]
                    await seats.bulk_put([msgspec.structs.replace(row, note=f"{row.number}") for row in rows])
                    await seats.upsert([msgspec.structs.replace(row, note=None) for row in rows], "number")
                    assert await seats.where("number").above_or_equal(base).modify(note=None) == 0
                    assert await seats.bulk_delete(keys) == count
                finally:
                    for name in ("execute", "execute_many", "fetch_all"):
                        delattr(connection, name)

            await tables.database.transact(scope)
            return asked

        assert await counted(10, 0) == await counted(1_000, 1_000)


async def test_hostile_text_is_only_text(tmp_path: Path) -> None:
    """Quotes, SQL, NUL and everything else in values goes in and comes out, and is found."""
    async with opened(tmp_path / "a.db") as tables:
        texts = ["'; DROP TABLE notes; --", '"', "a\0b", "a", "", "\x7f\u202e", "💥", "%_", "[1]", "null"]
        await tables.notes.bulk_add([NoteRow(session_address=text, pubkey=text, status=text) for text in texts])
        for text in texts:
            for path in ("lessonId", "status"):
                found = await tables.notes.where(path).equals(text).to_list()
                assert [(row.session_address, row.pubkey, row.status) for row in found] == [(text, text, text)]
                found = await tables.notes.where(path).any_of([text, "not there"]).to_list()
                assert [row.status for row in found] == [text]
            assert await tables.notes.where("[lessonId+pubkey]").equals([text, text]).count() == 1
            assert await tables.notes.where("[lessonId+pubkey]").any_of([[text, text], ["x", "y"]]).count() == 1


async def test_a_row_that_breaks_a_rule_is_told(tmp_path: Path) -> None:
    """What the codec lets through and the schema does not, such as an integer of 65 bits, is our own error."""
    async with opened(tmp_path / "a.db") as tables:
        with pytest.raises(BadRow):
            await tables.seats.add(_seat(2**63))
        await tables.seats.add(_seat(1))
        with pytest.raises(ConstraintViolated):
            await tables.database.transact(lambda tx: tx.execute("UPDATE seats SET number = 'x'"))
        assert (await tables.seats.to_list())[0].number == 1


async def test_the_id_of_a_row_stays(tmp_path: Path) -> None:
    """A function that changes rows may not give them another key."""
    async with opened(tmp_path / "a.db") as tables:
        key = await tables.seats.add(_seat(1))
        with pytest.raises(BadRow, match="id of a row cannot change"):
            await tables.seats.where("id").equals(key).modify(lambda row: _with_id(row, 9))
        assert isinstance(tables.seats._store, RowStore)
        assert await tables.seats.get(key) == _with_id(_seat(1), key)

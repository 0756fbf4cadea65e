"""Which gift wraps were dealt with."""

from __future__ import annotations

from pathlib import Path

import pytest

from podium_protocol.events import EventId
from podium_storage.database import Transaction
from podium_storage.mirror.mirror import OpenedWraps
from tests.support.mirrors import mirrored

ONE, TWO, THREE = (EventId(digit * 64) for digit in "12a")


async def test_what_was_opened_is_known_after_a_restart(tmp_path: Path) -> None:
    """The ids survive, a second mention changes nothing, and others are unknown."""
    async with mirrored(tmp_path / "p.sqlite") as here:
        wraps = OpenedWraps(here.store.database)
        for now in (10, 20):
            await here.store.database.transact(lambda tx, now=now: wraps.add_within(tx, [ONE, THREE], now=now))
    async with mirrored(tmp_path / "p.sqlite") as here:
        wraps = OpenedWraps(here.store.database)
        assert await wraps.known([ONE, TWO, THREE]) == {ONE, THREE}
        assert await wraps.known([]) == frozenset()
        assert await wraps.sweep(11) == 2


async def test_a_transaction_that_fails_opened_nothing() -> None:
    """A wrap whose effects were lost is opened again."""
    async with mirrored() as here:
        wraps = OpenedWraps(here.store.database)

        async def scope(tx: Transaction) -> None:
            await wraps.add_within(tx, [ONE], now=10)
            assert await wraps.known_within(tx, [ONE]) == {ONE}
            raise KeyError

        with pytest.raises(KeyError):
            await here.store.database.transact(scope)
        assert await wraps.known([ONE]) == frozenset()


async def test_old_ids_are_forgotten() -> None:
    """Only those before the time given."""
    async with mirrored() as here:
        wraps = OpenedWraps(here.store.database)
        await here.store.database.transact(lambda tx: wraps.add_within(tx, [ONE], now=10))
        await here.store.database.transact(lambda tx: wraps.add_within(tx, [TWO], now=20))
        assert await wraps.sweep(20) == 1
        assert await wraps.known([ONE, TWO]) == {TWO}


async def test_what_could_not_be_opened_is_remembered_up_to_a_number() -> None:
    """It is known like the others; past the bound the oldest give way, since strangers write as many as they like."""
    async with mirrored() as here:
        wraps = OpenedWraps(here.store.database)
        many = [EventId(f"{number:064x}") for number in range(10)]
        await wraps.add_unopened(many, now=10, at_most=7)
        await wraps.add_unopened(many[3:], now=11, at_most=7)
        assert await wraps.known(many) == set(many[3:])
        assert await wraps.sweep(11) == 7
        assert await wraps.known(many) == frozenset()

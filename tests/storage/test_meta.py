"""What a database knows about itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from podium_protocol.errors import InvalidInput
from podium_storage.meta import Meta
from tests.support.events import NOW, key_of
from tests.support.mirrors import mirrored

ALICE, BOB = key_of(1).pubkey, key_of(2).pubkey


async def test_a_new_database_is_bound_at_its_first_start(tmp_path: Path) -> None:
    """The first service key and the time are kept; starting again with the same key changes neither."""
    async with mirrored(tmp_path / "p.sqlite") as here:
        meta = Meta(here.store.database)
        assert await meta.service() is None
        assert await meta.created_at() is None
        await meta.bind_service(ALICE, now=NOW)
    async with mirrored(tmp_path / "p.sqlite") as here:
        meta = Meta(here.store.database)
        await meta.bind_service(ALICE, now=NOW + 100)
        assert (await meta.service(), await meta.created_at()) == (ALICE, NOW)


async def test_another_services_database_is_refused() -> None:
    """The error names both keys and what to do, and the database stays whose it was."""
    async with mirrored() as here:
        meta = Meta(here.store.database)
        await meta.bind_service(ALICE, now=NOW)
        with pytest.raises(InvalidInput, match=f"{ALICE}.*{BOB}.*storage.path"):
            await meta.bind_service(BOB, now=NOW)
        assert await meta.service() == ALICE


async def test_two_that_bind_at_once_do_not_both_win() -> None:
    """Of two keys that come at the same time one is bound, and the other one is refused."""
    async with mirrored() as here:
        meta = Meta(here.store.database)
        results = await asyncio.gather(
            *(meta.bind_service(key, now=NOW) for key in (ALICE, BOB)), return_exceptions=True
        )
        assert sorted(type(result).__name__ for result in results) == ["InvalidInput", "NoneType"]


async def test_values_are_named() -> None:
    """A name has the value it was given last, or none."""
    async with mirrored() as here:
        meta = Meta(here.store.database)
        await meta.set("a", "1")
        await meta.set("a", "2")
        assert (await meta.get("a"), await meta.get("b")) == ("2", None)


async def test_a_settled_value_is_made_once() -> None:
    """Of many that ask at once for a name without a value, all get the one that was kept."""
    async with mirrored() as here:
        meta = Meta(here.store.database)
        made = iter("abcdefgh")
        values = await asyncio.gather(*(meta.settled("secret", lambda: next(made)) for _ in range(8)))
        assert set(values) == {"a"}
        assert await meta.settled("secret", lambda: "later") == "a"


async def test_counting_loses_nobody() -> None:
    """Counts that come at once are all counted."""
    async with mirrored() as here:
        meta = Meta(here.store.database)
        assert sorted(await asyncio.gather(*(meta.count("n") for _ in range(10)))) == list(range(1, 11))
        assert await meta.get("n") == "10"

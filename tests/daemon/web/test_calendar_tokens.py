"""Calendar tokens on a real database."""

from __future__ import annotations

from pathlib import Path

import pytest

from podium_daemon.web.calendars import CalendarTokens
from podium_storage.store import Store
from tests.support.world import new_key


async def test_a_token_names_its_owner_and_survives_a_restart(tmp_path: Path) -> None:
    """The same address works for good, and no two people have the same."""
    ada, ben = new_key().pubkey, new_key().pubkey
    async with await Store.open(tmp_path / "a.sqlite3") as store:
        tokens = CalendarTokens(store.database)
        first, second = await tokens.token(ada), await tokens.token(ben)
    async with await Store.open(tmp_path / "a.sqlite3") as store:
        tokens = CalendarTokens(store.database)
        assert (await tokens.owner(first), await tokens.owner(second)) == (ada, ben)
        assert await tokens.token(ada) == first


async def test_another_database_makes_other_tokens(tmp_path: Path) -> None:
    """Who knows the key and the code cannot make a token: the secret is the database's."""
    ada = new_key().pubkey
    async with await Store.open(tmp_path / "a.sqlite3") as one, await Store.open(tmp_path / "b.sqlite3") as other:
        token = await CalendarTokens(one.database).token(ada)
        assert await CalendarTokens(other.database).owner(token) is None


async def test_revoking_ends_ones_own_tokens_only(tmp_path: Path) -> None:
    """After a revocation the old address is worthless, a new one works, and nobody else notices."""
    ada, ben = new_key().pubkey, new_key().pubkey
    async with await Store.open(tmp_path / "a.sqlite3") as store:
        tokens = CalendarTokens(store.database)
        old, bens = await tokens.token(ada), await tokens.token(ben)
        await tokens.revoke(ada)
        await tokens.revoke(ada)
        assert await tokens.owner(old) is None
        assert await tokens.owner(await tokens.token(ada)) == ada
        assert await tokens.owner(bens) == ben


async def test_every_changed_digit_makes_it_worthless(tmp_path: Path) -> None:
    """Another key, another proof, a letter more or less, capitals, an npub: nobody's."""
    ada = new_key().pubkey
    async with await Store.open(tmp_path / "a.sqlite3") as store:
        tokens = CalendarTokens(store.database)
        good = await tokens.token(ada)
        assert len(good) == 128
        for at in range(128):
            changed = good[:at] + ("0" if good[at] != "0" else "1") + good[at + 1 :]
            assert await tokens.owner(changed) is None, at
        for text in ("", good[:-1], good + "0", good + "\n", good.upper(), " " + good, good[:64], "é" * 128):
            assert await tokens.owner(text) is None, text


@pytest.mark.parametrize("count", [2, 7])
async def test_the_secret_is_made_once_however_many_ask(tmp_path: Path, count: int) -> None:
    """Two parts of a daemon that ask at the same time get the same secret."""
    ada = new_key().pubkey
    async with await Store.open(tmp_path / "a.sqlite3") as store:
        assert len({await CalendarTokens(store.database).token(ada) for _ in range(count)}) == 1

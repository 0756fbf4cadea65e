"""Many tabs of one browser on plain HTTP, where browsers open six connections to a host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.page import Here, page_house, press, seen
from tests.support.relays import new_key

pytestmark = [pytest.mark.real_peer, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[Here]:
    """One daemon and one browser for all."""
    async with page_house() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def here(house: Here) -> AsyncIterator[Here]:
    """The house, with no page left open afterwards."""
    yield house
    await house.close_pages()


async def test_seven_tabs_share_one_stream(here: Here) -> None:
    """All of them follow the session, calls find a connection, and another tab goes on when the first is closed."""
    url = await here.scheduled()
    visitor = await here.person(new_key())
    first = await visitor.open(url)
    await seen(first, "0 people have confirmed.")
    others = [await visitor.open(url) for _ in range(6)]
    for page in others:
        await seen(page, "0 people have confirmed.")
    await press(others[-1], "Confirm")
    for page in (first, *others):
        await seen(page, "1 person has confirmed.")
    assert len([one for one in visitor.requests if "/api/stream" in one]) == 1
    await first.close()
    another = await (await here.person(new_key())).open(url)
    await press(another, "Confirm")
    await asyncio.gather(*(seen(page, "2 people have confirmed.") for page in others))
    assert visitor.errors == []


async def test_seven_tabs_of_seven_sessions_share_one_stream_too(here: Here) -> None:
    """Each follows its own session, calls find a connection, signing in and out reaches all, another tab takes over."""
    urls = [await here.scheduled() for _ in range(7)]
    visitor = await here.person(new_key())
    pages = [await visitor.open(url) for url in urls]
    for page in pages:
        await seen(page, "0 people have confirmed.")
    await press(pages[-1], "Confirm")
    await seen(pages[-1], "1 person has confirmed.")
    await press(pages[3], "Sign in")
    for page in pages:
        await page.get_by_role("button", name="Sign out", exact=True).wait_for()
    await pages[0].close()
    another = await (await here.person(new_key())).open(urls[4])
    await press(another, "Confirm")
    await seen(pages[4], "1 person has confirmed.")
    await press(pages[5], "Sign out")
    for page in pages[1:]:
        await page.get_by_role("button", name="Sign in", exact=True).wait_for()
    await seen(pages[1], "0 people have confirmed.")
    assert visitor.errors == []

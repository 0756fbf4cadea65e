"""Many tabs of one browser on plain HTTP, where browsers open six connections to a host."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.page import page_house, press, seen
from tests.support.relays import new_key

pytestmark = pytest.mark.real_peer


async def test_seven_tabs_share_one_stream() -> None:
    """All of them follow the session, calls find a connection, and another tab goes on when the first is closed."""
    async with page_house() as here:
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
        assert len([one for one in visitor.requests if "/api/sessions/" in one and one.endswith("/events")]) == 1
        await first.close()
        another = await (await here.person(new_key())).open(url)
        await press(another, "Confirm")
        await asyncio.gather(*(seen(page, "2 people have confirmed.") for page in others))
        assert visitor.errors == []

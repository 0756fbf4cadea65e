"""A page that was in the room and is loaded again: its seat is there for it, unless its person said that they leave."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from podium_storage.table.models import LiveSessionRow
from tests.support.relays import new_key
from tests.support.site import Site, closing, site, welcomed


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    async with site() as running:
        yield running


async def live(here: Site) -> LiveSessionRow:
    """A session that was started."""
    row = await here.here.schedule(starts_in=60)
    assert (await here.post(here.path_of(row, "start"), here.here.instructor)).status_code == 200
    return row


@pytest.mark.parametrize("code", [1000, 1001])
async def test_a_page_that_is_loaded_again_comes_back_without_a_signature(here: Site, code: int) -> None:
    """A browser that closes the socket has not said that its person leaves; the way back is good once."""
    row = await live(here)
    page = await here.enter(new_key(), row)
    secret = page.welcome["secret"]
    await page.socket.close(code)
    again = await here.open_socket(row, {"type": "return", "secret": secret})
    await welcomed(again)
    third = await here.open_socket(row, {"type": "return", "secret": secret})
    assert await closing(third) == 4011


async def test_who_says_that_they_leave_joins_anew(here: Site) -> None:
    """After "Leave" the way back is closed, on a device that others use too."""
    row = await live(here)
    page = await here.enter(new_key(), row)
    await page.say("leave")
    await closing(page)
    again = await here.open_socket(row, {"type": "return", "secret": page.welcome["secret"]})
    assert await closing(again) == 4011

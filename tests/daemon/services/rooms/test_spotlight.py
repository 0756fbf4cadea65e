"""The spotlight: one person large for everybody, over the room's real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from podium_daemon.conference.engine import Support
from podium_daemon.services.rooms.room_messages import RoomSpotlight
from podium_storage.table.models import LiveSessionRow
from tests.support.able_engine import AbleEngine
from tests.support.relays import new_key
from tests.support.site import Site, reading, site


@pytest_asyncio.fixture
async def here() -> AsyncIterator[Site]:
    """A site whose engine shows people on our page."""
    async with site(engine=AbleEngine) as running:
        yield running


async def live(here: Site) -> LiveSessionRow:
    """A session that runs."""
    row = await here.here.schedule(starts_in=0)
    await here.here.turn()
    return await here.here.row(row.session_address)


async def test_everybody_is_told_who_is_large(here: Site) -> None:
    """Those who are there, newcomers, and those who look at the room; until it is nobody. Only leaders choose."""
    row, ada, ben = await live(here), new_key(), new_key()
    path = here.path_of(row, "room", "spotlight")
    adas = await here.enter(ada, row)
    assert (await here.post(path, ada, {"pubkey": ada.pubkey})).status_code == 403
    answer = await here.post(path, here.here.instructor, {"pubkey": ben.pubkey})
    assert answer.json()["spotlight"] == {"support": "native", "pubkey": ben.pubkey}
    bens = await here.enter(ben, row)
    for page in (adas, bens):
        assert await reading(page) == {"type": "spotlight", "pubkey": ben.pubkey}
    assert (await here.get(here.path_of(row, "room"), ada)).json()["spotlight"]["pubkey"] == ben.pubkey
    await here.post(path, here.here.instructor, {"pubkey": None})
    for page in (adas, bens):
        assert await reading(page) == {"type": "spotlight", "pubkey": None}


async def test_it_is_kept(here: Site) -> None:
    """Another daemon on the same store shows the same person large, and mute-all is left as it was."""
    row, ada = await live(here), new_key()
    await here.here.controls.mute_all(row, here.here.instructor.pubkey, wanted=False)
    assert await here.here.rooms.put_spotlight(row, ada.pubkey, here.here.instructor.pubkey) is None
    lit = await RoomSpotlight(here.here.store, here.here.engine).spotlight_of(row.session_address)
    assert (lit.support, lit.pubkey) == (Support.NATIVE, ada.pubkey)
    (kept,) = await here.here.store.controls.to_list()
    assert (kept.spotlight, kept.muted) == (ada.pubkey, False)

"""How much a browser loads before a session's page is there."""

from __future__ import annotations

import pytest

from tests.support.page import page_house, seen
from tests.support.relays import new_key

pytestmark = pytest.mark.real_peer

MOST = 300_000


async def test_the_first_load_of_a_session_stays_under_300_kilobytes() -> None:
    """All that comes over the wire to a browser that was never here, headers and both catalogues included."""
    async with page_house() as here:
        url = await here.scheduled()
        visitor = await here.person(new_key(), locale="de")
        page = await visitor.context.new_page()
        wire = await visitor.context.new_cdp_session(page)
        arrived: list[float] = []
        wire.on("Network.loadingFinished", lambda told: arrived.append(told["encodedDataLength"]))
        await wire.send("Network.enable")
        await page.goto(url)
        await seen(page, "0 Personen haben zugesagt.")
        assert len(arrived) > 20
        assert sum(arrived) < MOST

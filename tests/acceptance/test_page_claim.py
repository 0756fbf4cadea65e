"""The first start: the operator claims a new service with a link that the daemon prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from podium_protocol.nips.nip19 import encode_npub
from tests.support.browsers import chromium, visit
from tests.support.installed import Site, free_port
from tests.support.page import press, seen
from tests.support.relays import new_key
from tests.support.until import until
from tests.support.wheel import installed_wheel

pytestmark = pytest.mark.real_peer


async def test_the_operator_claims_a_new_service(tmp_path: Path) -> None:
    """The printed link makes the key that signs in an instructor's, once; who is none reads how to become one."""
    settings = {"embedded.enabled": True, "embedded.port": free_port(), "embedded.in_memory": True}
    house = Site(tmp_path, relays=[], settings=settings)
    await house.make_key()
    async with chromium() as browser, house.started(**installed_wheel().environment) as daemon:
        await daemon.until_ready()

        async def printed() -> str | None:
            found = re.search(r"http\S+/#claim=\S+", house.texts())
            return None if found is None else found[0]

        link = await until(printed, "the link is printed")
        assert link is not None
        operator, other = await visit(browser, new_key()), await visit(browser, stranger := new_key())
        page = await operator.open(link)
        await seen(page, "This service has no instructor yet")
        assert "claim" not in page.url, "it does not stay in the address bar"
        await press(page, "Sign in and become an instructor")
        await seen(page, "You are an instructor of this service now")
        await page.get_by_label("Title").wait_for()
        assert not await page.get_by_text("This service has no instructor yet").is_visible()
        await page.reload()
        await seen(page, "Schedule a session")
        late = await other.open(link)
        await press(late, "Sign in and become an instructor")
        await seen(late, "This link was used already, or is too old.")
        await late.goto(house.base)
        await seen(late, f"podium instructors add {encode_npub(stranger.pubkey)}")
        assert not await late.get_by_text("Schedule a session").is_visible()

"""From the session's page into a meeting on another server, in a real browser; BigBlueButton is played."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from podium_protocol.live.names import short_npub
from tests.acceptance.test_page_media import Here
from tests.support.browsers import chromium
from tests.support.fake_bigbluebutton import FakeBigBlueButton
from tests.support.http_stage import Call, Reply, http_stage
from tests.support.installed import Site, free_port
from tests.support.page import press, seen
from tests.support.relays import new_key
from tests.support.until import until

pytestmark = pytest.mark.real_peer

SECRET = "Nc3GahVNwGmcKmtl2AoPJY0sHTMbLEMZ"


class Played(FakeBigBlueButton):
    """With a page behind the redirect, and webhooks over HTTP."""

    async def answer(self, call: Call) -> Reply:
        """As a browser sees it."""
        if call.target.startswith("/html5client/"):
            body = b"<!doctype html><title>The meeting</title><h1>Welcome to the meeting</h1>"
            return Reply(body=body, headers=(("Content-Type", "text/html"),))
        # a browser also asks for an icon
        return await super().answer(call) if call.target.startswith("/bigbluebutton/") else Reply(404)


@pytest.fixture
async def server() -> AsyncIterator[tuple[Played, str]]:
    """The played server and its place."""
    played = Played(SECRET, time.time)
    async with http_stage(played.answer) as place, httpx.AsyncClient(trust_env=False, timeout=60) as client:

        async def deliver(checksum: str, body: bytes) -> None:
            (callback,) = set(played.hooks.values())
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            told = await client.post(f"{callback}?checksum={checksum}", content=body, headers=kind)
            assert told.status_code == 204, told.text

        played.deliver = deliver
        yield played, place


@pytest.fixture
async def here(tmp_path: Path, server: tuple[Played, str]) -> AsyncIterator[Here]:
    """A daemon on that server, and a browser."""
    secret = tmp_path / "bigbluebutton.secret"
    secret.touch(0o600)
    secret.write_text(SECRET)
    instructor = new_key()
    settings: dict[str, object] = {
        "instructors.allow": [instructor.pubkey],
        "embedded.enabled": True,
        "embedded.port": free_port(),
        "embedded.in_memory": True,
        "conference.engine": "bigbluebutton",
        "conference.bigbluebutton.url": f"http://{server[1]}/bigbluebutton/",
        "conference.bigbluebutton.secret_file": str(secret),
    }
    site = Site(tmp_path, relays=[], settings=settings)
    await site.make_key()
    async with chromium() as browser, site.running() as daemon:
        yield Here(site, daemon.pid, browser, instructor)


async def test_the_button_leads_into_the_meeting_and_back_in_again(here: Here, server: tuple[Played, str]) -> None:
    """An admitted person clicks, is in the meeting under their key, and can do so again; who is there is counted."""
    played, _ = server
    url = await here.scheduled()
    visitor, page = await here.enters(here.instructor, url, starts=True)
    button = page.get_by_role("link", name="Open the meeting")
    for clicks in (1, 2):
        async with visitor.context.expect_page() as opened:
            await button.click()
        meeting = await opened.value
        await seen(meeting, "Welcome to the meeting")
        assert len(played.users()) == clicks
        assert "checksum" not in meeting.url
        await meeting.close()
    assert all(user.user_id.startswith(f"{here.instructor.pubkey}#") for user in played.users())
    assert played.users()[0].role == "MODERATOR"
    assert {user.name for user in played.users()} == {short_npub(here.instructor.pubkey)}

    async def counted() -> bool:
        return "1 person is here." in await page.locator("podium-people").inner_text()

    await until(counted, "somebody is in the room")
    assert played.bad_checksums == 0
    assert visitor.errors == []
    await press(page, "Leave")

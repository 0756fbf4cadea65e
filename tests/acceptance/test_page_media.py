"""The room with media in real browsers: fake cameras and microphones, real WebRTC to the embedded engine."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from podium_protocol.events import UnsignedEvent
from podium_protocol.keys import SecretKey
from tests.support.browsers import Visitor, chromium, visit
from tests.support.installed import Site, free_port
from tests.support.page import is_true, open_tab, press, press_start, seen, signed_post
from tests.support.relays import new_key
from tests.support.until import until

pytestmark = pytest.mark.real_peer

FLAGS = (
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--auto-select-desktop-capture-source=Entire screen",
    "--autoplay-policy=no-user-gesture-required",
)
_SEEN = """
[...document.querySelectorAll("podium-room .tile:not(.own) video")]
  .filter((video) => video.readyState >= 2 && video.videoWidth > 0 && !video.hidden)
  .map((video) => [video.videoWidth, video.getVideoPlaybackQuality().totalVideoFrames])
"""
_SOMEBODY_ELSE = 'document.querySelectorAll("podium-room .tile:not(.own)").length'
_HEARD = 'Math.max(0, ...document.querySelector("podium-room").media.levels().values()) > 0.001'


class Here(msgspec.Struct, frozen=True):
    """A daemon on the embedded engine, a browser, and the instructor's key."""

    site: Site
    daemon: int
    browser: Any
    instructor: SecretKey

    async def scheduled(self) -> str:
        """A session that starts in five minutes; its page."""
        wish = {"title": "Know your rights", "scheduledAt": int(time.time()) + 300, "duration": 60}
        base = self.site.base
        draft = await signed_post(base, self.instructor, "/api/sessions/draft", wish)
        events = [
            json.loads(self.instructor.sign(msgspec.convert(one, UnsignedEvent), os.urandom(32)).to_json())
            for one in draft["events"]
        ]
        await signed_post(base, self.instructor, "/api/events", {"events": events})
        return f"{base}/s/{draft['lessonId']}"

    async def enters(self, key: SecretKey, url: str, *, starts: bool = False) -> tuple[Visitor, Any]:
        """A person's browser, in the room."""
        visitor = await visit(self.browser, key, permissions=["camera", "microphone"])
        page = await visitor.open(url)
        if starts:
            await press(page, "Sign in")
            await press_start(page)
        await press(page, "Join")
        await press(page, "Join with one signature")
        await seen(page, "You are in the room.")
        return visitor, page


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Here]:
    """A daemon and a browser."""
    instructor = new_key()
    settings: dict[str, object] = {
        "instructors.allow": [instructor.pubkey],
        "embedded.enabled": True,
        "embedded.port": free_port(),
        "embedded.in_memory": True,
        "conference.engine": "embedded",
        "conference.media_addresses": ["127.0.0.1"],
    }
    site = Site(tmp_path, relays=[], settings=settings)
    await site.make_key()
    async with chromium(*FLAGS) as browser, site.running() as daemon:
        yield Here(site, daemon.pid, browser, instructor)


async def _pictures(page: Any, wanted: int = 1) -> list[list[int]]:
    """Wait until so many others' pictures move."""
    before = await page.evaluate(_SEEN)

    async def moving() -> list[list[int]] | None:
        now: list[list[int]] = await page.evaluate(_SEEN)
        frames = sum(count for _, count in before)
        return now if len(now) >= wanted and sum(count for _, count in now) >= frames + 5 * wanted else None

    return await until(moving, f"{wanted} moving pictures")


def _media_process(daemon: int) -> int | None:
    """The daemon's child that moves media."""
    children = Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split()
    return next(
        (int(pid) for pid in children if b"engines.embedded.child" in Path(f"/proc/{pid}/cmdline").read_bytes()),
        None,
    )


async def test_two_browsers_see_and_hear_each_other(here: Here) -> None:
    """Camera, microphone and screen there and back, a mute for everybody, a killed media process, a goodbye."""
    url = await here.scheduled()
    lead, desk = await here.enters(here.instructor, url, starts=True)
    visitor, bench = await here.enters(new_key(), url)
    for page in (desk, bench):
        await press(page, "Camera")
        await press(page, "Microphone")
    for page in (desk, bench):
        assert (await _pictures(page))[0][0] >= 320
        await is_true(page, _HEARD, "the other's microphone is heard")

    await press(desk, "Share screen")
    await is_true(bench, 'document.querySelector("podium-room .tile.screen video")?.videoWidth > 0', "a screen")

    await open_tab(desk, "Lead")
    await press(desk, "Mute everybody")
    await seen(bench, "Microphone: you were muted by the instructor.")
    assert await bench.get_by_role("button", name="Microphone").get_attribute("aria-pressed") == "false"
    assert await desk.get_by_role("button", name="Microphone").get_attribute("aria-pressed") == "true"

    killed = _media_process(here.daemon)
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    await is_true(desk, _SOMEBODY_ELSE + " === 0", "the loss")
    await _pictures(desk)
    await _pictures(bench, 2)
    assert _media_process(here.daemon) not in (None, killed)

    await press(bench, "Leave")
    await is_true(desk, _SOMEBODY_ELSE + " === 0", "the goodbye")
    for person in (lead, visitor):
        assert person.errors == []
        assert person.foreign(here.site.base) == []

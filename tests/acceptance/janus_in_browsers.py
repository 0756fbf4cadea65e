"""Real browsers on a real Janus; run by test_page_janus.py in a network namespace."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.test_page_media import _HEARD, _SOMEBODY_ELSE, FLAGS, Here, _pictures
from tests.acceptance.test_room import encrypted_life, room_house
from tests.support.browsers import chromium
from tests.support.installed import Site, free_port
from tests.support.page import is_true, open_tab, press, seen
from tests.support.relays import new_key
from tests.support.until import until


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Here]:
    """A daemon with a Janus of its own, and a browser."""
    instructor = new_key()
    settings: dict[str, object] = {
        "instructors.allow": [instructor.pubkey],
        "embedded.enabled": True,
        "embedded.port": free_port(),
        "embedded.in_memory": True,
        "conference.engine": "janus",
    }
    site = Site(tmp_path, relays=[], settings=settings)
    await site.make_key()
    async with chromium(*FLAGS) as browser, site.running() as daemon:
        yield Here(site, daemon.pid, browser, instructor)


def _janus_of(daemon: int) -> int | None:
    """The Janus that a daemon started."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:  # it ended while we looked
            continue
        if "Name:\tjanus\n" in text and f"PPid:\t{daemon}\n" in text and "State:\tZ" not in text:
            return int(status.parent.name)
    return None


async def test_two_browsers_see_and_hear_each_other_through_janus(here: Here) -> None:
    """Camera, microphone and screen there and back, a mute for everybody, a killed Janus, a goodbye."""
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

    killed = _janus_of(here.daemon)
    assert killed is not None
    os.kill(killed, signal.SIGKILL)

    async def another() -> bool:
        return _janus_of(here.daemon) not in (None, killed)

    await until(another, "another Janus")
    await _pictures(desk)
    await _pictures(bench, 2)

    await press(bench, "Leave")
    await is_true(desk, _SOMEBODY_ELSE + " === 0", "the goodbye")
    for person in (lead, visitor):
        assert person.errors == []
        assert person.foreign(here.site.base) == []


async def test_what_browsers_encrypt_passes_through_janus(tmp_path: Path) -> None:
    """With the instructor's key people see and hear each other; Janus passes on what it cannot read."""
    settings = {"conference.engine": "janus", "conference.meeting_url": "", "conference.heartbeat": 2}
    async with room_house(tmp_path, settings) as house:
        await encrypted_life(house)

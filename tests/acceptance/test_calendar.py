"""A calendar as its owner sets it up: `podium calendar` prints an address, and a calendar program fetches it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import vobject

from podium_daemon.client import PodiumClient, SessionWish
from podium_daemon.keys.key_file import read_key_file
from tests.support.installed import Site, free_port


async def test_an_instructor_subscribes_to_their_sessions(tmp_path: Path) -> None:
    """The address works without a key until it is revoked, survives a restart, and is in no log."""
    site = Site(tmp_path / "podium", relays=[], settings={"embedded.port": free_port(), "logging.level": "debug"})
    site.set(instructors__allow=[await site.make_key()])
    async with site.running():
        async with PodiumClient(site.base, read_key_file(site.key_file)) as podium:
            await podium.create_session(SessionWish(title="Knots", scheduled_at=int(time.time()) + 900, duration=30))
        first = (await site.podium("calendar", key=site.key_file)).out.strip()
        assert summaries(first) == ["Knots"]
    async with site.running():
        assert summaries(first) == ["Knots"]
        second = (await site.read("calendar", "--revoke", "--yes", key=site.key_file))["url"]
        assert summaries(second) == ["Knots"]
        assert fetched(first).status_code == 404
    said = site.texts()
    assert '"level": "info"' in said
    for url in (first, second):
        assert url.rpartition("/")[2][64:128] not in said


def summaries(url: str) -> list[str]:
    """The titles in a calendar."""
    calendar: Any = vobject.readOne(fetched(url).text)
    return [event.summary.value for event in calendar.vevent_list]


def fetched(url: str) -> httpx.Response:
    """What a calendar program gets; it signs nothing."""
    return httpx.get(url, trust_env=False, timeout=60)

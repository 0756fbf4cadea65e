"""Rooms on the embedded engine: one signature, one socket, and people see each other."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiortc import RTCCertificate

from podium_daemon.conference.page_media.engine import PageMediaEngine
from podium_daemon.conference.page_media.settings import PageMediaSettings
from podium_protocol.addresses import Address
from podium_protocol.keys import SecretKey
from podium_protocol.live.join_proof import write_join_proof
from podium_storage.table.models import LiveSessionRow
from tests.support.media import LocalMedia, MediaPage
from tests.support.relays import new_key
from tests.support.seat_server import Page
from tests.support.site import Site, site
from tests.support.world import signed, world


class Socket:
    """A `Way` over the room socket, once it is open."""

    def __init__(self) -> None:
        self.page: Page | None = None
        self._open = asyncio.Event()

    def opened(self, page: Page) -> None:
        """From here on."""
        self.page = page
        self._open.set()

    async def put(self, frame: str) -> None:
        """Send it."""
        assert self.page is not None
        await self.page.socket.send(frame)

    async def get(self) -> str:
        """The next message."""
        await self._open.wait()
        assert self.page is not None
        return json.dumps(await self.page.read())


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Here]:
    """A site whose rooms are on the embedded engine."""
    async with world() as found:
        settings = PageMediaSettings(recordings=tmp_path)
        engine = PageMediaEngine("embedded", settings, clock=found.clock, random_bytes=os.urandom, media=LocalMedia)
        found.join(engine)
        async with site(found) as running:
            found_here = Here(running)
            yield found_here
            for page in found_here.pages:
                await page.close()
        assert isinstance(engine.media, LocalMedia)
        await engine.media.close()


async def _live(here: Site) -> LiveSessionRow:
    row = await here.here.schedule(starts_in=0)
    await here.here.turn()
    return await here.here.row(row.session_address)


async def _ticket(here: Site, key: SecretKey, row: LiveSessionRow, fingerprint: str, *, device: str = "laptop") -> str:
    asked = await here.challenge(row)
    address = Address.parse(row.session_address)
    assert address is not None
    proof = write_join_proof(
        key.pubkey,
        url=here.base + here.path_of(row, "join"),
        method="POST",
        body=None,
        session=address,
        nonce=str(asked["nonce"]),
        device=device,
        now=here.here.now,
        fingerprint=fingerprint,
    )
    answer = await here.send_proof(row, signed(key, proof))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["token"])


class Here:
    """The site, and who is in its room."""

    def __init__(self, running: Site) -> None:
        self.site = running
        self.pages: list[MediaPage] = []

    def browser(self, certificate: RTCCertificate | None = None) -> tuple[MediaPage, Socket]:
        """A page with its certificate, before it is anywhere."""
        way = Socket()
        self.pages.append(MediaPage(way, certificate))
        return self.pages[-1], way

    async def enter(self, key: SecretKey, row: LiveSessionRow, fingerprint: str | None = None) -> MediaPage:
        """Join with one signature that names the page's certificate (or another), sit down, and wait for media."""
        page, way = self.browser()
        token = await _ticket(self.site, key, row, fingerprint or page.fingerprint)
        way.opened(await self.site.open_socket(row, {"type": "hello", "token": token}))
        await page.was_told("begin")
        return page


async def test_one_signature_and_people_see_each_other(here: Here) -> None:
    """Over HTTP, the room socket and UDP, as a browser does it."""
    row = await _live(here.site)
    teacher = new_key()
    stage, bench = await here.enter(teacher, row), await here.enter(new_key(), row)
    await stage.publish("audio", "video")
    await bench.watch()
    assert await bench.sees(teacher.pubkey) == 160
    assert await bench.hears(teacher.pubkey) > 3000


async def test_the_certificate_is_the_signed_one_also_on_return(here: Here) -> None:
    """A page that was not the one that signed gets no media, neither at first nor with the other's resume secret."""
    row = await _live(here.site)
    signed_with = "sha-256 " + ":".join(["AB"] * 32)
    stranger = await here.enter(new_key(), row, signed_with)
    await stranger.publish("audio")
    await stranger.was_told("failed", side="publish", reason="the description was refused: sdp_other_certificate")
    secret = next(one["secret"] for one in stranger.others if one["type"] == "resume")
    back, way = here.browser()
    way.opened(await here.site.open_socket(row, {"type": "return", "secret": secret}))
    await back.was_told("begin")
    await back.publish("audio")
    await back.was_told("failed", side="publish", reason="the description was refused: sdp_other_certificate")


async def test_a_proof_without_a_certificate_gets_no_media(here: Here) -> None:
    """Anybody on the way could send their own: the person sits in the room, and their descriptions are refused."""
    row = await _live(here.site)
    page, way = here.browser()
    token = (await here.site.join(new_key(), row)).json()["token"]
    way.opened(await here.site.open_socket(row, {"type": "hello", "token": token}))
    await page.was_told("begin")
    await page.publish("audio")
    await page.was_told("failed", side="publish", reason="the description was refused: sdp_unsigned_certificate")


async def test_who_returns_has_the_certificate_of_their_own_proof(here: Here) -> None:
    """Another device's newer proof changes nothing: a stolen resume secret brings no media, the page has its own."""
    row, key = await _live(here.site), new_key()
    page = await here.enter(key, row)
    secret = next(one["secret"] for one in page.others if one["type"] == "resume")
    await _ticket(here.site, key, row, "sha-256 " + ":".join(["CD"] * 32), device="phone")
    thief, way = here.browser()
    way.opened(await here.site.open_socket(row, {"type": "return", "secret": secret}))
    await thief.was_told("begin")
    await thief.publish("audio")
    await thief.was_told("failed", side="publish", reason="the description was refused: sdp_other_certificate")
    secret = next(one["secret"] for one in thief.others if one["type"] == "resume")
    back, way = here.browser(page.certificate)
    way.opened(await here.site.open_socket(row, {"type": "return", "secret": secret}))
    await back.was_told("begin")
    await back.publish("audio")
    await back.was_told("accept")

"""A recording on the embedded engine: real media over UDP becomes a file that is published."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from podium_daemon.conference.engine import Support
from podium_daemon.conference.page_media.engine import PageMediaEngine
from podium_daemon.conference.page_media.settings import PageMediaSettings
from podium_daemon.runtime.supervisor import Stop
from podium_protocol.addresses import Address
from podium_protocol.keys import SecretKey
from podium_protocol.live.join_proof import Consent, write_join_proof
from podium_protocol.live.session import RecordingAccess
from podium_storage.table.models import LiveSessionRow, RecordingRow
from tests.support.clips import Finished
from tests.support.media import LocalMedia, MediaPage
from tests.support.seat_server import Page
from tests.support.site import Site, site
from tests.support.until import until
from tests.support.world import new_key, signed, world


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
async def here(tmp_path: Path) -> AsyncIterator[Site]:
    """A site on the embedded engine, with its recorder at work; its clock is the machine's when it is looked at."""

    def make(_settings: object, **parts: object) -> PageMediaEngine:
        settings = PageMediaSettings(recordings=tmp_path / "engine")
        return PageMediaEngine("embedded", settings, media=LocalMedia, **parts)  # type: ignore[arg-type]  # the world's

    async with world(engine=make, recordings=tmp_path / "kept", now=time.time()) as found, site(found) as running:
        stop = Stop()
        recording = asyncio.create_task(found.recorder.run(stop))
        yield running
        stop.set()
        await recording
        await found.engine.media.close()  # type: ignore[attr-defined]  # the embedded engine's


async def enter(here: Site, key: SecretKey, row: LiveSessionRow) -> MediaPage:
    """Join with a yes to the recording, and wait for media."""
    way = Socket()
    page = MediaPage(way)
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
        device="laptop",
        now=here.here.now,
        fingerprint=page.fingerprint,
        consent=Consent(True, str(asked["recordingPolicyHash"])),
    )
    answer = await here.send_proof(row, signed(key, proof))
    assert answer.status_code == 200, answer.text
    way.opened(await here.open_socket(row, {"type": "hello", "token": answer.json()["token"]}))
    await page.was_told("begin")
    return page


def catch_up(here: Site) -> None:
    """Set the world's clock: media has the machine's time."""
    here.here.clock.jump(time.time() - here.here.clock.now())


async def test_what_was_said_and_shown_is_the_recording(here: Site, tmp_path: Path) -> None:
    """The instructor's picture is copied, both voices are in it, the link is on the session, and no packet is kept."""
    row = await here.here.schedule(starts_in=0, recording_allowed=True, recording_access=RecordingAccess.PUBLIC)
    await here.here.turn()
    row = await here.here.row(row.session_address)
    assert here.here.recorder.support is Support.NATIVE
    teacher, student = await enter(here, here.here.instructor, row), await enter(here, new_key(), row)
    catch_up(here)
    switched = await here.here.recorder.record(row, here.here.instructor.pubkey, wanted=True)
    assert switched is None, switched
    await teacher.publish("audio", "video")
    await student.publish("audio")
    await student.watch()
    await student.sees(here.here.instructor.pubkey, more=30)
    await student.hears(here.here.instructor.pubkey, more=60)
    catch_up(here)
    for page in (teacher, student):
        await page.close()
    await here.here.lifecycle.end(row.session_address, here.here.instructor.pubkey)

    async def made() -> RecordingRow | None:
        await here.here.clock.advance(1)
        (found,) = await here.here.recorder.recordings(row)
        return found if found.state in ("available", "failed") else None

    done = await until(made, "the recording is made")
    assert done.state == "available", done.reason
    assert done.sha256 is not None
    found = Finished(here.here.recorder.file_of(done.sha256))
    assert found.codecs == ["vp8", "opus"]
    assert found.length > 1
    assert found.volume(0, found.length) > 0.05
    assert len(found.payloads()) > 10
    assert (await here.here.row(row.session_address)).recording_url == done.url

    async def discarded() -> bool:
        return not [*(tmp_path / "engine").rglob("*.rtp"), *(tmp_path / "kept" / "work").iterdir()]

    await until(discarded, "the packets are deleted, which follows the publication")

"""SIGTERM while a recording is written, and while it is mixed: nothing of it is lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.installed import Daemon, Site
from tests.support.media import MediaPage, only_loopback
from tests.support.outsiders import Outsider, outsiders, send
from tests.support.processes import adopting, runs
from tests.support.relays import running_relay
from tests.support.stopping import stopped_by_sigterm
from tests.support.until import until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def _adopting() -> Iterator[None]:
    with adopting():
        yield


class RoomSocket:
    """The room's socket of one page: what its media says, and the signs of life."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._beating = asyncio.create_task(self._beat())

    @classmethod
    async def join(cls, person: Outsider, base: str, address: str, fingerprint: str) -> RoomSocket:
        """Join with a yes to the recording."""
        challenge = (await send("POST", f"{base}/api/sessions/knots/join/challenge")).body
        tags = [["u", challenge["url"]], ["method", "POST"], ["a", address], ["nonce", challenge["nonce"]]]
        tags += [["device", "laptop"], ["fingerprint", fingerprint]]
        tags += [["recording_consent", "yes", challenge["recordingPolicyHash"]]]
        joined = await send("POST", challenge["url"], b"", person.sign(27235, tags))
        assert joined.status == httpx.codes.OK, joined
        socket = await connect(joined.body["socketUrl"], proxy=None, open_timeout=60, compression=None)
        await socket.send(json.dumps({"type": "hello", "token": joined.body["token"]}))
        return cls(socket)

    async def put(self, frame: str) -> None:
        """Say something."""
        await self._socket.send(frame)

    async def get(self) -> str:
        """The next that is said."""
        return str(await self._socket.recv(decode=True))

    async def close(self) -> None:
        """The page is gone."""
        self._beating.cancel()
        await asyncio.wait([self._beating])
        self._socket.transport.abort()

    async def _beat(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self._socket.send('{"type":"beat"}')
                await asyncio.sleep(0.5)


class Way:
    """A way to the room that is there once it was joined: the join proof names the page's certificate."""

    def __init__(self) -> None:
        self.socket: asyncio.Future[RoomSocket] = asyncio.get_running_loop().create_future()

    async def put(self, frame: str) -> None:
        """Say something."""
        await (await self.socket).put(frame)

    async def get(self) -> str:
        """The next that is said."""
        return await (await self.socket).get()


async def test_while_a_recording_is_written_and_while_it_is_mixed(tmp_path: Path) -> None:
    """What was recorded by the first stop is kept, and is made into a file after the second one."""
    only_loopback()
    async with running_relay() as relay, outsiders(relay.url, 1) as (instructor,):
        site = Site(tmp_path, relays=[relay.url], settings=_ROOMS | {"instructors.allow": [instructor.npub]})
        service = await site.make_key()
        async with stopped_by_sigterm(site):
            now = int(time.time())
            address = await instructor.schedule(service, "knots", now + 2, now + 3600, ["recording", "allowed"])
            await until(lambda: _is_live(site), "it is live")
            page = MediaPage(way := Way())
            way.socket.set_result(await RoomSocket.join(instructor, site.base, address, page.fingerprint))
            await page.was_told("begin")
            room = f"{site.base}/api/sessions/knots/room"
            switched = await instructor.call("POST", f"{room}/recording", {"on": True})
            assert switched.status == httpx.codes.OK, switched
            await page.publish("audio", "video")
            await until(lambda: _is_written(site, 20_000), "it is written")
        await way.socket.result().close()
        await page.close()
        async with stopped_by_sigterm(site) as daemon:
            assert await _recording(site, instructor) == "paused"
            ended = await instructor.call("POST", f"{site.base}/api/sessions/knots/end")
            assert ended.status == httpx.codes.OK, ended
            await until(lambda: _is_mixed(daemon), "it is mixed")
        async with site.running():
            await until(lambda: _is_made(site, instructor), "it is made")


_ROOMS: Final[dict[str, object]] = {
    "conference.engine": "embedded",
    "conference.meeting_url": "",
    "conference.media_addresses": ["127.0.0.1"],
}


async def _is_live(site: Site) -> bool:
    return bool((await send("GET", f"{site.base}/api/sessions/knots")).body.get("state") == "active")


async def _is_written(site: Site, size: int) -> bool:
    return sum(file.stat().st_size for file in site.state.rglob("*.rtp")) > size


async def _is_mixed(daemon: Daemon) -> bool:
    return runs(daemon.pid, "page_media.muxing") or runs(daemon.pid, "podium_daemon.media ")


async def _recording(site: Site, instructor: Outsider) -> str:
    answer = await instructor.call("GET", f"{site.base}/api/sessions/knots/recording")
    (recording,) = answer.body["recordings"]
    return str(recording["state"])


async def _is_made(site: Site, instructor: Outsider) -> bool:
    return await _recording(site, instructor) == "review"

"""A real Janus in a network namespace: Janus never uses loopback for media, and a namespace needs no root."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from aiortc import RTCSessionDescription

from podium_daemon.conference.engines.janus.media import JanusMedia
from podium_daemon.conference.engines.janus.settings import JanusPlace
from podium_daemon.conference.events import ConnectionId, RoomId, TrackChange, TrackKind
from podium_daemon.conference.page_media.messages import AddSeat, Changed, Command, Dropped, Frame, PageMessage, Report
from podium_daemon.conference.page_media.signals import decode_signal
from podium_daemon.conference.signaling import SeatFrameFlaw
from podium_daemon.runtime.clock import SystemClock
from podium_daemon.runtime.supervisor import Stop
from podium_protocol.events import Pubkey
from tests.support.media import MediaPage, connection_of, connection_with, settled

ADDRESS = "10.99.0.1"
_SETUP = f"""
set -e
ip link set lo up
ip link add janus0 type veth peer name janus1
ip addr add {ADDRESS}/24 dev janus0
ip link set janus0 up
ip link set janus1 up
exec "$@"
"""


def run_inside(module: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Run a file of tests in a namespace with an address that is not loopback; pytest's own words.

    Where the machine cannot, the test skips; marked `real_peer`, it fails where they are required.
    """
    if shutil.which("janus") is None:
        pytest.skip("Janus is not installed: apt-get install janus (Debian 12)")
    if subprocess.run(["unshare", "-rn", "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("`unshare -rn` is not allowed here: no network namespace for Janus")
    command = ["unshare", "-rn", "sh", "-c", _SETUP, "sh", sys.executable, "-m", "pytest", "-q", "-x"]
    command += ["-p", "no:rerunfailures", str(module)]  # its plugin listens on a port, and the namespace has none
    given = os.environ | (environment or {})
    done = subprocess.run([*command, *arguments], check=False, capture_output=True, text=True, timeout=280, env=given)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    return done.stdout


def only_here() -> None:
    """Make aioice offer the namespace's own address in this process."""
    from aioice import ice

    ice.get_host_addresses = lambda use_ipv4, use_ipv6: [ADDRESS]  # noqa: ARG005  (aioice's signature)


class JanusPage(MediaPage):
    """As `media.js`: the connection on which it receives is as old as its own wish to receive."""

    async def watch(self) -> None:
        """Ask for a connection on which to receive."""
        await self._drop(self.watching)
        self.watching = connection_with(self.certificate)
        self._heard.clear()
        await super().watch()

    async def _answer(self, message: dict[str, Any]) -> None:
        pc = self.watching
        assert pc is not None
        await pc.setRemoteDescription(RTCSessionDescription(message["sdp"], "offer"))
        await pc.setLocalDescription(await pc.createAnswer())
        for transceiver in pc.getTransceivers():
            if transceiver.mid not in self._heard:
                self._heard.add(transceiver.mid)
                self._readers.append(asyncio.create_task(self._receive(transceiver.mid, transceiver.receiver.track)))
        await self.say(do="watch", offer=message["offer"], sdp=pc.localDescription.sdp)


class JanusHouse:
    """A `MediaObserver` with a Janus and pages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = JanusPlace(folder=folder / "janus")
        self.recordings = folder / "recordings"
        self.reports: list[Report] = []
        self.ups = 0
        self.downs: list[str] = []
        self.media = JanusMedia(self.place, self, clock=SystemClock())
        self.entered: dict[ConnectionId, AddSeat] = {}
        self._ways: dict[ConnectionId, _Direct] = {}
        self._pages: list[JanusPage] = []

    async def enter(self, pubkey: Pubkey, **fields: object) -> JanusPage:
        """Add a new person to the room `r`; the connection is named after the key."""
        name = connection_of(pubkey)
        self._ways[name] = _Direct(self.media, name)
        page = JanusPage(self._ways[name])
        entered = AddSeat(
            room=RoomId("r"),
            connection=name,
            pubkey=pubkey,
            silenced=frozenset(),
            fingerprint=page.fingerprint,
        )
        self._pages.append(page)
        self.entered[name] = msgspec.structs.replace(entered, **fields)
        self.media.send(self.entered[name])
        return page

    async def send(self, command: Command) -> None:
        """What the engine says."""
        self.media.send(command)

    def convert_recording(self, folder: Path, room: RoomId) -> None:
        """See `MediaHost`."""
        self.media.convert_recording(folder, room)

    def changes(self, pubkey: Pubkey) -> list[tuple[TrackKind, TrackChange]]:
        """The reports on a person's tracks, in order."""
        return [
            (one.kind, one.change)
            for one in self.reports
            if isinstance(one, Changed) and one.connection == connection_of(pubkey)
        ]

    async def changed(self, pubkey: Pubkey, kind: TrackKind, change: TrackChange, times: int = 1) -> None:
        """Wait for a report on a person's track."""
        await settled(lambda: self.changes(pubkey).count((kind, change)) >= times, f"{kind} {change}")

    def drops(self) -> list[str]:
        """Why something was dropped."""
        return [one.reason for one in self.reports if isinstance(one, Dropped)]

    async def close(self) -> None:
        """Disconnect all people."""
        for page in self._pages:
            await page.close()

    # -- as a `MediaObserver`

    def media_up(self) -> None:
        """As the engine does: tell a new host of all people."""
        self.ups += 1
        for entered in self.entered.values():
            self.media.send(entered)

    def media_down(self, why: str) -> None:
        """Keep why."""
        self.downs.append(why)

    def media_said(self, report: Report) -> None:
        """Frames to their page, the rest is kept."""
        if isinstance(report, Frame):
            self._ways[report.connection].frames.put_nowait(report.text)
        else:
            self.reports.append(report)


class _Direct:
    """A `Way` without seats and sockets."""

    def __init__(self, media: JanusMedia, connection: ConnectionId) -> None:
        self.frames: asyncio.Queue[str] = asyncio.Queue()
        self._media = media
        self._connection = connection

    async def put(self, frame: str) -> None:
        """As the seat does it."""
        signal = decode_signal(frame)
        assert signal is not None
        assert not isinstance(signal, SeatFrameFlaw), signal
        command: Command = PageMessage(self._connection, signal)
        self._media.send(command)

    async def get(self) -> str:
        """The next frame."""
        return await self.frames.get()


@contextlib.asynccontextmanager
async def janus_house() -> AsyncIterator[JanusHouse]:
    """A Janus of one's own while the block runs."""
    only_here()
    with TemporaryDirectory() as folder:
        here = JanusHouse(Path(folder))
        stop = Stop()
        running = asyncio.create_task(here.media.run(stop))
        try:
            await settled(lambda: here.media.is_up, "Janus")
            yield here
        finally:
            await here.close()
            stop.set()
            await running

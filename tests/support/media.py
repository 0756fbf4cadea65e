"""Pages of a room with media: aiortc in the browser's place, on loopback, behind a seat or a peer."""

from __future__ import annotations

import asyncio
import contextlib
import fractions
import json
import math
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol

import av
import msgspec
from aioice import ice
from aioice.ice import StunProtocol
from aiortc import MediaStreamTrack, RTCCertificate, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcconfiguration import RTCBundlePolicy

from podium_daemon.conference.engines.embedded.connections import PublisherConnection
from podium_daemon.conference.engines.embedded.datagrams import guard
from podium_daemon.conference.engines.embedded.forwarding import Downlink
from podium_daemon.conference.engines.embedded.room import MediaServer as Rooms
from podium_daemon.conference.events import ConnectionId, RoomId, TrackChange, TrackKind
from podium_daemon.conference.page_media.media_host import MediaObserver
from podium_daemon.conference.page_media.messages import AddSeat, Changed, Command, Dropped, Frame, PageMessage, Report
from podium_daemon.conference.page_media.signals import decode_signal
from podium_daemon.conference.seats import Seat
from podium_daemon.conference.signaling import SeatFrameFlaw
from podium_daemon.conference.values import Person
from podium_daemon.runtime.supervisor import Stop
from podium_protocol.events import Pubkey
from tests.support.until import until

KINDS = ("audio", "video", "screen")
_WIDTHS = {"video": 160, "screen": 208}


def only_loopback() -> None:
    """Make aioice offer 127.0.0.1 in this process."""
    ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]  # noqa: ARG005  (aioice's signature)


class Tone(MediaStreamTrack):
    """A loud tone."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._begun = time.monotonic()
        self._samples = 0

    async def recv(self) -> av.AudioFrame:
        """The next 20 ms, in their time."""
        if self.readyState != "live":
            raise MediaStreamError
        await asyncio.sleep(max(0.0, self._begun + self._samples / 48_000 - time.monotonic()))
        values = [int(12_000 * math.sin((self._samples + step) / 17)) for step in range(960)]
        frame = av.AudioFrame(format="s16", layout="mono", samples=960)
        frame.planes[0].update(struct.pack("<960h", *values))
        frame.sample_rate, frame.pts, frame.time_base = 48_000, self._samples, fractions.Fraction(1, 48_000)
        self._samples += 960
        return frame


class Picture(MediaStreamTrack):
    """Ten small grey pictures a second; `width` tells them apart."""

    kind = "video"

    def __init__(self, width: int) -> None:
        super().__init__()
        self._width = width
        self._begun = time.monotonic()
        self._frames = 0

    async def recv(self) -> av.VideoFrame:
        """The next picture, in its time."""
        if self.readyState != "live":
            raise MediaStreamError
        await asyncio.sleep(max(0.0, self._begun + self._frames / 10 - time.monotonic()))
        frame = av.VideoFrame(self._width, 96, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([self._frames * 7 % 256]) * plane.buffer_size)
        frame.pts, frame.time_base = self._frames * 9000, fractions.Fraction(1, 90_000)
        self._frames += 1
        return frame


class Way(Protocol):
    """How a page reaches its room: frames there and back."""

    async def put(self, frame: str) -> None:
        """Say something."""

    async def get(self) -> str:
        """The next that is said."""


class MediaPage:
    """What `media.js` does: it publishes, it watches, it keeps what it is told."""

    def __init__(self, way: Way, certificate: RTCCertificate | None = None) -> None:
        self._way = way
        # one for both connections, as in the page
        self.certificate = certificate or RTCCertificate.generateCertificate()
        self.publishing: RTCPeerConnection | None = None
        self.watching: RTCPeerConnection | None = None
        self.told: list[dict[str, Any]] = []
        self.others: list[dict[str, Any]] = []  # messages that are not about media
        self.lines: list[dict[str, Any]] = []
        self.pictures: dict[str, tuple[int, int]] = {}  # by media line: how many, and how wide the last was
        self.loudness: dict[str, list[int]] = {}
        self.turn = 0
        self.answers = True
        self._readers: list[asyncio.Task[None]] = []
        self._heard: set[str] = set()
        self._task = asyncio.create_task(self._listen())

    @property
    def fingerprint(self) -> str:
        """Of the certificate, as a join proof names it."""
        return fingerprint_of(self.certificate)

    # -- what a person does

    async def publish(self, *kinds: str) -> None:
        """Send what is named; the other lines stay empty."""
        await self._drop(self.publishing)
        pc = self.publishing = connection_with(self.certificate)
        tracks = {"audio": Tone, "video": lambda: Picture(160), "screen": lambda: Picture(208)}
        for kind in KINDS:
            transceiver = pc.addTransceiver("audio" if kind == "audio" else "video", "sendonly")
            if kind in kinds:
                transceiver.sender.replaceTrack(tracks[kind]())
        await pc.setLocalDescription(await pc.createOffer())
        await self.say(do="publish", sdp=pc.localDescription.sdp)

    async def replace(self, kind: str, track: MediaStreamTrack | None) -> None:
        """Another track on a line that was negotiated before."""
        assert self.publishing is not None
        self.publishing.getSenders()[KINDS.index(kind)].replaceTrack(track)

    async def watch(self) -> None:
        """Ask for a connection on which to receive."""
        await self.say(do="watch")

    async def sending(self, **on: bool) -> None:
        """Switch what one sends."""
        state = {"audio": True, "video": True, "screen": True} | on
        await self.say(do="sending", **state, turn=self.turn)

    async def say(self, **fields: object) -> None:
        """A media message."""
        await self._way.put(json.dumps({"type": "media"} | fields))

    # -- what a test waits for

    async def line(self, pubkey: str, kind: str, *, on: bool = True) -> str:
        """The media line on which a person's track comes, once it does (or does not)."""

        def found() -> str | None:
            return next(
                (one["mid"] for one in self.lines if (one["pubkey"], one["kind"], one["on"]) == (pubkey, kind, on)),
                None,
            )

        return await settled(found, f"a line of {kind}, {on=}")

    async def sees(self, pubkey: str, kind: str = "video", more: int = 1) -> int:
        """Wait for decoded pictures of a person; the width of the last."""
        mid = await self.line(pubkey, kind)
        wanted = self.pictures.get(mid, (0, 0))[0] + more
        await settled(lambda: self.pictures.get(mid, (0, 0))[0] >= wanted, f"{more} pictures of {kind}")
        return self.pictures[mid][1]

    async def hears(self, pubkey: str, more: int = 5) -> int:
        """Wait for decoded sound of a person; its loudest sample."""
        mid = await self.line(pubkey, "audio")
        before = len(self.loudness.get(mid, []))
        await settled(lambda: len(self.loudness.get(mid, [])) >= before + more, "sound")
        return max(self.loudness[mid][before:])

    async def was_told(self, do: str, **fields: object) -> dict[str, Any]:
        """Wait for a message with these fields."""

        def found() -> dict[str, Any] | None:
            return next((one for one in self.told if one["do"] == do and fields.items() <= one.items()), None)

        return await settled(found, f"{do} {fields}")

    def sockets(self) -> list[tuple[StunProtocol, tuple[str, int]]]:
        """Our socket and the server's address, of each connection."""
        ends = [pc.getTransceivers()[0].sender.transport.transport for pc in (self.publishing, self.watching) if pc]
        pairs = [end._connection._nominated[1] for end in ends]
        return [(pair.protocol, pair.remote_addr) for pair in pairs]

    async def packets(self, mid: str) -> int:
        """How many packets came on a media line."""
        assert self.watching is not None
        receivers = [one.receiver for one in self.watching.getTransceivers() if one.mid == mid]
        stats = [one for receiver in receivers for one in (await receiver.getStats()).values()]
        return sum(one.packetsReceived for one in stats if one.type == "inbound-rtp")

    async def close(self) -> None:
        """The page is gone."""
        self._task.cancel()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(self._task, *self._readers, return_exceptions=True)
        await self._drop(self.publishing)
        await self._drop(self.watching)

    # -- what it hears

    async def _listen(self) -> None:
        while True:
            message = json.loads(await self._way.get())
            if message.get("type") != "media":
                self.others.append(message)
                continue
            self.told.append(message)
            match message["do"]:
                case "accept":
                    assert self.publishing is not None
                    await self.publishing.setRemoteDescription(RTCSessionDescription(message["sdp"], "answer"))
                case "offer" if self.answers:
                    await self._answer(message)
                case "lines":
                    self.lines = message["lines"]
                case "muted":
                    self.turn = message["turn"]
                case "begin":
                    self.turn, self.lines = 0, []

    async def _answer(self, message: dict[str, Any]) -> None:
        if self.watching is None or message["sdp"].count("m=") <= 3:
            await self._drop(self.watching)
            self.watching = connection_with(self.certificate)
            self._heard.clear()
        pc = self.watching
        await pc.setRemoteDescription(RTCSessionDescription(message["sdp"], "offer"))
        await pc.setLocalDescription(await pc.createAnswer())
        for transceiver in pc.getTransceivers():
            if transceiver.mid not in self._heard:
                self._heard.add(transceiver.mid)
                self._readers.append(asyncio.create_task(self._receive(transceiver.mid, transceiver.receiver.track)))
        await self.say(do="watch", offer=message["offer"], sdp=pc.localDescription.sdp)

    async def _receive(self, mid: str, track: Any) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if isinstance(frame, av.VideoFrame):
                    self.pictures[mid] = (self.pictures.get(mid, (0, 0))[0] + 1, frame.width)
                else:
                    samples = struct.unpack(f"<{frame.planes[0].buffer_size // 2}h", bytes(frame.planes[0]))
                    self.loudness.setdefault(mid, []).append(max(map(abs, samples)))

    async def _drop(self, pc: RTCPeerConnection | None) -> None:
        if pc is not None:
            await pc.close()


async def settled(look: Callable[[], Any], what: str) -> Any:
    """What `look` finds, once it finds something."""

    async def looked() -> Any:
        return look()

    return await until(looked, what)


def fingerprint_of(certificate: RTCCertificate) -> str:
    """Its SHA-256, as a join proof names it."""
    return next(f"sha-256 {one.value}" for one in certificate.getFingerprints() if one.algorithm == "sha-256")


def signing(person: Person) -> tuple[Person, RTCCertificate]:
    """A person whose join proof names a browser's certificate, if it named none, and that certificate."""
    certificate = RTCCertificate.generateCertificate()
    return msgspec.structs.replace(person, fingerprint=person.fingerprint or fingerprint_of(certificate)), certificate


def connection_with(certificate: RTCCertificate) -> RTCPeerConnection:
    """A connection whose certificate is this one, as the join proof named it."""
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
    pc.__dict__["_RTCPeerConnection__certificates"] = [certificate]  # aiortc takes none from outside
    return pc


def connection_of(pubkey: Pubkey) -> ConnectionId:
    """The name of a person's one connection."""
    return ConnectionId(pubkey[:32])


class House:
    """The rooms of the media process, in this process, with pages."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        guard(drops := Counter[str]())
        self.rooms = Rooms((), self._told, drops)
        self._ways: dict[str, _Direct] = {}
        self._pages: list[MediaPage] = []

    async def enter(self, pubkey: Pubkey, **fields: object) -> MediaPage:
        """Add a new person to the room `r`; the connection is named after the key."""
        name = connection_of(pubkey)
        self._ways[name] = _Direct(self.rooms, name)
        page = MediaPage(self._ways[name])
        entered = AddSeat(
            room=RoomId("r"),
            connection=name,
            pubkey=pubkey,
            silenced=frozenset(),
            fingerprint=page.fingerprint,
        )
        self._pages.append(page)
        await self.rooms.handle(msgspec.structs.replace(entered, **fields))
        return page

    async def send(self, command: Command) -> None:
        """What the engine says."""
        await self.rooms.handle(command)

    def convert_recording(self, folder: Path, room: RoomId) -> None:
        """The rooms write packet files."""

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

    def publisher(self, pubkey: Pubkey) -> PublisherConnection:
        """The connection on which a person publishes."""
        publisher = self.rooms._seats[connection_of(pubkey)][1]._publisher
        assert publisher is not None
        return publisher

    def downlinks(self, pubkey: Pubkey) -> list[Downlink]:
        """The media lines on which a person receives."""
        watcher = self.rooms._seats[connection_of(pubkey)][1]._watcher
        assert watcher is not None
        return [line for slot in watcher.slots for line in slot.lines.values()]

    def drops(self) -> list[str]:
        """Why something was dropped."""
        return [one.reason for one in self.reports if isinstance(one, Dropped)]

    async def close(self) -> None:
        """Disconnect all people."""
        for page in self._pages:
            await page.close()
        await self.rooms.close()

    def _told(self, report: Report) -> None:
        if isinstance(report, Frame):
            self._ways[report.connection].frames.put_nowait(report.text)
        else:
            self.reports.append(report)


class _Direct:
    """A `Way` without seats and sockets."""

    def __init__(self, rooms: Rooms, connection: ConnectionId) -> None:
        self.frames: asyncio.Queue[str] = asyncio.Queue()
        self._rooms = rooms
        self._connection = connection

    async def put(self, frame: str) -> None:
        """As the seat does it."""
        signal = decode_signal(frame)
        assert signal is not None
        assert not isinstance(signal, SeatFrameFlaw), signal
        await self._rooms.handle(PageMessage(self._connection, signal))

    async def get(self) -> str:
        """The next frame."""
        return await self.frames.get()


@contextlib.asynccontextmanager
async def house() -> AsyncIterator[House]:
    """Rooms on loopback."""
    only_loopback()
    here = House()
    reporting = asyncio.create_task(here.rooms.run())
    try:
        yield here
    finally:
        await here.close()
        reporting.cancel()
        await asyncio.gather(reporting, return_exceptions=True)


class LocalMedia:
    """A `MediaHost` without a process: the rooms run in this loop, the engine notices nothing."""

    def __init__(self, observer: MediaObserver) -> None:
        only_loopback()
        self.restarts = 0
        self.is_up = True
        self._observer = observer
        self.rooms = Rooms((), self._report)
        self._commands: asyncio.Queue[Command] = asyncio.Queue()
        self._task = asyncio.create_task(self._obey())

    def send(self, command: Command) -> None:
        """Into the line."""
        self._commands.put_nowait(command)

    async def run(self, stop: Stop) -> None:
        """Nothing to keep running."""
        await stop.wait()

    def convert_recording(self, folder: Path, room: RoomId) -> None:
        """The rooms write packet files."""

    async def close(self) -> None:
        """Disconnect all people."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.rooms.close()

    async def _obey(self) -> None:
        while True:
            await self.rooms.handle(await self._commands.get())

    def _report(self, report: Report) -> None:
        self._observer.media_said(report)


class SeatWay:
    """A `Way` over a seat, without a socket."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._frames = seat.outgoing()

    async def put(self, frame: str) -> None:
        """As `run_seat` does it."""
        await self._seat.receive(frame)

    async def get(self) -> str:
        """The next frame; none any more when the seat is over."""
        frame = await anext(self._frames, None)
        if frame is None:
            await asyncio.get_running_loop().create_future()
        assert frame is not None
        return frame

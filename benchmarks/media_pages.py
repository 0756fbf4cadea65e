"""Pages for a media engine: one that speaks, light ones that watch. They do ICE, DTLS and SRTP, and decode nothing."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Final, Protocol

import msgspec
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.rtcconfiguration import RTCBundlePolicy

from benchmarks.speaker import STEPS, Stream, packets
from podium_daemon.conference.events import ConnectionId, RoomId
from podium_daemon.conference.page_media.media_host import MediaHost
from podium_daemon.conference.page_media.messages import AddSeat, Frame, PageMessage, Report
from podium_daemon.conference.page_media.signals import (
    Accept,
    Offer,
    PageSignal,
    PublishOffer,
    ServerSignal,
    Showing,
    WatchAnswer,
)
from podium_protocol.events import Pubkey

_WITHIN: Final = 60.0  # seconds in which all pages are connected, also on a busy machine
_MID: Final = "urn:ietf:params:rtp-hdrext:sdes:mid"
_decode: Final = msgspec.json.Decoder(ServerSignal).decode


class Pages:
    """A `MediaObserver`: hands what the engine says to the page that it is for."""

    def __init__(self) -> None:
        self.media: MediaHost | None = None
        self.is_up = asyncio.Event()
        self._pages: dict[ConnectionId, _Page] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def arrived(self) -> int:
        """Media packets that all watchers have received."""
        return sum(page.arrived for page in self._pages.values())

    async def speaker(self) -> Speaker:
        """Add a person who is connected and can speak."""
        page = Speaker(self, ConnectionId("speaker"))
        self._seat(page)
        await page.publish()
        await asyncio.wait_for(page.connected.wait(), _WITHIN)
        return page

    async def watchers(self, count: int, shown: int) -> None:
        """That many who receive the speaker, who speaks already; the pages of `shown` of them show the picture."""
        pages = [Watcher(self, ConnectionId(f"watcher-{number}")) for number in range(count)]
        for page in pages:
            self._seat(page)
            page.say(WatchAnswer())
        await asyncio.wait_for(asyncio.gather(*(page.receives.wait() for page in pages)), _WITHIN)
        for page in pages[shown:]:
            page.say(Showing(mids=()))

    async def close(self) -> None:
        """Disconnect all people."""
        for task in self._tasks:
            task.cancel()
        for page in self._pages.values():
            await page.pc.close()

    def say(self, page: ConnectionId, signal: PageSignal) -> None:
        """A page says something."""
        assert self.media is not None, "set by the code that made both"
        self.media.send(PageMessage(page, signal))

    def _seat(self, page: _Page) -> None:
        assert self.media is not None, "set by the code that made both"
        self._pages[page.connection] = page
        self._tasks.append(asyncio.create_task(page.listen()))
        self.media.send(
            AddSeat(
                room=RoomId("room"),
                connection=page.connection,
                pubkey=Pubkey(page.connection.encode().hex().ljust(64, "0")),
                silenced=frozenset(),
                fingerprint=page.fingerprint,
            )
        )

    # -- as a `MediaObserver`

    def media_up(self) -> None:
        """The engine takes commands."""
        self.is_up.set()

    def media_down(self, why: str) -> None:
        """A run in which it dies measures nothing."""
        raise RuntimeError(why)

    def media_said(self, report: Report) -> None:
        """Frames are for pages; the rest is the daemon's."""
        if isinstance(report, Frame):
            self._pages[report.connection].heard.put_nowait(_decode(report.text))


class Switchboard(Protocol):
    """What brings a page's words to the engine."""

    def say(self, page: ConnectionId, signal: PageSignal) -> None:
        """A page says something."""


class _Page:
    def __init__(self, pages: Switchboard, connection: ConnectionId) -> None:
        self.connection = connection
        self.heard: asyncio.Queue[ServerSignal] = asyncio.Queue()
        self.arrived = 0
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        (certificate,) = self.pc._RTCPeerConnection__certificates  # type: ignore[attr-defined]
        # as a join proof names it: media of another certificate is refused
        self.fingerprint = f"sha-256 {certificate.getFingerprints()[0].value}"
        self._pages = pages

    def say(self, signal: PageSignal) -> None:
        """To the engine."""
        self._pages.say(self.connection, signal)

    async def listen(self) -> None:
        """Do what the engine says."""
        while True:
            await self.hear(await self.heard.get())

    async def hear(self, signal: ServerSignal) -> None:
        """One message."""

    def take_over(self) -> None:
        """Keep aiortc from making media, decoding it and reporting on it."""
        for transceiver in self.pc.getTransceivers():
            for end, name in ((transceiver.receiver, "receive"), (transceiver.sender, "send")):
                end.__dict__[name] = _nothing
            transceiver.sender.transport.__dict__["_handle_rtcp_data"] = _nothing


class Speaker(_Page):
    """Publishes a microphone and a camera; the screen's line stays empty."""

    def __init__(self, pages: Switchboard, connection: ConnectionId) -> None:
        super().__init__(pages, connection)
        self.connected = asyncio.Event()
        self.sent = 0
        self.pc.on("connectionstatechange", self._look)

    async def publish(self) -> None:
        """Offer."""
        for media in ("audio", "video", "video"):
            self.pc.addTransceiver(media, "sendonly")
        self.take_over()
        await self.pc.setLocalDescription(await self.pc.createOffer())
        self.say(PublishOffer(sdp=self.pc.localDescription.sdp))

    async def hear(self, signal: ServerSignal) -> None:
        """The answer."""
        if isinstance(signal, Accept):
            await self.pc.setRemoteDescription(RTCSessionDescription(signal.sdp, "answer"))

    async def speak(self) -> None:
        """Send, in time, until cancelled."""
        voice, picture = (self._stream(line) for line in (0, 1))
        transport = self.pc.getTransceivers()[0].sender.transport
        began = time.monotonic()
        for step, batch in zip(itertools.count(), packets(voice, picture), strict=False):
            await asyncio.sleep(began + step / STEPS - time.monotonic())
            for packet in batch:
                await transport._send_rtp(packet)
            self.sent += len(batch)

    def _stream(self, line: int) -> Stream:
        transceiver = self.pc.getTransceivers()[line]
        payload_type, mid = transceiver._codecs[0].payloadType, transceiver.mid
        assert payload_type is not None, "negotiated"
        assert mid is not None, "negotiated"
        extension = next(one.id for one in transceiver._headerExtensions if one.uri == _MID)
        return Stream(
            ssrc=transceiver.sender._ssrc,
            payload_type=payload_type,
            mid=mid,
            mid_extension=extension,
        )

    def _look(self) -> None:
        if self.pc.connectionState == "connected":
            self.connected.set()


class Watcher(_Page):
    """Receives."""

    def __init__(self, pages: Switchboard, connection: ConnectionId) -> None:
        super().__init__(pages, connection)
        self.receives = asyncio.Event()

    async def hear(self, signal: ServerSignal) -> None:
        """An offer."""
        if isinstance(signal, Offer):
            await self.pc.setRemoteDescription(RTCSessionDescription(signal.sdp, "offer"))
            self.take_over()
            self._shorten()
            await self.pc.setLocalDescription(await self.pc.createAnswer())
            self.say(WatchAnswer(offer=signal.offer, sdp=self.pc.localDescription.sdp))

    def _shorten(self) -> None:
        """Decrypt media where it comes in: aiortc's way would take more of the machine than what is measured."""
        dtls = self.pc.getTransceivers()[0].receiver.transport
        ice = dtls.transport._connection
        longer = ice.data_received

        def data_received(data: bytes, component: int) -> None:
            is_rtp = 127 < data[0] < 192 and not 191 < data[1] < 224  # RFC 5764, 5.1.2, and RFC 5761, 4
            if not is_rtp or dtls._rx_srtp is None:
                longer(data, component)
                return
            dtls._rx_srtp.unprotect(data)
            self.arrived += 1
            self.receives.set()

        ice.__dict__["data_received"] = data_received


async def _nothing(*_: object) -> None:
    """In the place of what aiortc would do."""

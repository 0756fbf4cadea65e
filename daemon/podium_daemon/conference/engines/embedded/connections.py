"""The two WebRTC connections of a person: one on which they publish, one on which they watch.

aiortc does ICE, DTLS and SRTP; what comes out of SRTP is taken over here, before aiortc would decode it. That stands on
the private names that `aiortc_names` checks.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from typing import Final, Literal

from aioice import ice
from aiortc import (
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpTransceiver,
    RTCSessionDescription,
    rtcdtlstransport,
)
from aiortc.rtcconfiguration import RTCBundlePolicy
from aiortc.rtcrtpsender import RTCRtpSender

from podium_daemon.conference.engines.embedded.forwarding import Downlink, Track
from podium_daemon.conference.events import TrackKind
from podium_daemon.conference.page_media.rtp import (
    Nack,
    Packet,
    PictureLost,
    SenderReport,
    is_rtcp,
    read_feedback,
    read_packet,
    write_receiver_report,
)
from podium_daemon.conference.page_media.sdp import Description, SdpFlaw, read_description
from podium_daemon.conference.page_media.switches import PUBLISHED

CONNECT_WITHIN: Final = 30.0  # seconds from the descriptions to DTLS; a browser that cannot reach us gives up as early
_MEDIA: Final = {TrackKind.AUDIO: "audio", TrackKind.VIDEO: "video", TrackKind.SCREEN: "video"}
_CODEC: Final = {"audio": "audio/opus", "video": "video/VP8"}
_COMPONENT: Final = 1  # RFC 8445: RTP and RTCP share it
_MAX_SSRCS: Final = 32  # of one publisher: a browser has three, and a new one when a camera is changed
_KILOBITS: Final = {TrackKind.AUDIO: 64, TrackKind.VIDEO: 1200, TrackKind.SCREEN: 2500}
_MEDIA_HEAD: Final = re.compile(r"(?m)^m=(?:audio|video) [^\n]*\nc=[^\n]*\n")

Over = Callable[[str], None]
"""Called once, with the reason, when a connection could not be made or broke."""


def use_addresses(addresses: Sequence[str]) -> None:
    """Set the addresses of this machine to be reached at; none: all but loopback, or loopback if there is no other."""
    original = ice.get_host_addresses

    def chosen(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        found = list(addresses) or original(use_ipv4, use_ipv6) or ["127.0.0.1"]
        return [one for one in found if (use_ipv6 if ":" in one else use_ipv4)]

    ice.get_host_addresses = chosen


class _Connection:
    """The common part of both connections: start, incoming and outgoing packets, end."""

    def __init__(self, stun: Sequence[str], *, up: Callable[[], None], over: Over) -> None:
        # an empty list is no list: aiortc's default would ask a foreign STUN server
        servers = [RTCIceServer(urls=url) for url in stun]
        configuration = RTCConfiguration(iceServers=servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        self.pc = RTCPeerConnection(configuration)
        self._up = up
        self._over: Over | None = over
        self._deadline: asyncio.TimerHandle | None = None
        self.pc.on("connectionstatechange", self._look)

    async def close(self) -> None:
        """Close the connection."""
        self._over = None
        if self._deadline is not None:
            self._deadline.cancel()
        await self.pc.close()

    def _take_over(self, transceiver: RTCRtpTransceiver) -> None:
        """Keep aiortc from starting its own decoders, encoders and reports, and take the packets from SRTP."""
        for end, name in ((transceiver.receiver, "receive"), (transceiver.sender, "send")):
            end.__dict__[name] = _nothing
        self._transport = transceiver.sender.transport
        self._transport.__dict__["_handle_rtp_data"] = self._on_rtp
        self._transport.__dict__["_handle_rtcp_data"] = self._on_rtcp

    def _send(self, data: bytes) -> None:
        """Encrypt and send, at once: what aiortc's `_send_rtp` does, whose four coroutines cost a fifth of a packet."""
        transport = self._transport
        try:
            pair = transport.transport._connection._nominated.get(_COMPONENT)
            if pair is None or transport._state is not rtcdtlstransport.State.CONNECTED:
                return
            srtp = transport._tx_srtp
            sealed = srtp.protect_rtcp(data) if is_rtcp(data) else srtp.protect(data)
            pair.protocol.transport.sendto(sealed, pair.remote_addr)
        except Exception:  # noqa: BLE001  (one receiver's trouble is not the publisher's, who is being served; its end is told elsewhere)
            return

    async def _on_rtp(self, data: bytes, arrival_time_ms: int) -> None:
        """Take a media packet."""

    async def _on_rtcp(self, data: bytes) -> None:
        """Take a feedback packet."""

    def _start_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().call_later(CONNECT_WITHIN, self._fail, "no way to this browser")

    def _look(self) -> None:
        match self.pc.connectionState:
            case "connected":
                if self._deadline is not None:
                    self._deadline.cancel()
                self._up()
            case "failed" | "closed":
                self._fail(f"the connection {self.pc.connectionState}")

    def _fail(self, why: str) -> None:
        over, self._over = self._over, None
        if over is not None:
            over(why)


class PublisherConnection(_Connection):
    """The connection on which a person's microphone, camera and screen arrive."""

    def __init__(
        self,
        stun: Sequence[str],
        *,
        heard: Callable[[TrackKind, Packet, float], None],
        up: Callable[[], None],
        over: Over,
    ) -> None:
        super().__init__(stun, up=up, over=over)
        self._heard = heard
        self.tracks = {kind: Track(kind, ask=self._send) for kind in PUBLISHED}
        self._payload_types: dict[TrackKind, int] = {}
        self._by_mid: dict[str, TrackKind] = {}
        self._by_ssrc: dict[int, TrackKind] = {}
        self._mid_extension: int | None = None
        self._level_extension: int | None = None

    async def accept(self, sdp: str, fingerprint: str | None) -> str | SdpFlaw:
        """Answer an offer of three media lines."""
        offer = read_description(sdp, "offer", tuple(_MEDIA[kind] for kind in PUBLISHED), fingerprint)
        if isinstance(offer, SdpFlaw):
            return offer
        for kind in PUBLISHED:
            self._take_over(self.pc.addTransceiver(_MEDIA[kind], "recvonly"))
        self._learn(offer)
        await self.pc.setRemoteDescription(RTCSessionDescription(offer.text, "offer"))
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        self._start_deadline()
        return _with_limits(self.pc.localDescription.sdp)

    def report(self, now: float) -> None:
        """Tell the browser how its streams arrive: it adapts to that."""
        reports = [report for track in self.tracks.values() if (report := track.report(now)) is not None]
        if reports:
            self._send(write_receiver_report(1, reports))

    async def _on_rtp(self, data: bytes, arrival_time_ms: int) -> None:  # noqa: ARG002  (aiortc's signature)
        packet = read_packet(data, self._mid_extension, self._level_extension)
        kind = None if packet is None else self._route(packet)
        if packet is not None and kind is not None:
            self._heard(kind, packet, time.monotonic())

    async def _on_rtcp(self, data: bytes) -> None:
        now = time.monotonic()
        for one in read_feedback(data):
            if isinstance(one, SenderReport) and (kind := self._by_ssrc.get(one.ssrc)) is not None:
                self.tracks[kind].heard(one, now)

    def _learn(self, offer: Description) -> None:
        for kind, line in zip(PUBLISHED, offer.lines, strict=True):
            assert line.payload_type is not None, "read_description refuses lines without a codec"
            self._payload_types[kind] = line.payload_type
            self._by_mid[line.mid] = kind
            self._by_ssrc.update(dict.fromkeys(line.ssrcs, kind))
        self._mid_extension = offer.lines[0].mid_extension
        self._level_extension = offer.lines[0].level_extension

    def _route(self, packet: Packet) -> TrackKind | None:
        kind = self._by_ssrc.get(packet.ssrc)
        if kind is None and packet.mid is not None and len(self._by_ssrc) < _MAX_SSRCS:
            kind = self._by_mid.get(packet.mid)
            if kind is not None:
                self._by_ssrc[packet.ssrc] = kind
        return kind if kind is not None and packet.payload_type == self._payload_types[kind] else None


class Slot:
    """Three media lines of one watcher that carry one publisher. Sound and picture of a slot are held together."""

    def __init__(self, lines: dict[TrackKind, Downlink], transceivers: dict[TrackKind, RTCRtpTransceiver]) -> None:
        self.lines = lines
        self.transceivers = transceivers
        self.owner: str | None = None

    def mid(self, kind: TrackKind) -> str | None:
        """The name of a line in the newest offer; None before the first."""
        return self.transceivers[kind].mid


class WatcherConnection(_Connection):
    """The connection on which a person receives all others: many media lines, offered by us."""

    def __init__(self, stun: Sequence[str], *, up: Callable[[], None], over: Over) -> None:
        super().__init__(stun, up=up, over=over)
        self.slots: list[Slot] = []
        self._lines: dict[int, Downlink] = {}
        self._codecs = {
            media: [one for one in RTCRtpSender.getCapabilities(media).codecs if one.mimeType == codec]
            for media, codec in _CODEC.items()
        }

    def grow(self, slots: int) -> None:
        """Have at least that many slots; they are of use after the next offer was answered."""
        while len(self.slots) < slots:
            name = f"slot-{len(self.slots)}"
            transceivers = {kind: self._add(kind, name) for kind in PUBLISHED}
            lines = {
                kind: Downlink(kind, one.sender._ssrc, send=self._send, cname=name.encode())
                for kind, one in transceivers.items()
            }
            self._lines |= {line.ssrc: line for line in lines.values()}
            self.slots.append(Slot(lines, transceivers))

    async def offer(self) -> str:
        """Our offer of all slots."""
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return _slim(self.pc.localDescription.sdp)

    async def accept(self, sdp: str, fingerprint: str | None) -> SdpFlaw | None:
        """Take the answer to it."""
        lines = [(slot.lines[kind], slot.transceivers[kind]) for slot in self.slots for kind in PUBLISHED]
        offered = [(line, one) for line, one in lines if one.mid is not None]
        answer = read_description(sdp, "answer", tuple(_MEDIA[line.kind] for line, _ in offered), fingerprint)
        if isinstance(answer, SdpFlaw):
            return answer
        await self.pc.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        for (line, _), told in zip(offered, answer.lines, strict=True):
            takes = told.direction in ("recvonly", "sendrecv")
            line.payload_type = told.payload_type if takes else None
            line.level_id = told.level_extension
        self._start_deadline()
        return None

    async def close(self) -> None:
        """End it without a word, and let go of the tracks."""
        for line in self._lines.values():
            line.follow(None, 0.0)
        await super().close()

    async def _on_rtcp(self, data: bytes) -> None:
        now = time.monotonic()
        for one in read_feedback(data):
            line = self._lines.get(one.ssrc)
            if line is None:
                continue
            if isinstance(one, Nack):
                line.asked_again(one, now)
            elif isinstance(one, PictureLost) and line.track is not None:
                line.track.want_key_frame(now)

    def _add(self, kind: TrackKind, stream: str) -> RTCRtpTransceiver:
        transceiver = self.pc.addTransceiver(_MEDIA[kind], "sendonly")
        transceiver.setCodecPreferences(self._codecs[_MEDIA[kind]])
        # browsers hold the sound and picture of one stream together: never those of two people
        transceiver.sender._stream_id = f"{stream}-screen" if kind is TrackKind.SCREEN else stream
        self._take_over(transceiver)
        return transceiver


async def _nothing(parameters: object) -> None:
    """In the place of aiortc's `receive` and `send`."""


def _slim(sdp: str) -> str:
    """Without the longer fingerprints that aiortc repeats on each media line: browsers name and check SHA-256."""
    longer = ("a=fingerprint:sha-384", "a=fingerprint:sha-512")
    return "".join(line for line in sdp.splitlines(keepends=True) if not line.startswith(longer))


def _with_limits(sdp: str) -> str:
    """An answer that tells the browser how much each line may take (RFC 8866, 5.8)."""
    limits = iter(_KILOBITS[kind] for kind in PUBLISHED)
    slim = _slim(sdp).replace("\r\n", "\n")
    limited = _MEDIA_HEAD.sub(lambda head: f"{head[0]}b=AS:{next(limits)}\n", slim)
    return limited.replace("\n", "\r\n")


Side = Literal["publish", "watch"]

"""People of a room without browsers: they join with a signature each, and send a film that was encoded before.

In a process of its own, `python -m benchmarks.room_people URL SESSION COUNT`: it writes a line once all are in the room
and send, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import io
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Final

import av
import httpx
import msgspec
import numpy as np
from aioice import ice
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.child import keep_quiet
from benchmarks.media_pages import Speaker
from podium_daemon.conference.events import ConnectionId
from podium_daemon.conference.page_media.signals import PageSignal, Sending, ServerSignal
from podium_protocol.addresses import Address
from podium_protocol.keys import SecretKey
from podium_protocol.live.join_proof import write_join_proof
from podium_protocol.nips import nip98

WIDTH: Final = 640
HEIGHT: Final = 360
RATE: Final = 20  # pictures a second
_LENGTH: Final = 40  # pictures; the first can be decoded by itself
_BYTES: Final = 1100  # of a packet
_BIT_RATE: Final = 400_000
_BEAT: Final = 5.0  # seconds
_WITHIN: Final = 60.0  # seconds in which a person is connected, also on a busy machine
_signal: Final = msgspec.json.Decoder(ServerSignal).decode


def film() -> tuple[bytes, ...]:
    """The frames of a moving picture, VP8."""
    codec = av.CodecContext.create("libvpx", "w")
    codec.width, codec.height, codec.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    codec.time_base, codec.framerate, codec.bit_rate = Fraction(1, RATE), Fraction(RATE), _BIT_RATE
    codec.gop_size = _LENGTH
    codec.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    frames: list[bytes] = []
    for number in range(_LENGTH):
        frames += [bytes(packet) for packet in codec.encode(_picture(number))]
    return tuple(frames)


def film_file() -> bytes:
    """The same as a WebM file."""
    made = io.BytesIO()
    with av.open(made, "w", format="webm") as container:
        stream = container.add_stream("libvpx", rate=RATE, options={"deadline": "realtime", "cpu-used": "8"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, "yuv420p", _BIT_RATE
        for number in range(_LENGTH):
            container.mux(stream.encode(_picture(number)))
        container.mux(stream.encode(None))
    return made.getvalue()


def _picture(number: int) -> av.VideoFrame:
    rows, columns = np.mgrid[0 : HEIGHT * 3 // 2, 0:WIDTH]
    values = (64 + 48 * np.sin(columns / 40 + number / 6) + 48 * np.sin(rows / 30)).astype(np.uint8)
    values[HEIGHT:] = 128
    frame = av.VideoFrame.from_ndarray(values, format="yuv420p")
    frame.pts, frame.time_base = number, Fraction(1, RATE)
    return frame


class _Seat:
    """One person's socket: stands where `media_pages.Pages` stands for its page."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._sent: list[asyncio.Task[None]] = []

    def say(self, _page: ConnectionId, signal: PageSignal) -> None:
        """A page says something."""
        self._sent.append(asyncio.create_task(self._socket.send(msgspec.json.encode(signal).decode())))


class _Nowhere:
    """A person without a seat yet."""

    def say(self, _page: ConnectionId, _signal: PageSignal) -> None:
        """Not heard."""


class Guest(Speaker):
    """Sends the film."""

    def __init__(self, number: int) -> None:
        self._key = SecretKey(secrets.token_bytes(32))
        super().__init__(_Nowhere(), ConnectionId(f"guest-{number}"))

    async def join(self, session: str, client: httpx.AsyncClient) -> ClientConnection:
        """Take a seat; the socket."""
        path = f"/api/sessions/{session}/join"
        asked = (await client.post(f"{path}/challenge")).raise_for_status().json()
        address = Address.parse(session)
        assert address is not None
        proof = write_join_proof(
            self._key.pubkey,
            url=asked["url"],
            method="POST",
            body=None,
            session=address,
            nonce=asked["nonce"],
            device="laptop",
            now=int(time.time()),
            fingerprint=self.fingerprint,
        )
        header = nip98.write_header(self._key.sign(proof, secrets.token_bytes(32)))
        ticket = (await client.post(path, headers={"Authorization": header})).raise_for_status().json()
        socket = await connect(ticket["socketUrl"], proxy=None, compression=None)
        await socket.send(msgspec.json.encode({"type": "hello", "token": ticket["token"]}).decode())
        self._pages = _Seat(socket)
        return socket

    async def stay(self, socket: ClientConnection) -> None:
        """Hear what the room says, and publish once it has media."""
        beats, listening = asyncio.create_task(_beat(socket)), asyncio.create_task(self.listen())
        try:
            async for text in socket:
                message = msgspec.json.decode(text)
                if message["type"] != "media":
                    continue
                if message["do"] == "begin":
                    await self.publish()
                    self.say(Sending(audio=False, video=True, screen=False))
                else:
                    self.heard.put_nowait(_signal(text))
        finally:
            beats.cancel()
            listening.cancel()

    async def send(self, frames: Sequence[bytes], offset: int) -> None:
        """Send the film, in time, until cancelled."""
        await self.connected.wait()
        picture = self._stream(1)
        transport = self.pc.getTransceivers()[0].sender.transport
        began, number = time.monotonic() - offset / RATE / 7, 0
        while True:
            await asyncio.sleep(began + number / RATE - time.monotonic())
            frame = frames[number % len(frames)]
            parts = [frame[start : start + _BYTES] for start in range(0, len(frame), _BYTES)]
            for index, part in enumerate(parts):
                head = b"\x10" if index == 0 else b"\x00"  # RFC 7741, 4.2: of a frame's first packet, or of a later one
                packet = picture.packet(head + part, number * 90_000 // RATE, marker=index == len(parts) - 1)
                await transport._send_rtp(packet)
            number += 1


async def _beat(socket: ClientConnection) -> None:
    while True:
        await asyncio.sleep(_BEAT)
        await socket.send('{"type":"beat"}')


@asynccontextmanager
async def guests(url: str, session: str, count: int) -> AsyncIterator[list[Guest]]:
    """So many people who are in the room and send."""
    frames, tasks = film(), []
    people = [Guest(number) for number in range(count)]
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
        for number, person in enumerate(people):
            socket = await person.join(session, client)
            tasks += [asyncio.create_task(person.stay(socket)), asyncio.create_task(person.send(frames, number))]
            await asyncio.wait_for(person.connected.wait(), _WITHIN)
    try:
        yield people
    finally:
        for task in tasks:
            task.cancel()


async def _main(url: str, session: str, count: str) -> None:
    ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]  # noqa: ARG005  (aioice's signature)
    async with guests(url, session, int(count)) as people:
        here = sum(person.connected.is_set() for person in people)
        sys.stdout.write(f"{here}\n")
        sys.stdout.flush()
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        await reader.read()


if __name__ == "__main__":
    keep_quiet()
    asyncio.run(_main(*sys.argv[1:]))
    os._exit(0)

"""The gate before the embedded relay, with floods on real sockets: honest people and the daemon do not notice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage
from websockets.frames import Frame, Opcode

from podium_daemon.relays.embedded import RelayProcess
from podium_daemon.relays.embedded_child import RelaySettings
from podium_daemon.relays.embedded_gate import DiskUse, FrameMeter, FrameTooLarge, GateLimits
from podium_protocol.events import SignedEvent
from podium_protocol.filters import Filter
from podium_protocol.relay.verdicts import EventAccepted
from tests.support.clock import ManualClock
from tests.support.pools import running_pool
from tests.support.relays import new_key, signed
from tests.support.until import until

pytestmark = [pytest.mark.real_peer, pytest.mark.faults, pytest.mark.timeout(120)]

SMALL = GateLimits(
    connections=20, connections_per_address=8, messages_per_minute=600, message_bytes=8 * 1024, handshake=60, unread=1
)
TOM, EVE = "203.0.113.5", "203.0.113.9"
KIB = 1024


@asynccontextmanager
async def gated(limits: GateLimits = SMALL, data: Path | None = None) -> AsyncIterator[RelayProcess]:
    """A relay behind its gate."""
    relay = await RelayProcess.start(RelaySettings(gate=limits, data=None if data is None else str(data)))
    try:
        yield relay
    finally:
        await relay.kill()


@asynccontextmanager
async def client(relay: RelayProcess, address: str | None = None) -> AsyncIterator[ClientConnection]:
    """A connection, through a proxy on this machine if an address is given."""
    headers = {} if address is None else {"X-Forwarded-For": f"198.51.100.1, {address}"}
    async with connect(
        relay.url, proxy=None, open_timeout=60, compression=None, additional_headers=headers, close_timeout=1
    ) as one:
        yield one


def as_text(event: SignedEvent) -> str:
    """The message that publishes it."""
    return f'["EVENT",{event.to_json().decode()}]'


async def publish(one: ClientConnection, event: SignedEvent) -> list[object]:
    """The relay's answer."""
    await one.send(as_text(event))
    async for message in one:
        answer: list[object] = json.loads(message)
        if answer[0] == "OK":
            return answer
    raise AssertionError("there was no answer")


async def serves(relay: RelayProcess, address: str = TOM) -> None:
    """Somebody else's event is stored, and the daemon, inside, reads it."""
    event = signed(new_key(), "honest", tags=(("t", "honest"),))
    async with client(relay, address) as one:
        assert (await publish(one, event))[2] is True
    async with connect(f"ws://127.0.0.1:{relay.inside}", proxy=None, open_timeout=60, close_timeout=1) as daemon:
        await daemon.send(f'["REQ","x",{{"ids":["{event.id}"]}}]')
        assert json.loads(await daemon.recv())[2]["id"] == event.id


async def test_the_daemon_has_a_way_in_of_its_own() -> None:
    """Its pool reaches the relay under its public name, and no limit for others concerns it."""
    async with gated(msgspec.structs.replace(SMALL, messages_per_minute=1)) as relay, running_pool(relay.url) as pool:
        pool.reach_inside(relay.url, lambda: relay.inside)
        await pool.opened(relay.url)
        key = new_key()
        for number in range(50):
            outcome = await pool.publish(relay.url, signed(key, f"number {number}"))
            assert isinstance(outcome.verdict, EventAccepted)
        assert len(list((await pool.fetch(None, [Filter(authors=(key.pubkey,))])).events)) == 50


async def test_unfinished_handshakes_keep_nobody_out() -> None:
    """LocalRelay drops every handshake while 128 are unfinished; the gate closes those to which nothing has come."""
    async with gated(msgspec.structs.replace(SMALL, connections=200)) as relay, AsyncExitStack() as stack:
        port = int(relay.url.rpartition(":")[2])
        for number in range(300):
            half = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            half.send(b"" if number % 2 else b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
        await serves(relay)


async def test_a_handshake_that_is_not_finished_in_time_is_ended() -> None:
    """Nothing is held for a client that says half of it."""
    async with gated(msgspec.structs.replace(SMALL, handshake=0.2)) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(relay.url.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_one_address_has_its_share_of_the_connections() -> None:
    """The ninth is refused, and another address is not, whether the eight do something or not."""
    async with gated() as relay, AsyncExitStack() as stack:
        for _ in range(SMALL.connections_per_address):
            eve = await stack.enter_async_context(client(relay, EVE))
            await eve.send('["REQ","x",{"kinds":[1]}]')
            await eve.recv()
        with pytest.raises((InvalidHandshake, InvalidMessage, ConnectionError, EOFError)):
            await stack.enter_async_context(client(relay, EVE))
        await serves(relay, TOM)


async def test_only_a_proxy_is_believed_who_speaks_for_whom() -> None:
    """Without trust in it, what comes from this machine is not counted, whatever it says of others."""
    async with gated(msgspec.structs.replace(SMALL, trusted_proxies=())) as relay, AsyncExitStack() as stack:
        for _ in range(SMALL.connections_per_address + 1):
            eve = await stack.enter_async_context(client(relay, EVE))
            await eve.send('["REQ","x",{"kinds":[1]}]')
            await eve.recv()


async def test_who_sends_too_much_is_read_slowly_and_others_are_not() -> None:
    """REQs without end, with filters of every size, from one address; its neighbours are answered meanwhile."""
    async with gated() as relay, client(relay, EVE) as eve:
        filters = json.dumps({"authors": [os.urandom(32).hex() for _ in range(60)]})
        seen = 0

        async def read() -> None:
            nonlocal seen
            with contextlib.suppress(ConnectionClosed):
                async for _ in eve:
                    seen += 1

        async def flood() -> None:
            for number in range(3_000):
                await eve.send(f'["REQ","{number % 300}",{filters}]')

        reading, flooding = asyncio.create_task(read()), asyncio.create_task(flood())
        try:
            await until(lambda: _at_least(lambda: seen, 50), "the first are answered")
            await serves(relay, TOM)
            assert seen <= 300, "600 messages of up to 1 KiB at once are 120 of these"
        finally:
            flooding.cancel()
            reading.cancel()
            eve.transport.abort()


async def _at_least(count: object, least: int) -> bool:
    assert callable(count)
    return bool(count() >= least)


async def test_subscriptions_without_end_cost_the_connection_that_holds_most() -> None:
    """LocalRelay keeps every filter of five hundred REQs in memory; a neighbour's connection stays."""
    filters = json.dumps({"authors": [os.urandom(32).hex() for _ in range(60)]})
    limits = msgspec.structs.replace(SMALL, held_bytes=40 * KIB, messages_per_minute=100_000)
    async with gated(limits) as relay, client(relay, TOM) as tom, client(relay, EVE) as eve:
        assert (await publish(tom, signed(new_key(), "before")))[2] is True
        for number in range(40):
            with contextlib.suppress(ConnectionClosed):
                await eve.send(f'["REQ","{number}",{filters}]')
        await eve.wait_closed()
        assert (await publish(tom, signed(new_key(), "after")))[2] is True


@pytest.mark.parametrize(
    "frames",
    [
        [Frame(Opcode.TEXT, b"x" * 9 * KIB)],
        [Frame(Opcode.TEXT, b"x" * 6 * KIB, fin=False), Frame(Opcode.CONT, b"x" * 6 * KIB)],
        [Frame(Opcode.BINARY, b"x" * 9 * KIB)],
    ],
)
async def test_a_message_too_large_ends_its_connection_only(frames: list[Frame]) -> None:
    """In one frame or in several."""
    async with gated() as relay:
        async with client(relay, EVE) as eve:
            for frame in frames:
                eve.transport.write(frame.serialize(mask=True))
            with pytest.raises(ConnectionClosed):
                await eve.recv()
        await serves(relay)


async def test_what_no_client_sends_ends_the_connection() -> None:
    """A frame that is not masked (RFC 6455, section 5.1)."""
    async with gated() as relay:
        async with client(relay, EVE) as eve:
            eve.transport.write(Frame(Opcode.TEXT, b"[]").serialize(mask=False))
            with pytest.raises(ConnectionClosed):
                await eve.recv()
        await serves(relay)


async def test_a_client_that_does_not_read_is_ended() -> None:
    """What the relay has for it is not kept, and its place is free again."""
    async with gated(msgspec.structs.replace(SMALL, messages_per_minute=1_000_000)) as relay:
        key = new_key()
        async with client(relay) as writer:
            for number in range(400):
                assert (await publish(writer, signed(key, "x" * 6_000 + str(number))))[2] is True
        async with client(relay, EVE) as eve:
            eve.transport.pause_reading()
            for number in range(60):
                eve.transport.write(Frame(Opcode.TEXT, b'["REQ","%d",{}]' % number).serialize(mask=True))
            await until(lambda: _has_no_peer(relay.pid, eve), "it is ended")
            eve.transport.abort()
        await serves(relay)


async def _has_no_peer(pid: int, one: ClientConnection) -> bool:
    """Whether the relay's process has closed its end."""
    _, port = one.local_address[:2]
    table = await asyncio.to_thread(Path(f"/proc/{pid}/net/tcp").read_text)
    rows = [line.split() for line in table.splitlines()[1:]]
    return not any(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


async def test_forged_events_and_those_of_other_kinds_hold_nobody_up() -> None:
    """Each is answered or its connection is ended; the others' events are stored."""
    forged = msgspec.structs.replace(signed(new_key(), "x"), sig="0" * 128)
    async with gated() as relay:
        async with client(relay, EVE) as eve:
            assert (await publish(eve, signed(new_key(), "{}", kind=5_555)))[2] is True
            with contextlib.suppress(ConnectionClosed):
                for _ in range(200):
                    await eve.send(as_text(forged))
        await serves(relay)


async def test_once_the_disk_is_used_up_only_the_daemon_is_stored(tmp_path: Path) -> None:
    """Others are told that the relay is full; what they stored before is there."""
    async with gated(msgspec.structs.replace(SMALL, max_megabytes=1), tmp_path) as relay:
        (tmp_path / "filler").write_bytes(b"x" * 1_500_000)
        async with client(relay, EVE) as eve:
            answer = await publish(eve, signed(new_key(), "more"))
        assert answer[2:] == [False, "blocked: this relay is full"]
        async with connect(f"ws://127.0.0.1:{relay.inside}", proxy=None, open_timeout=60, close_timeout=1) as daemon:
            assert (await publish(daemon, signed(new_key(), "ours")))[2] is True


async def test_the_disk_is_looked_at_every_few_seconds_only(tmp_path: Path) -> None:
    """A look for each event would cost more than the event."""
    clock = ManualClock()
    disk = DiskUse(tmp_path, 10_000, clock)
    assert not disk.is_full()
    (tmp_path / "data.mdb").write_bytes(b"x" * 20_000)
    assert not disk.is_full()
    clock.jump(10)
    assert not disk.is_full(), "a jump of the wall clock is no time"
    await clock.advance(10)
    assert disk.is_full()
    assert not DiskUse(tmp_path, 0, clock).is_full()
    assert not DiskUse(None, 10, clock).is_full()


def text(size: int, *, fin: bool) -> Frame:
    return Frame(Opcode.TEXT, b"x" * size, fin=fin)


@given(
    shapes=st.lists(
        st.one_of(
            st.builds(text, st.integers(0, 300) | st.integers(65_530, 65_545), fin=st.booleans()),
            st.builds(Frame, st.just(Opcode.PING), st.binary(max_size=125)),
        ),
        max_size=6,
    ),
    cuts=st.lists(st.integers(1, 70_000), max_size=12),
)
def test_frames_are_counted_wherever_the_stream_is_cut(shapes: list[Frame], cuts: list[int]) -> None:
    """Each frame costs one and each KiB one, in however many pieces they come."""
    data = b"".join(frame.serialize(mask=True) for frame in shapes)
    meter, cost, at = FrameMeter(10_000_000), 0.0, 0
    for cut in [*cuts, len(data)]:
        cost += meter.cost(data[at : at + cut])
        at += cut
    assert cost == pytest.approx(len(shapes) + len(data) / KIB)


def test_a_length_that_no_message_has_is_refused_before_it_comes() -> None:
    """Also one of 2**63 bytes."""
    with pytest.raises(FrameTooLarge):
        FrameMeter(1_000).cost(struct.pack(">BBQ", 0x81, 0xFF, 2**63) + b"mask")

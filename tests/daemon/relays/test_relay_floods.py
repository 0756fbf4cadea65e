"""Relays that flood us with frames that are cheap to make: each is left alone and named, and others do not notice."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

import pytest
from structlog.testing import capture_logs
from websockets.frames import Frame, Opcode

from podium_daemon.relays.relay_state import ConnectionState, Gaps
from podium_protocol.events import SignedEvent
from podium_protocol.filters import Filter
from podium_protocol.nips import nip42
from tests.support.pools import running_pool
from tests.support.relays import new_key, running_relay, signed
from tests.support.scripted_relay import Talk, scripted_relay

pytestmark = [pytest.mark.real_peer, pytest.mark.faults, pytest.mark.timeout(120)]

KEY = new_key()
AT_ONCE = 1_000
"""Frames in one write."""


def text(*elements: object) -> bytes:
    """One message as the bytes of its frame."""
    return Frame(Opcode.TEXT, json.dumps(elements).encode()).serialize(mask=False)


def piece(opcode: Opcode) -> bytes:
    """An empty frame that ends no message."""
    return Frame(opcode, b"", fin=opcode is not Opcode.CONT).serialize(mask=False)


FLOODS: dict[str, Callable[[str], bytes]] = {
    "notices": lambda _name: text("NOTICE", "x" * 1_000) * AT_ONCE,
    "challenges": lambda _name: b"".join(text("AUTH", f"challenge {number}") for number in range(AT_ONCE)),
    "ends of a subscription": lambda name: text("EOSE", name) * AT_ONCE,
    "ends of others": lambda _name: text("EOSE", "other") * AT_ONCE,
    "events after a close": lambda name: text("CLOSED", name, "error: no") + text("EVENT", name, {}) * AT_ONCE,
    "closes in other words": lambda name: b"".join(text("CLOSED", name, f"error: {one}") for one in range(AT_ONCE)),
    "answers to nothing": lambda _name: text("OK", "0" * 64, True, "") * AT_ONCE,
    "pings": lambda _name: piece(Opcode.PING) * AT_ONCE,
    "pongs": lambda _name: piece(Opcode.PONG) * AT_ONCE,
    "fragments": lambda _name: piece(Opcode.CONT) * AT_ONCE,
}


async def login(url: str, challenge: str) -> SignedEvent:
    """Sign what is asked."""
    return KEY.sign(nip42.write_auth(KEY.pubkey, url, challenge, int(time.time())), b"\x01" * 32)


def flooding(kind: str) -> Callable[[Talk], Awaitable[None]]:
    """A relay that sends frames of one kind until it is cut off."""

    async def behave(talk: Talk) -> None:
        _, name, *_ = await talk.receive_until("REQ")
        if kind == "fragments":
            await talk.write(Frame(Opcode.TEXT, b"[", fin=False).serialize(mask=False))
        burst = FLOODS[kind](name)
        while not talk.socket.transport.is_closing():
            await talk.write(burst)
            await asyncio.sleep(0)

    return behave


@pytest.mark.parametrize("kind", FLOODS)
async def test_a_relay_that_floods_is_left_alone_and_named_while_the_other_serves(kind: str) -> None:
    """It is cut off within the flood's first frames, the log has few lines of it, and the other relay answers."""
    async with (
        running_relay() as good,
        scripted_relay(flooding(kind)) as bad,
        running_pool(good.url, bad.url, signer=login) as pool,
    ):
        with capture_logs() as lines:
            pool.subscribe("notes", [Filter(kinds=(1,))])
            event = signed(KEY, "beside the flood")
            assert (await pool.publish(good.url, event)).is_done
            await pool.inbox.until(lambda inbox: event.id in inbox.ids(good.url))
            await pool.until(bad.url, ConnectionState.PENALTY)
        assert pool.state_of(good.url).connections == 1
        remark, *_ = Gaps(pool.states, dict).remarks()
        assert remark.startswith(f"{bad.url} is left alone for a while: it broke the rules too often: ")
        of_it = [line for line in lines if line.get("relay") == bad.url]
        assert [(line["log_level"], line["action"]) for line in of_it][-1] == ("warning", "relay.away")
        assert len(of_it) <= 30, of_it

"""The relays between the command line and a signer: real ones (nostr-sdk's), lost and found again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from podium_daemon.cli.signer_channel import SignerChannel
from podium_daemon.clock import SystemClock
from podium_daemon.signers.bunker import BunkerClient
from podium_protocol.events import UnsignedEvent, VerifiedEvent
from podium_protocol.nips.nip46 import Request, Response
from tests.support.bunker import ScriptedBunker, serving
from tests.support.relays import new_key, running_relay

pytestmark = pytest.mark.real_peer


class Silent:
    """Nobody."""

    def open_page(self, url: str) -> None:
        """Not shown."""

    def still_waiting(self) -> None:
        """Not told."""


@asynccontextmanager
async def line(bunker: ScriptedBunker, *relays: str) -> AsyncIterator[BunkerClient]:
    """A client of the signer on these relays."""
    key, clock = new_key(), SystemClock()
    bunker.clients.add(key.pubkey)
    channel = SignerChannel(key, bunker.key.pubkey, relays, clock=clock, random_bytes=os.urandom)
    client = BunkerClient(
        key, bunker.key.pubkey, channel, listener=Silent(), clock=clock, random_bytes=os.urandom, patience=60
    )
    try:
        await channel.open(client)
        yield client
    finally:
        await channel.close()


def draft(bunker: ScriptedBunker) -> UnsignedEvent:
    """An event to sign."""
    return UnsignedEvent(bunker.user.pubkey, 1_800_000_000, 1, (), "hello")


async def test_one_relay_of_several_is_enough() -> None:
    """A dead relay beside a living one costs neither the connection nor the signature."""
    bunker = ScriptedBunker()
    async with running_relay() as dead, running_relay() as alive, serving(bunker, alive.url):
        await dead.stop()
        async with line(bunker, dead.url, alive.url) as client:
            assert (await client.sign(draft(bunker))).pubkey == bunker.user.pubkey


async def test_a_relay_that_restarts_while_a_person_thinks_loses_nothing() -> None:
    """The relay dies before the signer answers; both come back, the same request goes out again and is answered."""
    heard = asyncio.Event()
    bunker = ScriptedBunker()

    def say_nothing(_: Request) -> list[Response]:
        heard.set()
        return []

    bunker.behaviour = say_nothing
    async with running_relay() as relay, line(bunker, relay.url) as client:
        async with serving(bunker, relay.url):
            asked: asyncio.Task[VerifiedEvent] = asyncio.create_task(client.sign(draft(bunker)))
            await heard.wait()
            await relay.kill()
        bunker.behaviour = None
        await relay.start()
        async with serving(bunker, relay.url):
            assert (await asked).content == "hello"
        assert len({request.id for request in bunker.requests}) == 1

"""Gift wraps from a real relay (nostr-sdk's), through the pool, to whoever reads them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from podium_daemon.clock import SystemClock
from podium_daemon.relays.gift_wraps import SUBSCRIPTION, GiftWraps
from podium_daemon.relays.incoming import Incoming
from podium_daemon.relays.pool import PoolRelay
from podium_daemon.supervisor import Stop
from podium_protocol import kinds
from podium_protocol.events import SignedEvent, UnsignedEvent, VerifiedEvent
from podium_protocol.keys import SecretKey
from podium_storage.errors import StoreError
from podium_storage.watermarks import Watermarks
from tests.support.mirrors import Mirrored, mirrored
from tests.support.pools import running_pool
from tests.support.relays import RunningRelay, new_key, running_relay
from tests.support.until import until

DAY = 86_400


class Reader:
    """Keeps what was delivered; refuses while told to."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.refuses = False
        self._news = asyncio.Condition()

    async def take(self, wraps: Sequence[VerifiedEvent]) -> None:
        """Take gift wraps."""
        if self.refuses:
            raise StoreError("the disk is full")
        async with self._news:
            self.read += [wrap.id for wrap in wraps]
            self._news.notify_all()

    async def until(self, *ids: str) -> None:
        """Wait until these were delivered."""
        async with self._news:
            await self._news.wait_for(lambda: set(ids) <= set(self.read))


@asynccontextmanager
async def reading(relay: PoolRelay, here: Mirrored, service: SecretKey) -> AsyncIterator[tuple[GiftWraps, Reader]]:
    """The service and its reader, on a pool with one relay."""
    reader = Reader()
    wraps = GiftWraps(
        service=service.pubkey, deliver=reader.take, watermarks=Watermarks(here.store.database), clock=SystemClock()
    )
    async with running_pool(relay, sink=wraps.take, on_eose=wraps.on_eose) as pool:
        wraps.join(pool)
        stop = Stop()
        running = asyncio.create_task(wraps.run(stop))
        try:
            yield wraps, reader
        finally:
            stop.set()
            await running


async def publish(relay: RunningRelay, *events: SignedEvent) -> None:
    """Publish over a connection of its own."""
    async with running_pool(relay.url) as pool:
        for event in events:
            assert (await pool.publish(relay.url, event)).is_done


def wrap_for(service: SecretKey, *, ago: int = 0, kind: int = kinds.GIFT_WRAP) -> SignedEvent:
    """A gift wrap so many seconds old; what is in it is nobody's business here."""
    key = new_key()
    draft = UnsignedEvent(key.pubkey, int(time.time()) - ago, kind, (("p", service.pubkey),), "AAAA")
    return key.sign(draft, os.urandom(32))


@pytest.mark.real_peer
async def test_wraps_stored_and_new_are_delivered_once(tmp_path: Path) -> None:
    """What lay there, back-dated or not, and what comes; other people's messages and other kinds stay away."""
    service = new_key()
    stored, old, fresh = wrap_for(service), wrap_for(service, ago=2 * DAY), wrap_for(service, ago=DAY)
    others = [wrap_for(new_key()), wrap_for(service, kind=kinds.PRIVATE_MESSAGE)]
    async with running_relay() as relay, mirrored(tmp_path / "p.sqlite") as here:
        await publish(relay, stored, old, *others)
        async with reading(PoolRelay(relay.url, dm=True), here, service) as (wraps, reader):
            await reader.until(stored.id, old.id)
            await publish(relay, fresh)
            await reader.until(fresh.id)
            assert sorted(reader.read) == sorted([stored.id, old.id, fresh.id])
            assert wraps.ladder.accepted == 3


@pytest.mark.real_peer
async def test_a_restart_reads_two_days_back_and_not_everything(tmp_path: Path) -> None:
    """A wrap dated up to two days back that came meanwhile is delivered; one from before that is not asked for."""
    service = new_key()
    before, missed, ancient = wrap_for(service), wrap_for(service, ago=2 * DAY - 60), wrap_for(service, ago=3 * DAY)
    async with running_relay() as relay, mirrored(tmp_path / "p.sqlite") as here:
        await publish(relay, before)
        marks = Watermarks(here.store.database)
        async with reading(PoolRelay(relay.url, dm=True), here, service) as (_, reader):
            await reader.until(before.id)
            await until(lambda: marks.get(relay.url, SUBSCRIPTION), "the end of what was stored is written down")
        await publish(relay, missed, ancient)
        async with reading(PoolRelay(relay.url, dm=True), here, service) as (_, reader):
            await reader.until(missed.id)
            assert ancient.id not in reader.read


@pytest.mark.real_peer
async def test_relays_that_are_not_for_messages_are_not_asked(tmp_path: Path) -> None:
    """Where no relay is configured with `dm`, nothing is subscribed to."""
    async with running_relay() as relay, mirrored(tmp_path / "p.sqlite") as here:
        service = new_key()
        await publish(relay, wrap_for(service))
        reader = Reader()
        wraps = GiftWraps(
            service=service.pubkey, deliver=reader.take, watermarks=Watermarks(here.store.database), clock=SystemClock()
        )
        async with running_pool(PoolRelay(relay.url, dm=False), sink=wraps.take) as pool:
            wraps.join(pool)
            stop = Stop()
            running = asyncio.create_task(wraps.run(stop))
            await pool.opened(relay.url)
            stop.set()
            await running
            assert pool.filters_of(relay.url, SUBSCRIPTION) == ()


async def test_hostile_copies_are_dropped_and_the_good_one_is_read() -> None:
    """A copy with a bad signature, one not for us and one from the future are counted, and block nothing."""
    service, reader = new_key(), Reader()
    good, late = wrap_for(service), wrap_for(service, ago=-3600)
    bad = msgspec.structs.replace(good, sig="0" * 128)
    async with mirrored() as here:
        wraps = GiftWraps(
            service=service.pubkey, deliver=reader.take, watermarks=Watermarks(here.store.database), clock=SystemClock()
        )
        rest = await wraps.take([incoming(each) for each in (bad, wrap_for(new_key()), late, good, good)])
        await wraps.take([incoming(good)])
    assert (rest, set(reader.read)) == ([], {good.id})
    assert wraps.ladder.dropped == {"bad_signature": 1, "not_asked_for": 1, "from_the_future": 1, "duplicate": 1}


async def test_what_could_not_be_stored_comes_again() -> None:
    """A wrap whose delivery failed is not marked as seen."""
    service, reader = new_key(), Reader()
    reader.refuses = True
    wrap = incoming(wrap_for(service))
    async with mirrored() as here:
        wraps = GiftWraps(
            service=service.pubkey, deliver=reader.take, watermarks=Watermarks(here.store.database), clock=SystemClock()
        )
        with pytest.raises(StoreError):
            await wraps.take([wrap])
        reader.refuses = False
        await wraps.take([wrap])
    assert len(reader.read) == 1


async def test_other_subscriptions_are_left_to_others() -> None:
    """The rest of a batch is given back in order, untouched."""
    service, reader = new_key(), Reader()
    theirs = [incoming(wrap_for(service), "sessions-0"), incoming(wrap_for(service), "own")]
    async with mirrored() as here:
        wraps = GiftWraps(
            service=service.pubkey, deliver=reader.take, watermarks=Watermarks(here.store.database), clock=SystemClock()
        )
        assert await wraps.take([theirs[0], incoming(wrap_for(service)), theirs[1]]) == theirs
    assert len(reader.read) == 1


def incoming(event: SignedEvent, subscription: str = SUBSCRIPTION) -> Incoming:
    """An event as the pool hands it on."""
    return Incoming("wss://relay.example.org", subscription, msgspec.Raw(event.to_json()))

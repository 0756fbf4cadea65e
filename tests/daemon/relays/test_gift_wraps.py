"""Gift wraps from a real relay (nostr-sdk's), through the pool, to their reader."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from podium_daemon.relays.embedded_child import RelaySettings
from podium_daemon.relays.gift_wraps import SUBSCRIPTION, GiftWraps, split_wraps
from podium_daemon.relays.incoming import Incoming
from podium_daemon.relays.pool import PoolRelay
from podium_daemon.runtime.clock import Clock, SystemClock
from podium_daemon.runtime.reconcile_loop import RETRY_SECONDS
from podium_daemon.runtime.supervisor import Stop
from podium_protocol import kinds
from podium_protocol.events import SignedEvent, UnsignedEvent, VerifiedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip42
from podium_storage.errors import StoreError
from podium_storage.mirror.mirror import Watermarks
from tests.support.clock import ManualClock
from tests.support.mirrors import Mirrored, mirrored
from tests.support.pools import running_pool
from tests.support.relays import RunningRelay, new_key, running_relay
from tests.support.until import until

DAY = 86_400
PAGE = 25


class Reader:
    """Keeps what was delivered; refuses while told to."""

    def __init__(self, room: int | None = None) -> None:
        self.room = room  # None: for any number
        self.read: list[str] = []
        self.refuses = False
        self.full = asyncio.Event()
        self._news = asyncio.Condition()

    async def take(self, wraps: Sequence[VerifiedEvent]) -> None:
        """Take gift wraps."""
        if self.refuses:
            raise StoreError("the disk is full")
        if self.room is not None and len(self.read) + len(wraps) > self.room:
            self.full.set()
            raise StoreError("the disk is full")
        async with self._news:
            self.read += [wrap.id for wrap in wraps]
            self._news.notify_all()

    async def until(self, *ids: str) -> None:
        """Wait until these were delivered."""
        async with self._news:
            await self._news.wait_for(lambda: set(ids) <= set(self.read))


@asynccontextmanager
async def reading(
    relay: PoolRelay,
    here: Mirrored,
    service: SecretKey,
    clock: Clock | None = None,
    room: int | None = None,
    **options: object,
) -> AsyncIterator[tuple[GiftWraps, Reader]]:
    """The service and its reader with `room` for so many, on a pool with one relay; `options` are the pool's."""
    reader = Reader(room)
    wraps = GiftWraps(
        service=service.pubkey,
        deliver=reader.take,
        watermarks=Watermarks(here.store.database),
        clock=clock or SystemClock(),
    )
    async with running_pool(relay, sink=wraps.apply_events, on_eose=wraps.on_eose, **options) as pool:
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
            assert wraps.ingest.accepted == 3


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
@pytest.mark.parametrize("is_known", [False, True])
async def test_a_backlog_of_many_pages_is_read_to_its_end(tmp_path: Path, *, is_known: bool) -> None:
    """A relay gives so many events for one REQ and then EOSE, whatever else came while the daemon was down."""
    service, before = new_key(), new_key()
    backlog = [wrap_for(service, ago=number * 600) for number in range(3 * PAGE)]
    async with running_relay(RelaySettings(max_filter_limit=PAGE)) as relay, mirrored(tmp_path / "p.sqlite") as here:
        await publish(relay, wrap_for(before), *backlog)
        marks = Watermarks(here.store.database)
        if is_known:
            await marks.set(relay.url, SUBSCRIPTION, int(time.time()))
        async with reading(PoolRelay(relay.url, dm=True), here, service) as (_, reader):
            await reader.until(*(wrap.id for wrap in backlog))
            await until(lambda: marks.get(relay.url, SUBSCRIPTION), "the end of what was stored is written down")


@pytest.mark.real_peer
async def test_a_backlog_that_cannot_be_stored_is_read_again(tmp_path: Path) -> None:
    """Nothing is skipped because the disk was full for a while, and the mark waits for it."""
    service = new_key()
    backlog = [wrap_for(service, ago=number) for number in range(3 * PAGE)]
    clock = ManualClock(time.time())
    async with running_relay(RelaySettings(max_filter_limit=PAGE)) as relay, mirrored(tmp_path / "p.sqlite") as here:
        await publish(relay, *backlog)
        marks = Watermarks(here.store.database)
        async with reading(PoolRelay(relay.url, dm=True), here, service, clock, room=PAGE) as (_, reader):
            await reader.full.wait()
            assert await marks.get(relay.url, SUBSCRIPTION) is None
            reader.room = None
            await clock.until_sleeping(2)  # the other one waits for relays that say nothing
            await clock.advance(RETRY_SECONDS)
            await reader.until(*(wrap.id for wrap in backlog))
            await until(lambda: marks.get(relay.url, SUBSCRIPTION), "the end of what was stored is written down")


@pytest.mark.real_peer
async def test_messages_that_are_kept_from_strangers_come_after_the_login(tmp_path: Path) -> None:
    """A relay that guards gift wraps says nothing of them to a client that did not log in."""
    service = new_key()
    wrap = wrap_for(service)

    async def sign(url: str, challenge: str) -> SignedEvent:
        return service.sign(nip42.write_auth(service.pubkey, url, challenge, int(time.time())), os.urandom(32))

    async with running_relay(RelaySettings(guard_messages=True)) as relay, mirrored(tmp_path / "p.sqlite") as here:
        await publish(relay, wrap)
        async with reading(PoolRelay(relay.url, dm=True), here, service, signer=sign) as (_, reader):
            await reader.until(wrap.id)


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
        async with running_pool(PoolRelay(relay.url, dm=False), sink=wraps.apply_events) as pool:
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
        await wraps.apply_events([incoming(each) for each in (bad, wrap_for(new_key()), late, good, good)])
        await wraps.apply_events([incoming(good)])
    assert list(reader.read) == [good.id]
    assert wraps.ingest.dropped == {"bad_signature": 1, "not_asked_for": 1, "from_the_future": 1, "duplicate": 2}


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
            await wraps.apply_events([wrap])
        reader.refuses = False
        await wraps.apply_events([wrap])
    assert len(reader.read) == 1


def test_other_subscriptions_are_left_to_others() -> None:
    """The wraps of a batch and the rest of it are told apart, each in order, untouched."""
    service = new_key()
    theirs = [incoming(wrap_for(service), "sessions-0"), incoming(wrap_for(service), "own")]
    ours = incoming(wrap_for(service))
    assert split_wraps([theirs[0], ours, theirs[1]]) == ([ours], theirs)
    assert split_wraps(theirs) == ([], theirs)


def incoming(event: SignedEvent, subscription: str = SUBSCRIPTION) -> Incoming:
    """An event as the pool hands it on."""
    return Incoming("wss://relay.example.org", subscription, msgspec.Raw(event.to_json()))


class Past:
    """A service that waits for the past to be read."""

    def __init__(self) -> None:
        self.told = 0
        self.refuses = False

    async def is_read(self) -> None:
        """The past is read."""
        if self.refuses:
            raise StoreError("the disk is full")
        self.told += 1


@asynccontextmanager
async def waiting(here: Mirrored, relay: PoolRelay, past: Past, clock: Clock) -> AsyncIterator[GiftWraps]:
    """The service with a person who waits for the past."""
    reader = Reader()
    wraps = GiftWraps(
        service=new_key().pubkey,
        deliver=reader.take,
        watermarks=Watermarks(here.store.database),
        clock=clock,
        past_is_read=past.is_read,
        patience=12.0,
    )
    async with running_pool(relay, sink=wraps.apply_events, on_eose=wraps.on_eose) as pool:
        wraps.join(pool)
        stop = Stop()
        running = asyncio.create_task(wraps.run(stop))
        try:
            yield wraps
        finally:
            stop.set()
            await running


@pytest.mark.real_peer
async def test_who_waits_for_the_past_is_told_once_it_is_read(tmp_path: Path) -> None:
    """After the relay's last stored wrap, and once, whatever it says later."""
    async with running_relay() as relay, mirrored(tmp_path / "p.sqlite") as here:
        past = Past()
        async with waiting(here, PoolRelay(relay.url, dm=True), past, SystemClock()) as wraps:
            async with asyncio.timeout(60):
                await wraps.caught_up.wait()
            await wraps.on_eose(SUBSCRIPTION, relay.url, partial=False)
            assert past.told == 1


async def test_a_silent_relay_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    """Patience ends after its time, and a full disk then only puts it off."""
    async with mirrored(tmp_path / "p.sqlite") as here:
        past, clock = Past(), ManualClock(time.time())
        past.refuses = True
        async with waiting(here, PoolRelay("ws://127.0.0.1:1", dm=True), past, clock) as wraps:
            await clock.until_sleeping()
            assert not wraps.caught_up.is_set()
            await clock.advance(12)
            await clock.until_sleeping()
            assert not wraps.caught_up.is_set()
            past.refuses = False
            await clock.advance(RETRY_SECONDS)
            async with asyncio.timeout(60):
                await wraps.caught_up.wait()
        assert past.told == 1


async def test_without_message_relays_there_is_no_past(tmp_path: Path) -> None:
    """Nothing is waited for where nothing can come from."""
    async with mirrored(tmp_path / "p.sqlite") as here:
        past = Past()
        async with waiting(here, PoolRelay("ws://127.0.0.1:1", dm=False), past, ManualClock(time.time())) as wraps:
            async with asyncio.timeout(60):
                await wraps.caught_up.wait()
                await wraps.remembered.wait()
        assert past.told == 1


@pytest.mark.parametrize("is_known", [False, True])
async def test_on_an_empty_disk_no_silence_stands_for_the_memory(tmp_path: Path, *, is_known: bool) -> None:
    """Who said `stop` is known to the relay alone then: only a disk that has read one before goes on without."""
    relay = "ws://127.0.0.1:1"
    async with mirrored(tmp_path / "p.sqlite") as here:
        if is_known:
            await Watermarks(here.store.database).set("wss://another.example.org", SUBSCRIPTION, 1)
        clock = ManualClock(time.time())
        async with waiting(here, PoolRelay(relay, dm=True), Past(), clock) as wraps:
            await clock.until_sleeping()
            await clock.advance(12)
            async with asyncio.timeout(60):
                await wraps.caught_up.wait()
                await until(lambda: _has_been_decided(wraps, is_known), "it is decided")
            assert wraps.remembered.is_set() is is_known
            await wraps.on_eose(SUBSCRIPTION, relay, partial=False)
            assert wraps.remembered.is_set()


async def _has_been_decided(wraps: GiftWraps, is_known: bool) -> bool:
    return wraps.remembered.is_set() or not is_known


async def test_other_message_relays_are_read_from_their_beginning(tmp_path: Path) -> None:
    """After a reload wraps come from the new relay, those that it kept before too, and not from the old one."""
    service = new_key()
    kept, fresh, lost = (wrap_for(service) for _ in range(3))
    async with running_relay() as old, running_relay() as new, mirrored(tmp_path / "p.sqlite") as here:
        await publish(new, kept)
        async with reading(PoolRelay(old.url, dm=True), here, service) as (wraps, reader):
            async with asyncio.timeout(60):
                await wraps.caught_up.wait()
            assert wraps._pool is not None
            wraps._pool.configure([PoolRelay(new.url, dm=True), PoolRelay(old.url, dm=False)])
            wraps.relays_changed()
            await reader.until(kept.id)
            await publish(old, lost)
            await publish(new, fresh)
            await reader.until(fresh.id)
            assert lost.id not in reader.read

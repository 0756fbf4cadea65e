"""Two daemons with one key: each sees the other, stops sending and says so; an earlier life of our own is no other."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from podium_daemon.relays.pool import PoolRelay
from podium_daemon.relays.publisher import Publisher
from podium_daemon.relays.syncer import Syncer
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.services.people.twin_watch import TwinWatch
from podium_daemon.writers.event_writer import EventWriter
from podium_daemon.writers.live_status import StatusEvents, StatusSettings
from podium_protocol import kinds
from podium_protocol.events import UnsignedEvent, VerifiedEvent
from podium_protocol.live.session import SessionSpec
from podium_storage.mirror.mirror import Watermarks
from tests.support.pools import PoolInTest, running_pool
from tests.support.relays import running_relay
from tests.support.world import World, signed, world

pytestmark = pytest.mark.real_peer


class Life:
    """One daemon's part that matters here: pool, syncer, publisher, status and the watch."""

    def __init__(self, here: World, url: str, pool: PoolInTest, syncer: Syncer) -> None:
        self.here = here
        self.pool = pool
        self.syncer = syncer
        event_writer = EventWriter(here.mirror, here.outbox, lambda: [url], here.clock)
        self.status = StatusEvents(
            StatusSettings(space_name="Podium", public_url="http://127.0.0.1:7448"),
            store=here.store,
            mirror=here.mirror,
            event_writer=event_writer,
            signer=here.signer,
            clock=here.clock,
        )

        async def announce() -> None:
            await self.status.announce_space(anew=True)

        async def answer(not_before: int) -> None:
            event = await self.status.announce_space(anew=True, not_before=not_before)
            assert event is not None
            await pool.publish(url, event)

        self.watch = TwinWatch(
            here.service.pubkey,
            space=self.status.space,
            outbox=here.outbox,
            mirror=here.mirror,
            announce=announce,
            answer=answer,
            caught_up=syncer.caught_up,
            clock=here.clock,
        )
        syncer.watch = self.watch.inspect_events
        self.publisher = Publisher(
            outbox=here.outbox,
            store=here.store,
            pool=pool,
            clock=here.clock,
            may_send=lambda: self.watch.may_send,
        )

    async def spaces(self) -> list[VerifiedEvent]:
        """Announcements of ours that the relay has."""
        event = await self.here.mirror.newest(self.status.space)
        return [] if event is None else [event]


@asynccontextmanager
async def living(here: World, url: str) -> AsyncIterator[Life]:
    """A daemon's part at work, on its own disk."""
    syncer = Syncer(
        mirror=here.mirror,
        store=here.store,
        watermarks=Watermarks(here.store.database),
        instructors=lambda: here.listed,
        service=here.service.pubkey,
        patience=3600.0,
        doors=900,
        clock=here.clock,
    )
    stop = Stop(here.clock)
    async with running_pool(PoolRelay(url), sink=syncer.apply_events, on_eose=syncer.on_eose) as pool:
        syncer.join(pool)
        life = Life(here, url, pool, syncer)
        running = [asyncio.create_task(service.run(stop)) for service in (syncer, life.publisher, life.watch)]
        try:
            yield life
        finally:
            stop.set()
            await asyncio.gather(*running)


async def passing(condition: Callable[[], bool | Awaitable[bool]], *worlds: World) -> None:
    """Let time go by until the condition holds: what did not reach the relay is tried again by the clock."""
    rounds = 0
    async with asyncio.timeout(60):
        while True:
            holds = condition()
            if await holds if inspect.isawaitable(holds) else holds:
                return
            rounds += 1
            await asyncio.sleep(0)
            if rounds % 2_000 == 0:  # the relay is another process, and has its own pace
                for here in worlds:
                    await here.clock.advance(1)


async def announced(life: Life) -> None:
    """Wait until the relay has what the daemon announced."""

    async def done() -> bool:
        return bool(await life.spaces()) and not await life.here.outbox.pending_by_relay()

    await passing(done, life.here)


async def test_two_daemons_with_one_key_both_stop_and_say_so() -> None:
    """The first sees the second's announcement, the second sees the first one's answer; what is due stays unsent."""
    async with running_relay() as relay, world() as one, living(one, relay.url) as first:
        await announced(first)
        assert first.watch.trouble is None
        await one.clock.advance(60)
        async with world(like=one) as other, living(other, relay.url) as second:
            await passing(lambda: bool(first.watch.trouble and second.watch.trouble), one, other)
            for life in (first, second):
                assert "another daemon works with this key" in (life.watch.trouble or "")
                assert "stop one of the two" in (life.watch.trouble or "")
                assert not life.watch.may_send
            draft = second.here.draft(
                SessionSpec(identifier="knots", title="Knots", starts_at=other.now + 7200, duration_minutes=60)
            )
            event = signed(other.instructor, draft)
            event_writer = EventWriter(other.mirror, other.outbox, lambda: [relay.url], other.clock)
            await other.store.database.transact(lambda tx: event_writer.add(tx, [event]))
            await other.clock.advance(60)
            (delivery,) = await other.outbox.status_of(event.id)
            assert delivery.attempts == 0


async def test_a_restart_and_a_lost_disk_are_no_second_daemon() -> None:
    """What the relay has of our earlier life was written before we started, whether the disk remembers it or not."""
    async with running_relay() as relay, world() as one:
        async with living(one, relay.url) as first:
            await announced(first)
        await one.clock.advance(1)
        async with living(one, relay.url) as again:
            await announced(again)
            assert again.watch.trouble is None
        async with world(like=one) as empty, living(empty, relay.url) as reborn:
            await passing(reborn.syncer.caught_up.is_set, empty)
            await announced(reborn)
            await empty.clock.advance(60)
            await reborn.status.announce_space(anew=True)
            await announced(reborn)
            assert reborn.watch.trouble is None


async def test_other_rooms_of_the_same_person_are_none_of_ours() -> None:
    """In the single-user default the key is a person's, who may host audio rooms elsewhere (NIP-53)."""
    async with running_relay() as relay, world() as one, living(one, relay.url) as life:
        await announced(life)
        await one.clock.advance(60)
        for kind in (kinds.SPACE, kinds.MEETING):
            tags = (("d", "my-other-room"), ("a", f"30312:{one.service.pubkey}:my-other-room"))
            await life.watch.inspect_events(
                [signed(one.service, UnsignedEvent(one.service.pubkey, one.now, kind, tags, ""))], live=True
            )
        assert life.watch.trouble is None
        stranger = one.instructor
        tags = (("d", "podium"),)
        await life.watch.inspect_events(
            [signed(stranger, UnsignedEvent(stranger.pubkey, one.now, kinds.SPACE, tags, ""))], live=True
        )
        assert life.watch.trouble is None
        meeting = (("d", "room"), ("a", f"30312:{one.service.pubkey}:podium"))
        await life.watch.inspect_events(
            [signed(one.service, UnsignedEvent(one.service.pubkey, one.now, kinds.MEETING, meeting, ""))], live=True
        )
        assert life.watch.trouble is not None


async def test_a_forgotten_revision_from_a_relay_that_was_away_is_our_own() -> None:
    """An older revision than the one we hold was replaced by us, and says nothing of another daemon."""
    async with running_relay() as relay, world() as one, living(one, relay.url) as life:
        await announced(life)
        await one.clock.advance(60)
        await life.status.announce_space(anew=True)
        older = UnsignedEvent(one.service.pubkey, one.now - 20, kinds.SPACE, (("d", "podium"),), "")
        await life.watch.inspect_events([signed(one.service, older)], live=True)
        assert life.watch.trouble is None

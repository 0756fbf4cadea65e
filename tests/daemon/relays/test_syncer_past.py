"""Reading the past of a real relay into an empty mirror."""

from __future__ import annotations

import asyncio
import os

from podium_daemon.demo.people import open_wire
from podium_daemon.relays.pool import RelayPool
from podium_daemon.relays.relay_state import PoolRelay
from podium_daemon.relays.syncer import Syncer
from podium_daemon.runtime.clock import SystemClock
from podium_daemon.runtime.supervisor import Stop
from podium_protocol.addresses import Address
from podium_protocol.live.rsvp import RsvpStatus, write_rsvp
from podium_protocol.live.session import SessionSpec
from podium_storage.mirror.mirror import Watermarks
from tests.support.relays import running_relay
from tests.support.world import new_key, world

ANSWERS = 620  # more than a relay gives for one REQ


async def test_more_answers_than_a_page_come_back_in_the_order_they_were_given() -> None:
    """A daemon with an empty disk reads every RSVP, and seats go to those who answered first."""
    clock = SystemClock()
    now = int(clock.now())
    async with running_relay() as relay, world() as here:
        async with open_wire(relay.url) as wire:
            spec = SessionSpec(identifier="big", title="Big", starts_at=now + 7200, duration_minutes=60)
            here.clock.jump(now - here.clock.now())
            await wire.publish(here.instructor.sign(here.draft(spec), os.urandom(32)))
            session = Address(31923, here.instructor.pubkey, "big")
            people = [new_key() for _ in range(ANSWERS)]
            for number, key in enumerate(people):
                draft = write_rsvp(session, RsvpStatus.CONFIRMED, pubkey=key.pubkey, now=now - ANSWERS + number)
                await wire.publish(key.sign(draft, os.urandom(32)))
        syncer = Syncer(
            mirror=here.mirror,
            store=here.store,
            watermarks=Watermarks(here.store.database),
            instructors=lambda: here.listed,
            service=here.service.pubkey,
            patience=20.0,
            doors=900,
            clock=clock,
        )
        pool = RelayPool([PoolRelay(relay.url)], sink=syncer.apply_events, on_eose=syncer.on_eose, clock=clock)
        syncer.join(pool)
        stop = Stop(clock)
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            group.create_task(pool.run(stop))
            group.create_task(syncer.run(stop))
            await syncer.caught_up.wait()
            async for rows in here.store.live_query(lambda tables: tables.rsvps.to_list()):
                if len(rows) == ANSWERS:
                    break
            stop.set()
        order = [row.pubkey for row in sorted(rows, key=lambda row: row.first_seen)]
        assert order == [key.pubkey for key in people]

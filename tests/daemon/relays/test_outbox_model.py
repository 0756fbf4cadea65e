"""People are read where they write (NIP-65), and a relay that a person merely names gets nothing from us that hurts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from podium_daemon.relays.addresses import leads_outside
from podium_daemon.relays.outbox_model import OutboxModel, OutboxSettings
from podium_daemon.relays.outbox_plan import AGAIN, POLL
from podium_daemon.relays.paged_fetch import FetchedFromRelay
from podium_daemon.relays.pool import PoolRelay
from podium_daemon.relays.publisher import Publisher
from podium_daemon.relays.syncer import Syncer
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.services.sessions.spreading import Spreading
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import SignedEvent, UnsignedEvent, VerifiedEvent
from podium_protocol.filters import Filter
from podium_protocol.keys import SecretKey
from podium_protocol.live.rsvp import RsvpStatus, write_rsvp
from podium_protocol.live.session_spec import SessionSpec
from podium_protocol.nips import nip17, nip65
from podium_protocol.relay.verdicts import EventAccepted
from podium_storage.changes import Batch
from podium_storage.mirror.mirror import Watermarks
from tests.support.memory_relay import memory_relay
from tests.support.pools import LOOPBACK, PoolInTest, running_pool
from tests.support.relays import running_relay
from tests.support.scripted_relay import Talk, scripted_relay
from tests.support.world import World, new_key, signed, world

KNOTS = "knots"
EVERYTHING = Batch((), resync=True)
CLOSED = 1_029  # a port on which nobody listens


class Looking:
    """A syncer and the outbox model at work on a world."""

    def __init__(self, here: World, pool: PoolInTest, syncer: Syncer, model: OutboxModel) -> None:
        self.here = here
        self.pool = pool
        self.syncer = syncer
        self.model = model

    async def until(self, condition: Callable[[], Awaitable[Any]]) -> None:
        """Let time pass until something holds."""
        async with asyncio.timeout(60):
            while not await condition():
                await self.here.clock.advance(1)
                await asyncio.sleep(0.005)  # the relays are other processes

    async def has_looked(self, *keys: SecretKey) -> None:
        """Wait until these were looked for where they write."""

        async def looked() -> bool:
            return all(self.model.has_looked(key.pubkey) for key in keys)

        await self.until(looked)

    async def answered(self, *keys: SecretKey) -> None:
        """Wait until just these have answered."""

        async def there() -> bool:
            return {row.pubkey for row in await self.here.store.rsvps.to_list()} == {key.pubkey for key in keys}

        await self.until(there)


@asynccontextmanager
async def looking(
    here: World,
    own: str,
    *,
    settings: OutboxSettings | None = None,
    within: float = 10.0,
    public: Sequence[object] = (LOOPBACK,),
) -> AsyncIterator[Looking]:
    """The parts, joined and running; `public`: networks on which strangers' relays may be."""
    stop = Stop(here.clock)
    given = OutboxSettings(enabled=True) if settings is None else settings
    syncer = Syncer(
        mirror=here.mirror,
        store=here.store,
        watermarks=Watermarks(here.store.database),
        instructors=lambda: here.listed,
        service=here.service.pubkey,
        patience=12.0,
        doors=900,
        clock=here.clock,
    )
    spreading = Spreading(here.store, here.event_writer)
    async with running_pool(
        PoolRelay(own), sink=syncer.apply_events, on_eose=syncer.on_eose, permitted=tuple(public)
    ) as pool:
        syncer.join(pool)
        model = OutboxModel(
            given,
            pool=pool,
            syncer=syncer,
            mirror=here.mirror,
            spread=lambda relays: spreading.give_lists(relays, here.service.pubkey),
            clock=here.clock,
            within=within,
            permitted=(LOOPBACK,) if public else (),
        )
        running = [asyncio.create_task(service.run(stop)) for service in (syncer, model)]
        try:
            yield Looking(here, pool, syncer, model)
        finally:
            stop.set()
            await asyncio.gather(*running)


async def give(url: str, *events: SignedEvent) -> None:
    """Publish to a real relay."""
    async with running_pool(PoolRelay(url)) as pool:
        await pool.opened(url)
        for event in events:
            assert isinstance((await pool.publish(url, event)).verdict, EventAccepted)


def session(here: World, *invited: SecretKey, by: SecretKey | None = None) -> VerifiedEvent:
    """A session that begins in two days."""
    spec = SessionSpec(
        identifier=KNOTS,
        title="Knots",
        starts_at=here.now + 48 * 3600,
        duration_minutes=60,
        invited=tuple(key.pubkey for key in invited),
    )
    draft = here.draft(spec)
    leader = by or here.instructor
    return signed(leader, msgspec.structs.replace(draft, pubkey=leader.pubkey))


def answer(here: World, key: SecretKey, identifier: str | None = None, *, at: int | None = None) -> VerifiedEvent:
    """A person's yes to it."""
    address = Address(kinds.SESSION, here.instructor.pubkey, KNOTS)
    draft = write_rsvp(address, RsvpStatus.CONFIRMED, pubkey=key.pubkey, now=here.now if at is None else at)
    if identifier is not None:
        rows = tuple(("d", identifier) if row[0] == "d" else row for row in draft.tags)
        draft = msgspec.structs.replace(draft, tags=rows)
    return signed(key, draft)


def writes_to(here: World, key: SecretKey, *urls: str) -> VerifiedEvent:
    """A person's kind 10002."""
    lists = nip65.RelayList(write=urls)
    return signed(key, nip65.write_relay_list(key.pubkey, lists, created_at=here.now - 60))


def reads_messages_on(here: World, key: SecretKey, url: str) -> VerifiedEvent:
    """A person's kind 10050."""
    return signed(key, nip17.write_dm_relays(key.pubkey, [url], created_at=here.now - 60))


class TestReading:
    """What is on people's own relays counts as what is on ours."""

    async def test_an_answer_on_ones_own_relay_counts_and_the_confirmation_comes_there(self) -> None:
        """Our relay has the list alone; answer and inbox are on theirs, and so is the message in the end."""
        async with world(now=time.time()) as here, running_relay() as ours, running_relay() as theirs:
            guest = new_key()
            await give(ours.url, session(here, guest), writes_to(here, guest, theirs.url))
            # who answered before the session was known here is not told again
            yes = answer(here, guest, at=here.now + 120)
            await give(theirs.url, yes, reads_messages_on(here, guest, theirs.url))
            async with looking(here, ours.url) as look:
                await look.answered(guest)
                await look.has_looked(guest)
                publisher = Publisher(outbox=here.outbox, store=here.store, pool=look.pool, clock=here.clock)
                for service in (here.lifecycle, here.rsvps, here.attendance):
                    await service._turn(EVERYTHING)
                stop = Stop(here.clock)
                sending = asyncio.create_task(publisher.run(stop))

                async def has_come() -> bool:
                    await here.reminders._turn(EVERYTHING)
                    wanted = Filter(kinds=(kinds.GIFT_WRAP,), tags=(("p", (guest.pubkey,)),))
                    return bool(list((await look.pool.fetch([theirs.url], (wanted,))).events))

                await look.until(has_come)
                stop.set()
                await sending

    async def test_an_indexer_knows_where_somebody_writes(self) -> None:
        """Neither of the two relays has all; who answered on ours is read on theirs for the inbox."""
        async with (
            world(now=time.time()) as here,
            running_relay() as ours,
            running_relay() as theirs,
            running_relay() as indexer,
        ):
            person = new_key()
            await give(ours.url, session(here), answer(here, person))
            await give(indexer.url, writes_to(here, person, theirs.url))
            await give(theirs.url, reads_messages_on(here, person, theirs.url))
            settings = OutboxSettings(enabled=True, indexers=(indexer.url,))
            async with looking(here, ours.url, settings=settings) as look:
                await look.has_looked(person)
                (held,) = await here.mirror.by_filter(Filter(kinds=(kinds.DM_RELAY_LIST,), authors=(person.pubkey,)))
                assert nip17.read_dm_relays(held) == (theirs.url,)

    async def test_an_instructors_session_is_found_where_they_write(self) -> None:
        """So is the answer that came later, at the next look at that relay."""
        async with world(now=time.time()) as here, running_relay() as ours, running_relay() as theirs:
            guest = new_key()
            await give(ours.url, writes_to(here, here.instructor, theirs.url), writes_to(here, guest, theirs.url))
            await give(theirs.url, session(here, guest))
            async with looking(here, ours.url) as look:
                await look.has_looked(here.instructor)

                async def is_there() -> bool:
                    return bool(await here.store.sessions.to_list())

                await look.until(is_there)
                await look.has_looked(guest)
                await give(theirs.url, answer(here, guest))
                await here.clock.advance(POLL)
                await look.answered(guest)

    async def test_the_services_own_lists_are_given_to_indexers_once(self) -> None:
        """Where people look for such; a second look gives them nothing new."""
        async with world() as here, memory_relay() as ours, memory_relay() as indexer:
            lists = nip65.RelayList(read=(ours.url,), write=(ours.url,))
            await here.publish(here.service, nip65.write_relay_list(here.service.pubkey, lists, created_at=here.now))
            await here.publish(
                here.service, nip17.write_dm_relays(here.service.pubkey, [ours.url], created_at=here.now)
            )
            settings = OutboxSettings(enabled=True, indexers=(indexer.url,))
            async with looking(here, ours.url, settings=settings) as look:

                async def are_queued() -> bool:
                    return len(await here.outbox.due(here.now)) == 2

                await look.until(are_queued)
                assert {row.relay for row in await here.outbox.due(here.now)} == {indexer.url}
                for _ in range(20):
                    await here.clock.advance(1)
                assert await are_queued()


class TestKeepingOut:
    """Who wants their own relays only has them only, and nobody sends us where we must not go."""

    async def _is_left_alone(self, settings: OutboxSettings, public: Sequence[object]) -> None:
        async with world() as here, memory_relay() as ours, scripted_relay(Talk.serve_honestly) as theirs:
            guest = new_key()
            ours.events += [session(here, guest), writes_to(here, guest, theirs.url)]
            async with looking(here, ours.url, settings=settings, public=public) as look:
                await ours.until_asked("rsvps-0")
                await look.has_looked(guest)
                for _ in range(60):
                    await here.clock.advance(1)
                assert theirs.connections == 0

    async def test_switched_off_no_foreign_relay_is_contacted(self) -> None:
        """Nobody waits for a look that will not be."""
        await self._is_left_alone(OutboxSettings(enabled=False), (LOOPBACK,))

    async def test_a_machine_with_private_relays_only_stays_among_its_own(self) -> None:
        """Without an indexer there is nobody to ask but those who are there anyway."""
        await self._is_left_alone(OutboxSettings(enabled=True), ())

    async def test_a_list_that_names_a_private_address_leads_nowhere(self) -> None:
        """The relay on loopback counts as away, and is not knocked at."""
        await self._is_left_alone(OutboxSettings(enabled=True, indexers=("wss://indexer.invalid",)), ())


class TestHostileLists:
    """Lists are anybody's word."""

    async def test_five_hundred_invented_relays_and_one_that_hangs_hide_nobody(self) -> None:
        """All that the others name is refused or hangs, and the one whose relay is real is found all the same."""
        hangs = asyncio.Event()

        async def hang(_: Talk) -> None:
            await hangs.wait()

        async with (
            world() as here,
            memory_relay() as ours,
            memory_relay() as theirs,
            scripted_relay(hang) as hanging,
        ):
            forged = [new_key() for _ in range(500)]
            guest, slow = new_key(), new_key()
            ours.events += [session(here, guest), answer(here, slow), writes_to(here, slow, hanging.url)]
            ours.events += [writes_to(here, guest, theirs.url)]
            for number, key in enumerate(forged):
                host = f"127.{1 + number // 200}.{number % 200}"
                urls = [f"ws://{host}.{part}:{CLOSED}" for part in (1, 2, 3, 4)]
                ours.events += [answer(here, key), writes_to(here, key, *urls)]
            theirs.events += [answer(here, guest), reads_messages_on(here, guest, theirs.url)]
            async with looking(here, ours.url, within=1.0) as look:
                await look.answered(*forged, slow, guest)
                await look.has_looked(*forged, slow, guest)
                assert hanging.connections <= 2
                open_now = [state for state in look.pool.states() if state.url != ours.url]
                assert len(open_now) <= 256
                before = hanging.connections
                for _ in range(AGAIN // 60 - 10):
                    await here.clock.advance(60)
                assert hanging.connections == before
            hangs.set()

    async def test_who_floods_a_relay_hides_nobody_who_writes_there_too(self) -> None:
        """A group that is too much for one answer is asked about in halves, until the flood is by itself."""
        async with world(now=time.time()) as here, running_relay() as ours, running_relay() as theirs:
            loud, quiet = new_key(), new_key()
            lists = [writes_to(here, key, theirs.url) for key in (loud, quiet)]
            await give(ours.url, session(here, loud, quiet), *lists)
            flood = [answer(here, loud, f"answer {number}", at=here.now - number % 400) for number in range(1_200)]
            await give(theirs.url, answer(here, quiet, at=here.now - 500), *flood)
            async with looking(here, ours.url) as look:
                await look.answered(loud, quiet)

    async def test_what_others_say_on_somebodys_relay_does_not_count(self) -> None:
        """A relay that gives other people's answers, for whom it was not asked, is not believed."""
        said: list[SignedEvent] = []

        async def brag(talk: Talk) -> None:
            while True:
                (_, name, *_rest) = await talk.receive_until("REQ")
                for event in said:
                    await talk.send("EVENT", name, msgspec.to_builtins(event))
                await talk.send("EOSE", name)

        async with world() as here, memory_relay() as ours, scripted_relay(brag) as theirs:
            guest, absent = new_key(), new_key()
            ours.events += [session(here, guest), writes_to(here, guest, theirs.url)]
            said += [answer(here, guest), answer(here, absent)]
            async with looking(here, ours.url) as look:
                await look.has_looked(guest)
                await look.answered(guest)
                assert look.syncer.ingest.dropped["not_asked_for"] >= 1

    async def test_a_relay_that_never_stops_sending_is_heard_to_a_limit(self) -> None:
        """What it sends is counted in bytes, and then the answer is over."""

        async def pour(talk: Talk) -> None:
            (_, name, *_rest) = await talk.receive_until("REQ")
            key = new_key()
            event = msgspec.to_builtins(signed(key, UnsignedEvent(key.pubkey, int(time.time()), 1, (), "x" * 10_000)))
            for _ in range(1_000):
                await talk.send("EVENT", name, event)

        async with scripted_relay(pour) as relay, running_pool() as pool:
            result = await pool.fetch([relay.url], (Filter(kinds=(1,)),), max_bytes=100_000)
            (told,) = result.answers
            assert isinstance(told, FetchedFromRelay)
            assert told.problem is not None
            assert "more than is read" in told.problem
            assert sum(len(bytes(one.raw)) for one in told.events) <= 200_000


@pytest.mark.parametrize(
    ("url", "leads"),
    [
        ("wss://relay.example.org", True),
        ("wss://relay.example.org.", True),
        ("ws://8.8.8.8:7777", True),
        ("ws://127.0.0.1:7447", False),
        ("ws://[::1]:7447", False),
        ("ws://10.0.0.7", False),
        ("ws://localhost:7447", False),
        ("ws://relay.localhost", False),
        ("ws://nas.local", False),
        ("ws://relay", False),
    ],
)
def test_a_relay_of_this_machine_or_its_network_leads_nowhere_else(url: str, leads: bool) -> None:
    """Told by the URL alone: with only such relays nobody is looked up elsewhere."""
    assert leads_outside(url) is leads


def test_a_permitted_network_counts_as_outside() -> None:
    """An operator may run all of it on a network of their own."""
    assert leads_outside("ws://127.0.0.1:7447", (LOOPBACK,))

"""The mirror's feed: what is asked for, what is taken in, and when the past has been read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from podium_daemon.relays import interests
from podium_daemon.relays.incoming import Incoming
from podium_daemon.relays.judgement import Arrival
from podium_daemon.relays.pool import PoolRelay
from podium_daemon.relays.relay_state import Gaps
from podium_daemon.relays.syncer import FULL_READ_EVERY, Syncer, SyncHooks
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.writers.gift_wrapper import inboxes_of
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import SignedEvent, UnsignedEvent, VerifiedEvent
from podium_protocol.filters import Filter
from podium_protocol.keys import SecretKey
from podium_protocol.live.rsvp import RsvpStatus, write_rsvp
from podium_protocol.live.session import SessionSpec, cancel
from podium_protocol.nips import nip17
from podium_storage.errors import StoreFull
from podium_storage.mirror.mirror import Watermarks
from podium_storage.table.models import LiveSessionRow, RsvpRow
from tests.support.memory_relay import MemoryRelay, memory_relay
from tests.support.narrow_relay import narrow_relay
from tests.support.pools import PoolInTest, running_pool
from tests.support.private import scheduled
from tests.support.reads import reading
from tests.support.soon import soon
from tests.support.until import until
from tests.support.world import World, new_key, signed, world

PATIENCE = 12.0


class Sync:
    """A syncer at work on a world, with its pool."""

    def __init__(self, here: World, *relays: MemoryRelay) -> None:
        self.here = here
        self.relays = relays
        self.syncer = Syncer(
            mirror=here.mirror,
            store=here.store,
            watermarks=Watermarks(here.store.database),
            instructors=lambda: here.listed,
            service=here.service.pubkey,
            patience=PATIENCE,
            doors=900,
            clock=here.clock,
            hooks=SyncHooks(
                kept_from=lambda: self.kept_from,
                outdated=self.hear_outdated,
                objection=self.objection,
                reads_presence=lambda: True,
            ),
        )
        self.outdated: list[tuple[str, str]] = []
        self.unwanted = ""
        self.kept_from = 0
        self.pool: PoolInTest

    async def hear_outdated(self, events: Sequence[VerifiedEvent], relay: str) -> None:
        """What newer events have replaced, and where it was."""
        self.outdated += [(event.id, relay) for event in events]

    async def objection(self, event: VerifiedEvent) -> str | None:
        """The objection to an event of an `unwanted` person."""
        return "key" if event.pubkey == self.unwanted else None

    async def session(self, identifier: str = "knots", **changes: object) -> SignedEvent:
        """The instructor publishes a session on the first relay."""
        spec = SessionSpec(identifier=identifier, title="Knots", starts_at=self.here.now + 7200, duration_minutes=60)
        event = signed(self.here.instructor, self.here.draft(msgspec.structs.replace(spec, **changes)))
        await self.relays[0].publish(event)
        return event

    async def row(self, identifier: str = "knots") -> LiveSessionRow:
        """Wait for the session's row."""
        lesson = f"31923:{self.here.instructor.pubkey}:{identifier}"
        found: list[LiveSessionRow] = []

        async def there() -> bool:
            found[:] = await self.here.store.sessions.where("lessonId").equals(lesson).to_list()
            return bool(found)

        await soon(there)
        return found[0]

    async def past_is_read(self, name: str) -> None:
        """Wait until the first relay has told all it had of a subscription."""
        marks = Watermarks(self.here.store.database)

        async def is_marked() -> bool:
            return await marks.get(self.relays[0].url, name) is not None

        await soon(is_marked)

    def answer(self, key: SecretKey, identifier: str = "knots", *, at: int | None = None) -> VerifiedEvent:
        """A person's yes to it."""
        address = Address(kinds.SESSION, self.here.instructor.pubkey, identifier)
        now = self.here.now if at is None else at
        return signed(key, write_rsvp(address, RsvpStatus.CONFIRMED, pubkey=key.pubkey, now=now))

    async def rsvps(self, count: int) -> list[RsvpRow]:
        """Wait for so many answers."""

        async def there() -> bool:
            return len(await self.here.store.rsvps.to_list()) == count

        await soon(there)
        return await self.here.store.rsvps.to_list()


@asynccontextmanager
async def syncing(
    here: World,
    *relays: MemoryRelay,
    sink: Callable[[Sync], Callable[[Sequence[Incoming]], Awaitable[None]]] = lambda sync: sync.syncer.apply_events,
    **options: Any,
) -> AsyncIterator[Sync]:
    """A syncer and a pool that run; `options` are the pool's."""
    sync = Sync(here, *relays)
    stop = Stop(here.clock)
    configured = [PoolRelay(relay.url) for relay in relays]
    async with running_pool(*configured, sink=sink(sync), on_eose=sync.syncer.on_eose, **options) as pool:
        sync.pool = pool
        sync.syncer.join(pool)
        running = asyncio.create_task(sync.syncer.run(stop))
        try:
            yield sync
        finally:
            stop.set()
            await running


async def test_presence_is_read_while_a_session_is_live_and_also_when_it_names_another_room() -> None:
    """A guest's kind 10312 begins their stay, and the one that replaces it in favour of another room ends it."""
    async with world() as here, memory_relay() as relay, syncing(here, relay) as sync:
        guest = new_key()
        await sync.session()
        row = await sync.row()
        await relay.publish(sync.answer(guest))
        await sync.rsvps(1)
        assert "presence-0" not in sync.syncer.interests.subscriptions()  # type: ignore[union-attr]  # it took turns
        active = msgspec.structs.replace(row, state="active", started_at=here.now, runs=((here.now, None),))
        await here.store.sessions.put(active)

        async def say(room: str, at: int) -> None:
            draft = UnsignedEvent(guest.pubkey, at, kinds.ROOM_PRESENCE, (("a", room, "", "root"),), "")
            await relay.publish(signed(guest, draft))

        async def stays(*, closed: bool) -> bool:
            found = await here.store.intervals.where("lessonId").equals(row.session_address).to_list()
            return [stay.left_at is not None for stay in found] == [closed]

        await say(f"{kinds.MEETING}:{here.service.pubkey}:{row.conference_room_id}", here.now)
        await soon(lambda: stays(closed=False))
        await say(f"{kinds.SPACE}:{guest.pubkey}:elsewhere", here.now + 1)
        await soon(lambda: stays(closed=True))


class TestFewSubscriptions:
    """Relays that allow ten, and people whose lists of message relays are asked for 250 at a time."""

    async def test_the_lists_of_eleven_hundred_people_are_read_from_a_relay_that_allows_ten(self) -> None:
        """Nobody is left out, nothing is refused, and only then is it known that all was read."""
        async with world() as here, narrow_relay() as relay, syncing(here, relay) as sync:
            people = [new_key() for _ in range(1_100)]
            await sync.session()
            for number, key in enumerate(people):
                inbox = nip17.write_dm_relays(key.pubkey, ["wss://in.example"], created_at=here.now - 9 - number)
                relay.events += [signed(key, inbox), sync.answer(key, at=here.now - 5 - number)]
            assert sync.syncer.has_read_lists(people[0].pubkey) is None
            wanted = [key.pubkey for key in people]

            async def all_read() -> bool:
                return all(sync.syncer.has_read_lists(pubkey) for pubkey in wanted)

            async with asyncio.timeout(120):
                while not await all_read():
                    await here.clock.advance(1)
            assert len(await inboxes_of(here.mirror, wanted)) == 1_100
            assert relay.refused == []
            assert sync.syncer.told_in_part() == {}

    async def test_who_was_not_asked_about_is_not_said_to_have_no_relays(self) -> None:
        """A relay that refuses by a notice and tells no limits: its refusal is no answer, and it is asked again."""
        async with (
            world() as here,
            narrow_relay(most=5, tells=False) as relay,
            syncing(here, relay, clock=here.clock) as sync,
        ):
            key = new_key()
            await sync.session()
            relay.events.append(sync.answer(key, at=here.now - 5))
            is_told = False  # for as long as it is not asked again

            async def is_in_part() -> bool:
                nonlocal is_told
                is_told |= bool(sync.syncer.told_in_part() or sync.pool.state_of(relay.url).closed_subscriptions)
                await here.clock.advance(1)
                return bool(relay.refused and is_told and sync.syncer.has_read_lists(key.pubkey) is False)

            async def is_read() -> bool:
                await here.clock.advance(1)
                return bool(sync.syncer.has_read_lists(key.pubkey))

            # a REQ that a notice refuses is given up after ten seconds; between two looks a relay has time to answer
            await until(is_in_part, "it is known that the lists were not read", seconds=130, pause=0.01)
            relay.most = 20
            await until(is_read, "the lists are read", seconds=130, pause=0.01)


class TestAsking:
    """Subscriptions follow from the instructors, the sessions and the people."""

    async def test_it_asks_for_its_own_and_for_sessions_and_then_for_what_follows(self) -> None:
        """A session leads to its RSVPs, and an RSVP to the person's message relays."""
        async with world() as here, memory_relay() as relay, syncing(here, relay) as sync:
            (own,) = await relay.until_asked("own")
            assert own[0]["authors"] == [here.service.pubkey]
            (sessions,) = await relay.until_asked("sessions-0")
            assert sessions[0]["authors"] == [here.instructor.pubkey]
            await sync.session()
            row = await sync.row()
            rsvps = await relay.until_asked("rsvps-0")
            assert rsvps[-1][0]["#a"] == [row.session_address]
            key = new_key()
            await relay.publish(sync.answer(key))
            people = await relay.until_asked("people-0")
            assert people[-1][0]["authors"] == [key.pubkey]

    async def test_a_private_session_is_named_to_no_relay(self) -> None:
        """Guests' inboxes are asked for before they answer; for its answers no relay is asked, at the doors neither."""
        async with world() as here, memory_relay() as relay, syncing(here, relay) as sync:
            await relay.until_asked("sessions-0")
            guest = new_key()
            row = await scheduled(here, guest, starts_in=1000)
            people = await relay.until_asked("people-0")
            assert guest.pubkey in people[-1][0]["authors"]
            await here.clock.advance(200)
            await sync.session()
            await relay.until_asked("rsvps-0")
            assert row.session_address not in str(relay.wire.messages)

    async def test_a_changed_subscription_replaces_the_old_one(self) -> None:
        """A second session is asked for by the same name, with both addresses."""
        async with world() as here, memory_relay() as relay, syncing(here, relay) as sync:
            await relay.until_asked("sessions-0")
            await sync.session("one")
            await relay.until_asked("rsvps-0")
            await sync.session("two")
            asked = await relay.until_asked("rsvps-0", 2)
            assert [len(filters[0]["#a"]) for filters in asked] == [1, 2]

    async def test_what_nobody_needs_is_closed(self) -> None:
        """A cancelled session's answers are asked for no more."""
        async with world() as here, memory_relay() as relay, syncing(here, relay) as sync:
            await relay.until_asked("sessions-0")
            event = await sync.session()
            await relay.until_asked("rsvps-0")
            parts = cancel(event, here.now)
            await relay.publish(signed(here.instructor, parts.revision), signed(here.instructor, parts.deletion))
            await soon(lambda: is_withdrawn(sync))
            await here.turn()
            await relay.until(lambda: relay.closed("rsvps-0") == 1)

    async def test_a_new_instructor_is_asked_for_within_half_a_minute(self) -> None:
        """The list is nobody's row, so it is looked at with the clock."""
        async with world() as here, memory_relay() as relay, syncing(here, relay):
            await relay.until_asked("sessions-0")
            await here.clock.until_sleeping(2)
            other = new_key()
            here.listed.add(other.pubkey)
            await here.clock.advance(30)
            asked = await relay.until_asked("sessions-0", 2)
            assert set(asked[-1][0]["authors"]) == {here.instructor.pubkey, other.pubkey}

    async def test_everything_is_read_again_once_a_day(self) -> None:
        """A relay that lost its tail and got it back with old dates is read anew, from the beginning."""
        async with world() as here, memory_relay() as relay, syncing(here, relay) as sync:
            await relay.until_asked("sessions-0")
            await sync.session(starts_at=here.now + 3 * FULL_READ_EVERY)
            await relay.until_asked("rsvps-0")
            await sync.syncer.caught_up.wait()
            lost = sync.answer(new_key(), at=here.now - 50_000)
            relay.events.append(lost)  # nobody was told of it
            before = {name: len(relay.asked(name)) for name in ("own", "sessions-0", "rsvps-0")}
            await here.clock.until_sleeping()
            await here.clock.advance(FULL_READ_EVERY)
            for name, count in before.items():
                asked = await relay.until_asked(name, count + 1)
                assert "since" not in asked[count][0]
            await sync.rsvps(1)

    async def test_names_that_are_too_many_to_follow_are_read_once_a_day(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The names of thousands would fill what a relay keeps open of one connection: no REQ for them stands."""
        monkeypatch.setattr(interests, "_NAMES_THAT_STAND", 0)
        async with world() as here, memory_relay() as relay, syncing(here, relay) as sync:
            await sync.session(starts_at=here.now + 3 * FULL_READ_EVERY)
            person = new_key()
            relay.events.append(signed(person, UnsignedEvent(person.pubkey, here.now, kinds.METADATA, (), "{}")))
            await relay.publish(sync.answer(person))
            await sync.past_is_read("names-0")
            assert await here.mirror.newest_replaceable(kinds.METADATA, person.pubkey) is not None
            renamed = UnsignedEvent(person.pubkey, here.now + 1, kinds.METADATA, (), '{"name":"Robin"}')
            relay.events.append(signed(person, renamed))
            await here.clock.until_sleeping()
            await here.clock.advance(FULL_READ_EVERY)

            async def is_renamed() -> bool:
                newest = await here.mirror.newest_replaceable(kinds.METADATA, person.pubkey)
                return newest is not None and newest.content == renamed.content

            await soon(is_renamed)
            assert not relay.asked("names-0")

    async def test_what_nobody_needs_is_closed_on_the_daily_reading_too(self) -> None:
        """A subscription that falls away just when everything is read again is not left open for ever."""
        async with world() as here, memory_relay() as relay, syncing(here, relay) as sync:
            await relay.until_asked("sessions-0")
            await sync.session()
            await relay.until_asked("rsvps-0")
            await sync.syncer.caught_up.wait()
            await here.clock.until_sleeping()
            # so late that the session is too old to matter and the day is over, at one look
            here.clock.jump(16 * FULL_READ_EVERY)
            await here.clock.advance(30)
            await relay.until(lambda: relay.closed("rsvps-0") == 1)


async def is_withdrawn(sync: Sync) -> bool:
    """Whether the session is known to be cancelled."""
    return (await sync.row()).withdrawn


class TestTakingIn:
    """Good events are stored once; others are counted and dropped."""

    async def test_sessions_and_answers_become_rows(self) -> None:
        """What relays had before and what they send later is taken in alike."""
        async with world() as here, memory_relay() as relay:
            before = Sync(here, relay)
            await before.session()
            await relay.publish(before.answer(new_key()))
            async with syncing(here, relay) as sync:
                await sync.rsvps(1)
                await relay.publish(sync.answer(new_key()))
                await sync.rsvps(2)

    async def test_copies_from_several_relays_count_once(self) -> None:
        """The same event from two relays is one answer, and the second copy is known."""
        async with world() as here, memory_relay() as one, memory_relay() as two, syncing(here, one, two) as sync:
            await one.until_asked("sessions-0")
            event = await sync.session()
            await two.publish(event)
            await two.until_asked("rsvps-0")
            await one.until_asked("rsvps-0")
            await sync.syncer.caught_up.wait()
            answer = sync.answer(new_key())
            await one.publish(answer)
            await sync.rsvps(1)
            await two.publish(answer)
            await soon(lambda: sync.syncer.ingest.dropped["duplicate"] >= 1)
            assert len(await here.store.rsvps.to_list()) == 1

    async def test_a_broken_copy_does_not_keep_the_good_one_out(self) -> None:
        """A relay that sends an answer with another signature hides nothing."""
        async with world() as here, memory_relay() as evil, memory_relay() as good, syncing(here, evil, good) as sync:
            await sync.session()
            await good.until_asked("rsvps-0")
            await evil.until_asked("rsvps-0")
            await sync.syncer.caught_up.wait()
            answer = sync.answer(new_key())
            await evil.send_raw("rsvps-0", msgspec.to_builtins(answer) | {"sig": "0" * 128})
            await soon(lambda: sync.syncer.ingest.dropped["bad_signature"] == 1)
            await good.publish(answer)
            await sync.rsvps(1)

    async def test_what_was_not_asked_for_is_dropped(self) -> None:
        """An event outside its subscription's filters changes nothing."""
        async with world() as here, memory_relay() as relay, syncing(here, relay) as sync:
            await sync.session()
            await relay.until_asked("rsvps-0")
            await sync.syncer.caught_up.wait()
            stranger = new_key()
            foreign = signed(stranger, UnsignedEvent(stranger.pubkey, here.now, kinds.SESSION, (("d", "x"),), ""))
            await relay.send_raw("sessions-0", msgspec.to_builtins(foreign))
            await soon(lambda: sync.syncer.ingest.dropped["not_asked_for"] == 1)
            assert len(await here.store.sessions.to_list()) == 1

    async def test_message_relays_of_people_are_taken_in(self) -> None:
        """Where a person reads messages is learned once they have answered."""
        async with world() as here, memory_relay() as relay, syncing(here, relay) as sync:
            key = new_key()
            relay.events.append(
                signed(key, nip17.write_dm_relays(key.pubkey, ["wss://in.example"], created_at=here.now))
            )
            await sync.session()
            await relay.until_asked("rsvps-0")
            await relay.publish(sync.answer(key))

            async def known() -> bool:
                return await here.mirror.newest_replaceable(kinds.DM_RELAY_LIST, key.pubkey) is not None

            await soon(known)

    async def test_a_write_that_fails_loses_nothing(self) -> None:
        """A full disk ends the connection; the next one brings the same events again, and they are stored then."""
        failures = 0

        def failing(sync: Sync) -> Callable[[Sequence[Incoming]], Awaitable[None]]:
            async def take(events: Sequence[Incoming]) -> None:
                nonlocal failures
                if failures < 2 and any(event.subscription == "rsvps-0" for event in events):
                    failures += 1
                    raise StoreFull("no space left")
                await sync.syncer.apply_events(events)

            return take

        async with world() as here, memory_relay() as relay, syncing(here, relay, sink=failing) as sync:
            await sync.session()
            await sync.past_is_read("rsvps-0")  # else the answer comes with it, and not past the sink
            await relay.publish(sync.answer(new_key()))
            await sync.rsvps(1)
            assert failures == 2

    @pytest.mark.parametrize("failure", [StoreFull("no space left"), LookupError("a fault of ours")])
    async def test_the_past_is_read_again_when_it_could_not_be_stored(self, failure: Exception) -> None:
        """Reading the past is tried again by itself whatever failed, and what came meanwhile is not lost either."""
        async with world() as here, memory_relay() as relay:
            before = Sync(here, relay)
            await before.session()
            await relay.publish(*(before.answer(new_key()) for _ in range(3)))
            async with syncing(here, relay) as sync:
                store, broken = sync.syncer._past.take_in, True

                async def storing(arrivals: Sequence[Arrival]) -> None:
                    if broken and any(b"31925" in one.raw for one in arrivals):
                        raise failure
                    await store(arrivals)

                sync.syncer._past.take_in = storing
                await relay.until_asked("rsvps-0")
                await sync.row()
                await relay.publish(sync.answer(new_key()))
                await here.clock.until_sleeping(3)
                assert await here.store.rsvps.to_list() == []
                assert list(sync.syncer.tasks.trouble.values()) == [str(failure)]
                broken = False
                await here.clock.advance(30)
                await sync.rsvps(4)
                await soon(lambda: not sync.syncer.tasks.trouble)


def has_read(sync: Sync, name: str) -> bool:
    """Whether the past of a subscription counts as read."""
    return any(marked == name for _, marked in sync.syncer._past.marks)


class TestThePast:
    """When the past has been read, and how far."""

    async def test_it_is_caught_up_when_every_relay_has_told_its_past(self) -> None:
        """One of two relays that has not said that this is all is waited for."""
        async with world() as here, memory_relay() as quick, memory_relay() as slow:
            slow.may_end.clear()
            async with syncing(here, quick, slow) as sync:
                await quick.until_asked("sessions-0")
                await slow.until_asked("sessions-0")
                await here.clock.advance(PATIENCE - 1)
                assert not sync.syncer.caught_up.is_set()
                slow.may_end.set()
                async with asyncio.timeout(60):
                    await sync.syncer.caught_up.wait()

    async def test_a_relay_that_is_too_slow_is_not_waited_for(self) -> None:
        """After its time a silent relay no longer keeps the service from starting."""
        async with world() as here, memory_relay() as slow:
            slow.may_end.clear()
            async with syncing(here, slow) as sync:
                await slow.until_asked("sessions-0")
                await here.clock.until_sleeping(2)
                await here.clock.advance(PATIENCE)
                async with asyncio.timeout(60):
                    await sync.syncer.caught_up.wait()
                assert sync.syncer.relays_behind() == [slow.url]
                gaps = Gaps(list, sync.syncer.told_in_part, sync.syncer.relays_behind)
                assert gaps.remarks() == [f"{slow.url} has not told yet what happened before"]

    async def test_without_a_relay_to_read_it_is_caught_up_at_once(self) -> None:
        """A service that only writes has no past to wait for, and does not know whether its key has a profile."""
        async with world() as here, syncing(here) as sync:
            async with asyncio.timeout(60):
                await sync.syncer.caught_up.wait()
            assert not sync.syncer.has_read_face()

    async def test_whether_the_key_has_a_profile_is_known_when_each_relay_has_told(self) -> None:
        """Not when patience ends: the slow relay may be the one that holds a person's own; nor from the last start."""
        async with world() as here, memory_relay() as quick, memory_relay() as slow:
            slow.may_end.clear()
            async with syncing(here, quick, slow) as sync:
                await soon(lambda: has_read(sync, "face"))
                await slow.until_asked("face")
                await here.clock.until_sleeping(2)
                await here.clock.advance(PATIENCE)
                async with asyncio.timeout(60):
                    await sync.syncer.caught_up.wait()
                assert not sync.syncer.has_read_face()
                slow.may_end.set()
                await soon(sync.syncer.has_read_face)
            slow.may_end.clear()
            async with syncing(here, quick, slow) as sync:
                await slow.until_asked("face", 2)
                assert not sync.syncer.has_read_face()
                slow.may_end.set()
                await soon(sync.syncer.has_read_face)

    async def test_a_lost_connection_asks_for_the_gap(self) -> None:
        """After a reconnect each subscription is read from an hour before its last end of stored events."""
        async with world() as here, memory_relay() as relay, syncing(here, relay) as sync:
            await sync.session()
            await relay.until_asked("rsvps-0")
            await sync.syncer.caught_up.wait()
            await soon(lambda: has_read(sync, "rsvps-0"))
            marked = here.now
            before = len(relay.asked("rsvps-0"))
            relay.events.append(sync.answer(new_key()))
            await relay.drop_connections()
            asked = await relay.until_asked("rsvps-0", before + 1)
            assert asked[-1][0]["since"] == marked - 3600
            await sync.rsvps(1)

    async def test_a_restart_remembers_how_far_its_own_events_were_read(self) -> None:
        """The service's own memory is asked for from an hour before; the others follow from what is stored."""
        async with world() as here, memory_relay() as relay:
            async with syncing(here, relay) as sync:
                await sync.syncer.caught_up.wait()
            count = len(relay.asked("own"))
            async with syncing(here, relay):
                asked = await relay.until_asked("own", count + 1)
                assert asked[count][0]["since"] == here.now - 3600
                assert "since" not in (await relay.until_asked("sessions-0"))[-1][0]

    async def test_a_past_that_was_read_for_less_does_not_count_for_more(self) -> None:
        """While the past of one session's answers is read, a second session appears: its past is read as well."""
        async with world() as here, memory_relay() as relay, syncing(here, relay) as sync:
            read, gate = sync.syncer._past.read, asyncio.Event()
            asked: list[tuple[Filter, ...]] = []

            async def slowly(relay_url: str | None, filters: tuple[Filter, ...]) -> str | None:
                problem = await read(relay_url, filters)
                if filters[0].kinds == (kinds.RSVP,):
                    asked.append(filters)
                    await gate.wait()
                return problem

            sync.syncer._past.read = slowly  # type: ignore[method-assign]
            await relay.until_asked("sessions-0")
            await sync.session("one")
            await soon(lambda: len(asked) == 1)
            relay.may_end.clear()
            await sync.session("two")
            await relay.until_asked("rsvps-0", 2)
            gate.set()
            await soon(lambda: not sync.syncer.tasks.started - {"patience"})
            assert not has_read(sync, "rsvps-0")
            relay.may_end.set()
            await soon(lambda: has_read(sync, "rsvps-0"))
            assert len(asked) == 2

    async def test_answers_are_read_again_when_the_doors_open(self) -> None:
        """A participant who comes is found, even if a relay never sent their answer."""
        async with world() as here, memory_relay() as relay, syncing(here, relay) as sync:
            await relay.until_asked("sessions-0")
            await sync.session()
            await sync.row()
            await relay.until_asked("rsvps-0")
            await sync.syncer.caught_up.wait()
            await soon(lambda: has_read(sync, "rsvps-0"))
            relay.events.append(sync.answer(new_key()))
            await here.clock.until_sleeping()
            await here.clock.advance(7200 - 900)
            await sync.rsvps(1)
            assert len(sync.syncer._doors_seen) == 1
            await here.store.sessions.where("lessonId").above("").modify(state="ended")
            await soon(lambda: not sync.syncer._doors_seen)  # nothing is kept of what is over


async def test_a_session_that_was_forgotten_does_not_come_back() -> None:
    """Relays keep what the service has deleted; what ended before the time that is kept is a counted drop."""
    async with world() as here, memory_relay() as relay, syncing(here, relay) as sync:
        sync.kept_from = here.now + 24 * 3600  # as it will be once the first one's time is over
        await sync.session("first")
        await sync.session("second", starts_at=here.now + 24 * 3600)
        await sync.row("second")

        async def dropped() -> bool:
            return sync.syncer.ingest.dropped["past_retention"] == 1

        await soon(dropped)
        assert await here.store.sessions.count() == 1


class TestOtherRelays:
    """What a reload changes in the list of relays."""

    async def test_the_past_of_a_new_relay_is_read_and_one_that_was_dropped_is_heard_no_more(self) -> None:
        """Answers that only the new relay kept come in, so does what is new there, and the old one is left."""
        async with world() as here, memory_relay() as old, memory_relay() as new, syncing(here, old) as sync:
            await sync.session()
            await sync.syncer.caught_up.wait()
            await old.until_asked("rsvps-0")
            await soon(lambda: has_read(sync, "rsvps-0"))
            new.events += [sync.answer(new_key()) for _ in range(3)]
            sync.pool.configure([PoolRelay(new.url)])
            sync.syncer.relays_changed()
            await sync.rsvps(3)
            await new.publish(sync.answer(new_key()))
            await old.publish(sync.answer(new_key()))
            await sync.rsvps(4)
            assert {relay for relay, _ in sync.syncer._past.marks} == {new.url}

    async def test_a_daemon_that_has_not_caught_up_waits_for_the_new_relay_instead(self) -> None:
        """Nothing starts before the past was read."""
        async with world() as here, memory_relay() as old, memory_relay() as new:
            old.may_end.clear()
            new.may_end.clear()
            async with syncing(here, old) as sync:
                await old.until_asked("sessions-0")
                sync.pool.configure([PoolRelay(new.url)])
                sync.syncer.relays_changed()
                await new.until_asked("sessions-0")
                assert not sync.syncer.caught_up.is_set()
                new.may_end.set()
                async with asyncio.timeout(60):
                    await sync.syncer.caught_up.wait()


async def test_a_relay_that_is_behind_is_named() -> None:
    """The second relay has an older revision: the spreading service is told where."""
    async with world() as here, memory_relay() as first, memory_relay() as second:
        spec = SessionSpec(identifier="knots", title="Knots", starts_at=here.now + 7200, duration_minutes=60)
        old = signed(here.instructor, here.draft(spec))
        await here.clock.advance(10)
        new = signed(here.instructor, here.draft(msgspec.structs.replace(spec, title="Splices"), old))
        await here.mirror.ingest([new], received_at=here.now)
        await second.publish(old)
        async with syncing(here, first, second) as sync:
            await soon(lambda: is_set(sync.outdated))
            assert sync.outdated == [(old.id, second.url)]
            assert (await sync.row()).title == "Splices"


async def is_set(values: Sequence[object]) -> bool:
    """Whether anything was told."""
    return bool(values)


async def test_what_is_too_much_is_dropped_and_may_come_again() -> None:
    """It is counted and not remembered as seen: once there is room, the same event is stored."""
    async with world() as here, memory_relay() as relay, syncing(here, relay) as sync:
        await sync.session()
        await sync.row()
        await relay.until_asked("rsvps-0")
        loud, other = new_key(), new_key()
        sync.unwanted = loud.pubkey
        answer = sync.answer(loud)
        await relay.publish(answer)
        await relay.publish(sync.answer(other))
        assert [row.pubkey for row in await sync.rsvps(1)] == [other.pubkey]

        async def dropped() -> bool:
            return sync.syncer.ingest.dropped["too_much_key"] > 0

        await soon(dropped)
        assert not sync.syncer.ingest.has_seen(answer.id)
        sync.unwanted = ""
        await here.clock.advance(FULL_READ_EVERY)
        await sync.rsvps(2)


async def test_one_answer_among_many_sessions_reads_no_session_again() -> None:
    """What the daemon follows is kept in step by the changed rows: an answer, or a refreshed status, reads none."""
    async with world() as here, memory_relay() as relay, syncing(here, relay):
        rows = [await here.schedule() for _ in range(20)]
        await relay.until_asked("rsvps-0")
        await relay.until(lambda: len(relay.asked("rsvps-0")[-1][0]["#a"]) == len(rows))
        with reading(here.store.database) as reads:
            await here.answer(person := new_key(), rows[3])
            await here.store.sessions.put(msgspec.structs.replace(await here.row(rows[4].session_address), version=99))
            await relay.until(lambda: any(person.pubkey in one[0]["authors"] for one in relay.asked("people-0")))
            assert reads.rows_of(here.store.sessions.name) <= 1  # the test's own
        assert len(relay.asked("rsvps-0")[-1][0]["#a"]) == len(rows)

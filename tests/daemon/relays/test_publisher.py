"""The outbox loop: what is due goes to each relay at its own pace, and its answers are written down."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count

import pytest

from podium_daemon.relays import publisher as publisher_module
from podium_daemon.relays.pool import PoolRelay
from podium_daemon.relays.publisher import Publisher
from podium_daemon.runtime.supervisor import Stop
from podium_protocol.events import EventId, SignedEvent
from podium_storage.database import Transaction
from podium_storage.errors import StoreDamaged, StoreFull
from podium_storage.outbox.values import Delivery, DeliveryState, OutboxItem, PublishResult
from tests.support.pools import PoolInTest, running_pool
from tests.support.relays import new_key, running_relay
from tests.support.relays import signed as note
from tests.support.scripted_relay import Behaviour, ScriptedRelay, Talk, scripted_relay
from tests.support.soon import soon
from tests.support.world import World, world

NUMBERS = count()


def event() -> SignedEvent:
    """Another event."""
    return note(new_key(), f"number {next(NUMBERS)}")


class Desk:
    """A publisher at work on a world's outbox."""

    def __init__(self, here: World, pool: PoolInTest) -> None:
        self.here = here
        self.pool = pool
        self.stop = Stop(here.clock)
        self.publisher = Publisher(outbox=here.outbox, store=here.store, pool=pool, clock=here.clock)
        self.running = asyncio.create_task(self.publisher.run(self.stop))

    async def queue(self, *events: SignedEvent, relays: Sequence[str], **fields: object) -> None:
        """Put events into the outbox."""
        items = [OutboxItem(event=one, relays=tuple(relays), **fields) for one in events]  # type: ignore[arg-type]
        await self.here.store.database.transact(lambda tx: self.here.outbox.add_many_within(tx, items))

    async def delivery(self, one: SignedEvent) -> Delivery:
        """How far an event has come on its only relay."""
        (found,) = await self.here.outbox.status_of(EventId(one.id))
        return found

    async def until(self, one: SignedEvent, condition: Callable[[Delivery], bool]) -> Delivery:
        """Wait until something holds of an event's delivery."""

        async def holds() -> bool:
            return condition(await self.delivery(one))

        await soon(holds)
        return await self.delivery(one)

    async def time_passes_until(self, condition: Callable[[], bool | Awaitable[bool]]) -> None:
        """Let time pass, five seconds at a time, until something holds.

        How far the publisher is when the clock moves depends on the database's speed: one step may come too early.
        """

        async def holds() -> bool:
            found = condition()
            if await found if inspect.isawaitable(found) else found:
                return True
            await self.here.clock.advance(5)
            return False

        await soon(holds)

    async def is_in(self, one: SignedEvent, *states: DeliveryState) -> bool:
        """Whether an event has come so far."""
        return (await self.delivery(one)).state in states

    async def until_state(self, one: SignedEvent, state: DeliveryState) -> Delivery:
        """Wait for an event's end."""
        return await self.until(one, lambda found: found.state is state)


@asynccontextmanager
async def publishing(*relays: str) -> AsyncIterator[Desk]:
    """A publisher with a pool of these relays."""
    async with world() as here, running_pool(*(PoolRelay(url) for url in relays)) as pool:
        for url in relays:
            await pool.opened(url)
        desk = Desk(here, pool)
        try:
            yield desk
        finally:
            desk.stop.set()
            async with asyncio.timeout(60):
                await desk.running


def saying(*answers: tuple[bool, str]) -> Behaviour:
    """A relay that gives these answers to the events it gets, the last one for ever."""

    async def behave(talk: Talk) -> None:
        left = list(answers)
        while True:
            _, one = await talk.receive_until("EVENT")
            accepted, words = left.pop(0) if len(left) > 1 else left[0]
            await talk.send("OK", one["id"], accepted, words)

    return behave


def sent(relay: ScriptedRelay) -> list[str]:
    """The ids of the events a relay was given, in order."""
    return [message[1]["id"] for message in relay.messages if message[0] == "EVENT"]


async def sent_in_an_hour(desk: Desk, relay: ScriptedRelay) -> list[str]:
    """The ids of the events that a relay was given before one that is due in an hour."""
    later = event()
    await desk.queue(later, relays=[relay.url], not_before=desk.here.now + 3600)
    await desk.time_passes_until(lambda: later.id in sent(relay))
    return [one for one in sent(relay) if one != later.id]


@pytest.mark.real_peer
async def test_what_is_queued_reaches_a_real_relay() -> None:
    """Events that are put into the outbox are at the relay soon, and their rows are done."""
    async with running_relay() as relay, publishing(relay.url) as desk:
        events = [event() for _ in range(20)]
        await desk.queue(*events, relays=[relay.url])
        for one in events:
            assert (await desk.until_state(one, DeliveryState.DONE)).attempts == 1
        assert await desk.here.outbox.pending_by_relay() == {}


@pytest.mark.parametrize("words", ["", "duplicate: already have this event"])
async def test_an_ok_is_the_end(words: str) -> None:
    """OK true, and `duplicate:`, mean that the relay has it: it is sent once."""
    async with scripted_relay(saying((words == "", words))) as relay, publishing(relay.url) as desk:
        one = event()
        await desk.queue(one, relays=[relay.url])
        done = await desk.until_state(one, DeliveryState.DONE)
        assert (done.attempts, done.last_message) == (1, words)
        assert await sent_in_an_hour(desk, relay) == [one.id]


@pytest.mark.parametrize(
    "words", ["blocked: you are banned", "invalid: bad event", "restricted: members only", "pow: 30"]
)
async def test_a_final_answer_is_not_argued_with(words: str) -> None:
    """What a relay refuses for good is written down in its words and not sent again."""
    async with scripted_relay(saying((False, words))) as relay, publishing(relay.url) as desk:
        one = event()
        await desk.queue(one, relays=[relay.url])
        failed = await desk.until_state(one, DeliveryState.FAILED)
        assert failed.last_message == words
        assert await sent_in_an_hour(desk, relay) == [one.id]


async def test_an_unknown_outcome_is_tried_again_with_the_same_bytes() -> None:
    """After `error:` the same event goes out later, and an OK then ends it."""
    behaviour = saying((False, "error: out of order"), (False, "error: still"), (True, ""))
    async with scripted_relay(behaviour) as relay, publishing(relay.url) as desk:
        one, began = event(), desk.here.now
        await desk.queue(one, relays=[relay.url])
        for attempts in (1, 2):
            waiting = await desk.until(one, lambda found, n=attempts: found.attempts >= n)  # type: ignore[misc]
            assert waiting.state is DeliveryState.READY
            assert waiting.next_attempt_at > began
            await desk.time_passes_until(lambda n=attempts: len(sent(relay)) > n)  # type: ignore[misc]
        done = await desk.until_state(one, DeliveryState.DONE)
        assert done.attempts == 3
        bodies = [message[1] for message in relay.messages if message[0] == "EVENT"]
        assert len(bodies) == 3
        assert all(body == bodies[0] for body in bodies)


async def test_attempts_grow_apart() -> None:
    """The longer a relay does not take an event, the rarer it is asked; never more than minutes apart."""
    may_answer = asyncio.Event()

    async def behave(talk: Talk) -> None:
        while True:
            _, one = await talk.receive_until("EVENT")
            await may_answer.wait()  # the clock stands still from here until the answer is stored
            may_answer.clear()
            await talk.send("OK", one["id"], False, "error: no")

    async with scripted_relay(behave) as relay, publishing(relay.url) as desk:
        one = event()
        await desk.queue(one, relays=[relay.url])
        waits: list[int] = []
        for attempts in range(1, 9):
            await desk.time_passes_until(lambda n=attempts: len(sent(relay)) == n)  # type: ignore[misc]
            may_answer.set()
            found = await desk.until(one, lambda each, n=attempts: each.attempts == n)  # type: ignore[misc]
            waits.append(found.next_attempt_at - desk.here.now)
        assert max(waits[:2]) <= max(waits[4:])
        assert min(waits) > 0
        assert max(waits) <= 120


async def test_what_is_not_due_yet_waits() -> None:
    """An event for later is sent at its time and not before."""
    async with scripted_relay(saying((True, ""))) as relay, publishing(relay.url) as desk:
        one, due_at = event(), desk.here.now + 600
        await desk.queue(one, relays=[relay.url], not_before=due_at)
        await desk.time_passes_until(lambda: bool(sent(relay)))
        assert desk.here.now >= due_at
        await desk.until_state(one, DeliveryState.DONE)


async def test_what_has_expired_is_not_sent() -> None:
    """A reminder that nobody needs any more is given up, and says so."""
    async with scripted_relay(saying((False, "error: later"))) as relay, publishing(relay.url) as desk:
        one = event()
        await desk.queue(one, relays=[relay.url], expires_at=desk.here.now + 60)
        await desk.until(one, lambda found: found.attempts == 1)
        await desk.time_passes_until(lambda: desk.is_in(one, DeliveryState.FAILED, DeliveryState.CANCELLED))
        before = sent(relay)
        assert await sent_in_an_hour(desk, relay) == before


async def test_a_slow_relay_holds_up_no_other() -> None:
    """While one relay never answers, another one gets and takes its events."""

    async def silent(talk: Talk) -> None:
        while True:
            await talk.receive()

    async with (
        scripted_relay(silent) as slow,
        scripted_relay(saying((True, ""))) as quick,
        publishing(slow.url, quick.url) as desk,
    ):
        stuck = [event() for _ in range(5)]
        await desk.queue(*stuck, relays=[slow.url])
        await slow.until_messages("EVENT", 5)
        for _ in range(3):
            one = event()
            await desk.queue(one, relays=[quick.url])
            await desk.until_state(one, DeliveryState.DONE)
        assert [(await desk.delivery(one)).state for one in stuck] == [DeliveryState.READY] * 5


async def test_a_late_answer_holds_up_nothing_on_its_own_relay() -> None:
    """While the answer to one event is awaited, later ones are sent to the same relay, and their ends written down."""

    async def behave(talk: Talk) -> None:
        await talk.receive_until("EVENT")
        while True:
            _, one = await talk.receive_until("EVENT")
            await talk.send("OK", one["id"], True, "")

    async with scripted_relay(behave) as relay, publishing(relay.url) as desk:
        stuck, *others = [event() for _ in range(4)]
        await desk.queue(stuck, relays=[relay.url])
        await relay.until_messages("EVENT")
        for one in others:
            await desk.queue(one, relays=[relay.url])
            await desk.until_state(one, DeliveryState.DONE)
        assert (await desk.delivery(stuck)).state is DeliveryState.READY
        assert sent(relay) == [one.id for one in (stuck, *others)]


async def test_what_was_answered_before_a_stop_is_not_sent_again() -> None:
    """Answers that came are written down at the stop, although others are still awaited."""

    async def behave(talk: Talk) -> None:
        _, one = await talk.receive_until("EVENT")
        await talk.send("OK", one["id"], True, "")
        while True:
            await talk.receive()

    async with scripted_relay(behave) as relay, publishing(relay.url) as desk:
        events = [event() for _ in range(3)]
        await desk.queue(*events, relays=[relay.url])
        await relay.until_messages("EVENT", 3)
        await desk.until_state(next(one for one in events if one.id == sent(relay)[0]), DeliveryState.DONE)
        desk.stop.set()
        await desk.running
        assert len(await desk.here.outbox.due(desk.here.now)) == 2


async def test_each_relay_has_its_own_end() -> None:
    """One event for two relays is done on the one and refused on the other."""
    async with (
        scripted_relay(saying((True, ""))) as good,
        scripted_relay(saying((False, "blocked: no"))) as bad,
        publishing(good.url, bad.url) as desk,
    ):
        one = event()
        await desk.queue(one, relays=[good.url, bad.url])

        async def settled() -> bool:
            return await desk.here.outbox.pending_by_relay() == {}

        await soon(settled)
        states = {found.relay: found.state for found in await desk.here.outbox.status_of(EventId(one.id))}
        assert states == {good.url: DeliveryState.DONE, bad.url: DeliveryState.FAILED}


async def test_more_than_one_flight_holds_is_sent_in_several() -> None:
    """A thousand and more for one relay all arrive, each once, and no flight gets in the way of another."""
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(str(context)))
    async with scripted_relay(saying((True, ""))) as relay, publishing(relay.url) as desk:
        events = [event() for _ in range(1_150)]
        await desk.queue(*events, relays=[relay.url])

        async def settled() -> bool:
            return await desk.here.outbox.pending_by_relay() == {}

        await soon(settled)
        assert sorted(sent(relay)) == sorted(one.id for one in events)
    gc.collect()
    assert complaints == []


async def test_answers_that_come_while_others_are_written_down_share_a_transaction() -> None:
    """One transaction writes down what was answered while the one before it was under way."""
    async with scripted_relay(saying((True, ""))) as relay, publishing(relay.url) as desk:
        record, batches, may_write = desk.here.outbox.record, list[int](), asyncio.Event()

        async def slow(results: Sequence[PublishResult], *, now: int) -> list[Delivery]:
            batches.append(len(results))
            await may_write.wait()
            return await record(results, now=now)

        desk.here.outbox.record = slow  # type: ignore[method-assign]
        first, *others = [event() for _ in range(51)]
        await desk.queue(first, relays=[relay.url])
        await soon(lambda: bool(batches))
        await desk.queue(*others, relays=[relay.url])
        await soon(lambda: desk.pool.state_of(relay.url).published == 51)
        may_write.set()
        for one in others:
            await desk.until_state(one, DeliveryState.DONE)
        assert batches == [1, 50]


async def test_the_last_answer_waits_for_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once no answer is awaited any more, those that came are written down at once, however long others may take."""
    monkeypatch.setattr(publisher_module, "_GATHER", 3600.0)
    async with scripted_relay(saying((True, ""))) as relay, publishing(relay.url) as desk:
        for count in (1, 20):
            events = [event() for _ in range(count)]
            await desk.queue(*events, relays=[relay.url])
            for one in events:
                await desk.until_state(one, DeliveryState.DONE)


async def test_what_is_due_is_sent_while_another_writes() -> None:
    """A long transaction of others, such as one that reads in thousands of events, holds up no message."""
    async with scripted_relay(saying((True, ""))) as relay, publishing(relay.url) as desk:
        one, may_end = event(), asyncio.Event()
        await desk.queue(one, relays=[relay.url], not_before=desk.here.now + 60)

        async def long(_: Transaction) -> None:
            await may_end.wait()

        writing = asyncio.create_task(desk.here.store.database.transact(long))
        await desk.time_passes_until(lambda: sent(relay) == [one.id])
        may_end.set()
        await writing
        await desk.until_state(one, DeliveryState.DONE)


async def test_answers_that_could_not_be_written_down_are_asked_for_again() -> None:
    """A full disk after the sending: the publisher goes on, and the same bytes go out once more."""
    async with (
        scripted_relay(saying((True, ""), (False, "duplicate: have it"))) as relay,
        publishing(relay.url) as desk,
    ):
        record, failures = desk.here.outbox.record, 0

        async def failing(results: Sequence[PublishResult], *, now: int) -> list[Delivery]:
            nonlocal failures
            if failures < 1:
                failures += 1
                raise StoreFull("no space left")
            return await record(results, now=now)

        desk.here.outbox.record = failing  # type: ignore[method-assign]
        one = event()
        complaints: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(str(context)))
        await desk.queue(one, relays=[relay.url])
        await soon(lambda: failures == 1)
        await desk.time_passes_until(lambda: desk.is_in(one, DeliveryState.DONE))
        assert sent(relay) == [one.id, one.id]
        gc.collect()
        assert complaints == []


async def test_a_damaged_database_ends_the_publisher() -> None:
    """Where the disk is full it waits; where the database is damaged it says so and ends, for the daemon to end."""
    async with scripted_relay(saying((True, ""))) as relay, world() as here, running_pool(PoolRelay(relay.url)) as pool:
        await pool.opened(relay.url)
        desk = Desk(here, pool)

        async def failing(*_: object, **__: object) -> list[Delivery]:
            raise StoreDamaged("database disk image is malformed")

        here.outbox.record = failing  # type: ignore[method-assign]
        await desk.queue(event(), relays=[relay.url])
        with pytest.raises(ExceptionGroup) as ended:
            await asyncio.wait_for(desk.running, 60)
        assert ended.group_contains(StoreDamaged)


async def test_a_stop_leaves_what_is_under_way_for_the_next_start() -> None:
    """Nothing marks a row as being sent: after a stop in the middle it is simply due again."""

    async def silent(talk: Talk) -> None:
        while True:
            await talk.receive()

    async with scripted_relay(silent) as relay, publishing(relay.url) as desk:
        one = event()
        await desk.queue(one, relays=[relay.url])
        await relay.until_messages("EVENT")
        desk.stop.set()
        await desk.running
        (due,) = await desk.here.outbox.due(desk.here.now)
        assert (due.event_id, due.attempts, due.event_json) == (one.id, 0, one.to_json())

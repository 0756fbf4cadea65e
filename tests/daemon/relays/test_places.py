"""Who has a place among the relays of recipients."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from podium_daemon.relays.places import EACH, MAX_STRANGERS, PATIENCE, SHORT, Admitted, NoPlace, Places
from podium_protocol import kinds
from podium_protocol.events import EventId, SignedEvent
from podium_protocol.keys import SecretKey
from podium_storage.outbox.values import DeliveryState, OutboxItem
from tests.daemon.relays.test_publisher import Desk
from tests.support.pools import running_pool
from tests.support.relays import new_key, signed
from tests.support.scripted_relay import Talk, raw_server, scripted_relay
from tests.support.world import world


class Guest(msgspec.Struct):
    """A relay that has a place."""

    is_idle: bool = False
    is_punished: bool = False
    last_used: float = 0.0
    silent_since: float | None = None

    def silent_for(self, now: float) -> float:
        """Since when it is silent."""
        return 0.0 if self.silent_since is None else now - self.silent_since


def busy(count: int, *, silent_since: float | None = None) -> dict[str, Guest]:
    """So many relays that have something to do."""
    return {f"wss://{number}": Guest(silent_since=silent_since) for number in range(count)}


def test_while_there_are_plenty_everybody_gets_one() -> None:
    """Nothing is counted before places are short."""
    places = Places()
    assert places.request_place("wss://new", "ada", busy(SHORT - 1), 0.0) == Admitted()


def test_whoever_is_idle_leaves_first_and_the_one_unused_for_longest_of_those() -> None:
    """A relay in the penalty box comes after the others, so that its punishment is not forgotten for nothing."""
    guests = busy(MAX_STRANGERS, silent_since=-100.0)
    guests["wss://3"] = Guest(is_idle=True, last_used=30.0)
    guests["wss://4"] = Guest(is_idle=True, last_used=20.0)
    guests["wss://5"] = Guest(is_idle=True, is_punished=True, last_used=10.0)
    assert Places().request_place("wss://new", "ada", guests, 40.0) == Admitted("wss://4")


def test_a_relay_that_hangs_loses_its_place_and_one_that_answers_does_not() -> None:
    """It has five seconds to show that it does something."""
    guests = busy(MAX_STRANGERS, silent_since=100.0)
    guests["wss://7"].silent_since = 99.0
    places = Places()
    assert isinstance(places.request_place("wss://new", "ada", guests, 99.0 + PATIENCE - 0.1), NoPlace)
    assert places.request_place("wss://new", "ada", guests, 99.0 + PATIENCE) == Admitted("wss://7")
    del guests["wss://7"]
    guests["wss://new"] = Guest()
    for guest in guests.values():
        guest.silent_since = 103.9
    assert isinstance(places.request_place("wss://next", "ben", guests, 104.5), NoPlace)


def test_a_relay_that_hung_waits_while_places_are_short_and_longer_each_time() -> None:
    """A minute, then two; where places are left over it gets one at once."""
    places, now = Places(), 100.0
    for minutes in (1, 2, 4):
        guests = busy(MAX_STRANGERS - 1) | {"wss://bad": Guest(silent_since=now - PATIENCE)}
        assert places.request_place("wss://new", "ada", guests, now) == Admitted("wss://bad")
        waiting = busy(SHORT)
        assert isinstance(places.request_place("wss://bad", "mal", waiting, now + 60 * minutes - 1), NoPlace)
        assert places.request_place("wss://bad", "mal", busy(SHORT - 1), now + 1) == Admitted()
        now += 60 * minutes
        assert places.request_place("wss://bad", "mal", waiting, now) == Admitted()


def test_one_recipient_has_a_few_at_a_time_while_places_are_short() -> None:
    """Ten relays of one person do not stand before those of others; once one is done the next has its turn."""
    places, guests = Places(), busy(SHORT)
    for number in range(EACH):
        url = f"wss://mal/{number}"
        assert places.request_place(url, "mal", guests, 0.0) == Admitted()
        guests[url] = Guest()
    assert isinstance(places.request_place("wss://mal/more", "mal", guests, 0.0), NoPlace)
    assert places.request_place("wss://ada", "ada", guests, 0.0) == Admitted()
    guests["wss://mal/0"].is_idle = True
    assert places.request_place("wss://mal/more", "mal", guests, 0.0) == Admitted()


def test_the_more_ask_in_vain_the_later_they_ask_again() -> None:
    """Thousands do not come back within the same second."""
    places, guests = Places(), busy(MAX_STRANGERS)
    waits = [places.request_place(f"wss://w{number}", f"p{number}", guests, 1.0) for number in range(5_000)]
    seconds = [wait.seconds for wait in waits if isinstance(wait, NoPlace)]
    assert len(seconds) == 5_000
    assert max(seconds[:50]) < 3
    assert max(seconds) > 30


def wrap_for(recipient: SecretKey) -> SignedEvent:
    """A message to a person."""
    return signed(new_key(), "sealed", kind=kinds.GIFT_WRAP, tags=(("p", recipient.pubkey),))


async def queue(desk: Desk, messages: Iterable[tuple[SignedEvent, tuple[str, ...]]]) -> None:
    """Put messages into the outbox."""
    items = [OutboxItem(event=event, relays=relays) for event, relays in messages]
    await desk.here.store.database.transact(lambda tx: desk.here.outbox.add_many_within(tx, items))


async def states_of(desk: Desk, events: Iterable[SignedEvent]) -> list[DeliveryState]:
    """How far messages have come, on each of their relays."""
    return [one.state for event in events for one in await desk.here.outbox.status_of(EventId(event.id))]


async def test_forged_people_with_hanging_relays_do_not_starve_honest_ones() -> None:
    """26 people with ten relays each that take connections and answer nothing, and 58 with one each that works."""

    async def hang(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with (
        raw_server(hang) as bad,
        scripted_relay(Talk.serve_honestly) as good,
        world() as here,
        running_pool(clock=here.clock) as pool,
    ):
        desk = Desk(here, pool)
        forged = [wrap_for(new_key()) for _ in range(26)]
        honest = [wrap_for(new_key()) for _ in range(58)]
        await queue(desk, ((one, tuple(f"{bad}/{n}-{m}" for m in range(10))) for n, one in enumerate(forged)))
        await queue(desk, ((one, (f"{good.url}/{number}",)) for number, one in enumerate(honest)))
        async with asyncio.timeout(60):
            while set(await states_of(desk, honest)) != {DeliveryState.DONE}:
                await here.clock.advance(1)
        assert set(await states_of(desk, forged)) == {DeliveryState.READY}
        desk.stop.set()
        await desk.running


async def test_more_relays_than_there_are_places_are_all_served() -> None:
    """400 people with a relay each: one without a place waits and is never given up."""
    async with (
        scripted_relay(Talk.serve_honestly) as relay,
        world() as here,
        running_pool(clock=here.clock) as pool,
    ):
        desk = Desk(here, pool)
        messages = [wrap_for(new_key()) for _ in range(MAX_STRANGERS + 144)]
        await queue(desk, ((one, (f"{relay.url}/{number}",)) for number, one in enumerate(messages)))
        async with asyncio.timeout(60):
            while set(await states_of(desk, messages)) != {DeliveryState.DONE}:
                await here.clock.advance(1)
        desk.stop.set()
        await desk.running

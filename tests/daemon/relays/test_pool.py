"""The pool against real relays: subscriptions, publishing, fetching, logins, restarts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from podium_daemon.relays.embedded_child import RelaySettings
from podium_daemon.relays.places import MAX_STRANGERS
from podium_daemon.relays.pool import MAX_IN_HAND, PoolRelay, RelayPool
from podium_daemon.relays.publishing import Prepared
from podium_daemon.relays.pump import MAX_BYTES_AHEAD
from podium_daemon.relays.relay_state import ConnectionOptions, ConnectionState, RelayRefusal
from podium_daemon.runtime.supervisor import Stop
from podium_protocol.errors import InvalidInput, LocalProtocolError
from podium_protocol.events import SignedEvent
from podium_protocol.filters import Filter
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip42
from podium_protocol.relay.verdicts import (
    AuthRequired,
    BlockedByRelay,
    EventAccepted,
    Invalid,
    Pow,
    RateLimited,
    Unknown,
)
from podium_storage.errors import StoreDamaged, StoreFull, damage_in
from tests.support.clock import ManualClock
from tests.support.pools import Inbox, PoolInTest, running_pool
from tests.support.relays import new_key, running_relay, signed
from tests.support.scripted_relay import Talk, scripted_relay

pytestmark = pytest.mark.real_peer
NOTES = Filter(kinds=(1,))


class Signer:
    """Signs logins with one key, and counts them."""

    def __init__(self, key: SecretKey) -> None:
        self.key = key
        self.asked: list[str] = []

    async def __call__(self, url: str, challenge: str) -> SignedEvent:
        self.asked.append(url)
        return self.key.sign(nip42.write_auth(self.key.pubkey, url, challenge, int(time.time())), b"\x01" * 32)


class TickingClock(ManualClock):
    """Time that goes by with each look at it: whatever is done between two looks takes so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def monotonic(self) -> float:
        """A moment later than the last time."""
        self._monotonic += self._seconds
        return self._monotonic


async def publish_all(pool: PoolInTest, url: str, events: list[SignedEvent]) -> None:
    """Publish and insist on success."""
    async for outcome in pool.publish_many(url, events):
        assert outcome.is_done, outcome


# -- subscriptions ----------------------------------------------------------------------------------------------------


async def test_stored_events_come_then_eose_then_live_events() -> None:
    """A subscription brings the past, says that it is over, and goes on with what happens."""
    key = new_key()
    past, live = signed(key, "past"), signed(key, "live")
    async with running_relay() as relay, running_pool(relay.url) as pool:
        assert (await pool.publish(relay.url, past)).is_done
        pool.subscribe("notes", [NOTES])
        await pool.inbox.until_end("notes", relay.url)
        assert pool.inbox.ids() == [past.id]
        assert (await pool.publish(relay.url, live)).is_done
        await pool.inbox.until(lambda inbox: live.id in inbox.ids())
        incoming = pool.inbox.incoming[-1]
        assert (incoming.relay_url, incoming.subscription) == (relay.url, "notes")


async def test_two_relays_are_asked_and_each_answers_for_itself() -> None:
    """The same subscription runs on both, and events say where they came from."""
    one, other = signed(new_key(), "one"), signed(new_key(), "other")
    async with running_relay() as a, running_relay() as b, running_pool(a.url, b.url) as pool:
        await pool.publish(a.url, one)
        await pool.publish(b.url, other)
        pool.subscribe("notes", [NOTES])
        await pool.inbox.until_end("notes", a.url)
        await pool.inbox.until_end("notes", b.url)
        assert (pool.inbox.ids(a.url), pool.inbox.ids(b.url)) == ([one.id], [other.id])


async def test_subscriptions_go_to_the_relays_with_read_unless_named() -> None:
    """A relay that is only written to is not asked, unless a subscription names it."""
    async with (
        running_relay() as a,
        running_relay() as b,
        running_pool(PoolRelay(a.url), PoolRelay(b.url, read=False)) as pool,
    ):
        pool.subscribe("everywhere", [NOTES])
        pool.subscribe("messages", [NOTES], relays=[b.url])
        await pool.inbox.until_end("everywhere", a.url)
        await pool.inbox.until_end("messages", b.url)
        assert sorted(pool.inbox.ends) == sorted([("everywhere", a.url, False), ("messages", b.url, False)])
        assert pool.urls("read") == (a.url,)
        assert pool.urls("write") == (a.url, b.url)


async def test_replaced_filters_take_effect_and_old_ones_end() -> None:
    """What the new filters ask for comes, what only the old ones asked for does not."""
    key = new_key()
    async with running_relay() as relay, running_pool(relay.url) as pool:
        pool.subscribe("notes", [NOTES])
        await pool.inbox.until_end("notes", relay.url)
        pool.replace("notes", [Filter(kinds=(7,))])
        await pool.inbox.until_end("notes", relay.url, 2)
        assert pool.filters_of(relay.url, "notes") == (Filter(kinds=(7,)),)
        note, reaction = signed(key, "note"), signed(key, "+", kind=7)
        await publish_all(pool, relay.url, [note, reaction])
        await pool.inbox.until(lambda inbox: reaction.id in inbox.ids())
        assert note.id not in pool.inbox.ids()


async def test_after_unsubscribing_nothing_more_comes() -> None:
    """The relay is told, and what is in flight is not handed on."""
    key = new_key()
    async with running_relay() as relay, running_pool(relay.url) as pool:
        for name in ("one", "two"):
            pool.subscribe(name, [NOTES])
            await pool.inbox.until_end(name, relay.url)
        pool.unsubscribe("one")
        await pool.publish(relay.url, signed(key, "late"))
        await pool.inbox.until(lambda inbox: inbox.incoming)
        assert [incoming.subscription for incoming in pool.inbox.incoming] == ["two"]
        assert pool.filters_of(relay.url, "one") == ()


async def test_a_subscription_starts_where_the_relay_was_left() -> None:
    """With the time of the last EOSE only the hour before it is read again, two days where wraps are wanted."""
    now = int(time.time())
    key = new_key()
    old, recent = signed(key, "old", created_at=now - 7200), signed(key, "recent", created_at=now - 1800)
    async with running_relay() as relay, running_pool(relay.url) as pool:
        await publish_all(pool, relay.url, [old, recent])
        pool.subscribe("notes", [NOTES], since_for=lambda _url: now)
        await pool.inbox.until_end("notes", relay.url)
        assert pool.inbox.ids() == [recent.id]
        assert pool.filters_of(relay.url, "notes") == (Filter(kinds=(1,), since=now - 3600),)
        pool.subscribe("wraps", [Filter(kinds=(1059,))], since_for=lambda _url: now)
        assert pool.filters_of(relay.url, "wraps") == (Filter(kinds=(1059,), since=now - 2 * 86_400),)


async def test_filters_that_no_relay_could_take_are_refused_at_once() -> None:
    """A programming error is told where it is made, and changes nothing."""
    async with running_relay() as relay, running_pool(relay.url) as pool:
        pool.subscribe("notes", [NOTES])
        with pytest.raises(LocalProtocolError):
            pool.subscribe("notes", [])
        with pytest.raises(LocalProtocolError):
            pool.subscribe("x" * 65, [NOTES])
        assert pool.filters_of(relay.url, "notes") == (NOTES,)


async def test_a_slow_consumer_slows_the_relay_down_and_loses_nothing() -> None:
    """While too much is not stored the socket is not read; afterwards everything comes, once and in order."""
    key = new_key()
    events = [signed(key, "x" * 20_000, created_at=1_700_000_000 + number) for number in range(400)]
    async with running_relay() as relay, running_pool(relay.url) as pool:
        await publish_all(pool, relay.url, events)
        pool.inbox.gate.clear()
        pool.subscribe("notes", [NOTES])
        outcome = await asyncio.wait_for(pool.fetch(None, [Filter(kinds=(7,))], within=0.3), 60)
        assert outcome.is_partial  # nothing is read, so its answer is not either
        assert pool.state_of(relay.url).received * 20_000 < 2 * MAX_BYTES_AHEAD
        pool.inbox.gate.set()
        await pool.inbox.until_end("notes", relay.url)
        assert pool.inbox.ids() == [event.id for event in reversed(events)]


# -- publishing -------------------------------------------------------------------------------------------------------


async def test_outcomes_of_a_real_relay_are_told_apart() -> None:
    """Done, duplicate, refused for good: each is what the relay said."""
    key = new_key()
    event = signed(key, "hello")
    deletion = signed(key, kind=5, tags=(("e", event.id),))
    forged = SignedEvent(event.id, event.pubkey, event.created_at, 1, (), "other", event.sig)
    async with running_relay() as relay, running_pool(relay.url) as pool:
        assert (await pool.publish(relay.url, event)).verdict == EventAccepted()
        assert isinstance((await pool.publish(relay.url, event)).verdict, EventAccepted)
        outcome = await pool.publish(relay.url, forged)
        assert isinstance(outcome.verdict, Invalid)
        assert outcome.retry_after is None
        await pool.publish(relay.url, deletion)
        assert isinstance((await pool.publish(relay.url, event)).verdict, BlockedByRelay)
        state = pool.state_of(relay.url)
        assert (state.published, state.refused, state.unknown) == (3, 2, 0)
        assert state.last_ok_at is not None


async def test_what_a_relay_refused_for_good_is_kept_for_people_to_see() -> None:
    """The words of the last refusal, when it came and how many there were; what may be tried again is none."""
    clock = ManualClock()

    async def behaviour(talk: Talk) -> None:
        for words in ("blocked: not you", "error: disk full", "restricted: members only", ""):
            event = (await talk.receive_until("EVENT"))[1]
            await talk.send("OK", event["id"], not words, words)

    async with scripted_relay(behaviour) as relay, running_pool(relay.url, clock=clock) as pool:
        assert pool.state_of(relay.url).last_refusal is None
        for words in ("a", "b", "c", "d"):
            await pool.publish(relay.url, signed(new_key(), words))
        assert pool.state_of(relay.url).last_refusal == RelayRefusal("restricted: members only", clock.now(), 2)


async def test_events_are_made_as_there_is_room_for_them() -> None:
    """A fan-out of wraps is not wrapped as a whole before the relay has taken the first."""
    key, total, made = new_key(), 3 * MAX_IN_HAND, 0
    may_answer = asyncio.Event()

    def wraps() -> Iterator[SignedEvent]:
        nonlocal made
        for number in range(total):
            made += 1
            yield signed(key, str(number))

    async def behaviour(talk: Talk) -> None:
        await may_answer.wait()
        await talk.serve_honestly()

    async def publish(pool: PoolInTest, url: str) -> list[bool]:
        return [outcome.is_done async for outcome in pool.publish_many(url, wraps())]

    async with scripted_relay(behaviour) as relay, running_pool(relay.url) as pool:
        publishing = asyncio.create_task(publish(pool, relay.url))
        await pool.until_state(relay.url, lambda state: state.queued + state.on_the_way > MAX_IN_HAND // 2)
        assert made <= MAX_IN_HAND
        may_answer.set()
        assert await publishing == [True] * total
        assert made == total


async def test_a_fan_out_lets_others_run_while_it_is_made() -> None:
    """Making wraps costs time: they are asked for a few at a time, even when the relay is away."""
    key, turns = new_key(), 0
    clock = TickingClock(0.004)

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with running_pool("ws://127.0.0.1:1", clock=clock) as pool:
        await pool.away("ws://127.0.0.1:1")
        counting = asyncio.create_task(count_turns())
        events = (signed(key, str(number)) for number in range(200))
        outcomes = [outcome async for outcome in pool.publish_many("ws://127.0.0.1:1", events)]
        counting.cancel()
    assert len(outcomes) == 200
    assert turns >= 200 // 4


async def test_nothing_to_publish_is_nothing_to_wait_for() -> None:
    """An empty fan-out is over at once."""
    async with running_pool() as pool:
        assert [outcome async for outcome in pool.publish_many("wss://relay.example.org", [])] == []


async def test_proof_of_work_is_told_with_its_bits() -> None:
    """A relay that wants work says how much."""
    async with running_relay(RelaySettings(min_pow=24)) as relay, running_pool(relay.url) as pool:
        outcome = await pool.publish(relay.url, signed(new_key(), "cheap"))
        assert isinstance(outcome.verdict, Pow)
        assert outcome.verdict.bits == 24


async def test_a_fan_out_streams_and_beside_it_live_events_are_not_lost() -> None:
    """Three thousand events go through one connection, each with its OK, and a subscription there hears them all."""
    key = new_key()
    events = [Prepared.from_event(signed(key, f"number {number}")) for number in range(3000)]
    async with running_relay() as relay, running_pool(relay.url) as pool:
        pool.subscribe("notes", [NOTES])
        await pool.inbox.until_end("notes", relay.url)
        outcomes = [outcome async for outcome in pool.publish_many(relay.url, events)]
        assert all(outcome.is_done for outcome in outcomes)
        assert {outcome.event_id for outcome in outcomes} == {event.id for event in events}
        await pool.inbox.until(lambda inbox: len(inbox.incoming) == 3000)


async def test_a_relay_that_says_rate_limited_is_left_alone_for_a_while() -> None:
    """The pause holds for everything, and ends by itself."""
    clock, key = ManualClock(), new_key()
    async with (
        running_relay(RelaySettings(notes_per_minute=2)) as relay,
        running_pool(relay.url, clock=clock) as pool,
    ):
        outcomes = [await pool.publish(relay.url, signed(key, f"number {number}")) for number in range(4)]
        assert [type(outcome.verdict) for outcome in outcomes] == [
            EventAccepted,
            EventAccepted,
            RateLimited,
            RateLimited,
        ]
        assert outcomes[2].retry_after == 30
        assert pool.state_of(relay.url).publishing_paused_until == clock.now() + 30
        await clock.advance(30)
        assert pool.state_of(relay.url).publishing_paused_until is None
        again = await pool.publish(relay.url, signed(key, "again"))
        assert isinstance(again.verdict, RateLimited)
        assert again.retry_after == 60


async def test_a_relay_that_is_away_is_not_waited_for() -> None:
    """Publishing there answers at once, with the reason and when it is worth another try."""
    async with running_relay() as relay:
        pass
    async with running_pool(relay.url) as pool:
        first = await pool.publish(relay.url, signed(new_key(), "hello"))
        assert isinstance(first.verdict, Unknown)
        assert "it refused the connection" in first.verdict.message
        assert first.retry_after is not None
        await pool.away(relay.url)
        state = pool.state_of(relay.url)
        assert state.last_error == "it refused the connection"
        assert state.next_attempt_at is not None


async def test_before_the_pool_runs_publications_wait_and_after_it_they_are_given_back() -> None:
    """Nothing handed over is without an outcome."""
    async with running_relay() as relay:
        inbox, stop = Inbox(), Stop()
        pool = PoolInTest([PoolRelay(relay.url)], sink=inbox.sink)
        early = asyncio.create_task(pool.publish(relay.url, signed(new_key(), "early")))
        await asyncio.sleep(0)
        running = asyncio.create_task(pool.run(stop))
        assert (await early).is_done
        stop.set()
        await running
        for url in (relay.url, "wss://stranger.example.org"):
            assert isinstance((await pool.publish(url, signed(new_key(), "late"))).verdict, Unknown)
        assert pool.state_of(relay.url).state == ConnectionState.STOPPED


# -- strangers' relays ------------------------------------------------------------------------------------------------


async def test_a_strangers_relay_is_opened_on_demand_and_closed_when_idle() -> None:
    """The message relay of a recipient is connected to for as long as there is something to do."""
    clock, options = ManualClock(), ConnectionOptions(ping_after=3600)
    async with running_relay() as relay, running_pool(clock=clock, options=options) as pool:
        assert (await pool.publish(relay.url, signed(new_key(), "hello"))).is_done
        assert pool.state_of(relay.url).state == ConnectionState.OPEN
        assert not pool.state_of(relay.url).is_configured
        await clock.until_sleeping()
        await clock.advance(62)
        await pool.until(relay.url, ConnectionState.IDLE)
        assert (await pool.publish(relay.url, signed(new_key(), "again"))).is_done
        assert pool.state_of(relay.url).connections == 2


async def test_a_strangers_relay_on_a_private_address_is_refused_for_good() -> None:
    """A recipient cannot make us connect to our own machine."""
    async with running_relay() as relay, running_pool(permitted=()) as pool:
        outcome = await pool.publish(relay.url, signed(new_key(), "hello"))
        assert isinstance(outcome.verdict, BlockedByRelay)
        assert outcome.retry_after is None
        assert "no public address" in outcome.verdict.message
        found = await pool.fetch([relay.url], [NOTES])
        assert found.answers[0].problem is not None
        assert "no public address" in found.answers[0].problem


async def test_what_is_no_relay_is_refused_for_good() -> None:
    """Nonsense in a relay list is an outcome, not an error."""
    async with running_pool() as pool:
        outcome = await pool.publish("https://example.org", signed(new_key(), "hello"))
        assert isinstance(outcome.verdict, BlockedByRelay)
        assert (await pool.fetch(["nonsense"], [NOTES])).is_partial
        with pytest.raises(InvalidInput, match="no ws or wss URL"):
            pool.subscribe("notes", [NOTES], relays=["nonsense"])


async def test_strangers_are_bounded_and_make_room_for_each_other() -> None:
    """However many relays recipients invent, only so many are kept, and idle ones go first."""
    async with running_pool(permitted=()) as pool:
        for number in range(MAX_STRANGERS + 20):
            assert isinstance(pool.ensure(f"ws://127.0.0.1:{20_000 + number}"), str)
        assert len(pool.states()) == MAX_STRANGERS
        assert pool.states()[0].url == "ws://127.0.0.1:20020"


async def test_strangers_in_use_are_not_pushed_out() -> None:
    """When all are in use, one more is refused for now."""
    async with running_relay() as relay, running_pool() as pool:
        for number in range(MAX_STRANGERS):
            pool.subscribe(f"s{number}", [NOTES], relays=[f"{relay.url}/{number}"])
        refused = pool.ensure(f"{relay.url}/one-more")
        assert not isinstance(refused, str)
        assert "later" in refused.reason


async def test_strangers_never_learn_who_we_are() -> None:
    """A challenge of a relay that is not configured is not answered."""
    signer = Signer(new_key())
    settings = RelaySettings(login="both")
    async with running_relay(settings) as relay, running_pool(signer=signer) as pool:
        outcome = await pool.publish(relay.url, signed(new_key(), "hello"))
        assert isinstance(outcome.verdict, AuthRequired)
        assert signer.asked == []


# -- logins -----------------------------------------------------------------------------------------------------------


async def test_a_login_is_made_when_it_is_asked_for_and_what_was_refused_is_sent_again() -> None:
    """Reading and writing both work on a relay that serves only those it knows (NIP-42)."""
    signer, event = Signer(new_key()), signed(new_key(), "hello")
    async with (
        running_relay(RelaySettings(login="both")) as relay,
        running_pool(relay.url, signer=signer) as pool,
    ):
        pool.subscribe("notes", [NOTES])
        await pool.inbox.until_end("notes", relay.url)
        assert (await pool.publish(relay.url, event)).is_done
        await pool.inbox.until(lambda inbox: event.id in inbox.ids())
        assert signer.asked == [relay.url]


async def test_what_a_relay_keeps_from_strangers_in_silence_comes_after_the_login() -> None:
    """It challenges, and tells strangers that there is nothing: NIP-17 asks relays to guard gift wraps so."""
    signer, hidden = Signer(new_key()), signed(new_key(), "hello")

    async def behaviour(talk: Talk) -> None:
        await talk.send("AUTH", "challenge")
        name = (await talk.receive_until("REQ"))[1]
        await talk.send("EOSE", name)
        login = (await talk.receive_until("AUTH"))[1]
        await talk.send("OK", login["id"], True, "")
        assert (await talk.receive_until("REQ"))[1] == name
        await talk.send_raw(f'["EVENT","{name}",{hidden.to_json().decode()}]')
        await talk.send("EOSE", name)

    async with scripted_relay(behaviour) as relay, running_pool(relay.url, signer=signer) as pool:
        pool.subscribe("notes", [NOTES])
        await pool.inbox.until_end("notes", relay.url)
        assert pool.inbox.ids() == [hidden.id]
        assert pool.inbox.ends == [("notes", relay.url, False)]
        assert signer.asked == [relay.url]


async def test_without_leave_to_log_in_the_refusal_is_told() -> None:
    """`auth = false` keeps our key from a relay."""
    signer = Signer(new_key())
    async with (
        running_relay(RelaySettings(login="both")) as relay,
        running_pool(PoolRelay(relay.url, auth=False), signer=signer) as pool,
    ):
        pool.subscribe("notes", [NOTES])
        outcome = await pool.publish(relay.url, signed(new_key(), "hello"))
        assert isinstance(outcome.verdict, AuthRequired)
        assert pool.state_of(relay.url).closed_subscriptions["notes"].startswith("auth-required")
        assert signer.asked == []


@pytest.mark.parametrize("how", ["raises", "another relay", "another kind"])
async def test_a_signer_that_fails_ends_the_login_and_not_the_connection(how: str) -> None:
    """What waited for the login is refused with the reason."""
    key = new_key()

    async def sign(url: str, challenge: str) -> SignedEvent:
        if how == "raises":
            raise ConnectionError("the bunker is asleep")
        if how == "another relay":
            url = "wss://elsewhere.example.org"
        login = nip42.write_auth(key.pubkey, url, challenge, int(time.time()))
        return key.sign(login, b"\x01" * 32) if how == "another relay" else signed(key, "no login at all")

    async with (
        running_relay(RelaySettings(login="write")) as relay,
        running_pool(relay.url, signer=sign) as pool,
    ):
        outcome = await pool.publish(relay.url, signed(key, "hello"))
        assert isinstance(outcome.verdict, AuthRequired)
        assert outcome.verdict.message.startswith("the login could not be signed")
        state = pool.state_of(relay.url)
        assert (state.state, state.connections) == (ConnectionState.OPEN, 1)


async def test_gift_wraps_of_a_guarded_relay_reach_their_recipient() -> None:
    """A relay that shows wraps only to whom they are for is logged in to, and shows them."""
    key = new_key()
    wrap = signed(new_key(), "sealed", kind=1059, tags=(("p", key.pubkey),))
    async with (
        running_relay(RelaySettings(guard_messages=True)) as relay,
        running_pool(relay.url, signer=Signer(key)) as pool,
    ):
        assert (await pool.publish(relay.url, wrap)).is_done
        pool.subscribe("messages", [Filter(kinds=(1059,), tags=(("p", (key.pubkey,)),))])
        await pool.inbox.until(lambda inbox: wrap.id in inbox.ids())


# -- fetching ---------------------------------------------------------------------------------------------------------


async def test_a_fetch_reads_past_what_a_relay_gives_at_once() -> None:
    """More than a page comes complete, from each relay for itself."""
    key = new_key()
    events = [signed(key, f"n{number}", created_at=1_700_000_000 + number // 3) for number in range(1300)]
    async with running_relay() as a, running_relay() as b, running_pool(a.url, b.url) as pool:
        await publish_all(pool, a.url, events)
        await publish_all(pool, b.url, events[:10])
        found = await pool.fetch(None, [NOTES])
        assert not found.is_partial
        assert [len({bytes(incoming.raw) for incoming in answer.events}) for answer in found.answers] == [1300, 10]
        assert len(list(found.events)) == 1310
        assert pool.inbox.incoming == []


async def test_a_fetch_of_several_filters_brings_each_event_once() -> None:
    """Filters that overlap do not double what they share."""
    key = new_key()
    events = [signed(key, f"n{number}", kind=number % 2 + 1, created_at=1_700_000_000 + number) for number in range(60)]
    async with running_relay() as relay, running_pool(relay.url) as pool:
        await publish_all(pool, relay.url, events)
        found = await pool.fetch([relay.url], [NOTES, Filter(authors=(key.pubkey,))])
        assert len(list(found.events)) == 60


async def test_a_fetch_says_which_relays_are_partial_and_why() -> None:
    """One that is away, one that never ends and one that refuses do not spoil the answer of a good one."""

    async def endless(talk: Talk) -> None:
        await talk.receive_until("REQ")

    async def refuse(talk: Talk) -> None:
        _, name, *_ = await talk.receive_until("REQ")
        await talk.send("CLOSED", name, "restricted: members only")

    async with running_relay() as gone:
        pass
    async with (
        running_relay() as good,
        scripted_relay(endless) as slow,
        scripted_relay(refuse) as closed,
        running_pool(good.url, gone.url, slow.url, closed.url) as pool,
    ):
        await pool.publish(good.url, signed(new_key(), "hello"))
        found = await pool.fetch(None, [NOTES], within=0.5)
        problems = {answer.relay_url: answer.problem for answer in found.answers}
        assert problems[good.url] is None
        assert problems[gone.url] == "not connected: it refused the connection"
        assert problems[slow.url] == "it was not done within 0.5 s"
        assert problems[closed.url] == "it refused: restricted: members only"
        assert len(list(found.events)) == 1


async def test_a_fetch_from_a_strangers_relay_opens_it() -> None:
    """A relay hint can be followed without configuring it."""
    event = signed(new_key(), "hello")
    async with running_relay() as relay, running_pool() as pool:
        await pool.publish(relay.url, event)
        found = await pool.fetch([relay.url], [NOTES])
        assert [answer.problem for answer in found.answers] == [None]
        assert len(list(found.events)) == 1


# -- reconnecting, reconfiguring --------------------------------------------------------------------------------------


async def test_a_relay_that_restarts_twenty_times_has_all_subscriptions_and_the_gap_filled_each_time() -> None:
    """After each restart every REQ is sent again, and what was published meanwhile by others arrives."""
    clock, key = ManualClock(), new_key()
    async with running_relay() as relay, running_pool(relay.url, clock=clock) as pool:
        names = [f"notes-{number}" for number in range(10)]
        for name in names:
            pool.subscribe(name, [NOTES])
            await pool.inbox.until_end(name, relay.url)
        for turn in range(20):
            await (relay.kill() if turn % 2 else relay.stop())
            await pool.away(relay.url)
            await relay.start()
            async with running_pool(relay.url) as other:
                missed = signed(key, f"missed {turn}")
                assert (await other.publish(relay.url, missed)).is_done
            await pool.retry(relay.url, clock)
            for name in names:
                await pool.inbox.until_end(name, relay.url, turn + 2)
            got = {one.subscription for one in pool.inbox.incoming if missed.id.encode() in bytes(one.raw)}
            assert got == set(names)
        assert pool.state_of(relay.url).connections == 21


async def test_the_delays_between_attempts_grow_to_a_minute() -> None:
    """A relay that opens and dies at once is not tried more and more often."""

    async def accept_and_drop(talk: Talk) -> None:
        talk.socket.transport.abort()

    clock = ManualClock()
    delays = []
    async with scripted_relay(accept_and_drop) as relay, running_pool(relay.url, clock=clock) as pool:
        for turn in range(1, 10):
            await relay.until_connections(turn)
            await pool.away(relay.url)
            next_attempt = pool.state_of(relay.url).next_attempt_at
            assert next_attempt is not None
            delays.append(next_attempt - clock.now())
            await pool.retry(relay.url, clock)
    for span, delay in zip((1, 2, 4, 8, 16, 32, 60, 60, 60), delays, strict=True):
        assert span / 2 <= delay <= span


async def test_a_subscription_that_the_relay_closes_is_asked_for_again() -> None:
    """`error:` is not the end of it; `restricted:` is, until the next connection."""

    async def close_first(talk: Talk) -> None:
        for _ in range(2):
            _, name, *_ = await talk.receive_until("REQ")
            await talk.send("CLOSED", name, "error: shutting down idle" if name == "again" else "restricted: no")
        await talk.serve_honestly()

    clock = ManualClock()
    async with scripted_relay(close_first) as relay, running_pool(relay.url, clock=clock) as pool:
        pool.subscribe("again", [NOTES])
        pool.subscribe("never", [NOTES])
        await relay.until_messages("REQ", 2)
        while set(pool.state_of(relay.url).closed_subscriptions) != {"again", "never"}:
            await pool.fetch([relay.url], [NOTES], within=0.05)
        await clock.advance(5)
        await pool.inbox.until_end("again", relay.url)
        assert pool.state_of(relay.url).closed_subscriptions == {"never": "restricted: no"}


async def test_new_configuration_opens_closes_and_keeps() -> None:
    """A reload touches only what changed, and subscriptions follow."""
    async with running_relay() as a, running_relay() as b, running_relay() as c, running_pool(a.url, b.url) as pool:
        pool.subscribe("notes", [NOTES])
        for url in (a.url, b.url):
            await pool.inbox.until_end("notes", url)
        pool.configure([PoolRelay(a.url), PoolRelay(c.url)])
        await pool.inbox.until_end("notes", c.url)
        assert [state.url for state in pool.states()] == [a.url, c.url]
        assert pool.state_of(a.url).connections == 1
        assert pool.inbox.ends.count(("notes", a.url, False)) == 1


@pytest.mark.parametrize(
    "relays",
    [
        pytest.param(["https://example.org"], id="no relay"),
        pytest.param(["wss://example.org", "wss://EXAMPLE.org/"], id="twice, in two spellings"),
    ],
)
async def test_a_configuration_that_cannot_be_used_changes_nothing(relays: list[str]) -> None:
    """An invalid list is refused as a whole."""
    async with running_relay() as relay, running_pool(relay.url) as pool:
        with pytest.raises(InvalidInput):
            pool.configure([PoolRelay(url) for url in relays])
        assert [state.url for state in pool.states()] == [relay.url]


async def test_a_fault_in_the_sink_on_one_relay_leaves_the_others() -> None:
    """A bug of ours is logged and that relay tried again; the pool goes on."""
    inbox = Inbox()

    async def sink(batch) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001  (as `Inbox.sink`)
        if any(b"poison" in bytes(incoming.raw) for incoming in batch):
            raise ZeroDivisionError
        await inbox.sink(batch)

    async with running_relay() as bad, running_relay() as good, running_pool(bad.url, good.url, sink=sink) as pool:
        await pool.publish(bad.url, signed(new_key(), "poison"))
        event = signed(new_key(), "fine")
        await pool.publish(good.url, event)
        pool.subscribe("notes", [NOTES])
        await pool.away(bad.url)
        assert pool.state_of(bad.url).last_error == "internal error: ExceptionGroup"
        await inbox.until(lambda box: event.id in box.ids())
        assert pool.state_of(good.url).state == ConnectionState.OPEN


async def test_a_full_disk_behind_the_sink_is_not_called_the_relays_fault() -> None:
    """The status of the relay says what is wrong here; once there is room, the same is asked for again and stored."""
    clock, inbox, is_full = ManualClock(), Inbox(), True

    async def sink(batch) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001  (as `Inbox.sink`)
        if is_full:
            raise StoreFull("database or disk is full")
        await inbox.sink(batch)

    async with running_relay() as relay, running_pool(relay.url, sink=sink, clock=clock) as pool:
        event = signed(new_key(), "hello")
        await pool.publish(relay.url, event)
        pool.subscribe("notes", [NOTES])
        await pool.away(relay.url)
        said = pool.state_of(relay.url).last_error or ""
        assert "could not be stored" in said
        assert "disk is full" in said
        is_full = False
        await clock.until_sleeping()
        await clock.advance(60)
        await inbox.until(lambda box: event.id in box.ids())


async def test_a_damaged_database_behind_the_sink_ends_the_pool() -> None:
    """Opening the connection again would bring the same: the daemon has to say what is wrong, and end."""

    async def sink(_batch: object) -> None:
        raise StoreDamaged("malformed")

    async with running_relay() as relay:
        pool = RelayPool([PoolRelay(relay.url)], sink=sink)
        pool.subscribe("notes", [NOTES])
        running = asyncio.create_task(pool.run(Stop()))
        assert (await pool.publish(relay.url, signed(new_key(), "hello"))).is_done
        with pytest.raises(ExceptionGroup) as caught:
            await asyncio.wait_for(running, 60)
        assert damage_in(caught.value) is not None


async def test_options_reach_the_connection() -> None:
    """The pace is configurable."""
    options = ConnectionOptions(messages_per_minute=3)
    async with running_relay() as relay, running_pool(relay.url, options=options, clock=ManualClock()) as pool:
        key = new_key()
        tasks = [asyncio.create_task(pool.publish(relay.url, signed(key, f"n{number}"))) for number in range(5)]
        state = await pool.until_state(relay.url, lambda state: state.published == 3)
        assert state.queued == 2
        found = await pool.fetch([relay.url], [NOTES])  # on the same connection: what was sent before it is among it
        assert len(list(found.events)) == 3
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert (len(done), len(pending)) == (3, 2)
        for task in pending:
            task.cancel()

"""Relays that allow few subscriptions: everything is asked for all the same, and what is refused is seen."""

from __future__ import annotations

import asyncio
import time

from structlog.testing import capture_logs

from podium_protocol.events import Pubkey
from podium_protocol.filters import Filter
from podium_protocol.limits import EOSE_TIMEOUT
from tests.support.clock import ManualClock
from tests.support.narrow_relay import narrow_relay
from tests.support.pools import running_pool
from tests.support.relays import new_key, signed

KEYS = [new_key() for _ in range(15)]


async def test_fifteen_subscriptions_are_served_by_a_relay_that_allows_ten() -> None:
    """Each gets its own events, stored and new, and its own end; nothing is refused."""
    async with narrow_relay() as relay, running_pool(relay.url) as pool:
        now = int(time.time())
        stored = [signed(key, created_at=now - 5) for key in KEYS]
        await relay.publish(*stored)
        for number, key in enumerate(KEYS):
            pool.subscribe(f"notes-{number}", [Filter(authors=(Pubkey(key.pubkey),))])
        for number in range(len(KEYS)):
            await pool.inbox.until_end(f"notes-{number}", relay.url)
        new = [signed(key, "new", created_at=now) for key in KEYS]
        await relay.publish(*new)
        await pool.inbox.until(lambda inbox: {event.id for event in new} <= set(inbox.ids()))
        by_id = {
            event.id: number for number, key_events in enumerate(zip(stored, new, strict=True)) for event in key_events
        }
        came = {
            (one.subscription, by_id[event_id])
            for one, event_id in zip(pool.inbox.incoming, pool.inbox.ids(), strict=True)
        }
        assert came == {(f"notes-{number}", number) for number in range(len(KEYS))}
        assert relay.refused == []
        assert pool.state_of(relay.url).closed_subscriptions == {}


async def test_many_fetches_at_once_take_turns_where_few_are_allowed() -> None:
    """Twenty pages are asked one after the other beside what is subscribed to, and none is refused."""
    async with narrow_relay(most=3) as relay, running_pool(relay.url) as pool:
        for number in range(5):
            pool.subscribe(f"notes-{number}", [Filter(kinds=(number,))])
        await pool.inbox.until_end("notes-4", relay.url)
        events = [signed(KEYS[0], str(number), kind=100 + number) for number in range(20)]
        await relay.publish(*events)
        found = await asyncio.gather(*(pool.fetch(None, [Filter(kinds=(100 + number,))]) for number in range(20)))
        assert [len(list(result.events)) for result in found] == [1] * 20
        assert not any(result.is_partial for result in found)
        assert relay.refused == []


async def test_a_subscription_that_a_notice_refuses_is_shown_logged_and_asked_again() -> None:
    """A relay that does not tell its limits: its words are seen, and it is asked again until it has room."""
    clock = ManualClock()
    async with narrow_relay(most=2, tells=False) as relay, running_pool(relay.url, clock=clock) as pool:
        with capture_logs() as logs:
            for number in range(3):
                pool.subscribe(f"notes-{number}", [Filter(kinds=(number,))])
            await pool.inbox.until_end("notes-1", relay.url)
            await pool.until_state(relay.url, lambda state: state.last_notice is not None)
            await clock.advance(EOSE_TIMEOUT + 1)
            state = await pool.until_state(relay.url, lambda state: state.closed_subscriptions)
        assert list(state.closed_subscriptions) == ["notes-2"]
        assert "Too many subscriptions" in state.closed_subscriptions["notes-2"]
        assert "Too many subscriptions" in (state.last_notice or "")
        assert {"relay.notice", "relay.closed"} <= {line.get("action") for line in logs}
        assert ("notes-2", relay.url, True) not in pool.inbox.ends
        pool.unsubscribe("notes-0")
        while pool.state_of(relay.url).closed_subscriptions:
            await clock.advance(5)
        await pool.inbox.until_end("notes-2", relay.url)


async def test_a_fetch_that_a_notice_refuses_says_so() -> None:
    """Its answer is partial, with the relay's words."""
    clock = ManualClock()
    async with narrow_relay(most=1, tells=False) as relay, running_pool(relay.url, clock=clock) as pool:
        pool.subscribe("notes", [Filter(kinds=(1,))])
        await pool.inbox.until_end("notes", relay.url)
        fetching = asyncio.create_task(pool.fetch(None, [Filter(kinds=(2,))]))
        await pool.until_state(relay.url, lambda state: state.last_notice is not None)
        await clock.advance(EOSE_TIMEOUT + 1)
        (answer,) = (await fetching).answers
        assert "Too many subscriptions" in (answer.problem or "")


async def test_notices_without_end_do_not_fill_the_log() -> None:
    """The last is shown; one in ten seconds is logged."""
    clock = ManualClock()
    async with narrow_relay(most=0, tells=False) as relay, running_pool(relay.url, clock=clock) as pool:
        with capture_logs() as logs:
            await pool.opened(relay.url)
            (talk,) = relay.open
            for number in range(100):
                await talk.send("NOTICE", f"hello {number}")
            await pool.until_state(relay.url, lambda state: state.last_notice == "hello 99")
        assert [line["words"] for line in logs if line.get("action") == "relay.notice"] == ["hello 0"]

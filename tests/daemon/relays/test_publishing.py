"""The window of publications: what is sent when, and that each is told its outcome exactly once."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from podium_daemon.relays.publishing import (
    BREATH,
    BURST_BESIDE_SUBSCRIPTIONS,
    MAX_BYTES_ON_THE_WAY,
    MAX_ON_THE_WAY,
    Pacer,
    Prepared,
    PublishOutcome,
    PublishWindow,
)
from podium_protocol.events import EventId
from podium_protocol.relay.events import Published
from podium_protocol.relay.session import RelaySession
from podium_protocol.relay.verdicts import BlockedByRelay, EventAccepted, RateLimited, Unknown
from tests.support.relays import new_key, signed

URL = "wss://relay.example.org"


def prepared(number: int, size: int = 10) -> Prepared:
    """An event of some size; the window never looks into it."""
    return Prepared(EventId(f"{number:064x}"), b"x" * size)


class Bench:
    """A window, a connected session, and the outcomes told."""

    def __init__(self, pacer: Pacer | None = None) -> None:
        self.session = RelaySession(URL)
        self.session.connected(0.0)
        self.window = PublishWindow(URL, pacer or Pacer())
        self.told: list[PublishOutcome] = []

    def add(self, *events: Prepared) -> None:
        for event in events:
            self.window.add(event, self.told.append)

    def feed(self, now: float = 0.0, *, beside_subscriptions: bool = False) -> list[bytes]:
        self.window.feed(self.session, now, beside_subscriptions=beside_subscriptions)
        return self.session.data_to_send()

    def answer(self, event: Prepared, message: str = "", *, accepted: bool = True, now: float = 0.0) -> None:
        self.session.receive(json.dumps(["OK", event.id, accepted, message]), now)
        for published in self.session.events_received():
            assert isinstance(published, Published)
            self.window.settle(published, now)


def test_events_go_out_unchanged_and_are_told_done() -> None:
    """The stored bytes are sent as they are, and the relay's OK settles them."""
    bench, event = Bench(), Prepared.from_event(signed(new_key(), "hello"))
    bench.add(event)
    assert bench.feed() == [b'["EVENT",' + event.json + b"]"]
    bench.answer(event)
    assert bench.told == [PublishOutcome(event.id, URL, EventAccepted())]
    assert bench.window.on_the_way == bench.window.queued == 0


def test_only_a_window_is_on_the_way() -> None:
    """The rest waits until answers make room."""
    bench = Bench()
    events = [prepared(number) for number in range(MAX_ON_THE_WAY + 5)]
    bench.add(*events)
    assert len(bench.feed()) == MAX_ON_THE_WAY
    assert bench.feed() == []
    bench.answer(events[0])
    assert len(bench.feed()) == 1


def test_beside_live_subscriptions_a_relay_gets_a_breath_after_each_burst() -> None:
    """A burst, its answers, a moment of quiet, the next burst: live events of the connection find room."""
    bench = Bench()
    events = [prepared(number) for number in range(BURST_BESIDE_SUBSCRIPTIONS + 10)]
    bench.add(*events)
    assert len(bench.feed(beside_subscriptions=True)) == BURST_BESIDE_SUBSCRIPTIONS
    for event in events[:-10]:
        assert bench.feed(5.0, beside_subscriptions=True) == []
        bench.answer(event, now=5.0)
    assert bench.window.feed(bench.session, 5.0, beside_subscriptions=True) == BREATH
    assert bench.session.data_to_send() == []
    assert len(bench.feed(5.0 + BREATH, beside_subscriptions=True)) == 10


def test_large_events_fill_the_window_by_their_bytes_and_the_largest_still_goes() -> None:
    """A slow line is not given more than it can carry in time, but nothing is stuck for its size."""
    bench = Bench()
    bench.add(*(prepared(number, MAX_BYTES_ON_THE_WAY // 2) for number in range(3)), prepared(9, 10**6))
    assert len(bench.feed()) == 2
    for number in range(3):
        bench.answer(prepared(number, MAX_BYTES_ON_THE_WAY // 2))
        bench.feed()
    assert bench.window.on_the_way == 1


def test_the_pace_holds_the_rest_back() -> None:
    """What the pacer does not allow waits for the next minute."""
    pacer = Pacer(3)
    bench = Bench(pacer)
    bench.add(*(prepared(number) for number in range(5)))
    sent = bench.feed()
    pacer.note(len(sent), 0.0)
    assert len(sent) == 3
    assert bench.feed(30.0) == []
    assert len(bench.feed(61.0)) == 2


def test_rate_limited_pauses_the_whole_relay_and_gives_the_queue_back() -> None:
    """Nobody is kept waiting for minutes: the outcome says when to come back."""
    bench = Bench()
    first, *rest = (prepared(number) for number in range(MAX_ON_THE_WAY + 2))
    bench.add(first, *rest)
    bench.feed()
    bench.answer(first, "rate-limited: slow down", accepted=False, now=5.0)
    assert bench.told[0] == PublishOutcome(first.id, URL, RateLimited("rate-limited: slow down"), 30.0)
    assert bench.feed(10.0) == []
    queued = bench.told[1:]
    assert [outcome.event_id for outcome in queued] == [rest[-2].id, rest[-1].id]
    assert {outcome.retry_after for outcome in queued} == {25.0}


def test_final_refusals_have_no_time_to_retry() -> None:
    """`blocked:` is the end of it for this relay; `error:` is not."""
    bench, blocked, failed = Bench(), prepared(1), prepared(2)
    bench.add(blocked, failed)
    bench.feed()
    bench.answer(blocked, "blocked: go away", accepted=False)
    bench.answer(failed, "error: disk full", accepted=False)
    assert [outcome.retry_after for outcome in bench.told] == [None, 0.0]
    assert bench.window.counts == {"done": 0, "refused": 1, "unknown": 1}


def test_the_same_event_twice_is_sent_once_and_told_twice() -> None:
    """Two parts that publish the same event both hear of it."""
    bench = Bench()
    bench.add(prepared(1), prepared(1))
    assert len(bench.feed()) == 1
    bench.answer(prepared(1))
    assert len(bench.told) == 2


def test_a_late_answer_is_no_second_outcome() -> None:
    """An OK after the time-out changes nothing: the retry is a duplicate to the relay."""
    bench = Bench()
    bench.add(prepared(1))
    bench.feed(0.0)
    bench.session.tick(100.0)
    for published in bench.session.events_received():
        assert isinstance(published, Published)
        bench.window.settle(published, 100.0)
    assert isinstance(bench.told[0].verdict, Unknown)
    bench.answer(prepared(1), now=101.0)
    assert len(bench.told) == 1


def test_what_is_queued_is_given_back_when_the_relay_is_away() -> None:
    """A lost connection answers everybody at once."""
    bench = Bench()
    bench.add(prepared(1), prepared(2))
    bench.window.refuse_queued(BlockedByRelay("no such place"), None)
    assert [outcome.retry_after for outcome in bench.told] == [None, None]
    assert bench.window.queued == 0


@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["add", "feed", "ok", "no", "lose", "tick"])), max_size=80)
)
def test_every_publication_is_told_exactly_once(steps: list[tuple[int, str]]) -> None:
    """Whatever happens in whatever order, each handing over has one outcome in the end."""
    bench, added, now = Bench(), 0, 0.0
    for number, step in steps:
        now += 1.0
        if step == "add":
            bench.add(prepared(number))
            added += 1
        elif step == "feed":
            bench.feed(now)
        elif step in ("ok", "no"):
            bench.answer(prepared(number), "error: no" if step == "no" else "", accepted=step == "ok", now=now)
        elif step == "tick":
            now += 30.0
            bench.session.tick(now)
            _settle(bench, now)
        else:
            _lose(bench, now)
            bench.session.connected(now)
    _lose(bench, now)
    assert len(bench.told) == added


def _settle(bench: Bench, now: float) -> None:
    for published in bench.session.events_received():
        if isinstance(published, Published):
            bench.window.settle(published, now)


def _lose(bench: Bench, now: float) -> None:
    bench.session.disconnected()
    _settle(bench, now)
    bench.window.refuse_queued(Unknown("gone"), 1.0)

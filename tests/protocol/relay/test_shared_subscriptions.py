"""Subscriptions that share REQs, where a relay allows few."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_protocol import kinds
from podium_protocol.events import Pubkey
from podium_protocol.filters import Filter, backfill
from podium_protocol.limits import BACKFILL, MAX_FILTERS
from podium_protocol.nips.nip11 import RelayLimits
from podium_protocol.relay.session import RelaySession
from podium_protocol.relay.shared_subscriptions import SharedSubscriptions
from tests.support.events import key_of, signed

WRAPS = Filter(kinds=(kinds.GIFT_WRAP,), tags=(("p", (key_of(1).pubkey,)),))


def of(kind: int) -> Filter:
    """A filter for one kind."""
    return Filter(kinds=(kind,))


class Shared:
    """Shared subscriptions on an open connection, and what is open at the relay's side."""

    def __init__(self, limits: RelayLimits | None = None) -> None:
        self.session = RelaySession("wss://relay.example")
        self.shared = SharedSubscriptions(self.session)
        if limits is not None:
            self.shared.heed(limits, 0.0)
        self.session.connected(0.0)
        self.open: dict[str, list[dict[str, Any]]] = {}
        self.reqs = 0

    def subscribe(self, name: str, *filters: Filter) -> None:
        """Want events."""
        self.shared.subscribe(name, filters, 0.0)
        self.look()

    def look(self) -> None:
        """Take in what was sent."""
        for frame in self.session.data_to_send():
            match json.loads(frame):
                case ["REQ", name, *filters]:
                    self.open[name] = filters
                    self.reqs += 1
                case ["CLOSE", name]:
                    del self.open[name]

    def asked_kinds(self) -> list[int]:
        """The kinds that are asked for now."""
        return sorted(kind for filters in self.open.values() for one in filters for kind in one["kinds"])


def test_a_relay_without_limits_gets_a_req_for_each() -> None:
    """The names on the wire are the subscriptions' own."""
    here = Shared()
    for number in range(30):
        here.subscribe(f"people-{number}", of(number))
    assert list(here.open) == [f"people-{number}" for number in range(30)]
    assert here.shared.room_for_questions == 8


def test_where_ten_are_allowed_fifteen_share_nine() -> None:
    """Everything is asked for, one REQ is left for questions, and gift wraps stay alone as long as they can."""
    here = Shared(RelayLimits(max_subscriptions=10))
    for number in range(14):
        here.subscribe(f"people-{number}", of(number))
    here.subscribe("wraps", WRAPS)
    assert len(here.open) == 9
    assert here.asked_kinds() == [*range(14), kinds.GIFT_WRAP]
    assert [filters for filters in here.open.values() if "#p" in filters[0]] == [
        [json.loads(json.dumps(WRAPS.to_json_object()))]
    ]
    assert here.shared.room_for_questions == 1
    assert not here.shared.unserved


def test_limits_that_become_known_later_are_kept_from_then_on() -> None:
    """What was one REQ each is put together before the next connection is asked."""
    here = Shared()
    for number in range(12):
        here.subscribe(f"people-{number}", of(number))
    here.session.disconnected()
    here.shared.heed(RelayLimits(max_subscriptions=4, max_filters=5), 1.0)
    here.open.clear()
    here.session.connected(2.0)
    here.look()
    assert (len(here.open), here.asked_kinds()) == (3, list(range(12)))
    assert all(len(filters) <= 5 for filters in here.open.values())


def test_an_event_goes_to_whoever_asked_for_it() -> None:
    """Those who share are told apart by their filters; what answers none is given to one, who will refuse it."""
    here = Shared(RelayLimits(max_subscriptions=1))
    here.subscribe("one", of(1))
    here.subscribe("two", Filter(kinds=(2,), authors=(key_of(1).pubkey,)))
    (shared,) = here.open
    for kind, owner in ((1, "one"), (2, "two"), (3, "one")):
        event = signed(key_of(1), kind=kind)
        assert here.shared.owner_of(shared, msgspec.Raw(event.to_json())) == owner
    assert here.shared.owner_of(shared, msgspec.Raw(b"[]")) == "one"
    assert here.shared.owner_of("fetch:1", msgspec.Raw(b"{}")) == "fetch:1"
    assert here.shared.filters_of("two") == (Filter(kinds=(2,), authors=(key_of(1).pubkey,)),)


def test_an_end_is_told_once_to_each_however_often_others_join() -> None:
    """A REQ that is sent again for a newcomer brings its end to the newcomer, and to all after a reconnect."""
    here = Shared(RelayLimits(max_subscriptions=1))
    here.subscribe("one", of(1))
    (shared,) = here.open
    assert here.shared.end(shared, partial=False) == ("one",)
    here.subscribe("two", of(2))
    assert here.shared.end(shared, partial=False) == ("two",)
    assert here.shared.end(shared, partial=False) == ("one", "two")  # asked again after a login
    here.shared.connected()
    here.subscribe("three", of(3))
    assert here.shared.end(shared, partial=True) == ("one", "two", "three")
    here.subscribe("two", of(22))
    assert here.shared.end(shared, partial=False) == ("one", "two", "three")
    here.subscribe("two", of(222))
    assert here.shared.closed(shared) == ("one", "two", "three")
    here.shared.ask_again(("one", "three", "gone"), 0.0)
    assert here.shared.end(shared, partial=False) == ("one", "two", "three")


def test_since_stays_each_ones_own_when_they_share() -> None:
    """Where each left off is asked when the REQ is sent."""
    here = Shared(RelayLimits(max_subscriptions=1))
    here.shared.subscribe("one", (of(1),), 0.0, resume=lambda filters: backfill(filters, BACKFILL + 100))
    here.shared.subscribe("two", (of(2),), 0.0, resume=lambda filters: backfill(filters, BACKFILL + 200))
    here.look()
    (filters,) = here.open.values()
    assert filters == [{"kinds": [1], "since": 100}, {"kinds": [2], "since": 200}]


def test_what_has_no_room_is_said_and_asked_once_there_is() -> None:
    """Two REQs of two filters: the third of two waits, with the reason, until another leaves."""
    here = Shared(RelayLimits(max_subscriptions=2, max_filters=2))
    here.subscribe("one", of(1), of(2))
    here.subscribe("two", of(3), of(4))
    assert here.shared.unserved == {"two": "not asked: it takes 2 REQs of 2 filters at most, and has them"}
    here.shared.unsubscribe("one", 0.0)
    here.look()
    assert (here.asked_kinds(), here.shared.unserved) == ([3, 4], {})
    here.subscribe("long", Filter(kinds=(5,), authors=tuple(Pubkey(f"{n:064x}") for n in range(100))))
    here.session.disconnected()
    here.shared.heed(RelayLimits(max_subscriptions=2, max_message_length=2048), 0.0)
    assert "the REQ has" in here.shared.unserved["long"]


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 30),
    st.lists(st.tuples(st.sampled_from("+-"), st.integers(0, 25), st.integers(1, 4)), max_size=60),
)
def test_no_limit_is_ever_passed_and_nothing_is_lost(
    subscriptions: int, filters: int, steps: list[tuple[str, int, int]]
) -> None:
    """However names come, change and go: each is asked for once or said to have no room, within both limits."""
    here = Shared(RelayLimits(max_subscriptions=subscriptions, max_filters=filters))
    wanted: dict[str, int] = {}
    for sign, number, count in steps:
        name = f"name-{number}"
        if sign == "+":
            wanted[name] = count
            here.subscribe(name, *(Filter(kinds=(number,), limit=one + 1) for one in range(count)))
        else:
            wanted.pop(name, None)
            here.shared.unsubscribe(name, 0.0)
            here.look()
        assert len(here.open) <= subscriptions
        assert all(len(asked) <= min(filters, MAX_FILTERS) for asked in here.open.values())
        asked = here.asked_kinds()
        served = {name for name in wanted if name not in here.shared.unserved}
        assert asked == sorted(int(name[5:]) for name in served for _ in range(wanted[name]))


@pytest.mark.parametrize("limit", [1, 2, 10])
def test_joining_sends_one_req_each(limit: int) -> None:
    """A hundred newcomers do not make everything be asked for a hundred times."""
    here = Shared(RelayLimits(max_subscriptions=limit, max_filters=20))
    for number in range(15):
        here.subscribe(f"people-{number}", of(number))
    assert here.reqs == 15

"""From observations to intervals."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.live.attendance import Evidence, Interval
from podium_protocol.live.connections import (
    EngineIdentity,
    Observation,
    Presence,
    Sight,
    intervals_of,
    presence_intervals,
    read_presence,
)
from tests.support.events import NOW, key_of, verified

GUEST = key_of(2)
ROOM, OTHER = f"30312:{key_of(1).pubkey}:room", f"30312:{key_of(1).pubkey}:other"


def saw(sight: Sight, at: int, connection: str = "a") -> Observation:
    """One observation."""
    return Observation(connection, at, sight)


def test_an_identity_is_a_key_and_a_device() -> None:
    """Written and read back; the engine never hears anything else."""
    identity = EngineIdentity(GUEST.pubkey, "phone-1")
    assert EngineIdentity.parse(str(identity)) == identity


@pytest.mark.parametrize("rest", ["", "#", "#a#b", "#a b", "#" + "x" * 65, "# ", "phone"])
def test_other_identities_are_refused(rest: str) -> None:
    """A missing, doubled or overlong device, and a key that is none."""
    assert EngineIdentity.parse(GUEST.pubkey + rest) is None
    assert EngineIdentity.parse("f" * 64 + "#phone") is None


def test_a_join_and_a_leave_are_an_interval() -> None:
    """The plain case."""
    assert intervals_of([saw(Sight.JOINED, 10), saw(Sight.LEFT, 90)]) == (
        Interval(start=10, end=90, last_seen=90, connection="a"),
    )


def test_a_leave_without_a_join_is_dropped() -> None:
    """It says nothing about when they came."""
    assert intervals_of([saw(Sight.LEFT, 90)]) == ()


def test_a_lost_join_begins_at_the_first_sight() -> None:
    """The snapshot saw them, so they were there; further sights are evidence."""
    assert intervals_of([saw(Sight.SEEN, 30), saw(Sight.SEEN, 60), saw(Sight.LEFT, 90)]) == (
        Interval(start=30, end=90, last_seen=90, connection="a"),
    )


def test_a_lost_leave_stays_open_at_the_last_evidence() -> None:
    """Where the missing leave is put is decided when it is credited."""
    assert intervals_of([saw(Sight.JOINED, 10), saw(Sight.SEEN, 70), saw(Sight.JOINED, 80)]) == (
        Interval(start=10, end=None, last_seen=80, connection="a"),
    )


def test_a_lost_engine_is_no_leave() -> None:
    """The interval ends at its last evidence, unknown and not absent; the next sight begins another."""
    found = intervals_of([saw(Sight.JOINED, 10), saw(Sight.LOST, 70), saw(Sight.SEEN, 200)])
    assert found == (
        Interval(start=10, end=None, last_seen=10, connection="a"),
        Interval(start=200, end=None, last_seen=200, connection="a"),
    )


def test_connections_do_not_end_each_other() -> None:
    """Each device has its own."""
    found = intervals_of([saw(Sight.JOINED, 1, "a"), saw(Sight.JOINED, 2, "b"), saw(Sight.LEFT, 5, "a")])
    assert {(each.connection, each.end) for each in found} == {("a", 5), ("b", None)}


def test_leaving_and_joining_in_one_second_is_a_reconnection() -> None:
    """The leave belongs to the stay before."""
    found = intervals_of([saw(Sight.JOINED, 1), saw(Sight.JOINED, 50), saw(Sight.LEFT, 50)])
    assert [(each.start, each.end) for each in found] == [(1, 50), (50, None)]


_SIGHTS = st.lists(
    st.builds(Observation, st.sampled_from(["a", "b"]), st.integers(0, 50), st.sampled_from(Sight)), max_size=20
)


@given(_SIGHTS, st.randoms())
def test_the_order_of_arrival_does_not_matter(sights: list[Observation], shuffle: random.Random) -> None:
    """Reordered, the same intervals; each begins at a sight of its own and none is reversed."""
    mixed = list(sights)
    shuffle.shuffle(mixed)
    found = intervals_of(sights)
    assert sorted(map(repr, intervals_of(mixed))) == sorted(map(repr, found))
    seen = {(each.connection, each.at) for each in sights if each.sight in (Sight.JOINED, Sight.SEEN)}
    for each in found:
        assert (each.connection, each.start) in seen
        assert each.end is None or each.end >= each.start


def beat(received: int, room: str = ROOM, created: int | None = None) -> Presence:
    """One presence event."""
    return Presence(GUEST.pubkey, room, received if created is None else created, received)


def spans(*beats: Presence) -> list[tuple[int, int | None]]:
    """Begin and end of each interval in the room."""
    return [(each.start, each.end) for each in presence_intervals(beats, {ROOM})]


@pytest.mark.parametrize(("skew", "taken"), [(0, True), (120, True), (-120, True), (121, False), (-121, False)])
def test_presence_counts_when_it_is_fresh(skew: int, taken: bool) -> None:
    """Two minutes either way, inclusive."""
    event = verified(GUEST, kind=10312, tags=(("a", ROOM, "", "root"),))
    presence = read_presence(event, NOW + skew)
    assert (presence is not None) is taken
    if presence is not None:
        assert presence == Presence(GUEST.pubkey, ROOM, NOW, NOW + skew)


def test_other_kinds_are_no_presence() -> None:
    """And an event without a room says that somebody is in none."""
    assert read_presence(verified(GUEST, kind=1, tags=(("a", ROOM),)), NOW) is None
    nowhere = read_presence(verified(GUEST, kind=10312), NOW)
    assert nowhere is not None
    assert nowhere.room == ""


def test_a_beat_lasts_until_the_next_or_150_seconds() -> None:
    """Credited from when we received it; the last one stays open and is closed like any missing leave."""
    assert spans(beat(1000), beat(1060), beat(1400)) == [(1000, 1060), (1060, 1210), (1400, None)]
    (only,) = presence_intervals([beat(1000)], {ROOM})
    assert (only.end, only.last_seen, only.evidence) == (None, 1000, Evidence.PRESENCE)


def test_another_room_means_left() -> None:
    """One is present in one room at a time."""
    assert spans(beat(1000), beat(1030, OTHER)) == [(1000, 1030)]
    assert spans(beat(1000), beat(1030, ""), beat(1090)) == [(1000, 1030), (1090, None)]


def test_a_replayed_beat_counts_for_nothing() -> None:
    """Only a newer one of the replaceable kind does, whenever a relay sends the old one again."""
    assert spans(beat(1000, created=1000), beat(1100, created=1000), beat(1110, created=990)) == [(1000, None)]


@given(st.lists(st.builds(beat, st.integers(0, 2000), st.sampled_from([ROOM, OTHER])), max_size=15))
def test_presence_intervals_are_short_and_in_order(beats: list[Presence]) -> None:
    """No beat credits more than 150 s and no two overlap."""
    found = presence_intervals(beats, {ROOM})
    for each, later in itertools.pairwise(found):
        assert each.end is not None
        assert each.start <= each.end <= min(later.start, each.start + 150)

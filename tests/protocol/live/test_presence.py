"""Presence as evidence."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.live.attendance import Evidence
from podium_protocol.live.presence import Presence, presence_intervals, read_presence
from tests.support.events import NOW, key_of, verified

GUEST = key_of(2)
ROOM, OTHER = f"30312:{key_of(1).pubkey}:room", f"30312:{key_of(1).pubkey}:other"


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
    for each, later in pairwise(found):
        assert each.end is not None
        assert each.start <= each.end <= min(later.start, each.start + 150)

"""Presence as evidence."""

from __future__ import annotations

import pytest

from podium_protocol.live.attendance import Presence, read_presence
from tests.support.events import NOW, key_of, verified

GUEST = key_of(2)
ROOM, OTHER = f"30312:{key_of(1).pubkey}:room", f"30312:{key_of(1).pubkey}:other"


@pytest.mark.parametrize(("skew", "taken"), [(0, True), (120, True), (-120, True), (121, False), (-121, False)])
def test_presence_counts_when_it_is_fresh(skew: int, taken: bool) -> None:
    """Two minutes either way, inclusive."""
    event = verified(GUEST, kind=10312, tags=(("a", ROOM, "", "root"),))
    presence = read_presence(event, NOW + skew)
    assert (presence is not None) is taken
    if presence is not None:
        assert presence == Presence(GUEST.pubkey, ROOM, NOW, NOW + skew)


def test_other_kinds_are_no_presence() -> None:
    """And an event without a room says that a person is in none."""
    assert read_presence(verified(GUEST, kind=1, tags=(("a", ROOM),)), NOW) is None
    nowhere = read_presence(verified(GUEST, kind=10312), NOW)
    assert nowhere is not None
    assert nowhere.room == ""

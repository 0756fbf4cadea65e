"""From single observations of the room to intervals: engine events in any order, and NIP-53 presence."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Final

import msgspec

from podium_protocol import kinds, tags
from podium_protocol.events import Pubkey, VerifiedEvent, pubkey_or_none
from podium_protocol.live import fields
from podium_protocol.live.attendance import DEFAULT_POLICY, AttendancePolicy, Evidence, Interval

_MAX_ADDRESS: Final = 400


class EngineIdentity(msgspec.Struct, frozen=True):
    """Who a connection is to the engine: `<pubkey>#<device>`."""

    pubkey: Pubkey
    device: str

    def __str__(self) -> str:
        return f"{self.pubkey}#{self.device}"

    @classmethod
    def parse(cls, text: str) -> EngineIdentity | None:
        """Read `<pubkey>#<device>` exactly, else None."""
        key, separator, name = text.partition("#")
        pubkey, device = pubkey_or_none(key), fields.device(name)
        return None if pubkey is None or device is None or not separator else cls(pubkey, device)


class Sight(StrEnum):
    """What was observed of a connection."""

    JOINED = "joined"
    SEEN = "seen"  # in a snapshot of the participants
    LEFT = "left"
    LOST = "lost"  # the engine or the daemon went away: nobody knows


class Observation(msgspec.Struct, frozen=True):
    """One sight of one connection at `at`, in the engine's time."""

    connection: str
    at: int
    sight: Sight


class Presence(msgspec.Struct, frozen=True):
    """One kind 10312 event: `room` is its first `a`, which may be any room anywhere."""

    pubkey: Pubkey
    room: str
    created_at: int
    received_at: int


def intervals_of(observations: Iterable[Observation]) -> tuple[Interval, ...]:
    """The intervals that the observations tell of, in any order and with repeats. O(n log n).

    Engines lose and reorder events: a connection seen in a snapshot without a join begins there, a second join is one
    more sight, a leave without a join is dropped.
    """
    opened: dict[str, Interval] = {}
    closed: list[Interval] = []
    for each in sorted(observations, key=_in_time):
        known = opened.get(each.connection)
        if each.sight in (Sight.JOINED, Sight.SEEN):
            start = each.at if known is None else known.start
            opened[each.connection] = Interval(start=start, last_seen=each.at, connection=each.connection)
        elif known is not None:
            del opened[each.connection]
            closed.append(_end(known, each))
    return (*closed, *opened.values())


def read_presence(event: VerifiedEvent, received_at: int, policy: AttendancePolicy = DEFAULT_POLICY) -> Presence | None:
    """Read a presence event, or None: it must have been made within 120 s of `received_at`, so old ones do not count.

    An event without an `a` names no room: whoever sends it has left.
    """
    if event.kind != kinds.ROOM_PRESENCE or abs(event.created_at - received_at) > policy.presence_skew:
        return None
    room = (tags.first(event.tags, "a") or "")[:_MAX_ADDRESS]
    return Presence(event.pubkey, room, event.created_at, received_at)


def presence_intervals(
    beats: Iterable[Presence], rooms: Collection[str], policy: AttendancePolicy = DEFAULT_POLICY
) -> tuple[Interval, ...]:
    """The intervals of one person in `rooms` (the addresses that stand for this session). O(n log n).

    Each beat credits 150 s at most, from when we received it: `created_at` is the sender's word. A beat for another
    room ends the stay, since the kind is replaceable: one is present in one room at a time (NIP-53). A beat that is
    not newer than the last is a copy or a replay and counts for nothing.
    """
    found: list[Interval] = []
    newest = -1
    for beat in sorted(beats, key=lambda each: (each.received_at, each.created_at)):
        if beat.created_at <= newest:
            continue
        newest = beat.created_at
        if found and found[-1].end is None:
            found[-1] = _superseded(found[-1], beat.received_at, policy)
        if beat.room in rooms:
            found.append(Interval(start=beat.received_at, last_seen=beat.received_at, evidence=Evidence.PRESENCE))
    return tuple(found)


_ORDER_AT_ONE_SECOND: Final = {Sight.LEFT: 0, Sight.LOST: 0, Sight.JOINED: 1, Sight.SEEN: 2}


def _in_time(each: Observation) -> tuple[int, int, str]:
    return each.at, _ORDER_AT_ONE_SECOND[each.sight], each.connection


def _end(known: Interval, each: Observation) -> Interval:
    # what was lost stays open at its last evidence, and is closed one heartbeat later like any missing leave
    end = each.at if each.sight is Sight.LEFT else None
    last_seen = max(known.last_seen, each.at) if end is not None else known.last_seen
    return Interval(start=known.start, end=end, last_seen=last_seen, connection=known.connection)


def _superseded(stay: Interval, at: int, policy: AttendancePolicy) -> Interval:
    end = min(at, stay.last_seen + policy.presence_heartbeat)
    return Interval(start=stay.start, end=end, last_seen=stay.last_seen, evidence=Evidence.PRESENCE)

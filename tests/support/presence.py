"""The rule of presence by event, in its plainest form, to hold against what the daemon keeps."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from podium_protocol.live.attendance import DEFAULT_POLICY, AttendancePolicy, Evidence, Interval, Presence


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


def _superseded(stay: Interval, at: int, policy: AttendancePolicy) -> Interval:
    end = min(at, stay.last_seen + policy.presence_heartbeat)
    return Interval(start=stay.start, end=end, last_seen=stay.last_seen, evidence=Evidence.PRESENCE)

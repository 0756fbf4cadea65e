"""Attendance as interval arithmetic: the union of a person's connections, clipped to what the session credits.

Order of the steps (semantics.md, "Attendance"): open intervals are closed at their last evidence plus one heartbeat;
all connections of a person are united; gaps of 60 s or less are bridged; the result is cut to the runs of the session.
So a reconnection across the start is credited from the start. Waiting-room time never gets here: only the room makes
intervals. Times are Unix seconds, spans are half open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

from podium_protocol import kinds, tags
from podium_protocol.events import Pubkey, VerifiedEvent
from podium_protocol.live.lifecycle import Run


class Evidence(StrEnum):
    """How an interval is known."""

    ENGINE = "engine"
    PRESENCE = "presence"
    MANUAL = "manual"


class Assurance(StrEnum):
    """How a person proved who they are."""

    SIGNATURE = "signature"
    LINK = "link"
    GUEST = "guest"


class AttendancePolicy(msgspec.Struct, frozen=True):
    """Seconds, and a count of devices."""

    bridge: int = 60  # a return within this time is not a new join, and the gap is credited
    engine_heartbeat: int = 60
    presence_heartbeat: int = 150
    presence_skew: int = 120
    max_devices: int = 3

    def heartbeat(self, evidence: Evidence) -> int:
        """Seconds that one sign of life credits."""
        return self.presence_heartbeat if evidence is Evidence.PRESENCE else self.engine_heartbeat


class Span(NamedTuple):
    """[start, end)."""

    start: int
    end: int


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """One connection as it is known. `end` is None while no leave is known; `last_seen` is the last evidence of it.

    `evidence` says how it is observed; `media` whether its media was ever up, where an engine observes it.
    """

    start: int
    end: int | None = None
    last_seen: int = 0
    connection: str = ""
    evidence: Evidence = Evidence.ENGINE
    media: bool = True

    @property
    def attested(self) -> Evidence:
        """The evidence to attest: a seat without media proves only presence on a page, whatever the engine."""
        return Evidence.PRESENCE if self.evidence is Evidence.ENGINE and not self.media else self.evidence


class AttendanceOfPerson(msgspec.Struct, frozen=True, kw_only=True):
    """The model's `LiveSessionAttendance` of one person.

    `joined_at` is the first arrival in the room, even if before the start; `left_at` the last leave, None while
    they are there; `total_duration` the credited seconds; `evidence` the weakest that counted.
    """

    joined_at: int
    left_at: int | None
    total_duration: int
    join_count: int
    evidence: Evidence
    credited: tuple[Span, ...]


DEFAULT_POLICY: Final = AttendancePolicy()
_WEAKNESS: Final = (Evidence.MANUAL, Evidence.PRESENCE, Evidence.ENGINE)


def attend(
    intervals: Iterable[Interval],
    runs: Sequence[Run],
    *,
    now: int,
    gaps: Iterable[Span] = (),
    has_engine: bool = True,
    policy: AttendancePolicy = DEFAULT_POLICY,
) -> AttendanceOfPerson | None:
    """One person's attendance, or None if nothing that counts is known of them. O(n log n).

    Args:
        intervals: all of the person's, in any order; repeats do no harm.
        runs: the session's; the last one may still be open.
        now: Unix seconds; the end of open intervals and of an open run.
        gaps: times that were not observed (the daemon or the engine was down). They are not credited beyond the
            bridge, but a return after one is not a new join either: absence is never assumed.
        has_engine: presence counts only where the session has no engine.
        policy: the bridge, the heartbeats and the number of devices.
    """
    counted = [each for each in intervals if each.evidence is not Evidence.PRESENCE or not has_engine]
    until, lasting = _until(runs, now), _lasts(runs)
    closed = [(closed_span(each, until=until, policy=policy), each) for each in counted]
    present = [(span, each) for span, each in closed if span.start < span.end or (lasting and _arrives(each, now))]
    if not present:
        return None
    stays = union((span for span, _ in present), bridge=policy.bridge)
    credited = clip(stays, credit_windows(runs, now))
    still_there = lasting and any(each.end is None and span.end >= now for span, each in present)
    return AttendanceOfPerson(
        joined_at=min(span.start for span, _ in present),
        left_at=None if still_there else max(span.end for span, _ in present),
        total_duration=seconds(credited),
        join_count=_joins(stays, union(gaps), policy.bridge),
        evidence=min((each.attested for _, each in present), key=_WEAKNESS.index),
        credited=credited,
    )


def closed_span(interval: Interval, *, until: int, policy: AttendancePolicy = DEFAULT_POLICY) -> Span:
    """The span an interval stands for, up to `until` (the actual end, or now).

    An interval without a leave ends one heartbeat after the last evidence, not at the session's end. A person seen
    within the last heartbeat before `until` is credited up to `until`: that covers all who are connected at the end.
    """
    last = max(interval.start, interval.last_seen) + policy.heartbeat(interval.evidence)
    end = last if interval.end is None else interval.end
    return Span(interval.start, max(interval.start, min(end, until)))


def credit_windows(runs: Iterable[Run], now: int) -> tuple[Span, ...]:
    """The times that count: each run from its actual start to its actual end (or now), also before the scheduled start.

    What completes a session is measured in the same windows: credit and its denominator must not drift apart.
    """
    return union(Span(run.start, now if run.end is None else run.end) for run in runs)


def union(spans: Iterable[Span], bridge: int = 0) -> tuple[Span, ...]:
    """The spans sorted and merged, also across gaps of at most `bridge` seconds. Empty and reversed spans vanish."""
    merged: list[Span] = []
    for span in sorted(span for span in spans if span.start < span.end):
        if merged and span.start - merged[-1].end <= bridge:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(Span(*span))
    return tuple(merged)


def clip(spans: Sequence[Span], windows: Sequence[Span]) -> tuple[Span, ...]:
    """The parts of `spans` inside `windows`; both sorted and disjoint, as `union` gives them. Linear."""
    parts: list[Span] = []
    at = 0
    for window in windows:
        while at < len(spans) and spans[at].end <= window.start:
            at += 1
        ahead = at
        while ahead < len(spans) and spans[ahead].start < window.end:
            parts.append(Span(max(spans[ahead].start, window.start), min(spans[ahead].end, window.end)))
            ahead += 1
        at = max(at, ahead - 1)  # the last one may reach into the next window
    return tuple(parts)


def seconds(spans: Iterable[Span]) -> int:
    """Total length of disjoint spans."""
    return sum(span.end - span.start for span in spans)


def _joins(stays: Sequence[Span], gaps: Sequence[Span], bridge: int) -> int:
    absences = union(Span(left.end, back.start) for left, back in pairwise(stays))
    unwatched = clip(absences, gaps)
    joins, at = 1, 0
    for absence in absences:
        unknown = 0
        while at < len(unwatched) and unwatched[at].end <= absence.end:
            unknown += unwatched[at].end - unwatched[at].start
            at += 1
        joins += absence.end - absence.start - unknown > bridge
    return joins


def _arrives(interval: Interval, now: int) -> bool:
    return interval.end is None and interval.start == now  # in this very second: there, with nothing to credit yet


def _lasts(runs: Sequence[Run]) -> bool:
    return any(run.end is None for run in runs)


def _until(runs: Sequence[Run], now: int) -> int:
    return now if _lasts(runs) or not runs else max(run.end for run in runs if run.end is not None)


_MAX_ADDRESS: Final = 400


class Presence(msgspec.Struct, frozen=True):
    """One kind 10312 event: `room` is its first `a`, which may be any room anywhere."""

    pubkey: Pubkey
    room: str
    created_at: int
    received_at: int


def read_presence(event: VerifiedEvent, received_at: int, policy: AttendancePolicy = DEFAULT_POLICY) -> Presence | None:
    """Read a presence event, or None: it must have been made within 120 s of `received_at`, so old ones do not count.

    An event without an `a` names no room: its sender has left.
    """
    if event.kind != kinds.ROOM_PRESENCE or abs(event.created_at - received_at) > policy.presence_skew:
        return None
    room = (tags.first(event.tags, "a") or "")[:_MAX_ADDRESS]
    return Presence(event.pubkey, room, event.created_at, received_at)

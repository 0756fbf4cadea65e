"""When a session starts, warns and ends: one pure decision from facts and time (semantics.md, "Sessions").

Decisions where semantics.md leaves a gap:
- "The duration has elapsed" at the published end, whenever the session began: people plan by the calendar. A run that
  begins after that end (a late instructor, a reopening) counts as having elapsed at its own beginning.
- A session that could not start by its end lapses (Ended); under `start_policy = instructor` it has at least the
  no-show time. While the daemon was down no person could enter, so the no-show time counts from its return.
- The instructor counts as present until one heartbeat after they were last seen, so that a dropped connection does not
  end an overrun, and for some minutes after the beginning of a run that began after the published end: a command to
  reopen by CLI comes before the person.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from podium_protocol.live.lifecycle import SessionState, Trigger


class StartPolicy(StrEnum):
    """What a start waits for."""

    CLOCK = "clock"
    INSTRUCTOR = "instructor"


class LifecyclePolicy(msgspec.Struct, frozen=True):
    """Seconds."""

    doors_before: int = 900
    no_show_after: int = 1800
    warn_before_end: int = 300
    max_overrun: int = 1800
    reopen_within: int = 1800
    presence_grace: int = 60  # one heartbeat of the attendance poll
    arrival_grace: int = 300  # for an instructor who started or reopened from elsewhere


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about a session that decide. Times in Unix seconds.

    Args:
        state: where the session is.
        scheduled_start: of the newest revision.
        scheduled_end: of the newest revision.
        started_at: beginning of the newest run.
        ended_at: end of the newest run.
        cancelled: the newest revision is cancelled, or deleted by its author.
        instructor_verified: the author is on the allow-list, and it was checked.
        instructor_present: the instructor is in the room now.
        instructor_last_seen: when they were last seen there.
        start_policy: see `StartPolicy`.
        warned: the warning before the end was given in this run.
        ended_by_withdrawal: the newest run ended because the event was cancelled or deleted.
        observed_since: since when the daemon has been up: before that no person could enter.
    """

    state: SessionState
    scheduled_start: int
    scheduled_end: int
    started_at: int | None = None
    ended_at: int | None = None
    cancelled: bool = False
    instructor_verified: bool = False
    instructor_present: bool = False
    instructor_last_seen: int | None = None
    start_policy: StartPolicy = StartPolicy.CLOCK
    warned: bool = False
    ended_by_withdrawal: bool = False
    observed_since: int = 0


class BlockReason(StrEnum):
    """Why a session that should start, or a command, does not go through."""

    INSTRUCTOR_UNVERIFIED = "instructor_unverified"
    INSTRUCTOR_ABSENT = "instructor_absent"
    DOORS_CLOSED = "doors_closed"
    CANCELLED = "cancelled"
    TOO_LATE = "too_late"
    WRONG_STATE = "wrong_state"


class Start(msgspec.Struct, frozen=True):
    """Make it Active with this trigger."""

    trigger: Trigger


class End(msgspec.Struct, frozen=True):
    """Make it Ended with this trigger; `at` is the time to record, in the past if the daemon was down then."""

    trigger: Trigger
    at: int


class Cancel(msgspec.Struct, frozen=True):
    """Make it Cancelled."""


class TakeBack(msgspec.Struct, frozen=True):
    """The cancellation was taken back: make it Scheduled again."""


class Warn(msgspec.Struct, frozen=True):
    """Tell the room that the session ends at `ends_at`, once per run."""

    ends_at: int


class Wait(msgspec.Struct, frozen=True):
    """Nothing to do before `until`; None: nothing ever, unless a fact changes."""

    until: int | None


class Blocked(msgspec.Struct, frozen=True):
    """The time has come, but `reason` prevents it. Ask again at `until` (None: never), or when a fact changes."""

    reason: BlockReason
    until: int | None


Decision: TypeAlias = Start | End | Cancel | TakeBack | Warn | Wait | Blocked

DEFAULT_POLICY: Final = LifecyclePolicy()


def decide(facts: Facts, policy: LifecyclePolicy, now: int) -> Decision:
    """Decide what the session needs at `now` (Unix seconds). A trigger returned is a legal move from `facts.state`."""
    if facts.state is SessionState.SCHEDULED:
        return _decide_scheduled(facts, policy, now)
    if facts.state is SessionState.ACTIVE:
        return _decide_active(facts, policy, now)
    if not facts.cancelled and now < facts.scheduled_end:
        if facts.state is SessionState.CANCELLED:
            return TakeBack()
        if facts.ended_by_withdrawal and facts.instructor_verified:
            return Start(Trigger.TAKEN_BACK)
    closes = reopens_until(facts, policy)
    return Wait(closes if closes is not None and now <= closes else None)


def next_wakeup(facts: Facts, policy: LifecyclePolicy, now: int) -> int | None:
    """When `decide` is next worth asking if no fact changes: `now` if it has something to do, None for never."""
    decision = decide(facts, policy, now)
    return decision.until if isinstance(decision, Wait | Blocked) else now


def doors_open_at(facts: Facts, policy: LifecyclePolicy) -> int:
    """When the waiting room opens."""
    return facts.scheduled_start - policy.doors_before


def doors_open(facts: Facts, policy: LifecyclePolicy, now: int) -> bool:
    """Whether people may come to the waiting room now."""
    if facts.state is SessionState.SCHEDULED:
        return not facts.cancelled and now >= doors_open_at(facts, policy)
    return facts.state is SessionState.ACTIVE


def planned_end(facts: Facts) -> int:
    """When the duration has elapsed: the published end, or the beginning of a run that began after it."""
    return max(facts.scheduled_end, facts.started_at or 0)


def check_manual_start(facts: Facts, policy: LifecyclePolicy, now: int) -> Blocked | None:
    """Why a signed start command is refused, or None: it goes through from doors-open on, by a verified instructor."""
    if facts.state is not SessionState.SCHEDULED:
        return Blocked(BlockReason.WRONG_STATE, None)
    if facts.cancelled:
        return Blocked(BlockReason.CANCELLED, None)
    if not facts.instructor_verified:
        return Blocked(BlockReason.INSTRUCTOR_UNVERIFIED, None)
    if now < doors_open_at(facts, policy):
        return Blocked(BlockReason.DOORS_CLOSED, doors_open_at(facts, policy))
    return Blocked(BlockReason.TOO_LATE, None) if now >= _lapses_at(facts, policy) else None


def check_reopen(facts: Facts, policy: LifecyclePolicy, now: int) -> Blocked | None:
    """Why a reopening is refused, or None: it goes through within 30 min of the end of a session that was live."""
    closes = reopens_until(facts, policy)
    if closes is None:
        return Blocked(BlockReason.WRONG_STATE, None)
    if facts.cancelled:
        return Blocked(BlockReason.CANCELLED, None)
    if not facts.instructor_verified:
        return Blocked(BlockReason.INSTRUCTOR_UNVERIFIED, None)
    return Blocked(BlockReason.TOO_LATE, None) if now > closes else None


def reopens_until(facts: Facts, policy: LifecyclePolicy) -> int | None:
    """The last second at which the session can be reopened, or None: it did not end, or was never live."""
    if facts.state is not SessionState.ENDED or facts.ended_at is None or facts.started_at is None:
        return None
    return facts.ended_at + policy.reopen_within


def _decide_scheduled(facts: Facts, policy: LifecyclePolicy, now: int) -> Decision:
    if facts.cancelled:
        return Cancel()
    for moment in (doors_open_at(facts, policy), facts.scheduled_start):
        if now < moment:
            return Wait(moment)
    reason, gives_up, trigger = _obstacle(facts, policy)
    if now >= gives_up:
        return End(trigger, now)
    if reason is not None:
        return Blocked(reason, gives_up)
    return Start(Trigger.INSTRUCTOR_CAME if facts.start_policy is StartPolicy.INSTRUCTOR else Trigger.CLOCK_START)


def _obstacle(facts: Facts, policy: LifecyclePolicy) -> tuple[BlockReason | None, int, Trigger]:
    """What keeps a session from starting, until when the daemon waits for it, and how the session ends then."""
    if not facts.instructor_verified:
        return BlockReason.INSTRUCTOR_UNVERIFIED, _lapses_at(facts, policy), Trigger.LAPSE
    if facts.start_policy is StartPolicy.INSTRUCTOR and not facts.instructor_present:
        return BlockReason.INSTRUCTOR_ABSENT, _no_show_at(facts, policy), Trigger.NO_SHOW
    return None, _lapses_at(facts, policy), Trigger.LAPSE


def _decide_active(facts: Facts, policy: LifecyclePolicy, now: int) -> Decision:
    if facts.cancelled:
        return End(Trigger.WITHDRAWN, now)
    end = planned_end(facts)
    limit = end + policy.max_overrun
    if now >= limit:
        return End(Trigger.OVERRUN_LIMIT, limit)
    if now >= end:
        held = limit if facts.instructor_present else min(limit, _instructor_held_until(facts, policy))
        return Wait(held) if now < held else End(Trigger.DURATION_ELAPSED, now)
    if now < end - policy.warn_before_end:
        return Wait(end - policy.warn_before_end)
    return Wait(end) if facts.warned else Warn(end)


def _no_show_at(facts: Facts, policy: LifecyclePolicy) -> int:
    return max(facts.scheduled_start, facts.observed_since) + policy.no_show_after


def _lapses_at(facts: Facts, policy: LifecyclePolicy) -> int:
    if facts.start_policy is StartPolicy.INSTRUCTOR:
        return max(facts.scheduled_end, _no_show_at(facts, policy))
    return facts.scheduled_end


def _instructor_held_until(facts: Facts, policy: LifecyclePolicy) -> int:
    seen = (facts.instructor_last_seen or 0) + policy.presence_grace
    began = facts.started_at or 0
    return max(seen, began + policy.arrival_grace) if began >= facts.scheduled_end else seen

"""Seats and the waiting list: who holds a seat, who waits at which place, and what changed (semantics.md).

The rules, all of them here:
- Only confirmed people hold seats, in the order in which the daemon first saw them confirm (`queue_time`).
- Until the start, a seat that becomes free goes to the first on the list. From the start on the list is not promoted; a
  free seat goes to a person who has come to the door, or who confirms then.
- Ten minutes after the start, unclaimed seats are given to people who came. A holder keeps an unclaimed seat as long as
  no other person needs it, and after that queues in the old order.
- A lowered cap removes no person: all who hold a seat keep it, and new seats are given only when there is room again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final

import msgspec

from podium_protocol.events import Pubkey
from podium_protocol.live.rsvp import RsvpStatus


class SeatPolicy(msgspec.Struct, frozen=True):
    """Seconds."""

    unclaimed_after: int = 600


DEFAULT_POLICY: Final = SeatPolicy()


class SeatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The part of one person's RSVP that decides about a seat.

    Args:
        pubkey: the person.
        status: the RSVP in force.
        first_seen: Unix seconds at which the daemon saw the confirmation (`queue_time`): `created_at` can be forged.
        sequence: order of arrival within that second, such as the row's number.
        holds_seat: a seat was given to them by the last allocation that was stored.
        claimed: they have come to the door at least once.
    """

    pubkey: Pubkey
    status: RsvpStatus
    first_seen: int
    sequence: int = 0
    holds_seat: bool = False
    claimed: bool = False


class Allocation(msgspec.Struct, frozen=True):
    """Who has a seat and who waits, both in queue order; the first on the waiting list has position 1."""

    seated: tuple[Pubkey, ...] = ()
    waiting: tuple[Pubkey, ...] = ()

    def positions(self) -> dict[Pubkey, int]:
        """The position on the waiting list, from 1, of each person who waits."""
        return {pubkey: position for position, pubkey in enumerate(self.waiting, 1)}


class SeatChangeKind(StrEnum):
    """The change for one person between two allocations."""

    SEATED = "seated"  # new, with a seat
    WAITLISTED = "waitlisted"  # new, without one
    PROMOTED = "promoted"
    RELEASED = "released"  # lost the seat (unclaimed), waits now
    MOVED = "moved"  # another position
    LEFT = "left"


class SeatChange(msgspec.Struct, frozen=True):
    """One person's change; `position` on the waiting list, where they wait now."""

    pubkey: Pubkey
    kind: SeatChangeKind
    position: int | None = None


def allocate(
    requests: Iterable[SeatRequest], cap: int | None, *, now: int, starts_at: int, policy: SeatPolicy = DEFAULT_POLICY
) -> Allocation:
    """Give out `cap` seats (None: as many as are wanted). O(n log n) in the number of requests."""
    queue = sorted(_confirmed(requests), key=_place)
    if cap is None:
        return Allocation(seated=tuple(request.pubkey for request in queue))
    unclaimed_are_free = now >= starts_at + policy.unclaimed_after
    kept = [each for each in queue if each.holds_seat and (each.claimed or not unclaimed_are_free)]
    hopeful = [each for each in queue if not each.holds_seat and _may_rise(each, now, starts_at)]
    if unclaimed_are_free:
        # first the people who came, then holders of a seat who may still come, then those who confirm only now
        unclaimed = [each for each in queue if each.holds_seat and not each.claimed]
        came = [each for each in hopeful if each.claimed]
        hopeful = [*came, *unclaimed, *(each for each in hopeful if not each.claimed)]
    seated = {request.pubkey for request in (*kept, *hopeful[: max(cap - len(kept), 0)])}
    return Allocation(
        tuple(request.pubkey for request in queue if request.pubkey in seated),
        tuple(request.pubkey for request in queue if request.pubkey not in seated),
    )


def changes(before: Allocation, after: Allocation) -> tuple[SeatChange, ...]:
    """The changes to store and to tell people of: the seated, those who wait, then those who left. Linear."""
    sat, waited = frozenset(before.seated), before.positions()
    return (
        *_changes_of_seated(after, sat, waited),
        *_changes_of_waiting(after, sat, waited),
        *_changes_of_gone(before, after),
    )


def free_seats(allocation: Allocation, cap: int | None) -> int | None:
    """The number of seats without a holder, or None without a cap."""
    return None if cap is None else max(cap - len(allocation.seated), 0)


def _confirmed(requests: Iterable[SeatRequest]) -> Iterator[SeatRequest]:
    return (request for request in requests if request.status is RsvpStatus.CONFIRMED)


def _place(request: SeatRequest) -> tuple[int, int, Pubkey]:
    return request.first_seen, request.sequence, request.pubkey


def _may_rise(request: SeatRequest, now: int, starts_at: int) -> bool:
    return now < starts_at or request.claimed or request.first_seen >= starts_at


def _changes_of_seated(after: Allocation, sat: frozenset[Pubkey], waited: dict[Pubkey, int]) -> Iterator[SeatChange]:
    for pubkey in after.seated:
        if pubkey in waited:
            yield SeatChange(pubkey, SeatChangeKind.PROMOTED)
        elif pubkey not in sat:
            yield SeatChange(pubkey, SeatChangeKind.SEATED)


def _changes_of_waiting(after: Allocation, sat: frozenset[Pubkey], waited: dict[Pubkey, int]) -> Iterator[SeatChange]:
    for position, pubkey in enumerate(after.waiting, 1):
        if pubkey in sat:
            yield SeatChange(pubkey, SeatChangeKind.RELEASED, position)
        elif pubkey not in waited:
            yield SeatChange(pubkey, SeatChangeKind.WAITLISTED, position)
        elif waited[pubkey] != position:
            yield SeatChange(pubkey, SeatChangeKind.MOVED, position)


def _changes_of_gone(before: Allocation, after: Allocation) -> Iterator[SeatChange]:
    still = {*after.seated, *after.waiting}
    return (SeatChange(key, SeatChangeKind.LEFT) for key in (*before.seated, *before.waiting) if key not in still)

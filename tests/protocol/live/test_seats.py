"""Seats and the waiting list."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.events import Pubkey
from podium_protocol.live.rsvp import RsvpStatus
from podium_protocol.live.seats import (
    Allocation,
    SeatChange,
    SeatChangeKind,
    SeatRequest,
    allocate,
    changes,
    free_seats,
)

START = 10_000
BEFORE, DURING, LATER = START - 100, START + 100, START + 600


def wants(name: str, seen: int, **more: object) -> SeatRequest:
    """A confirmed request; short names stand for keys."""
    request = SeatRequest(pubkey=Pubkey(name), status=RsvpStatus.CONFIRMED, first_seen=seen)
    return msgspec.structs.replace(request, **more)


def give(requests: list[SeatRequest], cap: int | None, now: int = BEFORE) -> tuple[str, str]:
    """Who sits and who waits, as two words."""
    result = allocate(requests, cap, now=now, starts_at=START)
    return "".join(result.seated), "".join(result.waiting)


def test_seats_go_in_the_order_of_arrival() -> None:
    """The rest wait in that order; the order of the input says nothing."""
    requests = [wants("c", 3), wants("a", 1), wants("d", 4), wants("b", 2)]
    assert give(requests, 2) == ("ab", "cd")
    assert allocate(requests, 2, now=BEFORE, starts_at=START).positions() == {"c": 1, "d": 2}


def test_the_sequence_breaks_ties_within_a_second() -> None:
    """Keys can be ground until they are small, the order of arrival cannot."""
    assert give([wants("a", 1, sequence=2), wants("b", 1, sequence=1)], 1) == ("b", "a")


def test_only_confirmed_people_count() -> None:
    """Tentative and declined people neither sit nor wait."""
    requests = [wants("a", 1, status=RsvpStatus.TENTATIVE), wants("b", 2), wants("c", 3, status=RsvpStatus.DECLINED)]
    assert give(requests, 1) == ("b", "")


def test_without_a_cap_everybody_sits() -> None:
    """And there is no number of free seats to tell."""
    assert give([wants("a", 1), wants("b", 2)], None) == ("ab", "")
    assert free_seats(Allocation(), None) is None


def test_a_seat_that_frees_goes_to_the_first_who_waits() -> None:
    """Before the start."""
    requests = [wants("a", 1, holds_seat=True), wants("c", 3), wants("d", 4)]
    assert give(requests, 2) == ("ac", "d")


def test_nobody_is_promoted_from_the_start_on() -> None:
    """A person who has arranged their evening otherwise is not told at the last second (pretix#1031)."""
    requests = [wants("a", 1, holds_seat=True), wants("c", 3)]
    assert give(requests, 2, now=START - 1) == ("ac", "")
    assert give(requests, 2, now=START) == ("a", "c")


def test_a_free_seat_goes_to_whoever_comes_after_the_start() -> None:
    """To those at the door, in the order of the queue, and to those who confirm only then."""
    requests = [wants("a", 1, holds_seat=True), wants("c", 3), wants("d", 4, claimed=True)]
    assert give(requests, 2, now=DURING) == ("ad", "c")
    assert give([*requests, wants("e", START + 5)], 3, now=DURING) == ("ade", "c")


def test_unclaimed_seats_are_free_after_ten_minutes() -> None:
    """They go to those who came, not before."""
    requests = [
        wants("a", 1, holds_seat=True),
        wants("b", 2, holds_seat=True, claimed=True),
        wants("c", 3, claimed=True),
    ]
    assert give(requests, 2, now=LATER - 1) == ("ab", "c")
    assert give(requests, 2, now=LATER) == ("bc", "a")


def test_an_unclaimed_seat_that_nobody_needs_stays() -> None:
    """A holder who comes late to an empty room still has the seat."""
    assert give([wants("a", 1, holds_seat=True), wants("c", 3)], 2, now=LATER) == ("a", "c")


def test_a_lowered_cap_throws_nobody_out() -> None:
    """All who hold a seat keep it, and nobody new gets one until there is room again."""
    held = [wants(name, at, holds_seat=True) for at, name in enumerate("abcd")]
    assert give([*held, wants("e", 9)], 2) == ("abcd", "e")
    assert give([*held[:2], wants("e", 9)], 2) == ("ab", "e")
    assert give([*held[:1], wants("e", 9)], 2) == ("ae", "")


def test_a_raised_cap_promotes() -> None:
    """As many as there are new seats."""
    requests = [wants("a", 1, holds_seat=True), wants("b", 2), wants("c", 3)]
    assert give(requests, 2) == ("ab", "c")


def test_an_rsvp_during_the_session_takes_no_seat_from_a_holder() -> None:
    """Only a person who came does: else two people at home would swap one seat for ever."""
    requests = [wants("a", 1, holds_seat=True), wants("b", START + 5)]
    assert give(requests, 1, now=LATER) == ("a", "b")
    assert give(requests, 2, now=LATER) == ("ab", "")


def test_each_change_is_told_once() -> None:
    """Seated, promoted, released, newly waiting, moved up and gone are told apart."""
    before = Allocation(tuple(map(Pubkey, "abx")), tuple(map(Pubkey, "cdey")))
    after = Allocation(tuple(map(Pubkey, "acn")), tuple(map(Pubkey, "bdew")))
    assert changes(before, after) == (
        SeatChange(Pubkey("c"), SeatChangeKind.PROMOTED),
        SeatChange(Pubkey("n"), SeatChangeKind.SEATED),
        SeatChange(Pubkey("b"), SeatChangeKind.RELEASED, 1),
        SeatChange(Pubkey("w"), SeatChangeKind.WAITLISTED, 4),
        SeatChange(Pubkey("x"), SeatChangeKind.LEFT),
        SeatChange(Pubkey("y"), SeatChangeKind.LEFT),
    )
    shorter = Allocation(before.seated, before.waiting[1:])
    moved = [change for change in changes(before, shorter) if change.kind is SeatChangeKind.MOVED]
    assert moved == [SeatChange(Pubkey(name), SeatChangeKind.MOVED, at) for at, name in enumerate("dey", 1)]


_REQUESTS = st.lists(
    st.builds(
        SeatRequest,
        pubkey=st.text("abcdefghij", min_size=1, max_size=3).map(Pubkey),
        status=st.sampled_from(RsvpStatus),
        first_seen=st.integers(START - 50, START + 50),
        sequence=st.integers(0, 3),
        holds_seat=st.booleans(),
        claimed=st.booleans(),
    ),
    max_size=25,
    unique_by=lambda request: request.pubkey,
)
_NOWS = st.sampled_from([BEFORE, START, DURING, LATER])


@given(_REQUESTS, st.integers(1, 12), _NOWS, st.randoms())
def test_allocation_keeps_its_promises(requests: list[SeatRequest], cap: int, now: int, random: object) -> None:
    """Everybody confirmed is in one list; nobody new sits beyond the cap; the order of input does not matter."""
    result = allocate(requests, cap, now=now, starts_at=START)
    confirmed = {request.pubkey for request in requests if request.status is RsvpStatus.CONFIRMED}
    assert {*result.seated, *result.waiting} == confirmed
    assert len(result.seated) + len(result.waiting) == len(confirmed)
    held = {request.pubkey for request in requests if request.holds_seat}
    new = [pubkey for pubkey in result.seated if pubkey not in held]
    assert not new or len(result.seated) <= cap
    shuffled = sorted(requests, key=lambda _: random.random())  # type: ignore[attr-defined]  # hypothesis' random
    assert allocate(shuffled, cap, now=now, starts_at=START) == result


@given(_REQUESTS, st.integers(1, 12), _NOWS)
def test_allocation_is_stable(requests: list[SeatRequest], cap: int, now: int) -> None:
    """Stored and asked again at the same time, nothing changes."""
    once = allocate(requests, cap, now=now, starts_at=START)
    seated = set(once.seated)
    stored = [msgspec.structs.replace(request, holds_seat=request.pubkey in seated) for request in requests]
    assert changes(once, allocate(stored, cap, now=now, starts_at=START)) == ()


@given(_REQUESTS, st.integers(1, 12))
def test_before_the_start_nobody_is_overtaken(requests: list[SeatRequest], cap: int) -> None:
    """Among those who hold no seat, each who sits was there before all who wait."""
    result = allocate(requests, cap, now=BEFORE, starts_at=START)
    place = {each.pubkey: (each.first_seen, each.sequence, each.pubkey) for each in requests if not each.holds_seat}
    risen = [place[pubkey] for pubkey in result.seated if pubkey in place]
    waiting = [place[pubkey] for pubkey in result.waiting if pubkey in place]
    assert not risen or not waiting or max(risen) < min(waiting)


@given(_REQUESTS, _REQUESTS, st.integers(1, 12))
def test_changes_lead_from_the_one_to_the_other(one: list[SeatRequest], other: list[SeatRequest], cap: int) -> None:
    """Applied to the allocation before, the changes give the one after."""
    before = allocate(one, cap, now=BEFORE, starts_at=START)
    after = allocate(other, cap, now=BEFORE, starts_at=START)
    seat: dict[Pubkey, int | None] = dict.fromkeys(before.seated) | before.positions()
    for change in changes(before, after):
        if change.kind is SeatChangeKind.LEFT:
            del seat[change.pubkey]
        else:
            seat[change.pubkey] = change.position
    assert seat == dict.fromkeys(after.seated) | after.positions()

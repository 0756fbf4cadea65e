"""Paging: all that a relay has, although it gives only so much at a time."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_daemon.relays.paged_fetch import PAGE, Pager
from podium_protocol.filters import Filter
from podium_protocol.relay.verdicts import Violation

Stored = tuple[int, int]  # created_at, number


def raw(created_at: object, number: int) -> msgspec.Raw:
    """An event as far as paging looks at it."""
    return msgspec.Raw(json.dumps({"id": f"{number:064x}", "created_at": created_at, "kind": 1}).encode())


def page_of(stored: list[Stored], asked: Filter, cap: int) -> list[msgspec.Raw]:
    """What an honest relay answers: newest first, the lowest id first within a second, `cap` at most (NIP-01)."""
    since, until = asked.since or 0, asked.until if asked.until is not None else 10**12
    fitting = sorted((one for one in stored if since <= one[0] <= until), key=lambda one: (-one[0], one[1]))
    return [raw(*one) for one in fitting[: min(cap, asked.limit or cap)]]


def read_all(stored: list[Stored], wanted: Filter, cap: int, at_most: int = 10_000) -> tuple[list[Stored], Pager]:
    """Page until the pager has enough."""
    pager = Pager(wanted, at_most=at_most)
    found: list[Stored] = []
    for _ in range(5 * len(stored) + 5):
        if (asked := pager.next_filter()) is None:
            return found, pager
        fresh, faults = pager.add_page(page_of(stored, asked, cap))
        assert not faults
        found += [(event["created_at"], int(event["id"], 16)) for event in map(msgspec.json.decode, fresh)]
    raise AssertionError("paging does not end")


@given(
    st.lists(st.integers(0, 400), max_size=300).map(lambda times: list(zip(times, range(len(times)), strict=True))),
    st.integers(20, 120),
    st.sampled_from([Filter(), Filter(since=100), Filter(until=300), Filter(since=100, until=300)]),
)
def test_everything_is_read_once_or_the_pager_says_that_it_is_not(
    stored: list[Stored], cap: int, wanted: Filter
) -> None:
    """No event is missed in silence, and none comes twice, whatever the relay's cap."""
    found, pager = read_all(stored, wanted, cap)
    expected = {one for one in stored if (wanted.since or 0) <= one[0] <= (wanted.until or 10**9)}
    assert len(found) == len(set(found))
    assert set(found) <= expected
    if pager.problem is None:
        assert set(found) == expected


def test_a_page_that_ends_within_a_second_loses_nothing() -> None:
    """The next page asks for that second again, since more of it may be there."""
    stored = [(1000 - number // 30, number) for number in range(300)]
    found, pager = read_all(stored, Filter(), cap=40)
    assert set(found) == set(stored)
    assert pager.problem is None


def test_a_second_with_more_events_than_a_page_is_reported_and_what_is_older_is_still_read() -> None:
    """What cannot be asked for is not passed over in silence."""
    stored = [(500, number) for number in range(60)] + [(400, number) for number in range(100, 130)]
    found, pager = read_all(stored, Filter(), cap=50)
    assert {at for at, _ in found} == {500, 400}
    assert sum(at == 400 for at, _ in found) == 30
    assert pager.problem == "it has more events of one second than it gives at once"


def test_a_page_that_was_begun_again_after_a_login_is_no_larger_for_it() -> None:
    """Else a second that fills a page by itself would look like the end of what the relay has."""
    pager = Pager(Filter(), at_most=10_000)
    newest = [raw(200, number) for number in range(60)]
    pager.add_page(newest + newest)
    same_second = [raw(100, 1_000 + number) for number in range(60)]
    pager.add_page(same_second)
    pager.add_page(same_second)
    asked = pager.next_filter()
    assert asked is not None
    assert asked.until == 99
    assert pager.problem is not None


def test_a_limit_is_enough_when_it_is_reached() -> None:
    """A filter that wants the newest ten is complete with ten."""
    found, pager = read_all([(number, number) for number in range(300)], Filter(limit=30), cap=100)
    assert [at for at, _ in found] == list(range(299, 269, -1))
    assert pager.problem is None


def test_reaching_our_own_maximum_is_reported() -> None:
    """A cut that the caller did not ask for in the filter makes the answer partial."""
    found, pager = read_all([(number, number) for number in range(300)], Filter(), cap=100, at_most=250)
    assert len(found) == 250
    assert pager.problem == "it has more events than were asked for at most"


def test_pages_are_of_a_common_size_and_the_first_needs_no_end() -> None:
    """The REQ names a limit, so that a relay without a cap of its own does not send everything."""
    assert Pager(Filter(kinds=(1,)), at_most=10_000).next_filter() == Filter(kinds=(1,), limit=PAGE)


@pytest.mark.parametrize(
    ("bad", "violation"),
    [
        pytest.param(raw(10**11, 1), Violation.OUTSIDE_FILTER, id="after until"),
        pytest.param(raw(5, 1), Violation.OUTSIDE_FILTER, id="before since"),
        pytest.param(raw("100", 1), Violation.BAD_EVENT, id="time as text"),
        pytest.param(raw(1.5, 1), Violation.BAD_EVENT, id="time as a fraction"),
        pytest.param(raw(10**30, 1), Violation.OUTSIDE_FILTER, id="time beyond 64 bits"),
        pytest.param(raw(None, 1), Violation.BAD_EVENT, id="no time"),
        pytest.param(msgspec.Raw(b"[]"), Violation.BAD_EVENT, id="no object"),
        pytest.param(msgspec.Raw(b'{"created_at":100}'), Violation.BAD_EVENT, id="no id"),
        pytest.param(msgspec.Raw(b'{"id":"\xff","created_at":100}'), Violation.BAD_EVENT, id="bad UTF-8"),
        pytest.param(msgspec.Raw(b"[" * 100_000), Violation.BAD_EVENT, id="deep"),
    ],
)
def test_lies_about_time_do_not_move_the_pages(bad: msgspec.Raw, violation: Violation) -> None:
    """An event outside what was asked for is dropped and counted, and the good ones of the page stay."""
    pager = Pager(Filter(since=50, until=200), at_most=1000)
    good = [raw(150, number) for number in range(100, 130)]
    fresh, faults = pager.add_page([bad, *good])
    assert len(fresh) == 30
    assert faults == [violation]
    assert pager.next_filter() == Filter(since=50, until=150, limit=PAGE)


def test_a_relay_that_repeats_itself_for_ever_is_left() -> None:
    """The same page again and again ends the paging."""
    pager = Pager(Filter(), at_most=1000)
    same = [raw(7, number) for number in range(30)]
    pages = 0
    while pager.next_filter() is not None:
        pager.add_page(same if pages == 0 else [])
        pages += 1
        assert pages < 10


def test_several_filters_of_one_relay_bring_each_event_once() -> None:
    """Filters that overlap share what they have seen."""
    seen: set[str] = set()
    stored = [(number, number) for number in range(100)]
    taken = []
    for wanted in (Filter(kinds=(1,)), Filter(kinds=(1,), until=80)):
        pager = Pager(wanted, at_most=1000, seen=seen)
        while (asked := pager.next_filter()) is not None:
            taken += pager.add_page(page_of(stored, asked, 50))[0]
    assert len(taken) == 100

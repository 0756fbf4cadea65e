"""Whose lists are looked up when, and which of people's own relays are asked about whom."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from podium_daemon.relays.outbox_plan import (
    AGAIN,
    LISTS_FOR,
    POLL,
    RELAYS_A_ROUND,
    RELAYS_OF_A_PERSON,
    URLS_OF_A_HOST,
    Errand,
    Plan,
)
from podium_protocol.events import Pubkey

NOW = 1_800_000_000.0
OWN = "wss://own.example"


def person(number: int) -> Pubkey:
    """A person."""
    return Pubkey(f"{number:064x}")


def relay(number: int) -> str:
    """A relay on a host of its own."""
    return f"wss://r{number}.example"


def planned(*lists: tuple[str, ...], instructors: int = 0) -> Plan:
    """A plan for as many people as there are lists, which were looked up; the first of them are instructors."""
    plan = Plan()
    people = [person(number) for number in range(len(lists))]
    plan.concern(people[:instructors], people[instructors:], [OWN])
    plan.lists_were_asked(people, NOW, of_all=True)
    plan.write_to(dict(zip(people, lists, strict=True)))
    return plan


def test_a_list_that_was_found_is_good_for_hours_and_another_is_looked_for_hourly() -> None:
    """One without a list, and one of whom not all relays have told, are looked up again within the hour."""
    plan = Plan()
    plan.concern((), [person(1), person(2)], [])
    assert plan.lists_due(NOW) == [person(1), person(2)]
    plan.write_to({person(1): (relay(1),)})
    plan.lists_were_asked([person(1), person(2)], NOW, of_all=True)
    assert plan.lists_due(NOW + AGAIN - 1) == []
    assert plan.lists_due(NOW + AGAIN) == [person(2)]
    assert plan.lists_due(NOW + LISTS_FOR) == [person(1), person(2)]
    plan.lists_were_asked([person(1)], NOW, of_all=False)
    assert person(1) in plan.lists_due(NOW + AGAIN)


def test_people_of_one_relay_are_asked_about_together_and_our_own_is_not_asked_again() -> None:
    """A connection a relay, never a connection a person."""
    plan = planned((relay(1), OWN), (OWN, relay(1)), (OWN,))
    assert plan.relays_due(NOW) == [Errand(relay(1), (person(0), person(1)))]
    assert plan.has_looked(person(2)) is True
    assert plan.has_looked(person(9)) is None


def test_somebody_was_looked_for_when_each_of_their_relays_was_asked_or_is_away() -> None:
    """Until then nobody may call them unreachable."""
    plan = planned((relay(1), relay(2)))
    first, second = plan.relays_due(NOW)
    assert plan.has_looked(person(0)) is False
    plan.was_asked(first, NOW, answered=True)
    assert plan.has_looked(person(0)) is False
    plan.was_asked(second, NOW, answered=False)
    assert plan.has_looked(person(0)) is True
    assert plan.relays_due(NOW + POLL - 1) == []
    assert [one.url for one in plan.relays_due(NOW + POLL)] == [first.url]
    assert {one.url for one in plan.relays_due(NOW + AGAIN)} == {first.url, second.url}


def test_a_relay_is_asked_at_once_about_somebody_new_unless_it_did_not_answer() -> None:
    """A thousand people who join one after another do not make us knock a thousand times."""
    for answered in (True, False):
        plan = planned((relay(1),))
        plan.was_asked(plan.relays_due(NOW)[0], NOW, answered=answered)
        plan.concern((), [person(0), person(1)], [OWN])
        plan.lists_were_asked([person(1)], NOW, of_all=True)
        plan.write_to({person(1): (relay(1),)})
        assert bool(plan.relays_due(NOW + 1)) is answered
        assert plan.has_looked(person(1)) is not answered


def test_a_relay_that_failed_is_remembered_after_nobody_names_it() -> None:
    """Else it would be new to the next who does."""
    plan = planned((relay(1),))
    plan.was_asked(plan.relays_due(NOW)[0], NOW, answered=False)
    plan.concern((), [], [OWN])
    plan.concern((), [person(0)], [OWN])
    plan.lists_were_asked([person(0)], NOW, of_all=True)
    plan.write_to({person(0): (relay(1),)})
    assert plan.relays_due(NOW + 1) == []


def test_instructors_relays_come_first_and_those_that_fail_last() -> None:
    """A flood of invented relays keeps no session from being read."""
    flood = [(relay(number),) for number in range(1, 2 * RELAYS_A_ROUND)]
    plan = planned(*flood, instructors=0)
    leader = person(5_000)
    plan.concern([leader], [person(number) for number in range(len(flood))], [OWN])
    plan.lists_were_asked([leader], NOW, of_all=True)
    plan.write_to({leader: (relay(0),)})
    errands = plan.relays_due(NOW)
    assert len(errands) == RELAYS_A_ROUND
    assert errands[0].url == relay(0)
    for errand in errands:
        plan.was_asked(errand, NOW, answered=False)
    assert {one.url for one in plan.relays_due(NOW + AGAIN)[1:]}.isdisjoint(one.url for one in errands[1:])


@given(st.lists(st.lists(st.integers(0, 60), max_size=12), max_size=40))
def test_no_list_buys_more_than_its_share(named: list[list[int]]) -> None:
    """Of each person a few relays count, and of each host a few URLs, whatever is named."""
    lists = [tuple(f"wss://h{number % 3}.example/{number}" for number in numbers) for numbers in named]
    plan = planned(*lists)
    errands = plan.relays_due(NOW)
    for one in {author for errand in errands for author in errand.authors}:
        assert sum(one in errand.authors for errand in errands) <= RELAYS_OF_A_PERSON
    for host in ("h0", "h1", "h2"):
        assert sum(f"//{host}." in errand.url for errand in errands) <= URLS_OF_A_HOST

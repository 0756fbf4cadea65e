from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nostr_sdk import Event
from nostr_sdk import Filter as SdkFilter

from podium_protocol import kinds
from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import EventId, Pubkey
from podium_protocol.filters import Filter, backfill, matches_any
from tests.support.events import NOW, key_of, signed

KEYS = [key_of(number) for number in range(3)]
EVENT = signed(KEYS[0], kind=31925, tags=(("p",), ("a", "x"), ("p", KEYS[1].pubkey), ("s",)), created_at=NOW)


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(),
        Filter(ids=(EVENT.id,)),
        Filter(authors=(KEYS[1].pubkey, KEYS[0].pubkey)),
        Filter(kinds=(1, 31925)),
        Filter(tags=(("p", (KEYS[1].pubkey,)),)),
        Filter(tags=(("a", ("y", "x")), ("p", (KEYS[1].pubkey,)))),
        Filter(since=NOW),
        Filter(until=NOW),
        Filter(since=NOW, until=NOW, limit=0),
    ],
)
def test_an_event_matches_each_condition_it_meets(wanted: Filter) -> None:
    """Times are inclusive, lists need one hit, several conditions must all hold, and `limit` has no say."""
    assert wanted.matches(EVENT)


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(ids=(EventId("0" * 64),)),
        Filter(authors=(KEYS[1].pubkey,)),
        Filter(kinds=(31924,)),
        Filter(tags=(("p", (KEYS[2].pubkey,)),)),
        Filter(tags=(("a", ("x",)), ("p", (KEYS[2].pubkey,)))),
        Filter(tags=(("s", ("",)),)),
        Filter(since=NOW + 1),
        Filter(until=NOW - 1),
        Filter(kinds=(31925,), authors=(KEYS[2].pubkey,)),
    ],
)
def test_one_condition_that_fails_is_enough(wanted: Filter) -> None:
    """An event that misses any condition does not match."""
    assert not wanted.matches(EVENT)


def test_the_wanted_values_of_a_tag_are_told_apart_from_any() -> None:
    """By letter the values that are asked for; None for a letter of which any value will do."""
    wanted = Filter(tags=(("a", ("x", "y")), ("p", (KEYS[1].pubkey,))))
    assert (wanted.wanted("a"), wanted.wanted("d")) == ({"x", "y"}, None)


def test_one_of_several_filters_is_enough() -> None:
    """Filters of one REQ are alternatives."""
    assert matches_any([Filter(kinds=(1,)), Filter(kinds=(31925,))], EVENT)
    assert not matches_any([Filter(kinds=(1,)), Filter(kinds=(2,))], EVENT)


@pytest.mark.parametrize(
    "conditions",
    [
        {"ids": ()},
        {"ids": ("A" * 64,)},
        {"ids": ("a" * 63,)},
        {"ids": ("a" * 64 + "\n",)},
        {"authors": ()},
        {"authors": ("npub1",)},
        {"kinds": ()},
        {"kinds": (-1,)},
        {"kinds": (65536,)},
        {"tags": (("p", ()),)},
        {"tags": (("p", ("x",)),)},
        {"tags": (("e", ("x",)),)},
        {"tags": (("pp", ("x",)),)},
        {"tags": (("#p", ("x",)),)},
        {"tags": (("é", ("x",)),)},
        {"tags": (("a", ("x",)), ("a", ("y",)))},
        {"since": -1},
        {"until": 2**53},
        {"limit": -1},
        {"limit": 2**31},
    ],
)
def test_a_filter_that_nip01_does_not_allow_is_refused(conditions: dict[str, object]) -> None:
    """Among them the empty list: an empty allow-list must not become a subscription to everybody."""
    with pytest.raises(LocalProtocolError, match="filter"):
        Filter(**conditions)  # type: ignore[arg-type]  # the table mixes fields


def test_the_json_object_holds_what_is_asked_for_and_nothing_else() -> None:
    """Absent conditions are absent on the wire, and tags get their `#`."""
    wanted = Filter(kinds=(1059,), tags=(("p", (KEYS[0].pubkey,)),), since=0, limit=10)
    assert wanted.to_json_object() == {"kinds": (1059,), "#p": (KEYS[0].pubkey,), "since": 0, "limit": 10}
    assert Filter().to_json_object() == {}


def test_filters_are_values() -> None:
    """Equal conditions are equal filters, also after one of them was used for matching."""
    used = Filter(authors=(KEYS[0].pubkey,))
    assert used.matches(EVENT)
    assert used == Filter(authors=(KEYS[0].pubkey,))
    with pytest.raises(AttributeError):
        used.limit = 3  # type: ignore[misc]  # that is the point


_tag_values = st.sampled_from(["x", "y", "", KEYS[0].pubkey, KEYS[1].pubkey])
_hex_values = st.sampled_from([KEYS[0].pubkey, KEYS[1].pubkey])
_conditions = st.builds(
    Filter,
    authors=st.none() | st.lists(st.sampled_from([key.pubkey for key in KEYS]), min_size=1, max_size=2).map(tuple),
    kinds=st.none() | st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple),
    tags=st.sampled_from(["", "a", "p", "t"]).flatmap(
        lambda letter: (
            st.just(())
            if not letter
            else st.lists(_hex_values if letter == "p" else _tag_values, min_size=1, max_size=2).map(
                lambda values: ((letter, tuple(values)),)
            )
        )
    ),
    since=st.none() | st.integers(0, 8),
    until=st.none() | st.integers(0, 8),
)


@settings(max_examples=200, deadline=None)
@given(
    wanted=_conditions,
    kind=st.integers(0, 4),
    created_at=st.integers(0, 8),
    author=st.sampled_from(KEYS),
    tags=st.lists(st.tuples(st.sampled_from(["a", "p", "t"]), _tag_values), max_size=3).map(tuple),
)
def test_nostr_sdk_matches_the_same_events(
    wanted: Filter, kind: int, created_at: int, author: object, tags: tuple[tuple[str, str], ...]
) -> None:
    """An independent client reads our JSON and comes to the same verdict on any event."""
    event = signed(author, kind=kind, created_at=created_at, tags=tags)  # type: ignore[arg-type]  # a sampled key
    theirs = SdkFilter.from_json(msgspec.json.encode(wanted.to_json_object()).decode())
    assert wanted.matches(event) == theirs.match_event(Event.from_json(event.to_json().decode()))


def test_backfill_starts_an_hour_before_the_last_end() -> None:
    """A resubscription reads the last hour again, since events arrive late and clocks differ."""
    assert backfill([Filter(kinds=(31925,))], NOW) == (Filter(kinds=(31925,), since=NOW - 3600),)


@pytest.mark.parametrize("wanted", [Filter(kinds=(1, kinds.GIFT_WRAP)), Filter(tags=(("p", (KEYS[0].pubkey,)),))])
def test_backfill_of_gift_wraps_starts_two_days_before(wanted: Filter) -> None:
    """Wraps are dated up to two days back, also where they are asked for without naming the kind."""
    (moved,) = backfill([wanted], NOW)
    assert moved.since == NOW - 2 * 86_400


def test_backfill_never_reaches_further_back_than_was_asked_for() -> None:
    """The filter's own `since` stays the earliest time."""
    assert backfill([Filter(kinds=(1,), since=NOW - 60)], NOW)[0].since == NOW - 60
    assert backfill([Filter(kinds=(1,), since=5)], 100)[0].since == 5
    assert backfill([Filter(kinds=(1,))], 100)[0].since == 0


def test_backfill_without_an_end_reads_everything() -> None:
    """The first subscription is left as it is."""
    wanted = (Filter(kinds=(1,)), Filter(authors=(Pubkey(KEYS[0].pubkey),)))
    assert backfill(wanted, None) == wanted

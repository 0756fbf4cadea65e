"""Reading the mirror: filters answer as `Filter.matches` says, each through an index; what is deleted is known."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Pubkey, VerifiedEvent
from podium_protocol.filters import Filter
from podium_storage.errors import BadQuery
from podium_storage.mirror.queries import MAX_IDS, _compiled
from tests.support.events import NOW, key_of, verified
from tests.support.mirrors import Mirrored, deletion, lesson, mirrored, rsvp, session

ALICE, BOB, CAROL = (key_of(number) for number in (1, 2, 3))
HERE = lesson(ALICE)

POOL = [
    session(ALICE, at=NOW),
    session(ALICE, "z", at=NOW - 1),
    session(BOB, at=NOW),
    rsvp(ALICE, HERE, at=NOW + 1),
    rsvp(BOB, HERE, d="s", at=NOW + 1),
    rsvp(CAROL, lesson(BOB), d="", at=NOW - 2),
    verified(ALICE, kind=30_000, created_at=NOW),
    verified(BOB, kind=30_000, tags=(("d", "s"), ("d", "r"), ("d",)), created_at=NOW),
    verified(ALICE, kind=10_002, tags=(("d", "s"), ("r", "wss://relay.example")), created_at=NOW),
    verified(ALICE, tags=(("d", "s"), ("p", BOB.pubkey), ("p", CAROL.pubkey), ("t", "x")), created_at=NOW),
    verified(BOB, tags=(("p", CAROL.pubkey), ("P", ALICE.pubkey), ("t", "x"), ("t", "y")), created_at=NOW),
    verified(CAROL, tags=(("e", "ab" * 32), ("a", HERE), ("a", "l" * 600)), created_at=NOW - 2),
    verified(CAROL, tags=(("a", "u\0v"), ("e", "cd" * 32), ("p", ALICE.pubkey, "hint")), created_at=NOW - 2),
    deletion(CAROL, e=["ef" * 32], at=NOW - 3),
]
IDS = [*(event.id for event in POOL), EventId("00" * 32)]
VALUES: dict[str, list[str]] = {
    "a": [HERE, lesson(BOB), "u\0v", "u", "l" * 600],
    "d": ["s", "r", "", "z", "none"],
    "e": ["ab" * 32, "cd" * 32, "00" * 32],
    "p": [ALICE.pubkey, BOB.pubkey, CAROL.pubkey],
    "P": [ALICE.pubkey],
    "t": ["x", "y"],
}


def some(values: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3).map(tuple)


authors = st.lists(st.sampled_from([ALICE.pubkey, BOB.pubkey, CAROL.pubkey, Pubkey("11" * 32)]), min_size=1, max_size=2)
tags = st.sets(st.sampled_from(sorted(VALUES)), max_size=2).flatmap(
    lambda names: st.tuples(*(st.tuples(st.just(name), some(VALUES[name])) for name in sorted(names)))
)
times = st.none() | st.integers(NOW - 3, NOW + 2)
filters = st.builds(
    Filter,
    ids=st.none() | st.lists(st.sampled_from(IDS), min_size=1, max_size=4).map(tuple),
    authors=st.none() | authors.map(tuple),
    kinds=st.none()
    | st.lists(st.sampled_from([1, 5, 10_002, 30_000, 31_923, 31_925, 7]), min_size=1, max_size=3).map(tuple),
    tags=tags,
    since=times,
    until=times,
    limit=st.none() | st.integers(0, 4),
)


@pytest.fixture
async def here() -> AsyncIterator[Mirrored]:
    async with mirrored() as opened:
        await opened.ingest(*POOL)
        yield opened


def answers(wanted: Filter) -> list[VerifiedEvent]:
    """What NIP-01 says, by looking at every event."""
    found = sorted(filter(wanted.matches, POOL), key=lambda event: (-event.created_at, event.id))
    return found[: wanted.limit]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=filters)
@example(wanted=Filter(tags=(("d", ("",)),), limit=1))  # events without a `d` are newer, and must not use up the limit
async def test_a_filter_finds_what_matches(here: Mirrored, wanted: Filter) -> None:
    """The answer is every matching event, newest first, lowest id first among equals, cut at the limit."""
    assert await here.mirror.by_filter(wanted) == answers(wanted)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (Filter(ids=(IDS[0],)), "eventsById"),
        (Filter(ids=(IDS[0],), kinds=(1,), authors=(ALICE.pubkey,), since=1), "eventsById"),
        (Filter(kinds=(kinds.RSVP,), tags=(("a", (HERE,)),)), "eventTagsByValue"),
        (Filter(kinds=(kinds.GIFT_WRAP,), tags=(("p", (ALICE.pubkey,)),), since=NOW), "eventsByKind"),
        (Filter(kinds=(1,), authors=(ALICE.pubkey,), tags=(("e", ("ab" * 32,)),)), "eventsByAuthor"),
        (Filter(kinds=(kinds.MEETING,), tags=(("d", ("room",)),)), "eventsByAddress"),
        (Filter(authors=(ALICE.pubkey,), kinds=(kinds.SESSION,)), "eventsByAuthor"),
        (Filter(authors=(ALICE.pubkey,)), "eventsByAuthor"),
        (Filter(kinds=(kinds.SESSION,), since=NOW, limit=5), "eventsByKind"),
    ],
    ids=["ids", "ids first", "a", "p after kinds", "e after authors", "d", "authors and kinds", "authors", "kinds"],
)
async def test_a_filter_goes_through_its_index(here: Mirrored, wanted: Filter, index: str) -> None:
    """Every condition we ask for is answered by its index, and no table is read from end to end."""
    sql, parameters = _compiled(wanted)
    plan = [str(row[3]) for row in await here.store.database.fetch_all(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    assert any(index in step for step in plan), plan
    assert not any(step.startswith("SCAN") and "json_each" not in step and "CONSTANT" not in step for step in plan), (
        plan
    )


async def test_too_many_ids_are_refused(here: Mirrored) -> None:
    """A filter with more ids than a statement takes is refused with the number that is fine."""
    wanted = Filter(ids=tuple(EventId(f"{number:064x}") for number in range(MAX_IDS + 1)))
    with pytest.raises(BadQuery, match="10000 at a time"):
        await here.mirror.by_filter(wanted)
    assert await here.mirror.by_filter(Filter(ids=(wanted.ids or ())[:MAX_IDS])) == []


async def test_the_newest_revision_is_found_by_its_address(here: Mirrored) -> None:
    """An address gives its newest revision, and a replaceable kind the author's one event."""
    newer = session(ALICE, at=NOW + 5, title="newer")
    await here.ingest(newer)
    assert await here.mirror.newest(Address(kinds.SESSION, ALICE.pubkey, "s")) == newer
    assert await here.mirror.newest(Address(kinds.SESSION, CAROL.pubkey, "s")) is None
    assert await here.mirror.newest_replaceable(10_002, ALICE.pubkey) == POOL[8]


async def test_what_was_deleted_is_known(here: Mirrored) -> None:
    """An event is deleted by its id or by its address' floor, of its own author only, and before it ever came."""
    unseen, note, old, new = verified(ALICE, content="unseen"), POOL[9], session(ALICE, at=NOW - 9), POOL[0]
    await here.ingest(
        deletion(ALICE, e=[unseen.id, note.id], a=[HERE], at=NOW - 5), deletion(BOB, e=[POOL[11].id, old.id])
    )
    known = {event.id: await here.mirror.is_deleted(event) for event in (unseen, note, old, new, POOL[11], POOL[10])}
    assert [name for name, deleted in known.items() if deleted] == [unseen.id, note.id, old.id]


async def test_a_deletion_is_never_deleted(here: Mirrored) -> None:
    """A tombstone for a deletion has no effect (NIP-09)."""
    await here.ingest(deletion(CAROL, e=[POOL[13].id]))
    assert not await here.mirror.is_deleted(POOL[13])

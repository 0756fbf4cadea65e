"""The upper rungs of the ingest verifier: from what a relay sent to a verified event, or a counted drop."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from podium_daemon.relays import ingest
from podium_daemon.relays.ingest import MAX_AHEAD, Arrival, EventVerifier
from podium_protocol import kinds
from podium_protocol.events import SignedEvent
from podium_protocol.filters import Filter
from tests.support.events import NOW, key_of, signed

ADA, BEN, STRANGER = (key_of(number) for number in (1, 2, 3))
LESSON = f"{kinds.SESSION}:{ADA.pubkey}:knots"
RSVPS = (Filter(kinds=(kinds.RSVP,), tags=(("a", (LESSON,)),)),)
DELETIONS = (Filter(kinds=(kinds.DELETION,), authors=(ADA.pubkey,)),)


def rsvp(number: int = 0, *, at: int = NOW) -> SignedEvent:
    """Ben's answer; the number makes them differ."""
    tags = (("a", LESSON), ("d", str(number)), ("status", "accepted"))
    return signed(BEN, kind=kinds.RSVP, tags=tags, created_at=at)


def deletion(*tags: tuple[str, ...]) -> SignedEvent:
    """Ada deletes something."""
    return signed(ADA, kind=kinds.DELETION, tags=tags)


def arrival(
    event: SignedEvent | bytes, filters: tuple[Filter, ...] = RSVPS, relay: str = "wss://one.example"
) -> Arrival:
    """An event as a relay sent it."""
    return Arrival(relay, filters, event if isinstance(event, bytes) else event.to_json())


def verifier(now: float = NOW) -> EventVerifier:
    """A verifier at a time."""
    return EventVerifier(lambda: now)


async def climbed(found: EventVerifier, *arrivals: Arrival) -> list[str]:
    """The ids of what came through."""
    return [event.id for event in await found.verify(arrivals)]


async def test_good_events_come_through_in_their_order() -> None:
    """What was asked for and is sound is handed on as it came."""
    found = verifier()
    events = [rsvp(number) for number in range(5)]
    assert await climbed(found, *map(arrival, events)) == [event.id for event in events]
    assert (found.accepted, found.dropped.total()) == (5, 0)


def changed(event: SignedEvent, **fields: object) -> bytes:
    """The event with something else in it, as JSON."""
    return json.dumps(json.loads(event.to_json()) | fields).encode()


FLAWS: list[tuple[str, Callable[[SignedEvent], bytes]]] = [
    ("not_json", lambda _: b"{"),
    ("not_json", lambda _: b""),
    ("not_json", lambda event: event.to_json() + b"x"),
    ("not_json", lambda event: event.to_json().replace(b'"created_at":', b'"x":NaN,"created_at":')),
    ("bad_shape", lambda _: b"[" * 10_000),
    ("not_json", lambda _: b"\xff\xfe"),
    ("bad_shape", lambda _: b"[]"),
    ("bad_shape", lambda _: b"null"),
    ("bad_shape", lambda _: b"{}"),
    ("bad_shape", lambda event: changed(event, kind="31925")),
    ("bad_shape", lambda event: changed(event, created_at=-1)),
    ("bad_shape", lambda event: changed(event, created_at=2**60)),
    ("bad_shape", lambda event: changed(event, tags=[[]])),
    ("bad_shape", lambda event: changed(event, tags="x")),
    ("duplicate_key", lambda event: event.to_json().replace(b'"kind":', b'"kind":1,"kind":')),
    ("bad_id", lambda event: changed(event, id="0" * 64)),
    ("bad_id", lambda event: changed(event, content="changed")),
    ("bad_id", lambda event: changed(event, created_at=NOW - 1)),
    ("bad_id", lambda event: changed(event, pubkey=STRANGER.pubkey)),
    ("bad_signature", lambda event: changed(event, sig="0" * 128)),
    ("bad_signature", lambda event: changed(event, sig=event.sig.upper())),
    ("bad_signature", lambda event: changed(event, sig=rsvp(99).sig)),
    ("not_asked_for", lambda event: changed(event, kind=1)),
]


@pytest.mark.parametrize(
    ("reason", "spoil"), FLAWS, ids=[f"{place}-{reason}" for place, (reason, _) in enumerate(FLAWS)]
)
async def test_a_flaw_is_a_counted_drop(reason: str, spoil: Callable[[SignedEvent], bytes]) -> None:
    """Each flaw is counted under its name, and the good events beside it come through."""
    found = verifier()
    good, other = rsvp(1), rsvp(2)
    assert await climbed(found, arrival(good), arrival(spoil(rsvp(3))), arrival(other)) == [good.id, other.id]
    assert dict(found.dropped) == {reason: 1}


async def test_a_bad_copy_does_not_block_the_good_one() -> None:
    """Nothing is remembered before its signature is good: a relay cannot hide an event by sending it broken first."""
    found = verifier()
    event = rsvp()
    for bad in (changed(event, sig="0" * 128), changed(event, content="changed")):
        assert await climbed(found, arrival(bad, relay="wss://evil.example")) == []
    assert not found.has_seen(event.id)
    assert await climbed(found, arrival(event)) == [event.id]


async def test_copies_of_what_is_stored_are_dropped() -> None:
    """Only once the caller has stored an event are its copies skipped: a failed write brings it in again."""
    found = verifier()
    event = rsvp()
    (first,) = await found.verify([arrival(event)])
    assert await climbed(found, arrival(event)) == [event.id]
    found.remember([first])
    assert found.has_seen(event.id)
    assert await climbed(found, arrival(event, relay="wss://two.example")) == []
    assert found.dropped["duplicate"] == 1


async def test_what_was_not_asked_for_is_dropped() -> None:
    """An event outside the filters of its subscription is dropped, however good it is."""
    found = verifier()
    elsewhere = signed(BEN, kind=kinds.RSVP, tags=(("a", f"{LESSON}-2"), ("d", "x"), ("status", "accepted")))
    assert await climbed(found, arrival(elsewhere), arrival(rsvp(), DELETIONS), arrival(rsvp(), ())) == []
    assert found.dropped["not_asked_for"] == 3


@pytest.mark.parametrize(("ahead", "passes"), [(-(10**8), True), (0, True), (MAX_AHEAD, True), (MAX_AHEAD + 1, False)])
async def test_events_of_the_future_are_dropped(ahead: int, passes: bool) -> None:
    """More than ten minutes ahead would win every comparison until then; old events are as good as new ones."""
    found = verifier()
    assert bool(await climbed(found, arrival(rsvp(at=NOW + ahead)))) is passes
    assert bool(found.dropped["from_the_future"]) is not passes


@pytest.mark.parametrize(
    ("tags", "passes"),
    [
        ((("k", "31923"),), True),
        ((("k", "31925"), ("k", "1")), True),
        ((("k", "1311"), ("e", "0" * 64)), True),
        ((("k", "1"),), False),
        ((("k", "1"), ("a", LESSON)), False),
        ((("a", LESSON),), True),
        ((("a", f"{kinds.RSVP}:{ADA.pubkey}:x"),), True),
        ((("a", f"30023:{ADA.pubkey}:x"),), False),
        ((("a", f"30023:{ADA.pubkey}:x"), ("a", LESSON)), True),
        ((("e", "0" * 64),), True),
        ((), True),
    ],
)
async def test_deletions_of_other_things_are_dropped(tags: tuple[tuple[str, ...], ...], passes: bool) -> None:
    """People delete notes and articles all day; only what may be about a session, an RSVP or a question is kept."""
    found = verifier()
    assert bool(await climbed(found, arrival(deletion(*tags), DELETIONS))) is passes
    assert bool(found.dropped["deletes_something_else"]) is not passes


async def test_a_large_batch_is_judged_like_a_small_one() -> None:
    """Above a size the work is done on a thread: the order, the drops and the counts are the same."""
    found = verifier()
    events = [rsvp(number) for number in range(150)]
    arrivals = [
        arrival(changed(event, sig="0" * 128) if place % 10 == 0 else event) for place, event in enumerate(events)
    ]
    expected = [event.id for place, event in enumerate(events) if place % 10]
    assert await climbed(found, *arrivals) == expected
    assert (found.dropped["bad_signature"], found.accepted) == (15, 135)


async def test_the_memory_of_copies_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest ids are forgotten first; a forgotten copy costs a verification and nothing else."""
    monkeypatch.setattr(ingest, "MAX_SEEN", 3)
    found = verifier()
    events = await found.verify([arrival(rsvp(number)) for number in range(5)])
    found.remember(events)
    assert [found.has_seen(event.id) for event in events] == [False, False, True, True, True]
    assert await climbed(found, arrival(rsvp(0))) == [events[0].id]


async def test_nothing_is_nothing() -> None:
    """An empty batch is no work."""
    assert await climbed(verifier()) == []


async def test_an_answer_of_40_kilobytes_is_dropped() -> None:
    """Anybody can write one, and it would be kept: it is as large as an answer needs, or a counted drop."""
    found = verifier()
    tags = (("a", LESSON), ("d", "x"), ("status", "accepted"))
    large = signed(BEN, kind=kinds.RSVP, tags=tags, content="x" * 40_000)
    assert await climbed(found, arrival(large), arrival(rsvp())) == [rsvp().id]
    assert found.dropped == {"too_large": 1}


@pytest.mark.parametrize(
    "tags",
    [
        (("a", f"{kinds.SESSION}:{STRANGER.pubkey}:1"), ("a", LESSON), ("status", "accepted")),
        (("a", LESSON), ("status", "perhaps")),
        (("a", LESSON),),
    ],
)
async def test_what_answers_to_nothing_that_was_asked_for_is_dropped(tags: tuple[tuple[str, ...], ...]) -> None:
    """The first session counts and a second `a` matches the filter: else one key fills the mirror with such events."""
    found = verifier()
    assert await climbed(found, arrival(signed(BEN, kind=kinds.RSVP, tags=(*tags, ("d", "x"))))) == []
    assert found.dropped == {"no_answer": 1}

"""Replacement, deletion and expiration: the cases of hardening.md one by one, then every order and every batching."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import VerifiedEvent
from podium_protocol.live.rsvp import read_rsvp
from podium_protocol.nips import nip40
from podium_storage.mirror.fold import IngestOutcome, MirrorEntry, MirrorFold, Position
from tests.support.events import NOW, key_of, verified
from tests.support.mirrors import deletion, lesson, mirrored, rsvp, session

ALICE, BOB = key_of(1), key_of(2)
STORED, DUPLICATE, SUPERSEDED, DELETED, EXPIRED, EPHEMERAL = (outcome.value for outcome in IngestOutcome)


class Case(NamedTuple):
    """Events by name in their order of arrival, the outcome of each, and the names of those held in the end."""

    name: str
    events: Callable[[], dict[str, VerifiedEvent]]
    outcomes: Sequence[str]
    held: str


def note(**fields: object) -> VerifiedEvent:
    return verified(ALICE, kind=1, **fields)  # type: ignore[arg-type]  # the fields of `verified`


def profile(at: int, text: str = "") -> VerifiedEvent:
    return verified(ALICE, kind=0, created_at=at, content=text)


def expiring(at: object, **fields: object) -> VerifiedEvent:
    return note(tags=(("expiration", str(at)),), **fields)


def tie() -> tuple[VerifiedEvent, VerifiedEvent]:
    """Two revisions of one second: the one with the lower id, which counts, and the other."""
    low, high = sorted((session(ALICE, title="one"), session(ALICE, title="two")), key=lambda event: event.id)
    return low, high


def with_deletion(target: VerifiedEvent, by: VerifiedEvent, *, first: bool = False) -> dict[str, VerifiedEvent]:
    return {"d": by, "x": target} if first else {"x": target, "d": by}


OLD, NEW = session(ALICE, at=NOW - 10, title="old"), session(ALICE, at=NOW, title="new")
NOTE = note(content="hello")
HERE = lesson(ALICE)
SPACE = verified(ALICE, kind=10_002, created_at=NOW)

CASES = [
    # replacement (NIP-01)
    Case("an older revision comes late", lambda: {"n": NEW, "o": OLD}, [STORED, SUPERSEDED], "n"),
    Case("a newer revision replaces", lambda: {"o": OLD, "n": NEW}, [STORED, STORED], "n"),
    Case("lowest id wins a tie, first", lambda: dict(zip("lh", tie(), strict=True)), [STORED, SUPERSEDED], "l"),
    Case("lowest id wins a tie, last", lambda: dict(zip("hl", tie()[::-1], strict=True)), [STORED, STORED], "l"),
    Case("another d is another event", lambda: {"a": NEW, "b": session(ALICE, "z")}, [STORED, STORED], "ab"),
    Case("another author is another event", lambda: {"a": NEW, "b": session(BOB)}, [STORED, STORED], "ab"),
    Case(
        "another kind is another event",
        lambda: {"a": NEW, "b": verified(ALICE, kind=30_312, tags=(("d", "s"),))},
        [STORED, STORED],
        "ab",
    ),
    Case("kind 0 is replaced", lambda: {"a": profile(NOW - 1), "b": profile(NOW)}, [STORED, STORED], "b"),
    Case(
        "kind 3 is replaced",
        lambda: {"a": verified(ALICE, kind=3, created_at=NOW), "b": verified(ALICE, kind=3, created_at=NOW - 1)},
        [STORED, SUPERSEDED],
        "a",
    ),
    Case(
        "kind 10002 ignores its d",
        lambda: {"a": SPACE, "b": verified(ALICE, kind=10_002, tags=(("d", "other"),), created_at=NOW + 1)},
        [STORED, STORED],
        "b",
    ),
    Case(
        "a missing d and an empty one are the same",
        lambda: {
            "a": verified(ALICE, kind=30_000, created_at=NOW),
            "b": verified(ALICE, kind=30_000, tags=(("d", ""),), created_at=NOW + 1),
        },
        [STORED, STORED],
        "b",
    ),
    Case(
        "only the first d is the identifier",
        lambda: {
            "a": verified(ALICE, kind=30_000, tags=(("d", "1"), ("d", "2"))),
            "b": verified(ALICE, kind=30_000, tags=(("d", "2"), ("d", "1")), created_at=NOW + 1),
        },
        [STORED, STORED],
        "ab",
    ),
    Case(
        "d is compared to the letter", lambda: {"a": session(ALICE, "A"), "b": session(ALICE, "a")}, [STORED] * 2, "ab"
    ),
    Case(
        "d is compared beyond U+0000",
        lambda: {"a": session(ALICE, "a\0x", at=NOW), "b": session(ALICE, "a\0y", at=NOW + 1)},
        [STORED, STORED],
        "ab",
    ),
    Case("a regular event is never replaced", lambda: {"a": NOTE, "b": note(created_at=NOW + 1)}, [STORED] * 2, "ab"),
    Case("the same event twice in a row", lambda: {"a": NEW, "b": NEW}, [STORED, DUPLICATE], "a"),
    Case("ephemeral kinds are not stored", lambda: {"a": verified(ALICE, kind=27_235)}, [EPHEMERAL], ""),
    # deletion (NIP-09)
    Case("e deletes a regular event", lambda: with_deletion(NOTE, deletion(ALICE, e=[NOTE.id])), [STORED, STORED], "d"),
    Case(
        "e waits for a regular event",
        lambda: with_deletion(NOTE, deletion(ALICE, e=[NOTE.id]), first=True),
        [STORED, DELETED],
        "d",
    ),
    Case("nobody deletes another's event", lambda: with_deletion(NOTE, deletion(BOB, e=[NOTE.id])), [STORED] * 2, "xd"),
    Case(
        "another's tombstone does not wait",
        lambda: with_deletion(NOTE, deletion(BOB, e=[NOTE.id]), first=True),
        [STORED, STORED],
        "xd",
    ),
    Case("e on the newest revision counts", lambda: with_deletion(NEW, deletion(ALICE, e=[NEW.id])), [STORED] * 2, "d"),
    Case(
        "e on an older revision does not count",
        lambda: {"o": OLD, "n": NEW, "d": deletion(ALICE, e=[OLD.id])},
        [STORED, STORED, STORED],
        "nd",
    ),
    Case(
        "the older revision does not come back",
        lambda: {"n": NEW, "d": deletion(ALICE, e=[NEW.id]), "o": OLD},
        [STORED, STORED, DELETED],
        "d",
    ),
    Case(
        "a late deleted revision takes the older one with it",
        lambda: {"d": deletion(ALICE, e=[NEW.id]), "o": OLD, "n": NEW},
        [STORED, STORED, DELETED],
        "d",
    ),
    Case(
        "a newer revision after an e counts",
        lambda: {"o": OLD, "d": deletion(ALICE, e=[OLD.id]), "n": NEW},
        [STORED, STORED, STORED],
        "dn",
    ),
    Case(
        "a deletes up to its own second",
        lambda: with_deletion(NEW, deletion(ALICE, a=[HERE], at=NOW)),
        [STORED, STORED],
        "d",
    ),
    Case(
        "a spares what is newer",
        lambda: with_deletion(NEW, deletion(ALICE, a=[HERE], at=NOW - 1)),
        [STORED, STORED],
        "xd",
    ),
    Case(
        "a waits for versions of its time",
        lambda: {"d": deletion(ALICE, a=[HERE], at=NOW - 1), "o": OLD, "n": NEW},
        [STORED, DELETED, STORED],
        "dn",
    ),
    Case("another's a is nothing", lambda: with_deletion(NEW, deletion(BOB, a=[HERE])), [STORED, STORED], "xd"),
    Case(
        "a on a replaceable kind",
        lambda: with_deletion(SPACE, deletion(ALICE, a=[f"10002:{ALICE.pubkey}:"])),
        [STORED, STORED],
        "d",
    ),
    Case(
        "a on a replaceable kind with a d is nothing",
        lambda: with_deletion(SPACE, deletion(ALICE, a=[f"10002:{ALICE.pubkey}:x"])),
        [STORED, STORED],
        "xd",
    ),
    Case(
        "a on a regular kind is nothing",
        lambda: with_deletion(NOTE, deletion(ALICE, a=[f"1:{ALICE.pubkey}:"])),
        [STORED, STORED],
        "xd",
    ),
    Case(
        "a deletion cannot be deleted",
        lambda: {
            "x": NOTE,
            "d": (first := deletion(ALICE, e=[NOTE.id])),
            "u": deletion(ALICE, e=[first.id], at=NOW + 1),
            "y": NOTE,
        },
        [STORED, STORED, STORED, DELETED],
        "du",
    ),
    Case(
        "a deletion that is deleted before it comes still counts",
        lambda: {"u": deletion(ALICE, e=[(d := deletion(ALICE, e=[NOTE.id])).id]), "d": d, "x": NOTE},
        [STORED, STORED, DELETED],
        "ud",
    ),
    Case(
        "one deletion, many targets",
        lambda: {"x": NOTE, "n": NEW, "d": deletion(ALICE, e=[NOTE.id, "0" * 64], a=[HERE], at=NOW)},
        [STORED, STORED, STORED],
        "d",
    ),
    Case(
        "malformed targets are nothing",
        lambda: {"x": NOTE, "d": deletion(ALICE, e=[NOTE.id.upper(), "", "zz"], a=["31923", "x:y:z"])},
        [STORED, STORED],
        "xd",
    ),
    Case(
        "what is deleted stays deleted when it comes again",
        lambda: {"x": NOTE, "d": deletion(ALICE, e=[NOTE.id]), "y": NOTE},
        [STORED, STORED, DELETED],
        "d",
    ),
    # time (NIP-40)
    Case("expired is not stored", lambda: {"x": expiring(NOW)}, [EXPIRED], ""),
    Case("not yet expired is stored", lambda: {"x": expiring(NOW + 1)}, [STORED], "x"),
    Case("an unreadable expiration is none", lambda: {"x": expiring("1_0"), "y": expiring("-1")}, [STORED] * 2, "xy"),
    Case("an endless expiration is none", lambda: {"x": expiring("9" * 40)}, [STORED], "x"),
    Case(
        "an expired revision still replaces",
        lambda: {
            "o": OLD,
            "x": verified(ALICE, kind=kinds.SESSION, tags=(("d", "s"), ("expiration", "1")), created_at=NOW),
        },
        [STORED, EXPIRED],
        "",
    ),
    Case(
        "an expired deletion deletes nothing",
        lambda: {"x": NOTE, "d": verified(ALICE, kind=5, tags=(("e", NOTE.id), ("expiration", "1")))},
        [STORED, EXPIRED],
        "x",
    ),
    Case(
        "expiration means nothing to an ephemeral event",
        lambda: {"x": verified(ALICE, kind=20_001, tags=(("expiration", "1"),))},
        [EPHEMERAL],
        "",
    ),
    Case("created_at 0 is a time", lambda: {"a": session(ALICE, at=0), "b": session(ALICE, at=1)}, [STORED] * 2, "b"),
    Case(
        "the last created_at there is",
        lambda: {"a": session(ALICE, at=2**53 - 1), "b": session(ALICE, at=NOW)},
        [STORED, SUPERSEDED],
        "a",
    ),
]


@pytest.mark.family("replacement, deletion and time")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("together", [True, False], ids=["one batch", "one by one"])
async def test_what_stays(case: Case, *, together: bool) -> None:
    """Each rule gives the same outcomes and the same mirror, in one batch and event by event."""
    events = case.events()
    async with mirrored() as here:
        if together:
            outcomes = await here.ingest(*events.values())
        else:
            outcomes = [outcome for event in events.values() for outcome in await here.ingest(event)]
        assert outcomes == list(case.outcomes)
        assert await here.held() == {events[name].id for name in case.held}


def _pool() -> list[VerifiedEvent]:
    """Events that get in each other's way in every manner the rules know."""
    here, there = lesson(BOB, "here"), lesson(BOB, "there")
    sessions = [session(key, at=at, title=title) for key in (ALICE, BOB) for at in (1, 2) for title in "xy"]
    answers = [
        rsvp(key, where, status, d=d, at=at)
        for key in (ALICE, BOB)
        for d, at, where, status in (
            ("1", 1, here, "accepted"),
            ("1", 2, there, "accepted"),
            ("2", 2, here, "declined"),
            ("2", 3, here, "tentative"),
            ("3", 4, here, "nonsense"),
            ("1", 5, here, "accepted"),
        )
    ]
    short = rsvp(ALICE, here, d="4", at=6, more=("expiration", "7"))
    notes = [verified(ALICE, content=text) for text in "ab"]
    targets = [*sessions[:4], *answers[:6], *notes]
    by_id = [deletion(ALICE, e=[event.id], at=9) for event in targets]
    foreign = [deletion(BOB, e=[event.id], at=9) for event in targets[::3]]
    by_address = [
        deletion(ALICE, a=[f"{kind}:{ALICE.pubkey}:{d}"], at=at)
        for kind, d, at in ((31_923, "s", 1), (31_925, "1", 2), (31_925, "2", 2), (31_925, "1", 1))
    ]
    undone = [deletion(ALICE, e=[by_id[0].id, by_address[0].id], at=10)]
    return [*sessions, *answers, short, *notes, *by_id, *foreign, *by_address, *undone]


POOL = _pool()


def _deleted(event: VerifiedEvent, everything: Sequence[VerifiedEvent]) -> bool:
    """NIP-09, word for word."""
    requests = [one for one in everything if one.kind == kinds.DELETION and one.pubkey == event.pubkey]
    if event.kind == kinds.DELETION:
        return False
    address = str(Address.from_event(event))
    return any(
        ("e", event.id) in one.tags or (("a", address) in one.tags and event.created_at <= one.created_at)
        for one in requests
    )


def _newest(events: Sequence[VerifiedEvent]) -> VerifiedEvent:
    return min(events, key=lambda event: (-event.created_at, event.id))


def expected_held(everything: Sequence[VerifiedEvent], now: int) -> set[str]:
    """What must stay of a set of events, by a rule that does not know of any order."""
    revisions: dict[object, list[VerifiedEvent]] = {}
    for event in everything:
        revisions.setdefault(Address.from_event(event) or event.id, []).append(event)
    newest = map(_newest, revisions.values())
    return {event.id for event in newest if not _deleted(event, everything) and not nip40.is_expired(event, now)}


def expected_answers(everything: Sequence[VerifiedEvent], now: int) -> dict[tuple[str, str], tuple[str, str]]:
    """The RSVPs that must count: the newest of all that were made to a session, unless it was deleted or has expired.

    Whether the mirror holds it does not matter: what took its place may answer to another session.
    """
    made: dict[tuple[str, str], list[VerifiedEvent]] = {}
    for event in everything:
        if (answer := read_rsvp(event)) is not None:
            made.setdefault((answer.session_address, answer.pubkey), []).append(event)
    counts = {person: _newest(events) for person, events in made.items()}
    stand = {
        person: event
        for person, event in counts.items()
        if not _deleted(event, everything) and not nip40.is_expired(event, now)
    }
    read = {person: read_rsvp(event) for person, event in stand.items()}
    return {person: (one.status.value, one.event_id) for person, one in read.items() if one is not None}


def check_kept(kept: set[str], everything: Sequence[VerifiedEvent], now: int) -> None:
    """What the mirror has of all that must stay: of answers only such as count.

    An answer that counts may be there although a newer event of its `d` would have taken its place on a relay: where
    that one does not count itself, it was not kept.
    """
    counting = {event_id for _, event_id in expected_answers(everything, now).values()}
    answers = {event.id for event in everything if event.kind == kinds.RSVP}
    held = expected_held(everything, now)
    assert kept - answers == held - answers
    assert held & counting <= kept & answers <= counting


arrivals = st.lists(st.sampled_from(POOL), max_size=24)  # with repetitions: relays send copies
cuts = st.lists(st.integers(1, 6), min_size=1, max_size=8)


def batches(events: Sequence[VerifiedEvent], sizes: Sequence[int]) -> list[Sequence[VerifiedEvent]]:
    """The events in runs of these sizes, over and over."""
    runs: list[Sequence[VerifiedEvent]] = []
    rest = list(events)
    while rest:
        size = sizes[len(runs) % len(sizes)]
        runs.append(rest[:size])
        rest = rest[size:]
    return runs


@settings(max_examples=400, deadline=None)
@given(arrivals, st.sampled_from([0, 8]))
def test_the_fold_does_not_know_the_order(events: list[VerifiedEvent], now: int) -> None:
    """Whatever the order of arrival, what is held is what NIP-01, 09 and 40 say of the set."""
    standing = MirrorFold()
    for event in events:
        standing.admit(MirrorEntry.from_event(event), now)
    assert {entry.event.id for entry in standing.fresh} == expected_held(events, now)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(arrivals, cuts, st.sampled_from([0, 8]))
async def test_the_mirror_does_not_know_order_or_batches(
    events: list[VerifiedEvent], sizes: list[int], now: int
) -> None:
    """Any permutation in any batching ends in the same mirror and the same RSVPs."""
    async with mirrored() as here:
        for batch in batches(events, sizes):
            await here.ingest(*batch, at=now)
        check_kept(await here.held(), events, now)
        assert await here.answers() == expected_answers(events, now)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(arrivals, cuts)
async def test_a_batch_is_its_events_one_by_one(events: list[VerifiedEvent], sizes: list[int]) -> None:
    """The outcomes of a batch are those of its events taken one by one.

    Answers that do not count are not kept: whether one of them, or its copy, is new, known or replaced is not told.
    """
    standing = MirrorFold()
    one_by_one = [standing.admit(MirrorEntry.from_event(event), 0).value for event in events]
    async with mirrored() as here:
        outcomes = [one for batch in batches(events, sizes) for one in await here.ingest(*batch, at=0)]
    live = ("stored", "duplicate", "superseded")
    pairs = [
        pair
        for event, *pair in zip(events, outcomes, one_by_one, strict=True)
        if event.kind != kinds.RSVP or not set(pair) <= set(live)
    ]
    assert [one for one, _ in pairs] == [other for _, other in pairs]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(arrivals, cuts)
async def test_time_may_pass_before_or_after(events: list[VerifiedEvent], sizes: list[int]) -> None:
    """Events that are swept after they expired leave what they would have left had they come expired."""
    async with mirrored() as here:
        for batch in batches(events, sizes):
            await here.ingest(*batch, at=0)
        await here.mirror.sweep_expired(8)
        check_kept(await here.held(), events, 8)
        assert await here.answers() == expected_answers(events, 8)


def test_a_position_outranks_by_time_then_by_id() -> None:
    """The newer counts, at equal times the lower id, and nothing outranks itself."""
    early, late = Position(1, "b"), Position(2, "c")  # type: ignore[arg-type]  # short ids read better
    lower = Position(1, "a")  # type: ignore[arg-type]
    assert late.outranks(early)
    assert not early.outranks(late)
    assert lower.outranks(early)
    assert not early.outranks(lower)
    assert not early.outranks(early)

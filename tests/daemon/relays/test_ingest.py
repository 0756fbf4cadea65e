"""The ingest: from what relays sent to stored events, or counted drops; of each event one copy."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from podium_daemon.relays import ingest
from podium_daemon.relays.ingest import CopyGate, Good, Ingest
from podium_daemon.relays.judgement import MAX_AHEAD, Arrival
from podium_protocol import kinds
from podium_protocol.events import EventId, SignedEvent, VerifiedEvent
from podium_protocol.filters import Filter
from podium_storage.errors import StoreFull
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


class Kept:
    """A store of events, and the ingest before it. `refuses`: relays whose events it fails to store."""

    def __init__(self, now: float = NOW) -> None:
        self.events: list[VerifiedEvent] = []
        self.batches: list[int] = []
        self.refuses: set[str] = set()
        self.may_store = asyncio.Event()
        self.may_store.set()
        self.ingest = Ingest(self._keep, lambda: now)

    @property
    def ids(self) -> list[str]:
        """The ids of what is stored, in order."""
        return [event.id for event in self.events]

    @property
    def dropped(self) -> Counter[str]:
        """What was not stored, by reason."""
        return self.ingest.dropped

    async def take_in(self, *arrivals: Arrival) -> list[str]:
        """The ids of those that came through."""
        before = len(self.events)
        await self.ingest.take_in(arrivals)
        return self.ids[before:]

    async def _keep(self, batch: Sequence[Good]) -> list[EventId]:
        await self.may_store.wait()
        if self.refuses & {one.arrival.relay for one in batch}:
            raise StoreFull("no space left")
        self.events += [one.event for one in batch]
        self.batches.append(len(batch))
        return [one.event.id for one in batch]


async def test_good_events_come_through_in_their_order() -> None:
    """What was asked for and is sound is handed on as it came."""
    found = Kept()
    events = [rsvp(number) for number in range(5)]
    assert await found.take_in(*map(arrival, events)) == [event.id for event in events]
    assert (found.ingest.accepted, found.dropped.total()) == (5, 0)


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
    found = Kept()
    good, other = rsvp(1), rsvp(2)
    assert await found.take_in(arrival(good), arrival(spoil(rsvp(3))), arrival(other)) == [good.id, other.id]
    assert dict(found.dropped) == {reason: 1}


async def test_a_bad_copy_does_not_block_the_good_one() -> None:
    """Nothing is remembered before its signature is good: a relay cannot hide an event by sending it broken first."""
    found = Kept()
    event = rsvp()
    for bad in (changed(event, sig="0" * 128), changed(event, content="changed")):
        assert await found.take_in(arrival(bad, relay="wss://evil.example")) == []
    assert not found.ingest.has_seen(event.id)
    assert await found.take_in(arrival(event)) == [event.id]


async def test_copies_of_what_is_stored_are_dropped() -> None:
    """Only once an event is stored are its copies skipped: a failed write brings it in again."""
    found = Kept()
    event = rsvp()
    found.refuses = {"wss://one.example"}
    with pytest.raises(StoreFull):
        await found.take_in(arrival(event))
    assert not found.ingest.has_seen(event.id)
    found.refuses = set()
    assert await found.take_in(arrival(event)) == [event.id]
    assert found.ingest.has_seen(event.id)
    assert await found.take_in(arrival(event, relay="wss://two.example")) == []
    assert found.dropped["duplicate"] == 1


async def test_a_copy_waits_for_the_verdict_and_the_commit() -> None:
    """While one copy is under way others of that id wait: they are over when it is stored, and not before."""
    found = Kept()
    event = rsvp()
    found.may_store.clear()
    first = found.ingest.take_in([arrival(event)])
    copy = found.ingest.take_in([arrival(event, relay="wss://two.example")])
    bad = found.ingest.take_in([arrival(changed(event, sig="0" * 128), relay="wss://evil.example")])
    await asyncio.wait([first, copy, bad], timeout=0)
    assert not any(one.done() for one in (first, copy, bad))
    found.may_store.set()
    await asyncio.gather(first, copy, bad)
    assert (found.ids, dict(found.dropped)) == ([event.id], {"duplicate": 2})


async def test_bad_copies_do_not_delay_the_good_one() -> None:
    """When the copy under way is bad, all that waited are judged at once, and not one after the other."""
    found = Kept()
    event = rsvp()
    bad = [arrival(changed(event, content=str(number)), relay="wss://evil.example") for number in range(40)]
    found.may_store.clear()
    others = found.ingest.take_in([arrival(rsvp(1))])  # a write is under way, so that the copies meet
    waiting = [found.ingest.take_in([one]) for one in (*bad, arrival(event))]
    found.may_store.set()
    await asyncio.gather(others, *waiting)
    assert (found.ids, found.batches) == ([rsvp(1).id, event.id], [1, 1])
    assert found.dropped == {"bad_id": 40}


async def test_one_relays_events_fail_alone() -> None:
    """A batch that cannot be stored is stored relay by relay: what one relay sent ends no other's connection."""
    found = Kept()
    found.may_store.clear()
    first = found.ingest.take_in([arrival(rsvp(0))])
    found.refuses = {"wss://evil.example"}
    evil = found.ingest.take_in([arrival(rsvp(1), relay="wss://evil.example")])
    good = found.ingest.take_in([arrival(rsvp(2), relay="wss://two.example")])
    found.may_store.set()
    await asyncio.gather(first, good)
    with pytest.raises(StoreFull):
        await evil
    assert sorted(found.ids) == sorted([rsvp(0).id, rsvp(2).id])


async def test_a_relay_that_sends_much_does_not_hold_up_the_others() -> None:
    """The relays have their turns: one event of a quiet relay is among the first, whatever waits of a loud one."""
    found = Kept()
    found.may_store.clear()
    first = found.ingest.take_in([arrival(rsvp(0))])
    loud = found.ingest.take_in([arrival(rsvp(number)) for number in range(1, 1_000)])
    quiet = found.ingest.take_in([arrival(rsvp(1_000), relay="wss://two.example")])
    found.may_store.set()
    await quiet
    assert found.ids.index(rsvp(1_000).id) <= 256
    assert not loud.done()
    await asyncio.gather(first, loud)
    assert sorted(found.ids) == sorted(rsvp(number).id for number in range(1_001))
    assert [one for one in found.ids if one != rsvp(1_000).id] == [rsvp(number).id for number in range(1_000)]


async def test_what_comes_while_others_are_stored_becomes_one_batch() -> None:
    """A lone event goes through at once; those that come meanwhile share the next transaction."""
    found = Kept()
    found.may_store.clear()
    waiting = [found.ingest.take_in([arrival(rsvp(0))])]
    await asyncio.wait(waiting, timeout=0)
    waiting += [found.ingest.take_in([arrival(rsvp(number))]) for number in range(1, 30)]
    found.may_store.set()
    await asyncio.gather(*waiting)
    assert found.batches == [1, 29]


class _Unsearched(list[EventId]):
    """An answer of the store that takes long to search, as every long list does."""

    def __contains__(self, _: object) -> bool:
        raise AssertionError("the whole answer was searched for one event")


async def test_the_answer_of_the_store_is_not_searched_for_each_event() -> None:
    """A batch of a thousand would be compared with a thousand ids each: as much time as all else on the event loop."""

    async def keep(batch: Sequence[Good]) -> list[EventId]:
        return _Unsearched(one.event.id for one in batch)

    ingest = Ingest(keep, lambda: NOW)
    event = rsvp()
    await ingest.take_in([arrival(event)])
    assert ingest.has_seen(event.id)


async def test_a_caller_that_is_cancelled_loses_nothing() -> None:
    """A connection that ends while its events are under way: they are stored all the same."""
    found = Kept()
    found.may_store.clear()
    gone = found.ingest.take_in([arrival(rsvp(0))])
    await asyncio.wait([gone], timeout=0)
    gone.cancel()
    found.may_store.set()
    assert await found.take_in(arrival(rsvp(1))) == [rsvp(0).id, rsvp(1).id]


class Copies(RuleBasedStateMachine):
    """The gate as the ingest uses it, with copies good and bad in any order, and a store that fails at times."""

    def __init__(self) -> None:
        super().__init__()
        self.gate: CopyGate[tuple[str, bool]] = CopyGate()
        self.judged: list[tuple[str, bool]] = []  # to be judged, then to be stored
        self.stored: Counter[str] = Counter()
        self.had_good: set[str] = set()
        self.over = self.came = 0

    @rule(claimed=st.sampled_from("abc"), is_good=st.booleans())
    def arrive(self, claimed: str, is_good: bool) -> None:
        """A copy comes."""
        self.came += 1
        self.had_good |= {claimed} if is_good else set()
        if self.gate.is_done(claimed):
            self.over += 1
        elif self.gate.admit(claimed, (claimed, is_good)):
            self.judged.append((claimed, is_good))

    @precondition(lambda self: self.judged)
    @rule(data=st.data(), fails=st.booleans())
    def judge(self, data: st.DataObject, fails: bool) -> None:
        """One of those under way gets its verdict; a good one is stored, unless the store fails."""
        claimed, is_good = self.judged.pop(data.draw(st.integers(0, len(self.judged) - 1)))
        if is_good and not fails and not self.gate.is_done(claimed):
            self.stored[claimed] += 1
        self._settle(claimed, is_done=self.gate.is_done(claimed) if fails or not is_good else True)
        if is_good and fails and not self.stored[claimed]:
            self.arrive(claimed, True)  # its relay brings it again

    @precondition(lambda self: self.judged)
    @rule(data=st.data())
    def meet_another(self, data: st.DataObject) -> None:
        """A good copy finds another one of the same id in its batch."""
        claimed, is_good = self.judged[data.draw(st.integers(0, len(self.judged) - 1))]
        if self.judged.count((claimed, True)) > 1 and is_good and not self.gate.is_done(claimed):
            self.judged.remove((claimed, True))
            self.gate.put_back(claimed, (claimed, True))

    def _settle(self, claimed: str, *, is_done: bool) -> None:
        self.over += 1
        released = self.gate.settle(claimed, is_done=is_done)
        if is_done:
            self.over += len(released)
        else:
            self.judged += released

    def teardown(self) -> None:
        """When all have their verdicts, each good event is stored once, and no copy waits for ever."""
        while self.judged:
            claimed, is_good = self.judged.pop()
            if is_good and not self.gate.is_done(claimed):
                self.stored[claimed] += 1
            self._settle(claimed, is_done=is_good or self.gate.is_done(claimed))
        assert self.stored == Counter(self.had_good)
        assert self.over == self.came


TestCopies = Copies.TestCase
TestCopies.settings = settings(max_examples=200, stateful_step_count=30)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["good", "sig", "content"]), st.integers(0, 2)), max_size=60),
    st.lists(st.booleans(), min_size=1, max_size=60),
)
def test_however_copies_come_each_good_event_is_stored_once(
    copies: list[tuple[int, str, int]], waits: list[bool]
) -> None:
    """Copies of a few events, good and bad, from three relays, all at once or with pauses: none is lost or doubled."""

    async def take_in() -> Kept:
        found = Kept()
        under_way: list[asyncio.Future[None]] = []
        for (number, form, relay), wait in zip(copies, cycle(waits), strict=False):
            event = rsvp(number)
            raw = {
                "good": event.to_json(),
                "sig": changed(event, sig="0" * 128),
                "content": changed(event, content="x"),
            }
            under_way.append(found.ingest.take_in([arrival(raw[form], relay=f"wss://{relay}.example")]))
            if wait:
                await asyncio.sleep(0)
        await asyncio.gather(*under_way)
        return found

    found = asyncio.run(take_in())
    assert sorted(found.ids) == sorted({rsvp(number).id for number, form, _ in copies if form == "good"})
    assert found.dropped.total() == len(copies) - len(found.ids)


async def test_what_was_not_asked_for_is_dropped() -> None:
    """An event outside the filters of its subscription is dropped, however good it is."""
    found = Kept()
    elsewhere = signed(BEN, kind=kinds.RSVP, tags=(("a", f"{LESSON}-2"), ("d", "x"), ("status", "accepted")))
    assert await found.take_in(arrival(elsewhere), arrival(rsvp(), DELETIONS), arrival(rsvp(), ())) == []
    assert found.dropped["not_asked_for"] == 3


@pytest.mark.family("replacement, deletion and time")
@pytest.mark.parametrize(("ahead", "passes"), [(-(10**8), True), (0, True), (MAX_AHEAD, True), (MAX_AHEAD + 1, False)])
async def test_events_of_the_future_are_dropped(ahead: int, passes: bool) -> None:
    """More than ten minutes ahead would win every comparison until then; old events are as good as new ones."""
    found = Kept()
    assert bool(await found.take_in(arrival(rsvp(at=NOW + ahead)))) is passes
    assert bool(found.dropped["from_the_future"]) is not passes


@pytest.mark.family("replacement, deletion and time")
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
    found = Kept()
    assert bool(await found.take_in(arrival(deletion(*tags), DELETIONS))) is passes
    assert bool(found.dropped["deletes_something_else"]) is not passes


async def test_a_large_batch_is_judged_like_a_small_one() -> None:
    """Above a size the work is done on a thread: the order, the drops and the counts are the same."""
    found = Kept()
    events = [rsvp(number) for number in range(150)]
    arrivals = [
        arrival(changed(event, sig="0" * 128) if place % 10 == 0 else event) for place, event in enumerate(events)
    ]
    expected = [event.id for place, event in enumerate(events) if place % 10]
    assert await found.take_in(*arrivals) == expected
    assert (found.dropped["bad_signature"], found.ingest.accepted) == (15, 135)


async def test_the_memory_of_copies_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest ids are forgotten first; a forgotten copy costs a verification and nothing else."""
    monkeypatch.setattr(ingest, "MAX_SEEN", 3)
    found = Kept()
    events = [rsvp(number) for number in range(5)]
    await found.take_in(*map(arrival, events))
    assert [found.ingest.has_seen(event.id) for event in events] == [False, False, True, True, True]
    assert await found.take_in(arrival(rsvp(0))) == [events[0].id]


async def test_nothing_is_nothing() -> None:
    """An empty batch is no work."""
    assert await Kept().take_in() == []


async def test_an_answer_of_40_kilobytes_is_dropped() -> None:
    """Anybody can write one, and it would be kept: it is as large as an answer needs, or a counted drop."""
    found = Kept()
    tags = (("a", LESSON), ("d", "x"), ("status", "accepted"))
    large = signed(BEN, kind=kinds.RSVP, tags=tags, content="x" * 40_000)
    assert await found.take_in(arrival(large), arrival(rsvp())) == [rsvp().id]
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
    found = Kept()
    assert await found.take_in(arrival(signed(BEN, kind=kinds.RSVP, tags=(*tags, ("d", "x"))))) == []
    assert found.dropped == {"no_answer": 1}

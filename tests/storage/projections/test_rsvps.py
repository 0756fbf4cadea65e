"""Who answered what: one RSVP a person and session, its place in the queue, and what services own in the row."""

from __future__ import annotations

import random
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_protocol import kinds
from podium_protocol.events import EventId, VerifiedEvent
from podium_protocol.filters import Filter
from podium_protocol.keys import SecretKey
from podium_protocol.live.rsvp import Rsvp, RsvpStatus, read_rsvp
from podium_storage import migrations
from podium_storage.backend import Value
from podium_storage.changes import ChangeKind
from podium_storage.database import Transaction
from podium_storage.projections.rsvps import RSVP_FLOORS, FoldedRsvp
from podium_storage.table.models import RsvpRow
from tests.support.events import NOW, key_of, verified
from tests.support.mirrors import Mirrored, deletion, lesson, mirrored, rsvp

ALICE, BOB, TEACHER = (key_of(number) for number in (1, 2, 3))
HERE, THERE = lesson(TEACHER, "here"), lesson(TEACHER, "there")


async def row_of(here: Mirrored, key: SecretKey = ALICE, session_address: str = HERE) -> RsvpRow | None:
    return await here.store.rsvps.where("[lessonId+pubkey]").equals([session_address, key.pubkey]).first()


async def answered(here: Mirrored, answer: Rsvp) -> None:
    """Take an answer in that is no event."""
    folded = [FoldedRsvp(answer)]
    await here.store.database.transact(lambda tx: here.projection.fold_answers(tx, folded, received_at=NOW))


async def place_of(here: Mirrored, key: SecretKey = ALICE) -> tuple[int, int]:
    row = await row_of(here, key)
    assert row is not None
    return row.first_seen, row.first_seen_at


def test_the_migration_makes_the_declared_table() -> None:
    """The SQL of the shipped migration is what the declaration asks for."""
    script = next(one.sql for one in migrations.shipped() if one.name == "0002_mirror")
    for statement in RSVP_FLOORS.statements():
        assert statement in script


async def test_an_rsvp_becomes_a_row() -> None:
    """The row holds the answer, the event it comes from, the revision it names and when it was first seen."""
    event = rsvp(ALICE, HERE, "tentative", at=NOW - 5, more=("e", "ab" * 32))
    async with mirrored() as here:
        await here.ingest(event)
        assert await row_of(here) == RsvpRow(
            id=1,
            session_address=HERE,
            pubkey=ALICE.pubkey,
            status="tentative",
            rsvp_time=NOW - 5,
            event_id=event.id,
            revision_id="ab" * 32,
            first_seen=1,
            first_seen_at=NOW,
            identifier="r",
        )


@pytest.mark.parametrize(
    "event",
    [
        rsvp(ALICE, HERE, "confirmed"),
        rsvp(ALICE, HERE, ""),
        rsvp(ALICE, f"31922:{TEACHER.pubkey}:here"),
        rsvp(ALICE, "31923:zz:here"),
        rsvp(ALICE, ""),
    ],
    ids=["no word of NIP-52", "no status", "a date-based event", "no pubkey", "no address"],
)
async def test_what_is_no_rsvp_makes_no_row(event: VerifiedEvent) -> None:
    """A kind 31925 that answers to no session, or says nothing we know, is mirrored and not counted."""
    async with mirrored() as here:
        assert await here.ingest(event) == ["stored"]
        assert await here.answers() == {}


async def test_the_newest_counts_whatever_its_d() -> None:
    """Clients mint a new d for each click: the newest created_at counts, and an older one that comes late does not."""
    async with mirrored() as here:
        await here.ingest(rsvp(ALICE, HERE, "accepted", d="1", at=2))
        await here.ingest(newest := rsvp(ALICE, HERE, "declined", d="2", at=3))
        await here.ingest(rsvp(ALICE, HERE, "tentative", d="3", at=1))
        assert await here.answers() == {(HERE, ALICE.pubkey): ("declined", newest.id)}


async def test_who_is_new_in_a_transaction_is_known_to_its_next_batch() -> None:
    """Two batches of one transaction by a person never heard of: the second finds what the first one wrote."""
    first, second = rsvp(ALICE, HERE, d="one", at=NOW), rsvp(ALICE, HERE, "declined", d="two", at=NOW + 1)

    async def scope(tx: Transaction) -> list[str]:
        return [
            outcome.value
            for events in ([first], [first, second], [rsvp(ALICE, HERE, "tentative", d="two", at=NOW)])
            for outcome in await here.mirror.ingest_within(tx, events, received_at=NOW)
        ]

    async with mirrored() as here:
        outcomes = await here.store.database.transact(scope)
        assert outcomes == ["stored", "duplicate", "stored", "superseded"]
        assert await here.answers() == {(HERE, ALICE.pubkey): ("declined", second.id)}
        assert await here.held() == {second.id}


async def test_a_tie_goes_to_the_lowest_id() -> None:
    """Two answers of one second: the lower id counts, in either order."""
    pair = [rsvp(ALICE, HERE, status, d=d) for status, d in (("accepted", "1"), ("declined", "2"))]
    low = min(pair, key=lambda event: event.id)
    for order in (pair, pair[::-1]):
        async with mirrored() as here:
            for event in order:
                await here.ingest(event)
            row = await row_of(here)
            assert row is not None
            assert row.event_id == low.id


async def test_people_and_sessions_are_apart() -> None:
    """One person's answer is nothing to another person, nor to another session."""
    async with mirrored() as here:
        await here.ingest(
            rsvp(ALICE, HERE, d="1"), rsvp(BOB, HERE, "declined", d="1"), rsvp(ALICE, THERE, "tentative", d="2")
        )
        statuses = {person: status for person, (status, _) in (await here.answers()).items()}
        assert statuses == {
            (HERE, ALICE.pubkey): "confirmed",
            (HERE, BOB.pubkey): "declined",
            (THERE, ALICE.pubkey): "tentative",
        }


@pytest.mark.parametrize("deletion_first", [False, True])
async def test_a_deleted_answer_does_not_give_way_to_an_older_one(*, deletion_first: bool) -> None:
    """A kind 5 on the answer that counts: no answer, although an older one with another d is there or comes late."""
    older, newest, late = (rsvp(ALICE, HERE, d=str(at), at=at) for at in (2, 3, 1))
    gone = deletion(ALICE, e=[newest.id], at=4)
    async with mirrored() as here:
        for event in (older, gone, newest) if deletion_first else (older, newest, gone):
            await here.ingest(event)
        await here.ingest(late)
        assert await row_of(here) is None


async def test_many_dead_answers_of_one_session_are_all_remembered() -> None:
    """A late older answer stays dead although more people of that session withdrew than came in the batch."""
    keys = [key_of(number) for number in range(10, 16)]
    answers = [rsvp(key, HERE, d="1", at=2) for key in keys]
    async with mirrored() as here:
        await here.ingest(*answers, *(deletion(key, e=[one.id]) for key, one in zip(keys, answers, strict=True)))
        for key in keys:
            await here.ingest(rsvp(key, HERE, d="0", at=1))
        assert await here.answers() == {}


async def test_a_deletion_by_address_takes_the_answer() -> None:
    """A kind 5 with the address of the RSVP counts as one with its id does."""
    async with mirrored() as here:
        await here.ingest(
            rsvp(ALICE, HERE, d="x", at=1),
            deletion(ALICE, a=[f"31925:{ALICE.pubkey}:x"], at=1),
            rsvp(ALICE, HERE, d="y", at=0),
        )
        assert await row_of(here) is None


async def test_a_deleted_loser_changes_nothing() -> None:
    """The death of an answer that does not count leaves the one that does, with its place."""
    loser, winner = rsvp(ALICE, HERE, d="1", at=1), rsvp(ALICE, HERE, d="2", at=2)
    async with mirrored() as here:
        await here.ingest(loser, winner)
        before = await row_of(here)
        await here.ingest(deletion(ALICE, e=[loser.id], at=3))
        assert await row_of(here) == before


async def test_a_newer_answer_after_a_deletion_counts() -> None:
    """Who answers again after deleting is in again, at the back."""
    first = rsvp(ALICE, HERE, d="1", at=1)
    async with mirrored() as here:
        await here.ingest(first)
        await here.ingest(rsvp(BOB, HERE))
        await here.ingest(deletion(ALICE, e=[first.id], at=2))
        await here.ingest(rsvp(ALICE, HERE, d="2", at=3), at=NOW + 9)
        assert await place_of(here) > await place_of(here, BOB)
        assert (await place_of(here))[1] == NOW + 9


def unaddressed(session_address: str, *, at: int, status: str = "accepted", note: str = "") -> VerifiedEvent:
    """An answer without a `d`, as some clients write them: each replaces the one before on relays."""
    return verified(
        ALICE, kind=kinds.RSVP, tags=(("a", session_address), ("status", status)), content=note, created_at=at
    )


TWO_SESSIONS = {
    "the same d": (rsvp(ALICE, HERE, d="x", at=1), rsvp(ALICE, THERE, "tentative", d="x", at=2)),
    "no d": (unaddressed(HERE, at=1), unaddressed(THERE, at=2, status="tentative")),
}
two_sessions = pytest.mark.parametrize(("first", "second"), TWO_SESSIONS.values(), ids=TWO_SESSIONS)


@two_sessions
@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("together", [False, True])
async def test_an_answer_to_another_session_ends_none(
    first: VerifiedEvent, second: VerifiedEvent, *, newest_first: bool, together: bool
) -> None:
    """Relays keep the newer event only; the answers are about two sessions, and both stand."""
    order = (second, first) if newest_first else (first, second)
    async with mirrored() as here:
        for batch in [order] if together else [[event] for event in order]:
            await here.ingest(*batch)
        assert await here.answers() == {
            (HERE, ALICE.pubkey): ("confirmed", first.id),
            (THERE, ALICE.pubkey): ("tentative", second.id),
        }
        assert await here.held() == {second.id}


@two_sessions
@pytest.mark.parametrize("by_id", [False, True])
@pytest.mark.parametrize("together", [False, True])
async def test_an_answer_that_relays_hold_no_more_can_be_deleted(
    first: VerifiedEvent, second: VerifiedEvent, *, by_id: bool, together: bool
) -> None:
    """By id it ends that answer alone, by address all that its author gave under it until then; by nobody else's."""
    address = f"31925:{ALICE.pubkey}:{'x' if first.tags[1][0] == 'd' else ''}"
    theirs = deletion(BOB, e=[first.id], at=9)
    own = deletion(ALICE, e=[first.id], at=9) if by_id else deletion(ALICE, a=[address], at=1)
    async with mirrored() as here:
        await here.ingest(first, second, theirs)
        assert len(await here.answers()) == 2
        for batch in [[own]] if not together else [[own, first]]:
            await here.ingest(*batch)
        assert await here.answers() == {(THERE, ALICE.pubkey): ("tentative", second.id)}
        await here.ingest(deletion(ALICE, a=[address], at=10))
        assert await here.answers() == {}


async def test_what_is_no_answer_ends_none() -> None:
    """An event of the same address that answers to nothing, or in no known word, leaves the answer before it."""
    async with mirrored() as here:
        await here.ingest(answer := rsvp(ALICE, HERE, d="x", at=1))
        await here.ingest(rsvp(ALICE, HERE, "perhaps", d="x", at=2), rsvp(ALICE, "", d="x", at=3))
        assert await here.answers() == {(HERE, ALICE.pubkey): ("confirmed", answer.id)}


async def test_a_note_stays_with_its_answer() -> None:
    """The words of the newest answer, without controls; an answer without words has none."""
    async with mirrored() as here:
        await here.ingest(unaddressed(HERE, at=1, note="I come\x07 late.\n"))
        first = await row_of(here)
        await here.ingest(unaddressed(HERE, at=2))
        second = await row_of(here)
        assert first is not None
        assert second is not None
        assert (first.note, second.note) == ("I come late.", None)


async def test_an_expired_answer_is_none() -> None:
    """An RSVP whose NIP-40 time has come is gone, and the older one stays gone."""
    async with mirrored() as here:
        await here.ingest(rsvp(ALICE, HERE, d="0", at=0), rsvp(ALICE, HERE, d="x", more=("expiration", str(NOW + 1))))
        assert await row_of(here) is not None
        await here.mirror.sweep_expired(NOW + 1)
        assert await row_of(here) is None


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ("accepted", "accepted", True),
        ("tentative", "tentative", True),
        ("declined", "declined", True),
        ("accepted", "declined", False),
        ("declined", "accepted", False),
        ("tentative", "accepted", False),
        ("accepted", "tentative", False),
    ],
)
@pytest.mark.parametrize("together", [True, False], ids=["one batch", "two"])
async def test_the_place_is_kept_while_the_status_is_repeated(
    before: str, after: str, *, kept: bool, together: bool
) -> None:
    """The same status again keeps `first_seen`; a change of mind goes to the back."""
    events = [rsvp(ALICE, HERE, before, at=1), rsvp(ALICE, HERE, after, at=2)]
    async with mirrored() as here:
        await here.ingest(rsvp(ALICE, HERE, before, at=0), at=NOW - 100)
        place = await place_of(here)
        if together:
            await here.ingest(*events)
        else:
            await here.ingest(events[0])
            await here.ingest(events[1])
        assert (await place_of(here) == place) is kept
        if not kept:
            assert await place_of(here) > place
            assert (await place_of(here))[1] == NOW


async def test_confirmed_declined_confirmed_goes_to_the_back() -> None:
    """A change of mind and back loses the place, even when both come in one batch."""
    async with mirrored() as here:
        await here.ingest(rsvp(ALICE, HERE, "accepted", at=1))
        await here.ingest(rsvp(BOB, HERE, "accepted", at=1))
        await here.ingest(rsvp(ALICE, HERE, "declined", at=2), rsvp(ALICE, HERE, "accepted", at=3))
        assert await place_of(here) > await place_of(here, BOB)


async def test_places_are_in_the_order_of_arrival() -> None:
    """`first_seen` strictly increases in the order of arrival, not of created_at, and never repeats."""
    keys = [key_of(number) for number in range(10, 22)]
    async with mirrored() as here:
        await here.ingest(*(rsvp(key, HERE, at=100 - number) for number, key in enumerate(keys[:6])))
        last = rsvp(keys[6], HERE)
        await here.ingest(last)
        await here.ingest(deletion(keys[6], e=[last.id]))
        for key in keys[7:]:
            await here.ingest(rsvp(key, HERE))
        rows = await here.store.rsvps.to_list()
        by_arrival = [row.pubkey for row in sorted(rows, key=lambda row: row.first_seen)]
        assert by_arrival == [key.pubkey for key in keys if key is not keys[6]]
        assert len({row.first_seen for row in rows}) == len(rows)


async def test_what_services_own_is_left_alone() -> None:
    """Seat, position and `reminderSent` survive a repeated answer."""
    async with mirrored() as here:
        await here.ingest(rsvp(ALICE, HERE, "accepted", at=1))
        owned = {"seat": "held", "position": 7, "reminder_sent": True}
        await here.store.rsvps.where("lessonId").equals(HERE).modify(**owned)
        await here.ingest(rsvp(ALICE, HERE, "accepted", at=2))
        row = await row_of(here)
        assert row is not None
        assert {name: getattr(row, name) for name in owned} == owned


async def test_a_new_place_in_the_queue_has_no_seat() -> None:
    """A participant who changes the answer and changes it back, even in one batch, holds the former seat no more."""
    async with mirrored() as here:
        await here.ingest(rsvp(ALICE, HERE, "accepted", at=1))
        await here.store.rsvps.where("lessonId").equals(HERE).modify(seat="held", reminder_sent=True)
        await here.ingest(rsvp(ALICE, HERE, "declined", at=2), rsvp(ALICE, HERE, "accepted", at=3))
        row = await row_of(here)
        assert row is not None
        assert (row.seat, row.reminder_sent) == ("none", True)


async def test_a_flag_is_about_the_revision_it_was_set_for() -> None:
    """`needsReconfirmation` stays while the same revision is answered to, and is taken back when another one is."""
    async with mirrored() as here:
        await here.ingest(rsvp(ALICE, HERE, at=1, more=("e", "ab" * 32)))
        await here.store.rsvps.where("lessonId").equals(HERE).modify(needs_reconfirmation=True)
        flags = []
        for at, revision in ((2, "ab" * 32), (3, "cd" * 32)):
            await here.ingest(rsvp(ALICE, HERE, at=at, more=("e", revision)))
            row = await row_of(here)
            assert row is not None
            flags.append(row.needs_reconfirmation)
        assert flags == [True, False]


async def test_the_feed_tells_of_rows() -> None:
    """Services hear of new, changed and removed answers, with the row before and after."""
    events = [rsvp(ALICE, HERE, "accepted", at=1), rsvp(ALICE, HERE, "declined", at=2)]
    async with mirrored() as here:
        with here.store.changes.subscribe("trainingLiveSessionRSVPs") as changes:
            for event in (*events, deletion(ALICE, e=[events[1].id])):
                await here.ingest(event)
            batch = changes.take_changes()
        assert batch is not None
        assert [change.kind for change in batch.changes] == [ChangeKind.CREATED, ChangeKind.UPDATED, ChangeKind.DELETED]


async def test_answers_that_came_by_message_follow_the_same_rules() -> None:
    """An answer that is no public event competes with those that are, and can be withdrawn."""
    told = Rsvp(
        session_address=HERE,
        pubkey=ALICE.pubkey,
        status=RsvpStatus.DECLINED,
        created_at=5,
        event_id=EventId("0" * 64),
    )
    async with mirrored() as here:
        await here.ingest(rsvp(ALICE, HERE, at=4))

        async def take(answer: FoldedRsvp) -> None:
            await here.store.database.transact(lambda tx: here.projection.fold_answers(tx, [answer], received_at=NOW))

        await take(FoldedRsvp(msgspec.structs.replace(told, created_at=3)))
        assert (await here.answers())[HERE, ALICE.pubkey][0] == "confirmed"
        await take(FoldedRsvp(told))
        assert (await here.answers())[HERE, ALICE.pubkey] == ("declined", told.event_id)
        await take(FoldedRsvp(told, held=False))
        assert await here.answers() == {}


_keys = st.sampled_from((ALICE, BOB))
_answers = st.builds(
    rsvp,
    _keys,
    st.sampled_from((HERE, THERE, "no address")),
    st.sampled_from(("accepted", "declined", "no word")),
    d=st.sampled_from(("one", "two", "three")),
    at=st.integers(NOW - 4, NOW),
)


@st.composite
def _histories(draw: st.DrawFn) -> list[list[VerifiedEvent | Rsvp]]:
    """Batches of answers, deletions of some of them, and answers that are no events."""
    answers = draw(st.lists(_answers, min_size=1, max_size=10))
    events: list[VerifiedEvent | Rsvp] = [*answers]
    for one in draw(st.lists(st.sampled_from(answers), max_size=3)):
        key = ALICE if one.pubkey == ALICE.pubkey else BOB
        address = f"{kinds.RSVP}:{one.pubkey}:{one.tags[1][1]}"
        events.append(draw(st.sampled_from((deletion(key, e=[one.id]), deletion(key, a=[address], at=one.created_at)))))
    for number in range(draw(st.integers(0, 2))):
        at, event_id = draw(st.integers(NOW - 4, NOW + 1)), EventId(f"{number}" * 64)
        events.append(
            Rsvp(
                session_address=draw(st.sampled_from((HERE, THERE))),
                pubkey=draw(_keys).pubkey,
                status=RsvpStatus.DECLINED,
                created_at=at,
                event_id=event_id,
            )
        )
    events = draw(st.permutations(events))
    cuts = sorted(draw(st.sets(st.integers(1, len(events)), max_size=4)))
    return [events[start:end] for start, end in pairwise([0, *cuts, len(events)])]


@settings(deadline=None, max_examples=30)
@given(_histories())
async def test_the_mirror_keeps_no_answer_that_does_not_count(history: list[list[VerifiedEvent | Rsvp]]) -> None:
    """However answers come, are deleted or outdone: else one key could fill the disk with answers to one session."""
    async with mirrored() as here:
        for batch in history:
            for one in batch:
                if isinstance(one, Rsvp):
                    await answered(here, one)
            await here.ingest(*(one for one in batch if isinstance(one, VerifiedEvent)))
            counting = {row.event_id for row in await here.store.rsvps.to_list()}
            events = [one for one in batch if isinstance(one, VerifiedEvent)]
            touched = {_question_of(one) for one in events if read_rsvp(one) is not None}
            unread = {one.id for one in events if read_rsvp(one) is None}
            held = await here.mirror.by_filter(Filter(kinds=(kinds.RSVP,)))
            judged = [event for event in held if _question_of(event) in touched or event.id in unread]
            assert not [event for event in judged if event.id not in counting]


def _question_of(event: VerifiedEvent) -> tuple[str, str]:
    """Who answers, and to what."""
    return event.pubkey, event.tags[0][1]


async def test_five_thousand_answers_are_one_batch() -> None:
    """A flood is taken in whole, each person once, whatever the order of the copies."""
    # One key for all would be one person: so the events of a few people are spread over many sessions.
    keys = [key_of(number) for number in range(20)]
    lessons = [lesson(TEACHER, str(number)) for number in range(250)]
    events = [rsvp(key, where, d=str(d)) for key in keys for d, where in enumerate(lessons)]
    random.Random(7).shuffle(events)
    async with mirrored() as here:
        outcomes = await here.ingest(*events, *events[:500])
        assert outcomes == ["stored"] * 5_000 + ["duplicate"] * 500
        assert await here.store.rsvps.count() == 5_000
        orders: list[tuple[Value, ...]] = await here.store.database.fetch_all(
            'SELECT count(DISTINCT "firstSeen"), min("firstSeen"), max("firstSeen") FROM "trainingLiveSessionRSVPs"'
        )
        assert orders == [(5_000, 1, 5_000)]

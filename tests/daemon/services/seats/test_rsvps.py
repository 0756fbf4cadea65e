"""Seats and the waiting list."""

from __future__ import annotations

from podium_protocol.live.rsvp import RsvpStatus
from podium_storage.changes import Batch
from podium_storage.projections.rsvps import unsettled_sessions
from tests.support.reads import reading
from tests.support.world import EVERYTHING, world


async def test_seats_go_in_the_order_of_arrival_and_the_rest_wait() -> None:
    """With two seats, the third confirmation waits at position 1 and is told so; nobody is told twice."""
    async with world() as here:
        row = await here.schedule(max_participants=2)
        people = [await here.person() for _ in range(3)]
        for person in people:
            await here.answer(person, row)
        await here.turn()
        await here.turn()
        rsvps = [await here.rsvp(person, row) for person in people]
        assert [(each.seat, each.position) for each in rsvps if each] == [
            ("held", None),
            ("held", None),
            ("waiting", 1),
        ]
        assert here.letters(people[0]) == ["You are confirmed: Know your rights"]
        assert here.letters(people[2]) == ["You are number 1 on the waiting list: Know your rights"]


async def test_nothing_is_kept_of_sessions_that_are_over() -> None:
    """When a session was last looked at, and that it is to be looked at again, is forgotten with it."""
    async with world() as here:
        for _ in range(3):
            row = await here.schedule(starts_in=0, max_participants=2)
            await here.answer(await here.person(), row)
            await here.turn()
            here.rsvps._put_off[row.session_address] = None
            await here.lifecycle.end(row.session_address, here.instructor.pubkey)
        await here.advance(3600)
        assert (here.rsvps._rests, here.rsvps._put_off) == ({}, {})


async def test_a_freed_seat_promotes_the_first_who_waits() -> None:
    """When a person declines, the first on the list gets the seat, is told, and has reminders from then on."""
    async with world() as here:
        row = await here.schedule(max_participants=1)
        first, second = await here.person(), await here.person()
        await here.answer(first, row)
        await here.answer(second, row)
        await here.turn()
        await here.clock.advance(60)
        await here.answer(first, row, RsvpStatus.DECLINED)
        await here.turn()
        promoted = await here.rsvp(second, row)
        assert promoted is not None
        assert promoted.seat == "held"
        assert here.letters(second)[-1] == "A seat became free, you are confirmed: Know your rights"
        assert "day" in await here.states(second, row)


async def test_a_second_confirmation_after_declining_goes_to_the_back() -> None:
    """A person who gives the seat away and wants it back waits behind those who came meanwhile."""
    async with world() as here:
        row = await here.schedule(max_participants=1)
        first, second = await here.person(), await here.person()
        await here.answer(first, row)
        await here.answer(second, row)
        await here.turn()
        await here.clock.advance(10)
        await here.answer(first, row, RsvpStatus.DECLINED)
        await here.turn()
        await here.clock.advance(10)
        await here.answer(first, row, RsvpStatus.CONFIRMED)
        await here.turn()
        back = await here.rsvp(first, row)
        assert back is not None
        assert (back.seat, back.position) == ("waiting", 1)


async def test_without_a_cap_everybody_who_confirms_has_a_seat() -> None:
    """A session without a cap seats all confirmed people and no tentative ones."""
    async with world() as here:
        row = await here.schedule()
        sure, unsure = await here.person(), await here.person()
        await here.answer(sure, row)
        await here.answer(unsure, row, RsvpStatus.TENTATIVE)
        await here.turn()
        rsvps = [await here.rsvp(person, row) for person in (sure, unsure)]
        assert [each.seat for each in rsvps if each] == ["held", "none"]


async def test_an_answer_to_another_start_is_kept_and_flagged() -> None:
    """A person who answered to the old time is flagged after a move, until they answer to the new one."""
    async with world() as here:
        row = await here.schedule(starts_in=48 * 3600)
        person = await here.person()
        await here.answer(person, row, revision=True)
        await here.turn()
        await here.clock.advance(60)
        moved = await here.move(row, row.scheduled_at + 3600)
        await here.turn()
        flagged = await here.rsvp(person, row)
        assert flagged is not None
        assert flagged.needs_reconfirmation
        assert flagged.status == "confirmed"
        await here.clock.advance(60)
        await here.answer(person, moved, revision=True)
        await here.turn()
        again = await here.rsvp(person, row)
        assert again is not None
        assert not again.needs_reconfirmation


async def test_one_answer_among_many_sessions_reads_its_own_session_only() -> None:
    """However many sessions there are, an answer reads one session; a turn in which nothing changed reads none."""
    async with world() as here:
        rows = [await here.schedule(max_participants=2) for _ in range(20)]
        await here.rsvps._turn(EVERYTHING)
        tables = (here.store.sessions.name, here.store.rsvps.name)
        with here.store.changes.subscribe(*tables) as changes, reading(here.store.database) as reads:
            await here.rsvps._turn(Batch(()))
            assert reads.count == 0
            person = await here.person()
            await here.answer(person, rows[7])
            reads.queries.clear()
            batch = changes.take_changes()
            assert batch is not None
            await here.rsvps._turn(batch)
            assert reads.rows_of(here.store.sessions.name) == 1
        answered = await here.rsvp(person, rows[7])
        assert answered is not None
        assert answered.seat == "held"


async def test_an_answer_that_was_stored_while_the_service_was_down_gets_its_seat() -> None:
    """At the start the sessions with an undecided answer are settled, and no others are read."""
    async with world() as here:
        rows = [await here.schedule(max_participants=cap) for cap in (None, 2, None)]
        person = await here.person()
        for row in rows[:2]:
            await here.answer(person, row)
        assert sorted(await unsettled_sessions(here.store.database, 0)) == sorted(
            row.session_address for row in rows[:2]
        )
        await here.rsvps._turn(EVERYTHING)
        assert await unsettled_sessions(here.store.database, 0) == []
        assert [(await here.rsvp(person, row)).seat for row in rows[:2]] == ["held", "held"]  # type: ignore[union-attr]

"""The people of the open sessions: always those whose answers are stored, whatever changed in which order."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from podium_daemon.relays.interests import ParticipantIndex
from podium_protocol.keys import SecretKey
from podium_protocol.live.rsvp import RsvpStatus
from podium_storage.changes import Batch
from podium_storage.table.models import QuestionRow, RoomMemberRow
from tests.support.world import World, new_key, world


@pytest.fixture
async def here() -> AsyncIterator[World]:
    async with world() as opened:
        yield opened


async def test_people_stand_in_the_order_in_which_they_came(here: World) -> None:
    """A person who answers later stands behind, also where the others had answered to another session."""
    first, second = await here.schedule(), await here.schedule()
    ada, ben, cem = new_key(), new_key(), new_key()
    audience = ParticipantIndex(here.store)
    await here.answer(ada, first)
    await here.answer(ben, second)
    with here.store.changes.subscribe(here.store.rsvps.name) as changes:
        await audience.track([first.session_address, second.session_address])
        await here.answer(cem, first)
        audience.apply(changes.take_changes() or Batch(()))
    assert audience.people == (ada.pubkey, ben.pubkey, cem.pubkey)


async def test_who_asks_belongs_to_it(here: World) -> None:
    """A person with a question and no RSVP is followed, so that their deletion is heard; after a fresh reading too."""
    row, ada = await here.schedule(), new_key()
    audience = ParticipantIndex(here.store)
    with here.store.changes.subscribe(here.store.questions.name) as changes:
        await audience.track([row.session_address])
        question = QuestionRow(
            session_address=row.session_address,
            pubkey=ada.pubkey,
            event_id="ab" * 32,
            text="Why?",
            created_at=here.now,
            first_seen_at=here.now,
        )
        await here.store.questions.add(question)
        audience.apply(changes.take_changes() or Batch(()))
    assert audience.people == (ada.pubkey,)
    again = ParticipantIndex(here.store)
    await again.track([row.session_address])
    assert again.people == (ada.pubkey,)


@pytest.mark.parametrize(("assurance", "is_there"), [("signature", True), ("link", True), ("guest", False)])
async def test_who_joined_without_an_answer_belongs_to_it(here: World, assurance: str, is_there: bool) -> None:
    """Their name is looked for, and their message relays. A guest's key is the service's own: no relay hears of it."""
    row, ada = await here.schedule(), new_key()
    audience, member = (
        ParticipantIndex(here.store),
        RoomMemberRow(
            session_address=row.session_address,
            pubkey=ada.pubkey,
            state="admitted",
            role="participant",
            updated_at=here.now,
            assurance=assurance,
        ),
    )
    with here.store.changes.subscribe(here.store.members.name) as changes:
        await audience.track([row.session_address])
        await here.store.members.add(member)
        audience.apply(changes.take_changes() or Batch(()))
    again = ParticipantIndex(here.store)
    await again.track([row.session_address])
    assert (audience.people == (ada.pubkey,), again.people == (ada.pubkey,)) == (is_there, is_there)


async def test_it_is_what_the_store_says_after_any_changes(here: World) -> None:
    """Answers, withdrawals, sessions that come and go, and lost changes end where a fresh reading ends."""
    order = random.Random(7)
    rows = [await here.schedule() for _ in range(3)]
    people = [new_key() for _ in range(6)]
    audience, given = ParticipantIndex(here.store), set[tuple[int, SecretKey]]()
    with here.store.changes.subscribe(here.store.rsvps.name) as changes:
        for step in range(40):
            number, person = order.randrange(3), order.choice(people)
            if (number, person) in given and order.random() < 0.5:
                lesson, pubkey = rows[number].session_address, person.pubkey
                await here.store.rsvps.where("[lessonId+pubkey]").equals([lesson, pubkey]).delete()
            elif (number, person) not in given:
                await here.answer(person, rows[number], RsvpStatus.TENTATIVE)
                given.add((number, person))
            taken = changes.take_changes() or Batch(())
            audience.apply(Batch((), resync=True) if step % 9 == 8 else taken)
            open_lessons = [row.session_address for row in rows if order.random() < 0.8]
            await audience.track(open_lessons)
            stored = await here.store.rsvps.where("lessonId").any_of(open_lessons).to_list()
            assert set(audience.people) == {row.pubkey for row in stored}
            assert len(audience) == len(audience.people)


async def test_one_more_answer_reads_nothing_again(here: World) -> None:
    """A flood of answers costs what the answers cost: the store is not asked for those that are known."""
    row = await here.schedule()
    audience = ParticipantIndex(here.store)
    await audience.track([row.session_address])
    with here.store.changes.subscribe(here.store.rsvps.name) as changes:
        await here.answer(new_key(), row)
        audience.apply(changes.take_changes() or Batch(()))
    here.store.rsvps.where = None  # type: ignore[method-assign, assignment]  # a call of it fails
    await audience.track([row.session_address])
    assert len(audience) == 1

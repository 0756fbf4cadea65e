"""Questions that come from relays: who is shown, who waits, what floods cost, and what a lost disk brings back."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from podium_daemon.services.questions.judging import MAX_STRANGERS
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Pubkey, UnsignedEvent, VerifiedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.live.questions import Moderation, write_question
from podium_storage.table.models import LiveSessionRow, QuestionRow, RoomMemberRow
from tests.support.world import EVERYTHING, World, new_key, signed, world


@pytest.fixture
async def here() -> AsyncIterator[World]:
    async with world() as found:
        yield found


def written(
    here: World, row: LiveSessionRow, key: SecretKey, text: str = "Why?", *, reply_to: str | None = None, at: int = 0
) -> VerifiedEvent:
    """A question as any client would publish it."""
    meeting = Address(kinds.LIVE_EVENT, here.service.pubkey, row.conference_room_id or "")
    parent = EventId(reply_to) if reply_to else None
    return signed(key, write_question(meeting, text, pubkey=key.pubkey, now=at or here.now, reply_to=parent))


async def arrive(here: World, *events: VerifiedEvent) -> None:
    """The relays bring events, and the service is told what changed."""
    with here.store.changes.subscribe() as changes:
        await here.mirror.ingest(events, received_at=here.now)
        batch = changes.take_changes()
    if batch is not None:
        await here.questions._turn(batch)


async def rows(here: World, row: LiveSessionRow) -> list[QuestionRow]:
    """The session's questions in the order of arrival."""
    return await here.store.questions.where("lessonId").equals(row.session_address).to_list()


async def states(here: World, row: LiveSessionRow) -> list[tuple[str, str | None]]:
    """What became of each."""
    return [(one.state, one.hold) for one in await rows(here, row)]


async def guest(here: World, row: LiveSessionRow) -> SecretKey:
    """A person who has confirmed."""
    key = new_key()
    await here.answer(key, row)
    return key


async def test_a_guests_question_is_shown_and_a_strangers_waits(here: World) -> None:
    """Who has answered is heard by everybody; who has not, by those who lead; the instructor always."""
    row = await here.schedule()
    key = await guest(here, row)
    await arrive(here, written(here, row, key), written(here, row, new_key()), written(here, row, here.instructor))
    assert await states(here, row) == [("shown", None), ("held", "stranger"), ("shown", None)]


async def test_a_stranger_who_answers_is_heard(here: World) -> None:
    """An RSVP, or being let in, shows what a person asked before; another person's does not."""
    row = await here.schedule()
    ada, ben = new_key(), new_key()
    await arrive(here, written(here, row, ada), written(here, row, ben))
    with here.store.changes.subscribe() as changes:
        await here.answer(ada, row)
        batch = changes.take_changes()
    assert batch is not None
    await here.questions._turn(batch)
    assert await states(here, row) == [("shown", None), ("held", "stranger")]
    member = RoomMemberRow(
        session_address=row.session_address,
        pubkey=ben.pubkey,
        state="admitted",
        role="participant",
        updated_at=0,
        assurance="x",
    )
    with here.store.changes.subscribe() as changes:
        await here.store.members.put(member)
        batch = changes.take_changes()
    assert batch is not None
    await here.questions._turn(batch)
    assert await states(here, row) == [("shown", None), ("shown", None)]


async def test_who_was_removed_is_not_heard(here: World) -> None:
    """A question of a person who was thrown out waits, whatever they answered."""
    row = await here.schedule()
    key = await guest(here, row)
    await here.rooms.door.remove(row, key.pubkey, "", here.instructor.pubkey)
    await arrive(here, written(here, row, key))
    assert await states(here, row) == [("held", "removed")]


async def test_a_burst_waits_and_a_flood_is_forgotten(here: World) -> None:
    """Five in a minute are shown, the next wait, and beyond thirty nothing of a person is kept."""
    row = await here.schedule()
    key = await guest(here, row)
    await arrive(here, *(written(here, row, key, f"{number}?") for number in range(40)))
    found = await states(here, row)
    assert found == [("shown", None)] * 5 + [("held", "too_many")] * 25
    later = written(here, row, key, "Later?", at=here.now + 500)
    await arrive(here, later)
    assert len(await rows(here, row)) == 30


async def test_strangers_cannot_fill_the_list(here: World) -> None:
    """A crowd of fresh keys gets a bounded place, and a guest is still heard."""
    row = await here.schedule()
    key = await guest(here, row)
    await arrive(here, *(written(here, row, new_key()) for _ in range(MAX_STRANGERS + 20)))
    assert len(await rows(here, row)) == MAX_STRANGERS
    await arrive(here, written(here, row, key))
    assert (await states(here, row))[-1] == ("shown", None)


async def test_what_concerns_others_is_nothing_of_ours(here: World) -> None:
    """A meeting of another service, an unknown room, a private session: no row."""
    row = await here.schedule()
    key = await guest(here, row)
    for meeting in (
        Address(kinds.MEETING, here.instructor.pubkey, row.conference_room_id or ""),
        Address(kinds.MEETING, here.service.pubkey, "another"),
    ):
        await arrive(here, signed(key, write_question(meeting, "Why?", pubkey=key.pubkey, now=here.now)))
    await here.store.sessions.where("lessonId").equals(row.session_address).modify(visibility="private")
    await arrive(here, written(here, row, key))
    assert await rows(here, row) == []


async def test_a_deletion_counts_in_any_order(here: World) -> None:
    """The author's deletion removes the question, also if a relay brings it first; another's does not."""
    row = await here.schedule()
    key = await guest(here, row)
    first, second = written(here, row, key, "One?"), written(here, row, key, "Two?")

    def deletion(by: SecretKey, of: VerifiedEvent) -> VerifiedEvent:
        return signed(by, UnsignedEvent(by.pubkey, here.now, kinds.DELETION, (("e", of.id), ("k", "1311")), ""))

    await arrive(here, first, deletion(new_key(), first))
    assert len(await rows(here, row)) == 1
    await arrive(here, deletion(key, first))
    await arrive(here, deletion(key, second))
    await arrive(here, second)
    assert await rows(here, row) == []


async def test_what_leaders_decided_stays(here: World) -> None:
    """The same event from another relay brings nothing back that was hidden, and a start judges nothing anew."""
    row = await here.schedule()
    event = written(here, row, await guest(here, row))
    await arrive(here, event)
    assert await here.questions.moderate(row, event.id, Moderation.HIDE, here.instructor.pubkey) is None
    await here.mirror.ingest([event], received_at=here.now)
    await here.questions._turn(EVERYTHING)
    assert await states(here, row) == [("hidden", None)]


async def test_a_start_judges_what_was_left(here: World) -> None:
    """Questions that were stored and not judged before the daemon died are judged when it comes back."""
    row = await here.schedule()
    await here.mirror.ingest([written(here, row, await guest(here, row))], received_at=here.now)
    assert await states(here, row) == [("held", None)]
    await here.questions._turn(EVERYTHING)
    assert await states(here, row) == [("shown", None)]


async def test_a_question_after_the_end_waits(here: World) -> None:
    """What was asked in time and came late is shown; what was asked after the end is not."""
    row = await here.schedule(starts_in=0, minutes=30)
    await here.turn()
    key = await guest(here, row)
    in_time = written(here, row, key, "In time?")
    await here.lifecycle.end(row.session_address, here.instructor.pubkey)
    await here.clock.advance(90)
    await arrive(here, in_time, written(here, row, key, "Too late?"))
    assert await states(here, row) == [("shown", None), ("held", "over")]


async def test_pins_survive_a_lost_disk(here: World) -> None:
    """A daemon with an empty disk finds the pins in its own status event."""
    row = await here.schedule()
    key = await guest(here, row)
    event = written(here, row, key)
    await arrive(here, event)
    assert await here.questions.moderate(row, event.id, Moderation.PIN, here.instructor.pubkey) is None
    await here.turn()
    async with world(like=here) as fresh:
        remembered = [await here.event_of(row), *here.published(kinds.MEETING)]
        await fresh.mirror.ingest(remembered, received_at=here.now)
        await arrive(fresh, event)
        (found,) = await rows(fresh, row)
        assert found.pinned


async def test_a_pin_that_its_author_deletes_leaves_the_status(here: World) -> None:
    """The public status names no question that is gone."""
    row = await here.schedule()
    key = await guest(here, row)
    event = written(here, row, key)
    await arrive(here, event)
    await here.questions.moderate(row, event.id, Moderation.PIN, here.instructor.pubkey)
    await here.turn()
    assert ("pinned", event.id) in here.published(kinds.MEETING)[-1].tags
    await arrive(here, signed(key, UnsignedEvent(key.pubkey, here.now, kinds.DELETION, (("e", event.id),), "")))
    await here.turn()
    assert all(name != "pinned" for name, *_ in here.published(kinds.MEETING)[-1].tags)


async def test_a_silenced_person_waits_and_no_leader_is_silenced(here: World) -> None:
    """Silencing is about the person: what they ask later waits; instructor and co-hosts cannot be silenced."""
    row = await here.schedule()
    key = await guest(here, row)
    event, own = written(here, row, key), written(here, row, here.instructor, "Ask me!")
    await arrive(here, event, own)
    by = Pubkey(here.instructor.pubkey)
    assert await here.questions.moderate(row, event.id, Moderation.SILENCE, by) is None
    refused = await here.questions.moderate(row, own.id, Moderation.SILENCE, by)
    assert refused is not None
    assert refused.slug == "not-allowed"
    await here.clock.advance(61)
    await arrive(here, written(here, row, key, "Still there?"))
    assert await states(here, row) == [("shown", None), ("shown", None), ("held", "silenced")]

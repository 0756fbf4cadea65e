"""Letters: one for each session, recipient and topic, put down in the transaction that makes it true."""

from __future__ import annotations

import msgspec
import pytest

from podium_daemon.writers.private_outbox import Letter, attendance_letters, rumor_of, status_letter
from podium_protocol import kinds
from podium_protocol.events import UnsignedEvent
from podium_storage.table.models import LetterRow
from tests.support.world import World, new_key, world


def letter(here: World, content: str = "one", **changes: object) -> Letter:
    """Something to say to a person."""
    rumor = UnsignedEvent(here.service.pubkey, here.now, kinds.PRIVATE_MESSAGE, (), content)
    said = Letter(session_address="31923:x:y", recipient=here.instructor.pubkey, topic="session", rumor=rumor)
    return msgspec.structs.replace(said, **changes)


async def put(here: World, *letters: Letter) -> list[LetterRow]:
    """Put letters down; all there are then."""
    await here.store.database.transact(lambda tx: here.private_outbox.add(tx, letters))
    return await here.store.letters.to_list()


async def test_a_letter_is_kept_as_it_was_given() -> None:
    """The rumor that is sealed later is the one that was handed over."""
    async with world() as here:
        given = letter(here, expires_at=here.now + 60)
        (row,) = await put(here, given)
        assert rumor_of(row) == given.rumor
        assert (row.rumor_id, row.state, row.due_at, row.expires_at) == (
            given.rumor.id,
            "scheduled",
            here.now,
            here.now + 60,
        )


async def test_the_same_words_again_are_not_sent_again() -> None:
    """A message that is planned twice is sent once, also after it was sent."""
    async with world() as here:
        (row,) = await put(here, letter(here))
        await here.store.letters.put(msgspec.structs.replace(row, state="sent", rumor=b""))
        (again,) = await put(here, letter(here))
        assert again.state == "sent"


async def test_new_words_on_a_topic_take_the_place_of_the_old() -> None:
    """Nobody is sent a revision that was replaced before it could be sent."""
    async with world() as here:
        await put(here, letter(here))
        (row,) = await put(here, letter(here, "two"))
        assert (rumor_of(row).content, row.state) == ("two", "scheduled")


@pytest.mark.parametrize("change", ["session_address", "recipient", "topic"])
async def test_other_topics_people_and_sessions_have_letters_of_their_own(change: str) -> None:
    """One takes the place of another only where all three are the same."""
    async with world() as here:
        other = new_key().pubkey
        assert len(await put(here, letter(here), letter(here, "two", **{change: other}))) == 2


async def test_what_is_not_committed_is_not_sent() -> None:
    """The letter goes with the state it tells of, or not at all."""
    async with world() as here:

        async def scope(tx: object) -> None:
            await here.private_outbox.add(tx, [letter(here)])  # type: ignore[arg-type]  # the scope's own transaction
            raise LookupError

        with pytest.raises(LookupError):
            await here.store.database.transact(scope)
        assert await here.store.letters.to_list() == []


async def test_a_record_goes_to_three_and_each_is_one_letter() -> None:
    """The person, the instructor and ourselves; where two of them are one, there is one letter less."""
    async with world() as here:
        row, guest = await here.schedule(), new_key().pubkey
        record = UnsignedEvent(here.service.pubkey, here.now, kinds.ATTENDANCE, (), "")
        sent = attendance_letters(row, record, guest)
        assert [one.recipient for one in sent] == [guest, here.instructor.pubkey, here.service.pubkey]
        assert len({one.topic for one in sent}) == 1
        assert len(attendance_letters(row, record, here.instructor.pubkey)) == 2
        assert status_letter(row, record).recipient == here.service.pubkey

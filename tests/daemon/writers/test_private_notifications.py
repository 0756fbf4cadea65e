"""What happens to a private session reaches everybody it names, sealed, and no relay in plain."""

from __future__ import annotations

import pytest

from podium_protocol import kinds, tags
from podium_protocol.events import UnsignedEvent, VerifiedEvent, verify_json
from podium_protocol.live.attendance_record import read_attendance_record
from podium_protocol.live.names import short_npub
from podium_protocol.live.private import read_copy
from podium_protocol.live.rsvp import RsvpStatus
from podium_protocol.live.session import Visibility
from podium_storage.table.models import OptOutRow
from tests.support.private import answer, cancelled, edited, guests, opened, replay, scheduled, status_of, taken
from tests.support.world import OWN_INBOX, Room, World, new_key, signed, world


def copies(rumors: list[UnsignedEvent]) -> list[VerifiedEvent]:
    """The signed events in copies."""
    return [event for rumor in rumors if (event := read_copy(rumor)) is not None]


async def queued(here: World) -> list[VerifiedEvent]:
    """Everything that waits for a relay."""
    found = []
    for row in await here.outbox.due(here.now):
        event = verify_json(row.event_json)
        assert isinstance(event, VerifiedEvent)
        found.append(event)
    return found


async def test_nothing_of_it_is_queued_in_plain() -> None:
    """Session, answer, status, record, cancellation: whatever happens, only gift wraps wait for relays."""
    async with world() as here:
        ada = await here.person()
        row = await scheduled(here, ada, starts_in=600)
        await taken(here, signed(ada, answer(here, ada, row)))
        for _ in range(3):
            await here.turn()
            await here.clock.advance(600)
        await cancelled(here, await scheduled(here, ada))
        await here.turn()
        assert {event.kind for event in [*here.sent, *await queued(here)]} == {kinds.GIFT_WRAP}


async def test_everybody_named_gets_the_signed_session() -> None:
    """Guests, co-hosts, the instructor and the service itself; nobody else."""
    async with world() as here:
        ada, helper, stranger = [await here.person() for _ in range(3)]
        await here.open_inbox(here.instructor)
        row = await scheduled(here, ada, co_hosts=guests(helper))
        await here.turn()
        event = await here.event_of(row)
        for key in (ada, helper, here.instructor, here.service):
            assert copies(opened(here, key, kinds.GENERIC_REPOST)) == [event]
        assert opened(here, stranger) == []


@pytest.mark.parametrize("session_address", ["*", "another"])
async def test_who_wants_no_messages_at_all_is_not_invited_in_words(session_address: str) -> None:
    """`stop all` covers invitations; `stop` of another session does not. The signed session comes either way."""
    async with world() as here:
        ada = await here.person()
        await here.store.opt_outs.put(
            OptOutRow(pubkey=ada.pubkey, session_address=session_address, created_at=here.now)
        )
        await scheduled(here, ada)
        await here.turn()
        assert len(opened(here, ada, kinds.PRIVATE_MESSAGE)) == (session_address != "*")
        assert len(opened(here, ada, kinds.GENERIC_REPOST)) == 1


async def test_an_invitation_says_who_invites() -> None:
    """By the instructor's short npub, where their name is not known."""
    async with world() as here:
        ada = await here.person()
        await scheduled(here, ada)
        await here.turn()
        (invitation,) = opened(here, ada, kinds.PRIVATE_MESSAGE)
        assert f"{short_npub(here.instructor.pubkey)} invites you." in invitation.content


async def test_guests_are_invited_in_words_once() -> None:
    """The instructor knows; the others read title and address. The same revision again says nothing twice."""
    async with world() as here:
        ada = await here.person()
        await here.open_inbox(here.instructor)
        row = await scheduled(here, ada)
        await here.turn()
        await taken(here, await here.event_of(row))
        await here.turn()
        (words,) = opened(here, ada, kinds.PRIVATE_MESSAGE)
        assert tags.first(words.tags, "subject") == "You are invited: Know your rights"
        assert len(opened(here, ada, kinds.GENERIC_REPOST)) == 1
        assert opened(here, here.instructor, kinds.PRIVATE_MESSAGE) == []


async def test_an_edit_reaches_old_and_new_guests() -> None:
    """Everybody gets the new revision; who is new gets an invitation, who has not answered hears what changed."""
    async with world() as here:
        ada, ben = await here.person(), await here.person()
        row = await scheduled(here, ada)
        await here.turn()
        row = await edited(here, row, invited=guests(ada, ben))
        await here.turn()
        assert [len(opened(here, key, kinds.PRIVATE_MESSAGE)) for key in (ada, ben)] == [1, 1]
        row = await edited(here, row, title="Know your duties")
        await here.turn()
        for key in (ada, ben):
            words = opened(here, key, kinds.PRIVATE_MESSAGE)[-1]
            assert tags.first(words.tags, "subject") == "Invitation changed: Know your duties"
            assert copies(opened(here, key, kinds.GENERIC_REPOST))[-1].id == row.event_id


async def test_who_has_answered_hears_of_a_move_from_the_reminders_only() -> None:
    """One message about a move, not two."""
    async with world() as here:
        ada = await here.person()
        row = await scheduled(here, ada)
        await taken(here, signed(ada, answer(here, ada, row)))
        await here.turn()
        before = len(here.letters(ada))
        row = await edited(here, row, starts_at=row.scheduled_at + 3600)
        await here.advance(700)
        assert [one for one in here.letters(ada)[before:] if not one.startswith("{")] == ["Moved: Know your rights"]


@pytest.mark.parametrize("answers", [True, False])
async def test_a_cancellation_is_told_sealed(answers: bool) -> None:
    """Guests get the cancelled revision and its deletion, and one message in words, whether they answered or not."""
    async with world() as here:
        ada = await here.person()
        row = await scheduled(here, ada)
        if answers:
            await taken(here, signed(ada, answer(here, ada, row)))
        await here.turn()
        row = await cancelled(here, row)
        await here.turn()
        await here.turn()
        assert (await here.row(row.session_address)).state == "cancelled"
        assert [event.kind for event in copies(opened(here, ada))][-2:] == [kinds.SESSION, kinds.DELETION]
        subjects = [tags.first(one.tags, "subject") for one in opened(here, ada, kinds.PRIVATE_MESSAGE)]
        assert subjects.count("Cancelled: Know your rights") == 1


async def test_who_is_not_invited_any_more_has_no_answer() -> None:
    """A seat frees, nothing is sent any more, and the old answer does not come back with a new invitation."""
    async with world() as here:
        ada, ben = await here.person(), await here.person()
        row = await scheduled(here, ada, ben)
        yes = signed(ada, answer(here, ada, row))
        await taken(here, yes)
        await here.turn()
        row = await edited(here, row, invited=guests(ben))
        await here.turn()
        assert await status_of(here, ada, row) is None
        before = len(opened(here, ada))
        await here.advance(24 * 3600)
        assert len(opened(here, ada)) == before
        row = await edited(here, row, invited=guests(ada, ben))
        await here.mirror.ingest([yes], received_at=here.now)
        assert await status_of(here, ada, row) is None


async def test_answers_are_kept_for_a_lost_disk() -> None:
    """A signed answer goes to the service's own message relay, sealed by itself for itself; each person's own."""
    async with world() as here:
        ada, ben = new_key(), new_key()
        row = await scheduled(here, ada, ben)
        for key in (ada, ben):
            (one,) = await taken(here, signed(key, answer(here, key, row, RsvpStatus.TENTATIVE)))
            assert one.relays == (OWN_INBOX,)
        await here.turn()
        own = [event for event in copies(opened(here, here.service)) if event.kind == kinds.RSVP]
        assert {event.pubkey for event in own} == {ada.pubkey, ben.pubkey}


async def test_attendance_is_attested_to_the_person_the_instructor_and_ourselves() -> None:
    """Each completion and each end is a sealed record; nobody else has it, and no relay has it in plain."""
    async with world() as here:
        ada, ben = await here.person(), await here.person()
        await here.open_inbox(here.instructor)
        row = await scheduled(here, ada, ben, starts_in=600)
        await here.turn()
        await here.advance(600)
        room = Room(here, await here.row(row.session_address))
        seat = await room.sit(ada)
        await here.advance(3000)
        await room.leave(seat)
        await here.lifecycle.end(row.session_address, here.instructor.pubkey)
        await here.turn()
        await here.turn()
        for key in (ada, here.instructor, here.service):
            last = read_attendance_record(opened(here, key, kinds.ATTENDANCE)[-1])
            assert last is not None
            assert (last.participant, last.completed is not None) == (ada.pubkey, True)
        assert opened(here, ben, kinds.ATTENDANCE) == []
        assert here.published(kinds.ATTENDANCE) == []


async def test_a_public_session_can_seal_its_attendance() -> None:
    """The record goes to the person, the instructor and ourselves; nobody publishes it, and no lost disk forgets it."""
    async with world() as here:
        ada, ben = await here.person(), await here.person()
        await here.open_inbox(here.instructor)
        row = await here.schedule(starts_in=0, attendance=Visibility.PRIVATE)
        await here.turn()
        seat = await Room(here, await here.row(row.session_address)).sit(ada)
        await here.advance(3000)
        await Room(here, row).leave(seat)
        await here.lifecycle.end(row.session_address, here.instructor.pubkey)
        await here.turn()
        await here.turn()
        for key in (ada, here.instructor, here.service):
            last = read_attendance_record(opened(here, key, kinds.ATTENDANCE)[-1])
            assert last is not None
            assert (last.participant, last.left_at is not None) == (ada.pubkey, True)
        assert opened(here, ben, kinds.ATTENDANCE) == []
        assert here.published(kinds.ATTENDANCE) == []
        async with world(like=here) as anew:
            await anew.mirror.ingest([await here.event_of(row)], received_at=anew.now)
            await replay(here, anew)
            (known,) = await anew.store.attendance.to_list()
            assert known.pubkey == ada.pubkey


async def test_many_guests_are_written_to_at_little_cost() -> None:
    """Four hundred invitations and copies are put down in one step, each once."""
    async with world() as here:
        keys = [new_key() for _ in range(200)]
        row = await scheduled(here, *keys)
        rows = await here.store.letters.where("lessonId").equals(row.session_address).to_list()
        assert len(rows) == 2 * len(keys) + 2
        assert len({one.rumor_id for one in rows if one.topic == "session"}) == 1

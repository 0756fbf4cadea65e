"""What comes sealed: answers from other clients, sessions from the instructor's, and our own memory after a loss."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from podium_protocol import kinds
from podium_protocol.events import UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.live.private import write_copy
from podium_protocol.live.rsvp import RsvpStatus
from podium_protocol.live.session import SessionSpec, Visibility
from tests.support.private import (
    answer,
    as_rumor,
    cancelled,
    edited,
    guests,
    opened,
    replay,
    scheduled,
    seal,
    status_of,
    taken,
)
from tests.support.world import Room, World, new_key, signed, world


def spec(here: World, *invited: SecretKey) -> SessionSpec:
    """A private session that nobody has handed in yet."""
    return SessionSpec(
        identifier="quiet",
        title="Knots",
        starts_at=here.now + 7200,
        duration_minutes=60,
        visibility=Visibility.PRIVATE,
        invited=guests(*invited),
    )


async def test_an_answer_from_another_client_counts() -> None:
    """A sealed 31925 rumor: the seal's signer is who answers."""
    async with world() as here:
        await here.private_inbox.past_is_read()
        ada = await here.person()
        row = await scheduled(here, ada)
        await seal(here, ada, answer(here, ada, row))
        assert await status_of(here, ada, row) == "confirmed"
        await here.turn()
        assert "You are confirmed: Know your rights" in here.letters(ada)


async def test_a_change_of_mind_and_a_late_copy_of_the_first_answer() -> None:
    """The newest counts, whatever the order in which they are read."""
    async with world() as here:
        await here.private_inbox.past_is_read()
        ada = await here.person()
        row = await scheduled(here, ada)
        await seal(here, ada, answer(here, ada, row, RsvpStatus.DECLINED, at=5))
        await seal(here, ada, answer(here, ada, row))
        assert await status_of(here, ada, row) == "declined"


async def test_a_stranger_cannot_answer() -> None:
    """Who is not invited changes nothing, and leaves nothing behind."""
    async with world() as here:
        await here.private_inbox.past_is_read()
        eve = await here.person()
        row = await scheduled(here, await here.person())
        await seal(here, eve, answer(here, eve, row))
        assert await here.store.rsvps.to_list() == []


async def test_nobody_answers_for_somebody_else() -> None:
    """A signed answer is its signer's, no matter who passes it on; forged rumors are the seal's matter (NIP-59)."""
    async with world() as here:
        await here.private_inbox.past_is_read()
        ada, ben = await here.person(), await here.person()
        row = await scheduled(here, ada, ben)
        await seal(here, ben, write_copy(signed(ada, answer(here, ada, row)), service=ben.pubkey))
        assert await status_of(here, ada, row) == "confirmed"
        assert await status_of(here, ben, row) is None


async def test_an_answer_before_its_invitation_waits_for_it() -> None:
    """A person answers to a session that is handed in a moment later, and a person who is invited with an edit."""
    async with world() as here:
        await here.private_inbox.past_is_read()
        ada, ben = await here.person(), await here.person()
        event = signed(here.instructor, here.draft(spec(here, ada)))
        address = f"31923:{here.instructor.pubkey}:quiet"
        for key in (ada, ben):
            await seal(
                here, key, as_rumor(key, kinds.RSVP, ("a", address), ("d", "1"), ("status", "accepted"), at=here.now)
            )
        await seal(here, here.instructor, write_copy(event, service=here.instructor.pubkey))
        found = await here.row(address)
        assert (await status_of(here, ada, found), await status_of(here, ben, found)) == ("confirmed", None)


async def test_a_session_sealed_by_the_instructors_own_client_is_held() -> None:
    """It is taken over, and told to its guests like one that came over HTTP."""
    async with world() as here:
        await here.private_inbox.past_is_read()
        ada = await here.person()
        event = signed(here.instructor, here.draft(spec(here, ada)))
        await seal(here, here.instructor, write_copy(event, service=here.instructor.pubkey))
        await here.turn()
        assert (await here.row(f"31923:{here.instructor.pubkey}:quiet")).visibility == "private"
        assert {rumor.kind for rumor in opened(here, ada)} == {kinds.GENERIC_REPOST, kinds.PRIVATE_MESSAGE}
        assert {one.kind for one in here.sent} <= {kinds.GIFT_WRAP}


@pytest.mark.parametrize("flaw", ["public", "stranger", "unsigned"])
async def test_what_is_no_private_session_of_ours_is_passed_over(flaw: str) -> None:
    """A public one belongs on relays, a stranger's is not ours, and an unsigned one is nobody's word."""
    async with world() as here:
        await here.private_inbox.past_is_read()
        author = new_key() if flaw == "stranger" else here.instructor
        visibility = Visibility.PUBLIC if flaw == "public" else Visibility.PRIVATE
        draft = replace(here.draft(replace(spec(here), visibility=visibility)), pubkey=author.pubkey)
        rumor: UnsignedEvent = draft if flaw == "unsigned" else write_copy(signed(author, draft), service=author.pubkey)
        await seal(here, author, rumor)
        assert await here.store.sessions.to_list() == []


async def test_taking_an_answer_back_from_another_client() -> None:
    """A sealed kind 5 on the answer that counts: there is none then, also for a repetition of it."""
    async with world() as here:
        await here.private_inbox.past_is_read()
        ada = await here.person()
        row = await scheduled(here, ada)
        yes = answer(here, ada, row)
        await seal(here, ada, yes)
        await seal(here, ada, as_rumor(ada, kinds.DELETION, ("e", yes.id), ("k", "31925"), at=here.now + 1))
        assert await status_of(here, ada, row) is None
        await seal(here, ada, yes)
        assert await status_of(here, ada, row) is None


async def test_nobody_deletes_for_somebody_else() -> None:
    """Ben names Ada's answer and the session itself in a kind 5 of his: nothing happens."""
    async with world() as here:
        await here.private_inbox.past_is_read()
        ada, ben = await here.person(), await here.person()
        row = await scheduled(here, ada, ben)
        yes = answer(here, ada, row)
        await seal(here, ada, yes)
        await seal(here, ben, as_rumor(ben, kinds.DELETION, ("e", yes.id), ("a", row.session_address), at=here.now + 1))
        assert await status_of(here, ada, row) == "confirmed"
        assert not (await here.row(row.session_address)).withdrawn


async def test_what_a_stranger_says_of_the_state_is_nothing() -> None:
    """Status and attendance are the service's own words; from anybody else they are not even looked at."""
    async with world() as here:
        await here.private_inbox.past_is_read()
        ada = await here.person()
        row = await scheduled(here, ada, starts_in=60)
        await seal(
            here,
            ada,
            as_rumor(
                ada,
                kinds.MEETING,
                ("d", "x"),
                ("a", f"30312:{ada.pubkey}:podium"),
                ("a", row.session_address),
                ("status", "ended"),
                ("starts", str(here.now)),
                at=here.now,
            ),
        )
        assert (await here.row(row.session_address)).state == "scheduled"
        assert here.private_inbox.counts["other_kind"] == 1


@pytest.mark.parametrize("flaw", ["future", "long"])
async def test_answers_from_the_future_and_novels_are_dropped(flaw: str) -> None:
    """The first would win for ever, the second would fill the memory while it waits."""
    async with world() as here:
        await here.private_inbox.past_is_read()
        ada = await here.person()
        row = await scheduled(here, ada)
        yes = answer(here, ada, row, at=5000 if flaw == "future" else 0)
        if flaw == "long":
            yes = as_rumor(ada, kinds.RSVP, *yes.tags, content="x" * 3000, at=here.now)
        event = signed(ada, yes)
        await seal(here, ada, write_copy(event, service=ada.pubkey) if flaw == "long" else yes)
        assert await status_of(here, ada, row) is None


async def test_strangers_cannot_fill_the_memory() -> None:
    """Answers to sessions that nobody knows wait, but only so many of them."""
    async with world() as here:
        await here.private_inbox.past_is_read()
        eve = new_key()
        for number in range(3):
            await seal(
                here,
                eve,
                as_rumor(
                    eve,
                    kinds.RSVP,
                    ("a", f"31923:{eve.pubkey}:{number}"),
                    ("d", "1"),
                    ("status", "accepted"),
                    at=here.now,
                ),
            )
        assert len(here.private_inbox._waiting) == 3
        here.private_inbox._wait([], 2)
        assert len(here.private_inbox._waiting) == 2


async def test_nothing_of_the_past_counts_before_all_of_it_is_there() -> None:
    """A session that comes before its own end must not be started again."""
    async with world() as before:
        ada = await before.person()
        row = await scheduled(before, ada, starts_in=600)
        await before.turn()
        await before.advance(600)
        await before.lifecycle.end(row.session_address, before.instructor.pubkey)
        await before.turn()
        ended = await before.row(row.session_address)
        async with world(like=before) as after:
            own = [one for one in before.sent if ("p", before.service.pubkey) in one.tags]
            await after.replies.handle_wraps(own[:1])
            assert await after.store.sessions.to_list() == []
            await replay(before, after)
            back = await after.row(row.session_address)
            assert (ended.state, back.state) == ("ended", "ended")
            assert back.runs == ended.runs
            await after.turn()
            assert (await after.row(row.session_address)).state == "ended"
            assert after.letters(ada) == []


async def test_a_lost_disk_gives_back_answers_in_their_order_and_attendance() -> None:
    """Who came first has the one seat again; who was there has the same record."""
    async with world() as before:
        ada, ben, cem = [await before.person() for _ in range(3)]
        row = await scheduled(before, ada, ben, cem, starts_in=600, max_participants=1)
        for seconds, key in enumerate((ben, ada, cem)):
            await taken(before, signed(key, answer(before, key, row, at=seconds)))
        await before.turn()
        await before.advance(600)
        room = Room(before, await before.row(row.session_address))
        seat = await room.sit(ben)
        await before.advance(2400)
        await room.leave(seat)
        await before.turn()
        seats = {one.pubkey: (one.seat, one.position) for one in await before.store.rsvps.to_list()}
        (attended,) = await before.store.attendance.to_list()
        assert seats[ben.pubkey] == ("held", None)
        async with world(like=before) as after:
            await replay(before, after)
            await after.turn()
            assert {one.pubkey: (one.seat, one.position) for one in await after.store.rsvps.to_list()} == seats
            (back,) = await after.store.attendance.to_list()
            assert (back.pubkey, back.joined_at, back.completed_at) == (
                ben.pubkey,
                attended.joined_at,
                attended.completed_at,
            )
            assert back.completed_at is not None
            assert (await after.row(row.session_address)).state == "active"


async def test_a_lost_disk_gives_back_the_newest_revision_and_tells_nobody_again() -> None:
    """Edited twice and read in any order: the last one counts, and no guest is written to a second time."""
    async with world() as before:
        ada, ben = await before.person(), await before.person()
        row = await scheduled(before, ada)
        await before.turn()
        row = await edited(before, row, title="Second")
        await before.turn()
        row = await edited(before, row, title="Third", invited=guests(ben))
        await before.turn()
        async with world(like=before) as after:
            for key in (ada, ben):
                await after.open_inbox(key)
            await replay(before, after)
            await after.turn()
            back = await after.row(row.session_address)
            assert (back.title, back.invited, back.event_id) == ("Third", (ben.pubkey,), row.event_id)
            assert opened(after, ada) == opened(after, ben) == []


async def test_a_lost_disk_does_not_revive_a_cancelled_session() -> None:
    """The cancelled revision and the deletion are read again, in whatever order."""
    async with world() as before:
        ada = await before.person()
        row = await scheduled(before, ada)
        await taken(before, signed(ada, answer(before, ada, row)))
        await before.turn()
        await cancelled(before, row)
        await before.turn()
        async with world(like=before) as after:
            await after.open_inbox(ada)
            await replay(before, after)
            await after.turn()
            assert (await after.row(row.session_address)).state == "cancelled"
            assert opened(after, ada) == []


async def test_our_own_copy_that_comes_back_changes_nothing() -> None:
    """The relay gives the service what it has just sent to itself."""
    async with world() as here:
        ada = await here.person()
        row = await scheduled(here, ada, starts_in=600)
        await taken(here, signed(ada, answer(here, ada, row)))
        await here.turn()
        await here.advance(600)
        await here.lifecycle.end(row.session_address, here.instructor.pubkey)
        await here.lifecycle.reopen(row.session_address, here.instructor.pubkey)
        await here.turn()
        now = await here.row(row.session_address)
        await replay(here, here)
        await here.turn()
        assert await here.row(row.session_address) == now
        assert now.state == "active"

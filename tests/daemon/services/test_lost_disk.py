"""What people are told by a daemon that lost its disk and reads answers that it may have confirmed already."""

from __future__ import annotations

from podium_protocol import kinds
from podium_protocol.filters import Filter
from podium_protocol.keys import SecretKey
from podium_protocol.live.rsvp import RsvpStatus
from podium_storage.rows import LiveSessionRow
from tests.support.world import World, new_key, world


async def _read_again(anew: World, before: World, row: LiveSessionRow) -> LiveSessionRow:
    """Everything the relays hold, on an empty disk."""
    events = await before.mirror.by_filter(Filter(kinds=(kinds.SESSION, kinds.RSVP, kinds.DM_RELAY_LIST)))
    await anew.mirror.ingest(events[::-1], received_at=anew.now)
    await anew.turn()
    return await anew.row(row.lesson_id)


async def _lost_disk(
    minutes_ahead: int, *people: tuple[SecretKey, RsvpStatus], seats: int | None = None, later: int = 60
) -> tuple[dict[str, list[str]], dict[str, dict[str, str]]]:
    """What each person is sent after the loss, and what their ledger says then."""
    async with world() as here:
        row = await here.schedule(starts_in=minutes_ahead * 60, max_participants=seats)
        for key, status in people:
            await here.clock.advance(60)
            await here.open_inbox(key)
            await here.answer(key, row, status)
            await here.turn()
        await here.clock.advance(later)
        async with world(like=here) as anew:
            row = await _read_again(anew, here, row)
            sent = {key.pubkey: anew.letters(key) for key, _ in people}
            return sent, {key.pubkey: await anew.states(key, row) for key, _ in people}


async def test_answers_from_before_are_not_confirmed_again() -> None:
    """Who answered before this disk knew of the session is not sent a second confirmation; the ledger says why."""
    ada, ben = new_key(), new_key()
    sent, states = await _lost_disk(48 * 60, (ada, RsvpStatus.CONFIRMED), (ben, RsvpStatus.TENTATIVE))
    assert sent == {ada.pubkey: [], ben.pubkey: []}
    assert {states[key.pubkey]["confirmation"] for key in (ada, ben)} == {"skipped_late"}


async def test_a_place_on_the_waiting_list_is_not_told_again() -> None:
    """Who waited before waits at the same place and hears nothing of it twice."""
    ada, ben = new_key(), new_key()
    sent, states = await _lost_disk(48 * 60, (ada, RsvpStatus.CONFIRMED), (ben, RsvpStatus.CONFIRMED), seats=1)
    assert sent == {ada.pubkey: [], ben.pubkey: []}
    assert states[ben.pubkey]["waitlisted"] == "skipped_late"


async def test_a_confirmation_that_was_not_sent_silences_no_reminder() -> None:
    """The reminder due a few minutes after the loss is sent: no confirmation stands in its place."""
    ada = new_key()
    _, states = await _lost_disk(120, (ada, RsvpStatus.CONFIRMED), later=55 * 60)
    assert states[ada.pubkey]["hour"] == "prepared"


async def test_answers_after_the_loss_are_confirmed() -> None:
    """Who answers a session that this disk knows of is confirmed, as ever."""
    async with world() as here:
        row = await here.schedule()
        await here.clock.advance(60)
        async with world(like=here) as anew:
            row = await _read_again(anew, here, row)
            ada = await anew.person()
            await anew.answer(ada, row)
            await anew.turn()
            assert [letter.partition(":")[0] for letter in anew.letters(ada)] == ["You are confirmed"]

"""What people are told by a daemon that lost its disk and reads answers that it may have confirmed already."""

from __future__ import annotations

import os

import pytest

from podium_daemon.services.private import inbox as private_inbox
from podium_protocol import kinds, tags
from podium_protocol.events import EventId, VerifiedEvent
from podium_protocol.filters import Filter
from podium_protocol.keys import SecretKey
from podium_protocol.live.rsvp import RsvpStatus
from podium_protocol.nips import nip17, nip59
from podium_storage.table.models import LiveSessionRow
from tests.support.events import verify_or_fail
from tests.support.private import as_rumor, replay, seal, status_of
from tests.support.world import World, new_key, world


async def _read_again(anew: World, before: World, row: LiveSessionRow) -> LiveSessionRow:
    """Everything the relays hold, on an empty disk."""
    events = await before.mirror.by_filter(Filter(kinds=(kinds.SESSION, kinds.RSVP, kinds.DM_RELAY_LIST)))
    await anew.mirror.ingest(events[::-1], received_at=anew.now)
    await anew.turn()
    return await anew.row(row.session_address)


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


async def test_what_was_published_while_the_daemon_was_away_is_confirmed_once() -> None:
    """Session and answer came before it read them, and after it had its disk; a session that is over is not told of."""
    async with world() as elsewhere:
        row = await elsewhere.schedule(starts_in=3600, minutes=60)
        over = await elsewhere.schedule(starts_in=600, minutes=10)
        async with world(like=elsewhere) as here:
            ada, ben = new_key(), new_key()
            for key, session in ((ada, row), (ben, over)):
                await elsewhere.clock.advance(60)
                await elsewhere.open_inbox(key)
                await elsewhere.answer(key, session)
            here.clock.jump(1800)
            await _read_again(here, elsewhere, row)
            for _ in range(2):
                await here.turn()
            assert [letter.partition(":")[0] for letter in here.letters(ada)] == ["You are confirmed"]
            assert here.letters(ben) == []


async def test_a_place_on_the_waiting_list_taken_while_it_was_away_is_told() -> None:
    """Who is confirmed and who waits is told both, as if the daemon had been there."""
    async with world() as elsewhere:
        row = await elsewhere.schedule(starts_in=48 * 3600, max_participants=1)
        async with world(like=elsewhere) as here:
            people = [new_key(), new_key()]
            for key in people:
                await elsewhere.clock.advance(60)
                await elsewhere.open_inbox(key)
                await elsewhere.answer(key, row)
            here.clock.jump(1800)
            await _read_again(here, elsewhere, row)
            states = [await here.states(key, row) for key in people]
            assert {name for one in states for name in one} >= {"confirmation", "waitlisted"}
            assert all(len(here.letters(key)) == 1 for key in people)


async def _say(here: World, key: SecretKey, text: str, *, to: str | None = None) -> VerifiedEvent:
    """A person writes to the service, and it reads."""
    reply_to = None if to is None else EventId(to)
    rumor = nip17.write_message(key.pubkey, here.service.pubkey, text, created_at=here.now, reply_to=reply_to)
    entropy = os.urandom(nip59.ENTROPY_BYTES)
    wrap = verify_or_fail(nip59.gift_wrap(rumor, key, here.service.pubkey, now=here.now, entropy=entropy))
    await here.replies.handle_wraps([wrap])
    await here.turn()
    return wrap


async def _letter(here: World, key: SecretKey, row: LiveSessionRow) -> str:
    """The rumor id of the confirmation that a person got."""
    rumor_id = (await here.ledger(key, row))["confirmation"].rumor_id
    assert rumor_id is not None
    return rumor_id


async def test_what_was_said_by_message_is_remembered_without_the_messages() -> None:
    """Answers and opt-outs come back out of what the service sealed for itself; nobody is asked what they meant."""
    async with world() as here:
        one, two = await here.schedule(), await here.schedule(starts_in=3 * 86_400)
        ada, ben, cem = [await here.person() for _ in range(3)]
        for key in (ada, ben, cem):
            await here.clock.advance(60)
            for row in (one, two):
                await here.answer(key, row)
                await here.turn()
        said = [
            await _say(here, ada, "no", to=await _letter(here, ada, one)),
            await _say(here, ben, "stop", to=await _letter(here, ben, one)),
            await _say(here, cem, "stop all"),
        ]
        await here.clock.advance(60)
        async with world(like=here) as anew:
            anew.replies.caught_up.clear()
            await anew.replies.handle_wraps(said)  # the messages are on the relay as well
            await replay(here, anew)
            for row in (one, two):
                await _read_again(anew, here, row)
            await anew.replies.past_is_read()
            await anew.turn()
            assert [await status_of(anew, ada, row) for row in (one, two)] == ["declined", "confirmed"]
            quiet = {(row.pubkey, row.session_address) for row in await anew.store.opt_outs.to_list()}
            assert quiet == {(ben.pubkey, one.session_address), (cem.pubkey, "*")}
            assert [anew.letters(key) for key in (ada, ben, cem)] == [[], [], []]
            assert anew.replies.counts["ambiguous"] == 0


async def test_what_nobody_could_judge_before_waits_for_the_past() -> None:
    """A `no` that comes before the session does is neither lost nor believed to be a stranger's."""
    async with world() as here:
        row = await here.schedule()
        ada = await here.person()
        await here.answer(ada, row)
        await here.turn()
        await here.clock.advance(60)
        async with world(like=here) as anew:
            anew.replies.caught_up.clear()
            await _say(anew, ada, "no")
            row = await _read_again(anew, here, row)
            assert await status_of(anew, ada, row) == "confirmed"
            await anew.replies.past_is_read()
            assert await status_of(anew, ada, row) == "declined"


async def test_strangers_cannot_push_out_what_the_service_remembers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for the past has a bound, which our own memory does not fall to."""
    monkeypatch.setattr(private_inbox, "MAX_PAST", 3)
    async with world() as here:
        row = await here.schedule()
        ada = await here.person()
        await here.answer(ada, row)
        await here.turn()
        await _say(here, ada, "stop")
        async with world(like=here) as anew:
            own = [event for event in here.sent if tags.first(event.tags, "p") == here.service.pubkey]
            await anew.replies.handle_wraps(own)
            for _ in range(6):
                stranger = new_key()
                await seal(anew, stranger, as_rumor(stranger, kinds.RSVP, ("d", "x"), at=anew.now))
            await anew.private_inbox.past_is_read()
            assert [row.pubkey for row in await anew.store.opt_outs.to_list()] == [ada.pubkey]

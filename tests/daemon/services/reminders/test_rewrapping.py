"""Relays that take no back-dated gift wraps: the same message once more, in a wrap of the last ten minutes."""

from __future__ import annotations

import msgspec
import pytest

from podium_protocol.events import VerifiedEvent, verify_json
from podium_protocol.keys import SecretKey
from podium_protocol.limits import MAX_BACKDATING
from podium_protocol.nips import nip13, nip17, nip59
from podium_protocol.nips.nip11 import RelayLimits
from podium_storage.outbox import outbox as outbox_module
from podium_storage.outbox.values import OutboxRow, RelayAccepted, RelayRefused
from podium_storage.table.models import LedgerRow, LiveSessionRow
from tests.support.world import EVERYTHING, INBOX, World, new_key, world

COMPLAINT = "invalid: created_at is too far in the past"
OTHER_INBOX = "wss://other-inbox.example.org"


async def refuse(here: World, words: str = COMPLAINT, *, relay: str = INBOX) -> list[VerifiedEvent]:
    """The relay refuses all that is due there; returns what it was."""
    rows = [row for row in await waiting(here) if row.relay == relay]
    await here.outbox.record([RelayRefused(row.id, words) for row in rows], now=here.now)
    events = [verify_json(row.event_json) for row in rows]
    return [event for event in events if isinstance(event, VerifiedEvent)]


async def waiting(here: World) -> list[OutboxRow]:
    """The messages that are due."""
    return [row for row in await here.outbox.due(here.now) if row.relay in (INBOX, OTHER_INBOX)]


async def plan(here: World) -> None:
    """The services put what is due into the outbox."""
    await here.lifecycle._turn(EVERYTHING)
    await here.rsvps._turn(EVERYTHING)
    await here.reminders._turn(EVERYTHING)


async def confirmed(here: World) -> tuple[SecretKey, LiveSessionRow]:
    """A person is coming, and the confirmation is in the outbox."""
    session, person = await here.schedule(starts_in=48 * 3600), await here.person()
    await here.answer(person, session)
    await plan(here)
    return person, session


async def entry_of(here: World, person: SecretKey, session: LiveSessionRow, name: str = "confirmation") -> LedgerRow:
    """A row of the ledger."""
    return (await here.ledger(person, session))[name]


def rumor_in(event: VerifiedEvent, person: SecretKey, now: int) -> str:
    """What the recipient's client knows the message by."""
    opened = nip59.unwrap(event, person, now=now)
    assert isinstance(opened, nip59.Unwrapped), opened
    return opened.rumor.id


async def test_the_same_message_goes_out_once_more_in_a_recent_wrap() -> None:
    """Another wrap, stored before it is sent and dated within the last ten minutes, around the same rumor."""
    async with world() as here:
        person, session = await confirmed(here)
        (first,) = await refuse(here)
        await plan(here)
        entry = await entry_of(here, person, session)
        assert (entry.state, entry.attempts, entry.rumor_id) == ("claimed", 2, rumor_in(first, person, here.now))
        (row,) = await waiting(here)
        again = verify_json(row.event_json)
        assert isinstance(again, VerifiedEvent)
        assert row.event_json == entry.wrap
        assert here.now - 600 <= again.created_at <= here.now
        assert again.id != first.id
        assert rumor_in(again, person, here.now) == rumor_in(first, person, here.now)
        await here.turn()
        entry = await entry_of(here, person, session)
        assert (entry.state, [relay for relay, _ in entry.relays]) == ("sent", [INBOX])


async def test_it_is_done_once() -> None:
    """A relay that refuses the recent wrap as well has the last word, and its words are shown."""
    async with world() as here:
        person, session = await confirmed(here)
        await refuse(here)
        await plan(here)
        await refuse(here, "invalid: created_at is still too early")
        await plan(here)
        assert await waiting(here) == []
        entry = await entry_of(here, person, session)
        assert entry.state == "failed"
        assert entry.relays == ((INBOX, "invalid: created_at is still too early"),)


async def test_a_late_message_keeps_its_words() -> None:
    """The time that remained when it was written stands in it, also when the refusal comes minutes later."""
    async with world() as here:
        person, session = await confirmed(here)
        await here.turn()
        await here.clock.advance(48 * 3600 - 37 * 60)  # asleep over day and hour
        await plan(here)
        (first,) = await refuse(here)
        await here.clock.advance(4 * 60 + 11)
        await plan(here)
        (row,) = await waiting(here)
        again = verify_json(row.event_json)
        assert isinstance(again, VerifiedEvent)
        assert rumor_in(again, person, here.now) == rumor_in(first, person, here.now)
        await here.turn()
        assert here.letters(person)[-1].endswith("starting in 37 minutes")
        assert (await entry_of(here, person, session, "hour")).state == "sent"


async def test_a_message_that_cannot_be_written_again_word_for_word_is_not_sent_again() -> None:
    """The session has another title by now: another rumor would be a second message on the screen."""
    async with world() as here:
        person, session = await confirmed(here)
        await refuse(here)
        await here.store.sessions.update(session.id, title="Knots", event_id="0" * 64)
        await plan(here)
        assert await waiting(here) == []
        assert (await entry_of(here, person, session)).state == "failed"


async def test_work_that_a_relay_asks_for_by_surprise_is_done_the_second_time() -> None:
    """It said so in no document; the recipient's client knows the message by the same rumor, and its date is hidden."""
    async with world() as here:
        person, session = await confirmed(here)
        (first,) = await refuse(here, "pow: difficulty 0 is less than 6")
        await plan(here)
        (row,) = await waiting(here)
        again = verify_json(row.event_json)
        assert isinstance(again, VerifiedEvent)
        assert nip13.difficulty(again.id) >= 6
        assert ("nonce", "6") in [(tag[0], tag[-1]) for tag in again.tags]
        assert rumor_in(again, person, here.now) == rumor_in(first, person, here.now)
        await refuse(here, "pow: difficulty 6 is less than 7")
        await plan(here)
        assert await waiting(here) == []
        assert (await entry_of(here, person, session)).state == "failed"


@pytest.mark.parametrize("words", ["blocked: not you", "invalid: bad signature", "pow: 20 bits", "expired"])
async def test_other_refusals_are_final(words: str) -> None:
    """A complaint of the time is answered, and one of work within the bits that are done."""
    async with world() as here:
        person, session = await confirmed(here)
        await refuse(here, words)
        await plan(here)
        assert await waiting(here) == []
        assert (await entry_of(here, person, session)).state == "failed"


async def test_it_can_be_turned_off() -> None:
    """Without the option the complaint is final."""
    async with world() as here:
        here.reminders.settings = msgspec.structs.replace(here.reminders.settings, rewrap_recent=False)
        person, session = await confirmed(here)
        await refuse(here)
        await plan(here)
        assert (await entry_of(here, person, session)).state == "failed"


async def test_what_another_relay_has_is_not_sent_again() -> None:
    """The message has arrived, and a copy would only show its real time."""
    async with world() as here:
        session, person = await here.schedule(starts_in=48 * 3600), new_key()
        lists = nip17.write_dm_relays(person.pubkey, [INBOX, OTHER_INBOX], created_at=here.now)
        await here.publish(person, lists)
        await here.answer(person, session)
        await plan(here)
        rows = await waiting(here)
        await here.outbox.record([RelayAccepted(row.id) for row in rows if row.relay == OTHER_INBOX], now=here.now)
        await refuse(here)
        await plan(here)
        assert await waiting(here) == []
        assert (await entry_of(here, person, session)).state == "sent"


async def test_two_relays_that_complain_get_the_same_second_wrap() -> None:
    """The second one too when its complaint comes later: what is signed again is signed once."""
    async with world() as here:
        session, person = await here.schedule(starts_in=48 * 3600), new_key()
        lists = nip17.write_dm_relays(person.pubkey, [INBOX, OTHER_INBOX], created_at=here.now)
        await here.publish(person, lists)
        await here.answer(person, session)
        await plan(here)
        await refuse(here)
        await plan(here)
        await refuse(here, relay=OTHER_INBOX)
        await plan(here)
        rows = await waiting(here)
        assert sorted(row.relay for row in rows) == [INBOX, OTHER_INBOX]
        assert len({row.event_id for row in rows}) == 1


async def test_it_happens_as_soon_as_the_refusal_is_written_down() -> None:
    """A turn that is told of nothing but the refusal is enough."""
    async with world() as here:
        person, session = await confirmed(here)
        with here.store.changes.subscribe(outbox_module.TABLE) as changes:
            await refuse(here)
            batch = changes.take_changes()
        assert batch is not None
        assert not batch.resync
        await here.reminders._turn(batch)
        assert (await entry_of(here, person, session)).attempts == 2


async def test_nothing_is_sent_again_after_its_time() -> None:
    """A refusal that comes when the window is over is the end."""
    async with world() as here:
        person, session = await confirmed(here)
        entry = await entry_of(here, person, session)
        rows = await waiting(here)
        await here.clock.advance(entry.window_ends_at - here.now)
        await here.outbox.record([RelayRefused(row.id, COMPLAINT) for row in rows], now=here.now)
        await plan(here)
        entry = await entry_of(here, person, session)
        assert (entry.state, entry.attempts) == ("failed", 1)


def test_ten_minutes_are_less_than_what_relays_complain_of() -> None:
    """The recent wrap is far younger than the two days of NIP-59."""
    oldest = nip59.backdated(10**9, (600).to_bytes(8, "big"), nip59.RECENT)
    assert oldest == 10**9 - 600
    assert nip59.backdated(10**9, (601).to_bytes(8, "big"), nip59.RECENT) == 10**9
    assert nip59.RECENT < MAX_BACKDATING


async def test_a_wrap_is_dated_within_what_the_relay_is_known_to_take() -> None:
    """From the start, and counted from when it is sent: one that was prepared ten minutes ahead is no older then."""
    async with world() as here:
        here.limits = {INBOX: RelayLimits(created_at_lower_limit=60)}
        person, session = await confirmed(here)
        (first,) = await refuse(here, "blocked: not you")
        assert here.now - 54 <= first.created_at <= here.now
        day = await entry_of(here, person, session, "day")
        await here.clock.advance(day.due_at - here.now - 300)
        await plan(here)
        assert (await entry_of(here, person, session, "day")).state == "prepared"
        await here.clock.advance(300)
        await plan(here)
        (row,) = await waiting(here)
        wrap = verify_json(row.event_json)
        assert isinstance(wrap, VerifiedEvent)
        assert here.now - 54 <= wrap.created_at <= here.now

"""Messages: planned, wrapped, sent once and accounted for."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from podium_daemon.runtime.supervisor import Stop
from podium_daemon.services.reminders import reminders
from podium_daemon.services.reminders.reminders import ReminderService
from podium_daemon.writers.gift_wrapper import ASKED_WITHIN, LOOK_AGAIN, NOT_READ, Work
from podium_protocol import kinds, tags
from podium_protocol.keys import SecretKey
from podium_protocol.live.lifecycle_rules import StartPolicy
from podium_protocol.live.reminders import ReminderMessage
from podium_protocol.live.rsvp import RsvpStatus
from podium_protocol.nips import nip13, nip40
from podium_protocol.nips.nip11 import RelayLimits
from podium_storage.changes import Batch
from podium_storage.outbox.values import OutboxRow
from podium_storage.table.models import LiveSessionRow, RsvpRow
from tests.support.private import opened
from tests.support.reads import reading
from tests.support.world import EVERYTHING, INBOX, MOST_WORK, Room, World, new_key, world

TITLE = "Know your rights"


async def test_somebody_who_comes_gets_the_model_s_messages_each_once() -> None:
    """Confirmation, 24 h, 1 h, 15 min and start arrive at their times in the model's words, and nothing twice."""
    async with world() as here:
        row = await here.schedule(starts_in=48 * 3600)
        person = await here.person()
        await here.answer(person, row)
        await here.turn()
        for seconds in (24 * 3600, 23 * 3600, 45 * 60, 15 * 60):
            await here.advance(seconds)
            await here.turn()
        assert here.letters(person) == [
            f"You are confirmed: {TITLE}",
            f"Tomorrow: {TITLE} at 09:00",
            f"{TITLE} starting in 1 hour",
            f"{TITLE} starting soon - Join Now",
            f"Live now: {TITLE}",
        ]
        assert set((await here.states(person, row)).values()) == {"sent"}
        stored = await here.rsvp(person, row)
        assert stored is not None
        assert stored.reminder_sent


async def _until_planned(here: World, batch: Batch) -> None:
    """Turns of the service with its subscription, until it has noted that all is planned."""
    with here.store.changes.subscribe(here.store.sessions.name, here.store.rsvps.name) as here.reminders._changes:
        await here.reminders._turn(batch)
        await here.clock.advance(61)
        await here.reminders._turn(here.reminders._changes.take_changes() or Batch(()))


async def test_a_start_plans_what_changed_since_all_was_planned() -> None:
    """Another session is not read, however many there are; under other settings all are planned anew."""
    async with world() as here:
        row, other, early, late = await here.schedule(), await here.schedule(), await here.person(), await here.person()
        await here.answer(early, row)
        await here.answer(early, other)
        await here.rsvps._turn(EVERYTHING)
        await _until_planned(here, EVERYTHING)
        assert await here.store.unplanned.addresses() == []
        await here.answer(late, row)  # as the daemon dies: nobody has planned it
        await here.rsvps._turn(EVERYTHING)
        here.join()
        with reading(here.store.database) as reads:
            await here.reminders._plan(EVERYTHING, here.now)
            assert reads.rows_of(here.store.sessions.name) == 1
        assert "hour" in await here.states(late, row)
        offsets = here.reminders.settings.planner.policy.offsets[1:]
        policy = msgspec.structs.replace(here.reminders.settings.planner.policy, offsets=offsets)
        planner = msgspec.structs.replace(here.reminders.settings.planner, policy=policy)
        here.reminders.settings = msgspec.structs.replace(here.reminders.settings, planner=planner)
        await here.reminders._plan(EVERYTHING, here.now)
        assert (await here.states(early, other))["day"] == "cancelled"


async def test_settings_that_are_changed_back_are_planned_with_again() -> None:
    """Although all was planned with them before: some of it has other times since."""
    async with world() as here:
        row, person = await here.schedule(), await here.person()
        await here.answer(person, row)
        await here.rsvps._turn(EVERYTHING)
        await _until_planned(here, EVERYTHING)
        before, first = here.reminders.settings, (await here.ledger(person, row))["hour"].due_at
        offsets = tuple(msgspec.structs.replace(one, before=one.before + 60) for one in before.planner.policy.offsets)
        policy = msgspec.structs.replace(before.planner.policy, offsets=offsets)
        planner = msgspec.structs.replace(before.planner, policy=policy)
        for settings, due in ((msgspec.structs.replace(before, planner=planner), first - 60), (before, first)):
            here.reminders.settings = settings
            await here.reminders._plan(EVERYTHING, here.now)
            assert (await here.ledger(person, row))["hour"].due_at == due


async def test_a_change_that_waits_is_not_taken_for_planned() -> None:
    """It came after the last turn began, and the daemon may die before the next one."""
    async with world() as here:
        row, person = await here.schedule(), await here.person()
        with here.store.changes.subscribe(here.store.sessions.name, here.store.rsvps.name) as changes:
            here.reminders._changes = changes
            await here.reminders._turn(EVERYTHING)
            await here.answer(person, row)
            await here.clock.advance(61)
            await here.reminders._turn(Batch(()))
            assert await here.store.unplanned.addresses() == [row.session_address]


async def test_a_turn_reads_the_sessions_that_changed_and_no_other() -> None:
    """Among many sessions a quiet turn reads none, and an answer to one reads that one."""
    async with world() as here:
        row, person = await here.schedule(), await here.person()
        others = [
            msgspec.structs.replace(row, id=None, session_address=f"31923:{'a' * 64}:{number}") for number in range(60)
        ]
        await here.store.sessions.bulk_put(others)
        await here.turn()
        with here.store.changes.subscribe(here.store.rsvps.name) as changes, reading(here.store.database) as reads:
            await here.reminders._turn(Batch(()))
            assert reads.rows_of(here.store.sessions.name) == 0
            await here.answer(person, row)
            await here.rsvps._turn(EVERYTHING)
            batch = changes.take_changes()
            assert batch is not None
            reads.queries.clear()
            await here.reminders._turn(batch)
            # once to plan, and once to send the confirmation that is due at once
            assert reads.rows_of(here.store.sessions.name) <= 2
        assert await here.ledger(person, row)


async def test_many_sessions_are_planned_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a start a turn plans some of them, and comes back for the others at once: what is due goes out between."""
    monkeypatch.setattr(reminders, "_PLANNING", 0.0)
    async with world() as here:
        rows = [await here.schedule() for _ in range(2 * reminders._AT_ONCE)]
        people = [await here.person() for _ in rows]
        for person, row in zip(people, rows, strict=True):
            await here.answer(person, row)
        await here.rsvps._turn(EVERYTHING)

        async def planned() -> int:
            ledgers = [await here.ledger(person, row) for person, row in zip(people, rows, strict=True)]
            return sum(map(bool, ledgers))

        due = await here.reminders._turn(EVERYTHING)
        assert await planned() == reminders._AT_ONCE
        assert due is not None
        assert here.now < due < here.now + 1
        await here.reminders._turn(Batch(()))
        assert await planned() == len(rows)


async def test_who_declined_or_never_answered_hears_nothing() -> None:
    """Reminders go to confirmed and tentative people only."""
    async with world() as here:
        row = await here.schedule(starts_in=2 * 3600)
        declined, silent = await here.person(), await here.person()
        await here.answer(declined, row, RsvpStatus.DECLINED)
        await here.turn()
        await here.advance(2 * 3600)
        assert here.letters(declined) == here.letters(silent) == []


async def test_an_offset_past_at_the_rsvp_is_never_sent() -> None:
    """Who confirms half an hour before gets no 24 h and no 1 h reminder; the ledger says skipped_late."""
    async with world() as here:
        row = await here.schedule(starts_in=30 * 60)
        person = await here.person()
        await here.answer(person, row)
        await here.turn()
        states = await here.states(person, row)
        assert (states["day"], states["hour"]) == ("skipped_late", "skipped_late")
        await here.advance(15 * 60)
        assert here.letters(person) == [f"You are confirmed: {TITLE}", f"{TITLE} starting soon - Join Now"]


async def test_a_reminder_soon_after_the_confirmation_is_left_out() -> None:
    """Who confirms five minutes before the 1 h reminder is due is not told twice within ten minutes."""
    async with world() as here:
        row = await here.schedule(starts_in=65 * 60)
        person = await here.person()
        await here.answer(person, row)
        await here.turn()
        assert (await here.states(person, row))["hour"] == "skipped"
        assert (await here.ledger(person, row))["hour"].reason == "due shortly after another message"


async def test_a_message_after_down_time_says_the_real_remaining_time() -> None:
    """A daemon that was away over the 1 h reminder sends it late with the time that remains, not its name."""
    async with world() as here:
        row = await here.schedule(starts_in=48 * 3600)
        person = await here.person()
        await here.answer(person, row)
        await here.turn()
        await here.advance(48 * 3600 - 37 * 60)  # asleep over day and hour
        assert here.letters(person)[1:] == [f"{TITLE} starting in 37 minutes"]
        states = await here.states(person, row)
        assert (states["day"], states["hour"]) == ("missed", "sent")


async def test_people_without_an_inbox_are_undeliverable_until_they_have_one() -> None:
    """No kind 10050 means nothing is sent anywhere; once the list appears the message goes out."""
    async with world() as here:
        row = await here.schedule(starts_in=48 * 3600)
        person = new_key()
        await here.answer(person, row)
        await here.turn()
        assert (await here.states(person, row))["confirmation"] == "undeliverable"
        assert here.letters(person) == []
        await here.open_inbox(person)
        await here.turn()
        assert (await here.states(person, row))["confirmation"] == "sent"
        assert here.letters(person) == [f"You are confirmed: {TITLE}"]


@pytest.mark.parametrize("known", [False, None])
async def test_nobody_is_unreachable_before_all_relays_have_told(known: bool | None) -> None:
    """The message waits with the reason, is looked at again, and goes out, or is undeliverable once all was read."""
    async with world() as here:
        row = await here.schedule(starts_in=48 * 3600)
        found, absent = new_key(), new_key()
        for person in (found, absent):
            here.lists_read[person.pubkey] = known
            await here.answer(person, row)
        await here.turn()
        for person in (found, absent):
            waiting = (await here.ledger(person, row))["confirmation"]
            assert (waiting.state, waiting.reason) == ("scheduled", NOT_READ)
        await here.clock.advance(1)
        assert await here.reminders._turn(Batch(())) == here.clock.now() + LOOK_AGAIN - 1
        await here.open_inbox(found)
        await here.turn()
        assert (await here.states(found, row))["confirmation"] == "sent"
        assert (await here.states(absent, row))["confirmation"] == "scheduled"
        here.lists_read[absent.pubkey] = True
        await here.clock.advance(LOOK_AGAIN)
        await here.reminders._turn(Batch(()))
        assert (await here.states(absent, row))["confirmation"] == "undeliverable"


async def test_who_is_asked_about_nowhere_is_unreachable_after_a_minute() -> None:
    """Relays are not asked for the lists of people whose session is long over: nothing waits for them without end."""
    async with world() as here:
        row = await here.schedule(starts_in=48 * 3600)
        person = new_key()
        here.lists_read[person.pubkey] = None
        await here.answer(person, row)
        await here.turn()
        assert (await here.states(person, row))["confirmation"] == "scheduled"
        await here.clock.advance(ASKED_WITHIN)
        await here.reminders._turn(Batch(()))
        assert (await here.states(person, row))["confirmation"] == "undeliverable"


async def test_wraps_are_made_before_they_are_due_and_sent_as_they_are() -> None:
    """Ten minutes ahead the gift wrap is stored signed; what goes out later are the same bytes."""
    async with world() as here:
        row = await here.schedule(starts_in=2 * 3600)
        person = await here.person()
        await here.answer(person, row)
        await here.turn()
        await here.advance(3600 - 300)
        prepared = (await here.ledger(person, row))["hour"]
        assert prepared.state == "prepared"
        assert prepared.wrap is not None
        await here.advance(300)
        assert prepared.wrap in [event.to_json() for event in here.published(kinds.GIFT_WRAP)]


async def test_a_wrap_that_cannot_be_read_is_made_again() -> None:
    """Bytes that are no event any more cost the person nothing: the same message is wrapped when it is due."""
    async with world() as here:
        row = await here.schedule(starts_in=2 * 3600)
        person = await here.person()
        await here.answer(person, row)
        await here.turn()
        await here.advance(3600 - 300)
        prepared = (await here.ledger(person, row))["hour"]
        await here.store.ledger.put(msgspec.structs.replace(prepared, wrap=b'{"id": "\xff"}'))
        await here.advance(300)
        assert here.letters(person)[-1] == f"{TITLE} starting in 1 hour"
        assert (await here.ledger(person, row))["hour"].rumor_id == prepared.rumor_id


async def test_a_wrap_expires_with_the_session_and_goes_to_the_inbox() -> None:
    """The gift wrap carries a NIP-40 time, names nobody but the recipient, and the ledger says where it went."""
    async with world() as here:
        row = await here.schedule(starts_in=48 * 3600)
        person = await here.person()
        await here.answer(person, row)
        await here.turn()
        wrap = here.published(kinds.GIFT_WRAP)[0]
        assert nip40.expiration(wrap) == row.ends_at
        assert [tag[1] for tag in wrap.tags if tag[0] == "p"] == [person.pubkey]
        assert wrap.pubkey != here.service.pubkey
        sent = (await here.ledger(person, row))["confirmation"]
        assert [relay for relay, _ in sent.relays] == [INBOX]


async def test_a_move_drops_the_old_reminders_and_tells_once() -> None:
    """After a reschedule the old epoch's unsent messages are void, one 'moved' is sent, and all offsets are armed."""
    async with world() as here:
        row = await here.schedule(starts_in=26 * 3600)
        person = await here.person()
        await here.answer(person, row)
        await here.turn()
        await here.advance(2 * 3600)  # the 24 h reminder of the old time was sent
        old = await here.ledger(person, row)
        assert old["day"].state == "sent"
        await here.move(row, row.scheduled_at + 48 * 3600)
        await here.turn()
        assert "moved" in await here.states(person, row)
        await here.advance(600)
        assert here.letters(person)[-1] == f"Moved: {TITLE}"
        states = await here.states(person, row)
        assert states["moved"] == "sent"
        assert states["day"] in ("scheduled", "prepared")
        rows = await here.store.ledger.where("pubkey").equals(person.pubkey).to_list()
        assert {each.state for each in rows if each.epoch == 0 and each.message in ("hour", "quarter", "start")} == {
            "cancelled"
        }


async def test_two_moves_within_the_debounce_are_told_as_one() -> None:
    """A second move before the first was told sends one message, from the time people knew to the last one."""
    async with world() as here:
        row = await here.schedule(starts_in=48 * 3600)
        person = await here.person()
        await here.answer(person, row)
        await here.turn()
        await here.clock.advance(60)
        await here.move(row, row.scheduled_at + 3600)
        await here.turn()
        await here.advance(300)
        await here.move(row, row.scheduled_at + 7200)
        await here.turn()
        await here.advance(600)
        assert [headline for headline in here.letters(person) if headline.startswith("Moved")] == [f"Moved: {TITLE}"]
        moved = (await here.ledger(person, row))["moved"]
        assert moved.told_start == row.scheduled_at


async def test_a_cancellation_reaches_those_who_planned_to_come() -> None:
    """Confirmed and tentative people are told, who declined is not, and no reminder follows."""
    async with world() as here:
        row = await here.schedule(starts_in=3 * 3600)
        sure, unsure, declined = [await here.person() for _ in range(3)]
        await here.answer(sure, row)
        await here.answer(unsure, row, RsvpStatus.TENTATIVE)
        await here.answer(declined, row, RsvpStatus.DECLINED)
        await here.turn()
        await here.cancel(row)
        await here.turn()
        await here.turn()
        await here.advance(3 * 3600)
        assert here.letters(sure)[-1] == here.letters(unsure)[-1] == f"Cancelled: {TITLE}"
        assert len(here.letters(sure)) == 2
        assert here.letters(declined) == []


async def test_live_now_waits_for_the_session_to_be_live() -> None:
    """A session that cannot start sends no 'Live now' until it does."""
    async with world() as here:
        row = await here.schedule(starts_in=3600)
        person = await here.person()
        await here.answer(person, row)
        await here.turn()
        here.listed.clear()
        await here.advance(3600)
        assert f"Live now: {TITLE}" not in here.letters(person)
        here.listed.add(here.instructor.pubkey)
        await here.advance(30)
        assert here.letters(person)[-1] == f"Live now: {TITLE}"


async def test_the_rumor_is_the_same_for_the_same_message() -> None:
    """A message's rumor is dated at its due time, so that a repetition is recognised by its id."""
    async with world() as here:
        row = await here.schedule(starts_in=48 * 3600)
        person = await here.person()
        await here.answer(person, row)
        await here.turn()
        entry = (await here.ledger(person, row))["confirmation"]
        session, rsvp = await here.row(row.session_address), await here.rsvp(person, row)
        again = here.reminders._sender._wrapper.order(entry, session, rsvp)
        assert again.rumor.id == entry.rumor_id
        (wrap,) = await here.reminders._sender._wrapper.wrap_all([again])
        assert tags.first(wrap.tags, "p") == person.pubkey


async def test_thousands_without_an_inbox_cost_one_look_after_a_restart() -> None:
    """6,000 people without kind 10050, too many for the change feed: a restart reads them once and writes nothing."""
    async with world() as here:
        row = await here.schedule(starts_in=48 * 3600)
        await here.store.rsvps.bulk_add([_confirmed(here, row, f"{number:064x}") for number in range(6_000)])
        first = await _until_quiet(here, here.reminders)
        assert first.turns <= 3
        assert await here.store.ledger.where("state").equals("undeliverable").count() == 6_000
        again = await _until_quiet(here, here.reminders)
        assert (again.turns, again.writes) == (1, 0)


async def test_the_undeliverable_are_looked_up_hourly_without_a_write() -> None:
    """Between the looks nobody is read; the row stays as it was written."""
    async with world() as here:
        row = await here.schedule(starts_in=48 * 3600)
        person = new_key()
        await here.answer(person, row)
        await here.turn()
        before = await here.ledger(person, row)
        await here.clock.advance(3600)
        await here.reminders._turn(Batch(()))
        assert await here.ledger(person, row) == before


async def test_an_undeliverable_message_stays_so_once_it_is_too_late() -> None:
    """A list of message relays that comes after the message's window brings nothing back."""
    async with world() as here:
        row = await here.schedule(starts_in=3600)
        person = new_key()
        await here.answer(person, row)
        await here.turn()
        await here.clock.advance(3600 + 90 * 60)
        await here.open_inbox(person)
        await here.turn()
        assert (await here.states(person, row))["confirmation"] == "undeliverable"
        assert here.letters(person) == []


class _Work(msgspec.Struct):
    turns: int = 0
    writes: int = 0


async def _until_quiet(here: World, reminders: ReminderService) -> _Work:
    """Start the service as after a restart, and count what it does until it rests (or does not)."""
    work, stop, taken = _Work(), Stop(here.clock), reminders._turn

    async def turn(batch: Batch) -> float | None:
        work.turns += 1
        return await taken(batch)

    reminders._turn = turn  # type: ignore[method-assign]
    with here.store.changes.subscribe("reminderLedger", limit=1_000_000) as changes:
        running = asyncio.create_task(reminders.run(stop))
        seen = -1
        while seen < work.turns < 10:
            seen = work.turns
            await here.clock.until_sleeping()
            for _ in range(50):
                await asyncio.sleep(0)
        stop.set()
        await running
        batch = changes.take_changes()
    reminders._turn = taken  # type: ignore[method-assign]
    work.writes = 0 if batch is None else len(batch.changes)
    return work


def _confirmed(here: World, row: LiveSessionRow, pubkey: str) -> RsvpRow:
    return RsvpRow(
        session_address=row.session_address,
        pubkey=pubkey,
        status=RsvpStatus.CONFIRMED,
        rsvp_time=here.now,
        event_id=pubkey,
        first_seen=int(pubkey, 16),
        first_seen_at=here.now,
        seat="held",
    )


@pytest.mark.parametrize("early", [900, 840, 60, 1])
async def test_live_now_is_sent_when_the_session_is_started_early_by_hand(early: int) -> None:
    """At that moment, once, with words that are true; the hour it was announced for brings nothing more."""
    async with world() as here:
        row = await here.schedule(starts_in=2 * 3600)
        person, there = await here.person(), await here.person()
        for key in (person, there):
            await here.answer(key, row)
            await here.turn()
            await here.clock.advance(60)
        await here.advance(row.scheduled_at - early - here.now)
        room = Room(here, await here.row(row.session_address))
        await room.sit(there)
        assert isinstance(await here.lifecycle.start(row.session_address, here.instructor.pubkey), LiveSessionRow)
        started = here.now
        await here.turn()
        assert here.letters(person)[-1] == f"Live now: {TITLE}"
        ledger = (await here.ledger(person, row))["start"]
        assert (ledger.due_at, ledger.window_ends_at) == (started, started + 900)
        assert "It starts now." in texts_of(here, person)[-1]
        assert (await here.states(there, row))["start"] == "skipped"
        for _ in range(3):
            await here.advance(600)
        for key, expected in ((person, 1), (there, 0)):
            assert here.letters(key).count(f"Live now: {TITLE}") == expected
        assert here.letters(person)[-1] == f"Live now: {TITLE}"


async def test_live_now_follows_a_start_that_comes_late() -> None:
    """The instructor comes 25 minutes late: the window is counted from there, and nobody reads that it starts."""
    async with world(start_policy=StartPolicy.INSTRUCTOR) as here:
        row = await here.schedule(starts_in=3600)
        person = await here.person()
        await here.answer(person, row)
        await here.turn()
        await here.advance(3600)
        await here.advance(25 * 60)
        assert f"Live now: {TITLE}" not in here.letters(person)
        assert isinstance(await here.lifecycle.start(row.session_address, here.instructor.pubkey), LiveSessionRow)
        await here.turn()
        assert here.letters(person)[-1] == f"Live now: {TITLE}"
        assert "It starts now." in texts_of(here, person)[-1]


async def test_a_session_that_never_begins_holds_no_message_for_ever() -> None:
    """'Live now' of a session that lapsed is missed, not kept."""
    async with world() as here:
        row = await here.schedule(starts_in=3600)
        person = await here.person()
        await here.answer(person, row)
        await here.turn()
        here.listed.clear()
        for _ in range(4):
            await here.advance(3600)
        assert (await here.row(row.session_address)).state == "ended"
        assert (await here.states(person, row))["start"] == "missed"


def texts_of(here: World, key: SecretKey) -> list[str]:
    """The messages that were sent to a person."""
    return [rumor.content for rumor in opened(here, key, kinds.PRIVATE_MESSAGE)]


async def test_a_reload_moves_and_drops_what_was_planned_and_not_sent() -> None:
    """New offsets count for reminders planned before; one that was turned off is not sent, one past stays as it was."""
    async with world() as here:
        row, person = await here.schedule(starts_in=48 * 3600), await here.person()
        await here.answer(person, row)
        await here.turn()
        before = here.reminders.settings
        offsets = {each.message: each for each in before.planner.policy.offsets}
        new = (
            msgspec.structs.replace(offsets[ReminderMessage.DAY], before=47 * 3600, closes=10 * 3600),
            msgspec.structs.replace(offsets[ReminderMessage.QUARTER], before=72 * 3600),
            offsets[ReminderMessage.START],
        )
        policy = msgspec.structs.replace(before.planner.policy, offsets=new)
        planner = msgspec.structs.replace(before.planner, policy=policy)
        here.reminders.settings = msgspec.structs.replace(before, planner=planner)
        await here.turn()
        ledger = await here.ledger(person, row)
        assert ledger["hour"].state == "cancelled"
        assert (ledger["day"].due_at, ledger["day"].window_ends_at) == (
            row.scheduled_at - 47 * 3600,
            row.scheduled_at - 10 * 3600,
        )
        assert ledger["quarter"].due_at == row.scheduled_at - 15 * 60
        await here.advance(3600)
        await here.turn()
        assert here.letters(person)[-1].startswith("Tomorrow")


async def test_messages_are_mined_for_relays_that_ask_for_work() -> None:
    """So many in one turn, and the others in the next."""
    async with world() as here:
        here.limits = {INBOX: RelayLimits(min_pow_difficulty=6)}
        here.reminders._sender.work = Work(1)
        row = await here.schedule(starts_in=30 * 60)
        for _ in range(2):
            await here.answer(await here.person(), row)
        await here.rsvps._turn(EVERYTHING)
        assert await here.reminders._turn(EVERYTHING) == here.now + 1
        assert [nip13.difficulty(each.event_id) >= 6 for each in await _wraps(here)] == [True]
        await here.reminders._turn(EVERYTHING)
        assert [nip13.difficulty(each.event_id) >= 6 for each in await _wraps(here)] == [True, True]


async def test_no_work_is_done_for_a_relay_that_asks_for_too_much() -> None:
    """It will refuse the message, and says so itself."""
    async with world() as here:
        here.limits = {INBOX: RelayLimits(min_pow_difficulty=MOST_WORK + 1)}
        await here.answer(await here.person(), await here.schedule(starts_in=30 * 60))
        await here.rsvps._turn(EVERYTHING)
        await here.reminders._turn(EVERYTHING)
        assert [b'"nonce"' in each.event_json for each in await _wraps(here)] == [False]


async def _wraps(here: World) -> list[OutboxRow]:
    return [row for row in await here.outbox.due(here.now) if row.relay == INBOX]

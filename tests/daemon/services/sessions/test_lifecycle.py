"""Sessions through time."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from podium_daemon.runtime.outcomes import Rejection
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.services.sessions.agenda import AT_ONCE
from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.live.lifecycle_rules import Facts, StartPolicy
from podium_protocol.live.live_status import MeetingStatus, read_meeting
from podium_storage.changes import Batch
from podium_storage.table.models import LiveSessionRow
from tests.support.reads import reading
from tests.support.until import until
from tests.support.world import EVERYTHING, world


async def test_a_session_is_announced_started_and_ended_on_time() -> None:
    """A scheduled session is planned, goes live at its hour and ends when its duration has elapsed."""
    async with world() as here:
        row = await here.schedule(starts_in=3600, minutes=60)
        await here.turn()
        await here.advance(3600)
        assert (await here.row(row.session_address)).state == "active"
        await here.advance(3600)
        ended = await here.row(row.session_address)
        assert (ended.state, ended.end_reason) == ("ended", "duration_elapsed")
        assert ended.runs == ((row.scheduled_at, row.ends_at),)
        meetings = [read_meeting(event) for event in here.published(kinds.MEETING)]
        assert [meeting.status for meeting in meetings if meeting] == [
            MeetingStatus.PLANNED,
            MeetingStatus.LIVE,
            MeetingStatus.ENDED,
        ]


async def test_a_live_status_is_refreshed_before_clients_give_it_up() -> None:
    """While a session is live its 30313 is published again every ten minutes, each newer than the last."""
    async with world() as here:
        await here.schedule(starts_in=60, minutes=90)
        await here.advance(60)
        for _ in range(3):
            await here.advance(600)
        times = [event.created_at for event in here.published(kinds.MEETING)]
        assert len(times) == 4
        assert times == sorted(set(times))


async def test_a_refreshed_status_names_the_time_of_the_next_refresh() -> None:
    """What the service wrote itself does not wake it: its own turns lead to the next refresh."""
    async with world() as here:
        await here.schedule(starts_in=60, minutes=90)
        await here.advance(60)
        await here.clock.advance(600)
        assert await here.lifecycle._turn(EVERYTHING) == here.now + 600
        assert await here.lifecycle._turn(Batch(())) == here.now + 600


@pytest.mark.faults
async def test_an_instructor_who_left_the_list_blocks_the_start() -> None:
    """A session of a person who is no longer verified stays scheduled and says why, until they are again."""
    async with world() as here:
        row = await here.schedule(starts_in=60)
        here.listed.clear()
        await here.advance(60)
        blocked = await here.row(row.session_address)
        assert blocked.state == "scheduled"
        assert "not on the list" in (blocked.blocked_reason or "")
        here.listed.add(here.instructor.pubkey)
        await here.advance(30)
        assert (await here.row(row.session_address)).state == "active"


@pytest.mark.parametrize(("changes", "answer"), [(1, "active"), (2, "active"), (3, "busy")])
async def test_a_command_outlives_a_change_at_the_very_moment(changes: int, answer: str) -> None:
    """Where the session's own event comes back between look and move, the command looks again, a few times."""
    async with world() as here:
        row = await here.schedule(starts_in=300)
        facts, left = here.lifecycle._facts, [changes]

        async def overtaken(seen: LiveSessionRow) -> Facts:
            found = await facts(seen)
            if left[0]:
                left[0] -= 1
                await here.store.sessions.put(msgspec.structs.replace(seen, version=seen.version + 1))
            return found

        here.lifecycle._facts = overtaken  # type: ignore[method-assign]
        told = await here.lifecycle.start(row.session_address, here.instructor.pubkey)
        assert (told.slug if isinstance(told, Rejection) else told.state) == answer


async def test_only_the_instructor_starts_and_ends() -> None:
    """A command by anybody else is refused and changes nothing; the instructor's works from doors-open on."""
    async with world() as here:
        row = await here.schedule(starts_in=3600)
        stranger = await here.person()
        refused = await here.lifecycle.start(row.session_address, stranger.pubkey)
        assert isinstance(refused, Rejection)
        assert refused.slug == "not-allowed"
        early = await here.lifecycle.start(row.session_address, here.instructor.pubkey)
        assert isinstance(early, Rejection)
        assert (early.slug, early.values) == ("doors-closed", {"opensAt": row.scheduled_at - 900})
        await here.advance(3600 - 600)
        started = await here.lifecycle.start(row.session_address, here.instructor.pubkey)
        assert not isinstance(started, Rejection)
        assert started.state == "active"
        ended = await here.lifecycle.end(row.session_address, here.instructor.pubkey)
        assert not isinstance(ended, Rejection)
        assert (ended.state, ended.end_reason) == ("ended", "manual_end")


async def test_a_reopened_session_keeps_its_first_run() -> None:
    """Reopening within half an hour adds a second run and never overwrites the first."""
    async with world() as here:
        row = await here.schedule(starts_in=0, minutes=60)
        await here.turn()
        await here.advance(600)
        await here.lifecycle.end(row.session_address, here.instructor.pubkey)
        await here.advance(300)
        again = await here.lifecycle.reopen(row.session_address, here.instructor.pubkey)
        assert not isinstance(again, Rejection)
        assert again.state == "active"
        start = row.scheduled_at
        assert again.runs == ((start, start + 600), (start + 900, None))


async def test_nobody_came_under_the_instructor_policy() -> None:
    """With start_policy instructor a session without its instructor ends as a no-show after half an hour."""
    async with world(start_policy=StartPolicy.INSTRUCTOR) as here:
        row = await here.schedule(starts_in=60)
        await here.advance(60)
        assert (await here.row(row.session_address)).state == "scheduled"
        await here.advance(1800)
        ended = await here.row(row.session_address)
        assert (ended.state, ended.end_reason) == ("ended", "no_show")


async def test_a_cancelled_session_never_starts() -> None:
    """A cancelled revision and its deletion make the session cancelled, and its status ended."""
    async with world() as here:
        row = await here.schedule(starts_in=3600)
        await here.turn()
        await here.cancel(row)
        await here.turn()
        await here.advance(3600)
        assert (await here.row(row.session_address)).state == "cancelled"
        assert tags.first(here.published(kinds.MEETING)[-1].tags, "status") == "ended"


async def test_a_reschedule_begins_a_new_epoch() -> None:
    """A new start bumps the epoch and the session goes live at the new hour only."""
    async with world() as here:
        row = await here.schedule(starts_in=3600)
        moved = await here.move(row, row.scheduled_at + 3600)
        assert (moved.epoch, moved.moved_from) == (1, row.scheduled_at)
        await here.advance(3600)
        assert (await here.row(row.session_address)).state == "scheduled"
        await here.advance(3600)
        assert (await here.row(row.session_address)).state == "active"


async def test_people_in_the_room_are_warned_before_the_end() -> None:
    """Five minutes before the end the room is told, once."""
    async with world() as here:
        row = await here.schedule(starts_in=0, minutes=30)
        await here.turn()
        await here.advance(25 * 60)
        await here.advance(60)
        assert here.notices == [(row.session_address, "This session ends in 5 min.")]


async def test_a_turn_reads_what_changed_or_is_due_and_no_other_session() -> None:
    """Among many sessions of these days, a quiet turn reads none and a change of one reads only that one."""
    async with world() as here:
        rows = [await here.schedule(starts_in=3600 + number) for number in range(30)]
        await here.store.sessions.bulk_put(
            [
                msgspec.structs.replace(rows[0], id=None, session_address=f"31923:{'a' * 64}:{number}", state="ended")
                for number in range(60)
            ]
        )
        table = here.store.sessions.name
        with here.store.changes.subscribe(table) as changes:
            await here.lifecycle._turn(EVERYTHING)  # announces them all
            due = await here.lifecycle._turn(Batch(()))
            assert due == rows[0].scheduled_at - 900
            changes.take_changes()
            with reading(here.store.database) as quiet:
                assert await here.lifecycle._turn(Batch(())) == due
            assert quiet.count == 0
            await here.store.sessions.put(
                msgspec.structs.replace(await here.row(rows[9].session_address), withdrawn=True, version=9)
            )
            batch = changes.take_changes()
            assert batch is not None
            with reading(here.store.database) as one:
                await here.lifecycle._turn(batch)
            assert one.rows_of(table) == 2  # that session, and once more to close its polls
        assert (await here.row(rows[9].session_address)).state == "cancelled"
        await here.lifecycle._turn(Batch(()))  # sees to what has just moved
        await here.clock.advance(3600 + 29 - 900)
        with reading(here.store.database) as doors:
            await here.lifecycle._turn(Batch(()))
        assert doors.rows_of(table) == 29


async def test_a_session_that_waits_for_its_instructor_is_looked_at_again() -> None:
    """The list of instructors changes without a change of any row, so a blocked start is tried each half minute."""
    async with world() as here:
        row = await here.schedule(starts_in=60)
        await here.lifecycle._turn(EVERYTHING)
        here.listed.clear()
        await here.clock.advance(60)
        due = await here.lifecycle._turn(Batch(()))
        assert due == here.now + 30
        here.listed.add(here.instructor.pubkey)
        await here.clock.advance(30)
        await here.lifecycle._turn(Batch(()))
        assert (await here.row(row.session_address)).state == "active"


async def test_what_is_asked_for_while_it_is_announced_is_announced_again() -> None:
    """A reload in the middle of an announcement is not lost: half of it may say what was before."""
    async with world() as here:
        told = 0

        async def tell() -> bool:
            nonlocal told
            told += 1
            if told == 1:
                here.lifecycle.announce_again()
            return True

        here.lifecycle._at_start = tell
        here.lifecycle.announce_again()
        for _ in range(3):
            await here.lifecycle._turn(EVERYTHING)
        assert told == 2


async def test_what_had_to_wait_for_a_relay_is_said_later() -> None:
    """What could not be announced at the start is tried each half minute until it could, and then no more."""
    async with world() as here:
        answers = [False, False, True]
        asked: list[int] = []

        async def tell() -> bool:
            asked.append(here.now)
            return answers[len(asked) - 1]

        here.lifecycle._at_start = tell
        here.lifecycle.announce_again()
        began = here.now
        for _ in range(5):
            for _ in range(2):
                await here.lifecycle._turn(Batch(()))
            await here.clock.advance(30)
        assert asked == [began, began + 30, began + 60]


async def test_the_room_follows_the_sessions() -> None:
    """Once announced, the room opens eight hours before a session, is refreshed until its end, and closes with it."""
    async with world() as here:
        await here.lifecycle._announce()
        row = await here.schedule(starts_in=12 * 3600, minutes=60)
        while (await here.row(row.session_address)).state != "ended":
            due = await here.lifecycle._turn(Batch(()))
            assert due is not None
            await here.clock.advance(max(0, due - here.now))
        for _ in range(2):
            await here.lifecycle._turn(EVERYTHING)
        await here.deliver()
        told = [(space.created_at, tags.first(space.tags, "status")) for space in here.published(kinds.SPACE)]
        start = row.scheduled_at
        assert [status for _, status in told] == ["closed", "open", "open", "open", "closed"]
        assert [at for at, _ in told[1:4]] == [start - 8 * 3600, start - 4 * 3600, start]


async def test_a_due_start_does_not_wait_for_the_sessions_that_are_read_in() -> None:
    """However many sessions a relay tells at once, one that is due moves after a few of them, not after all."""
    async with world() as here:
        due = await here.schedule(starts_in=3600)
        await here.lifecycle._turn(EVERYTHING)
        with here.store.changes.subscribe(here.store.sessions.name) as told:
            for _ in range(3 * AT_ONCE):
                await here.schedule()
            await here.clock.advance(3600)
            batch = told.take_changes()
            assert batch is not None
            await here.lifecycle._turn(batch)
            written = told.take_changes()
            assert written is not None
        rows = [change.after for change in written.changes if isinstance(change.after, LiveSessionRow)]
        moved = [number for number, row in enumerate(rows) if row.session_address == due.session_address]
        assert (await here.row(due.session_address)).state == "active"
        assert moved[0] < AT_ONCE
        assert len(rows) > 3 * AT_ONCE


async def test_sessions_that_are_read_in_are_announced_in_a_few_transactions() -> None:
    """Each has its signed status; they are stored in parts, not with a transaction for each session."""
    async with world() as here:
        rows = [await here.schedule() for _ in range(AT_ONCE + 1)]
        transact, count = here.store.database.transact, [0]

        async def counted(scope: Any, **given: Any) -> Any:
            count[0] += 1
            return await transact(scope, **given)

        here.store.database.transact = counted  # type: ignore[method-assign]
        await here.lifecycle._turn(EVERYTHING)
        assert count[0] <= 4
        for row in rows:
            status = Address(kinds.MEETING, here.service.pubkey, row.conference_room_id or "")
            assert await here.mirror.newest(status) is not None


async def test_what_the_store_knows_starts_although_a_relay_is_still_being_read() -> None:
    """A relay that never says EOSE holds up no due start; what came only now waits, since it may be over already."""
    async with world() as here:
        known = await here.schedule(starts_in=3600)
        over = await here.schedule(starts_in=60, minutes=1)
        await here.turn()
        await here.advance(60)
        here.clock.jump(3600)
        here.join()
        here.lifecycle._caught_up = past = asyncio.Event()
        new = await here.schedule(starts_in=0)
        stop = Stop(here.clock)
        running = asyncio.create_task(here.lifecycle.run(stop))

        async def states() -> list[str]:
            return [(await here.row(row.session_address)).state for row in (known, over, new)]

        async def passes(expected: list[str]) -> bool:
            await here.clock.advance(1)
            return await states() == expected

        await here.clock.until_sleeping()
        await until(lambda: passes(["active", "active", "scheduled"]), "the known one is started")
        past.set()
        await until(lambda: passes(["active", "ended", "active"]), "the others follow once the past is read")
        stop.set()
        await running


async def test_a_session_that_the_relays_cancel_at_once_is_not_started() -> None:
    """They have two seconds for it: a cancellation from while the daemon was away is read before the start."""
    async with world() as here:
        row = await here.schedule(starts_in=60)
        await here.turn()
        here.clock.jump(120)
        here.join()
        here.lifecycle._caught_up = past = asyncio.Event()
        stop = Stop(here.clock)
        running = asyncio.create_task(here.lifecycle.run(stop))
        await here.clock.until_sleeping()
        await here.clock.advance(1)
        await here.cancel(row)
        past.set()

        async def is_cancelled() -> bool:
            await here.clock.advance(1)
            return (await here.row(row.session_address)).state == "cancelled"

        await until(is_cancelled, "it is cancelled")
        stop.set()
        await running
        meetings = [read_meeting(event) for event in here.published(kinds.MEETING)]
        assert MeetingStatus.LIVE not in [meeting.status for meeting in meetings if meeting]

"""Attendance as observed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
import pytest

from podium_daemon.conference.engine import LeaveReason, MediaUp
from podium_daemon.conference.seats import SocketSeat
from podium_daemon.runtime.outcomes import Rejection
from podium_daemon.runtime.reconcile_loop import RETRY_SECONDS
from podium_daemon.runtime.supervisor import Stop
from podium_protocol import kinds
from podium_protocol.keys import SecretKey
from podium_protocol.live.attendance_record import AttendanceRecord, read_attendance_record
from podium_storage.changes import Batch
from podium_storage.table.models import AttendanceRow, LiveSessionRow
from tests.support.able_engine import AbleEngine
from tests.support.full_disk import full_disk
from tests.support.reads import reading
from tests.support.soon import soon
from tests.support.world import Room, World, world


async def _seen(here: World, row: LiveSessionRow, key: SecretKey) -> AttendanceRow | None:
    return await here.store.attendance.where("[lessonId+pubkey]").equals([row.session_address, key.pubkey]).first()


def _records(here: World, key: SecretKey) -> list[AttendanceRecord]:
    found = [read_attendance_record(event) for event in here.published(kinds.ATTENDANCE)]
    return [record for record in found if record is not None and record.participant == key.pubkey]


async def _is_counted(here: World, row: LiveSessionRow, key: SecretKey, *, final: bool = False) -> bool:
    found = await _seen(here, row, key)
    return found is not None and found.final >= final


async def _beat(here: World, seconds: int, *seats: object) -> None:
    """Let time pass in steps in which the seats give signs of life."""
    for _ in range(seconds // 60):
        await here.clock.advance(60)
        for seat in seats:
            seat.beat()  # type: ignore[attr-defined]  # a LinkSeat
        await here.turn()


async def test_who_stays_completes_and_gets_a_signed_record() -> None:
    """Thirty minutes of presence complete at the second they are reached; the final record has the whole time."""
    async with world() as here:
        row = await here.schedule(starts_in=0, minutes=90)
        await here.turn()
        person = await here.person()
        seat = await Room(here, row).sit(person)
        await _beat(here, 35 * 60, seat)
        attended = await _seen(here, row, person)
        assert attended is not None
        assert attended.completed_at == row.scheduled_at + 1800
        assert attended.completed_by == "live"
        await Room(here, row).leave(seat)
        await here.lifecycle.end(row.session_address, here.instructor.pubkey)
        await here.turn()
        first, final = _records(here, person)
        assert first.completed is not None
        assert (final.total_duration, final.join_count, final.left_at) == (35 * 60, 1, row.scheduled_at + 35 * 60)
        assert final.completed == first.completed


async def test_who_leaves_early_has_attendance_and_no_completion() -> None:
    """Five minutes are recorded and complete nothing."""
    async with world() as here:
        row = await here.schedule(starts_in=0, minutes=60)
        await here.turn()
        person = await here.person()
        seat = await Room(here, row).sit(person)
        await _beat(here, 300, seat)
        await Room(here, row).leave(seat)
        await _beat(here, 55 * 60)
        (record,) = _records(here, person)
        assert record.total_duration == 300
        assert record.completed is None


async def test_a_return_after_more_than_a_minute_is_a_second_join() -> None:
    """JoinCount counts returns after more than 60 s, and the gap is not credited."""
    async with world() as here:
        row = await here.schedule(starts_in=0, minutes=60)
        await here.turn()
        person = await here.person()
        room = Room(here, row)
        seat = await room.sit(person)
        await _beat(here, 120, seat)
        await room.leave(seat)
        await _beat(here, 120)
        again = await room.sit(person)
        await _beat(here, 120, again)
        attended = await _seen(here, row, person)
        assert attended is not None
        assert (attended.join_count, attended.total_duration) == (2, 240)


async def test_two_devices_count_once() -> None:
    """Presence on two devices is the union of their times."""
    async with world() as here:
        row = await here.schedule(starts_in=0, minutes=60)
        await here.turn()
        person = await here.person()
        room = Room(here, row)
        seats = [await room.sit(person, device) for device in ("laptop", "phone")]
        await _beat(here, 300, *seats)
        attended = await _seen(here, row, person)
        assert attended is not None
        assert (attended.join_count, attended.total_duration) == (1, 300)


async def test_whoever_is_there_at_the_end_gets_the_actual_end() -> None:
    """The end of the session closes the room; those still present are credited up to it."""
    async with world() as here:
        row = await here.schedule(starts_in=0, minutes=10)
        await here.turn()
        person = await here.person()
        seat = await Room(here, row).sit(person)
        await _beat(here, 600, seat)
        await Room(here, row).observe()
        await here.turn()
        attended = await _seen(here, row, person)
        assert attended is not None
        assert (attended.left_at, attended.total_duration) == (row.ends_at, 600)
        assert seat.over == "room_closed"


async def test_a_start_by_hand_before_the_hour_earns_full_credit() -> None:
    """Started 14 minutes early and ended 6 minutes after the hour, those 20 minutes are what was there to attend."""
    async with world() as here:
        row = await here.schedule(starts_in=840, minutes=90)
        await here.turn()
        assert not isinstance(await here.lifecycle.start(row.session_address, here.instructor.pubkey), Rejection)
        ada, ben = await here.person(), await here.person()
        room = Room(here, row)
        seats = [await room.sit(ada), await room.sit(ben)]
        await _beat(here, 600, *seats)
        seen = await _seen(here, row, ada)
        assert seen is not None
        assert seen.total_duration == 600  # and their page says so before the hour has come
        await room.leave(seats[1])
        await _beat(here, 600, seats[0])
        await here.lifecycle.end(row.session_address, here.instructor.pubkey)
        await here.turn()
        (whole,), (half,) = _records(here, ada)[-1:], _records(here, ben)[-1:]
        assert (whole.total_duration, half.total_duration) == (1200, 600)
        assert whole.completed is not None
        assert half.completed is not None
        assert half.completed.at == row.scheduled_at - 240


async def test_time_before_the_start_is_not_credited() -> None:
    """Who sits down early is credited from the scheduled start."""
    async with world() as here:
        row = await here.schedule(starts_in=300, minutes=60)
        person = await here.person()
        seat = await Room(here, row).sit(person)
        await _beat(here, 600, seat)
        attended = await _seen(here, row, person)
        assert attended is not None
        assert attended.total_duration == 300


async def test_a_daemon_that_died_loses_no_more_than_a_heartbeat() -> None:
    """Seats that were open when the daemon died end one poll after their last evidence, and no absence is counted."""
    async with world() as here:
        row = await here.schedule(starts_in=0, minutes=60)
        await here.turn()
        person = await here.person()
        seat = await Room(here, row).sit(person)
        await _beat(here, 600, seat)
        await here.clock.advance(400)  # killed
        await here.attendance._close_what_a_former_run_left_open()
        rows = await here.store.intervals.to_list()
        assert [(each.left_at, each.leave_reason) for each in rows] == [(row.scheduled_at + 660, "daemon_down")]
        await Room(here, row).sit(person, "phone")
        await here.clock.advance(60)
        await here.turn()
        attended = await _seen(here, row, person)
        assert attended is not None
        assert attended.join_count == 1


@contextlib.asynccontextmanager
async def _restarted(here: World) -> AsyncIterator[None]:
    """The service as a daemon that has just started runs it."""
    stop = Stop(here.clock)
    running = asyncio.create_task(here.attendance.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running


@pytest.mark.parametrize("poll", [1, 60])
@pytest.mark.parametrize("away", [0, 3, 125, 400 * 24 * 3600])
async def test_a_daemon_that_died_right_after_the_end_makes_the_final_record(poll: int, away: int) -> None:
    """However long it was down and however often it looks, everybody's attendance becomes final, and once."""
    async with world() as here:
        here.attendance.settings = msgspec.structs.replace(here.attendance.settings, poll=poll)
        row = await here.schedule(starts_in=0, minutes=60)
        await here.turn()
        ada, ben = await here.person(), await here.person()
        seat = await Room(here, row).sit(ada)
        await _beat(here, 600, seat)
        await Room(here, row).sit(ben)  # and of him there is no row when it ends
        await here.clock.advance(5)
        await here.lifecycle.end(row.session_address, here.instructor.pubkey)
        before = await _seen(here, row, ada)
        assert before is not None
        assert not before.final
        await here.clock.advance(away)  # killed

        async def is_final() -> bool:
            return all([await _is_counted(here, row, key, final=True) for key in (ada, ben)])

        for _ in range(2):
            async with _restarted(here):
                await soon(is_final)
            await here.deliver()
        (record,) = _records(here, ada)
        assert record.left_at is not None
        assert row.scheduled_at + 600 <= record.left_at <= row.scheduled_at + 605
        assert len(_records(here, ben)) == 1


async def test_a_start_looks_at_no_session_that_was_settled() -> None:
    """A minute after the last change it is noted that all is attested; what changes after that is looked at again."""
    async with world() as here:
        row = await here.schedule(starts_in=0, minutes=60)
        await here.turn()
        seat = await Room(here, row).sit(person := await here.person())
        await _beat(here, 300, seat)
        tables = (here.store.sessions.name, here.store.intervals.name)
        with here.store.changes.subscribe(*tables) as changes:
            here.attendance._changes = changes
            await Room(here, row).leave(seat)
            await here.lifecycle.end(row.session_address, here.instructor.pubkey)
            assert await here.store.unattested.addresses() == [row.session_address]
            await here.attendance._turn(changes.take_changes() or Batch(()))
            assert await here.store.unattested.addresses() == [row.session_address]
            await here.clock.advance(61)
            await here.attendance._turn(changes.take_changes() or Batch(()))
            assert await here.store.unattested.addresses() == []
        assert await _is_counted(here, row, person, final=True)
        await here.attendance.track(row.session_address, person.pubkey, row.scheduled_at + 900, row.scheduled_at + 960)
        assert await here.store.unattested.addresses() == [row.session_address]


async def test_what_was_closed_before_the_daemon_died_is_settled_too() -> None:
    """A person whose stay was written down whole, and of whom there is no row yet, gets one."""
    async with world() as here:
        row = await here.schedule(starts_in=0, minutes=60)
        await here.turn()
        ada = await here.person()
        room = Room(here, row)
        seat = await room.sit(ada)
        await here.clock.advance(300)
        await room.leave(seat)
        await here.lifecycle.end(row.session_address, here.instructor.pubkey)
        await here.clock.advance(125)
        assert await _seen(here, row, ada) is None
        async with _restarted(here):
            await soon(lambda: _is_counted(here, row, ada, final=True))


async def test_a_full_disk_around_the_end_costs_nobody_their_attendance() -> None:
    """While nothing can be written the service tries again; then all of it is there, also who left meanwhile."""
    async with world() as here:
        row = await here.schedule(starts_in=0, minutes=60)
        await here.turn()
        ada = await here.person()
        room = Room(here, row)
        seat = await room.sit(ada)
        await here.clock.advance(60)
        async with _restarted(here):
            await soon(lambda: _is_counted(here, row, ada))
            await here.lifecycle.end(row.session_address, here.instructor.pubkey)
            with full_disk(here.store):
                await seat.leave(LeaveReason.LEFT)
                for _ in range(30):
                    await here.clock.advance(10)  # longer than two polls
                before = await _seen(here, row, ada)
                assert before is not None
                assert not before.final

            async def is_final() -> bool:
                await here.clock.advance(RETRY_SECONDS)
                return await _is_counted(here, row, ada, final=True)

            await soon(is_final)
        (left,) = [interval.leave_reason for interval in await here.store.intervals.to_list()]
        assert left is not None


async def test_a_leave_that_was_missed_is_found_by_the_poll() -> None:
    """A connection the engine no longer lists ends at its last evidence plus one poll."""
    async with world() as here:
        row = await here.schedule(starts_in=0, minutes=60)
        await here.turn()
        person = await here.person()
        room = Room(here, row)
        seat = await room.sit(person)
        await _beat(here, 120, seat)
        await seat.leave("left")  # type: ignore[arg-type]  # and nobody reads the engine's event
        await here.clock.advance(60)
        await here.turn()
        rows = await here.store.intervals.to_list()
        assert rows[0].left_at is not None
        assert rows[0].leave_reason == "unknown"


class _MediaEngine(AbleEngine):
    """An engine whose seats can have media."""

    evidence = "engine"  # type: ignore[assignment,misc]  # the link engine's is its own

    def media_up(self, seat: SocketSeat) -> None:
        """Its media connection is there."""
        self._journal.append(MediaUp(id=f"{seat.connection.id}/media", at=0, connection=seat.connection))


@pytest.mark.parametrize("told", ["event", "list"])
async def test_a_seat_is_attested_by_what_it_had(told: str) -> None:
    """Only whose media was up was seen by the engine; the others were present on the page, for as long."""
    async with world(engine=_MediaEngine) as here:
        engine = here.engine
        assert isinstance(engine, _MediaEngine)
        row = await here.schedule(starts_in=0, minutes=60)
        await here.turn()
        ada, ben = await here.person(), await here.person()
        room = Room(here, row)
        seats = [await room.sit(ada), await room.sit(ben)]
        if told == "event":
            engine.media_up(seats[0])
        else:
            seats[0].has_media = True  # and the event was lost
        await _beat(here, 600, *seats)
        for seat in seats:
            await room.leave(seat)
        await here.lifecycle.end(row.session_address, here.instructor.pubkey)
        await here.turn()
        (adas,), (bens,) = _records(here, ada), _records(here, ben)
        assert (adas.evidence, bens.evidence) == ("engine", "presence")
        assert adas.total_duration == bens.total_duration == 600
        assert adas.assurance == bens.assurance == "signature"


async def test_the_instructor_can_record_somebody_by_hand() -> None:
    """A manual interval counts, is marked as such, and the same one twice counts once."""
    async with world() as here:
        row = await here.schedule(starts_in=0, minutes=60)
        await here.turn()
        person = await here.person()
        for _ in range(2):
            await here.attendance.track(row.session_address, person.pubkey, row.scheduled_at, row.scheduled_at + 1800)
        await here.advance(3600)
        (record,) = _records(here, person)
        assert (record.total_duration, record.evidence) == (1800, "manual")
        assert isinstance(await here.attendance.track("31923:x:y", person.pubkey, 1, 2), Rejection)


async def test_records_bring_attendance_back_to_an_empty_disk() -> None:
    """A service with the same key that reads its own records has the same attendance again."""
    async with world() as here:
        row = await here.schedule(starts_in=0, minutes=60)
        await here.turn()
        person = await here.person()
        seat = await Room(here, row).sit(person)
        await _beat(here, 2400, seat)
        await Room(here, row).leave(seat)
        await here.lifecycle.end(row.session_address, here.instructor.pubkey)
        await here.turn()
        before = await _seen(here, row, person)
        async with world(like=here) as anew:
            await anew.mirror.ingest(here.published(kinds.ATTENDANCE), received_at=anew.now)
            await anew.mirror.ingest([await here.event_of(row)], received_at=anew.now)
            await anew.mirror.ingest(here.published(kinds.MEETING)[-1:], received_at=anew.now)
            await anew.turn()
            assert (await anew.row(row.session_address)).state == "ended"
            assert anew.published(kinds.ATTENDANCE) == []
            after = await _seen(anew, row, person)
        assert before is not None
        assert after is not None
        assert (after.total_duration, after.join_count, after.completed_at) == (
            before.total_duration,
            before.join_count,
            before.completed_at,
        )


async def test_who_leaves_within_a_second_is_not_shown_as_present() -> None:
    """A stay of no length credits nothing and leaves nobody marked as still there."""
    async with world() as here:
        row = await here.schedule(starts_in=0, minutes=60)
        await here.turn()
        person = await here.person()
        room = Room(here, row)
        seat = await room.sit(person)
        await _beat(here, 60, seat)
        await (
            here.store.intervals.where("lessonId")
            .equals(row.session_address)
            .modify(left_at=row.scheduled_at, leave_reason="left")
        )
        await here.turn()
        attended = await _seen(here, row, person)
        assert attended is not None
        assert attended.left_at == row.scheduled_at


async def test_a_poll_reads_the_sessions_in_which_people_can_be() -> None:
    """Live ones, those of the next day, and one that its instructor entered long before; not every session there is."""
    async with world() as here:
        for number in range(20):
            await here.schedule(starts_in=(10 + number) * 24 * 3600)
        near = await here.schedule(starts_in=3600)
        far = await here.schedule(starts_in=9 * 24 * 3600)
        await Room(here, far).sit(here.instructor)
        found = await here.attendance._open_sessions(here.now)
        assert {row.session_address for row in found} == {near.session_address, far.session_address}
        with reading(here.store.database) as reads:
            await here.attendance._poll(here.now)
        assert reads.rows_of(here.store.sessions.name) == 2

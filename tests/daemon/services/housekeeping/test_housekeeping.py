"""What is done once an hour: what nobody needs any more is forgotten, and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from podium_daemon.relays.strangers import DiskBudget
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.services.housekeeping.housekeeping import Housekeeping
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_storage.database import Transaction
from podium_storage.mirror.mirror import OpenedWraps
from podium_storage.retention import Retention
from podium_storage.table.models import (
    AttendanceRow,
    IntervalRow,
    LiveSessionRow,
    QuestionRow,
    RecordingRow,
    RoomMemberRow,
)
from tests.support.soon import soon
from tests.support.world import World, new_key, signed, world

DAY = 24 * 3600
YEAR = 365
_AVAILABLE = {"state": "available", "sha256": "ab" * 32, "store": "local", "created_at": 0, "updated_at": 0}


def keeping(here: World, days: int = YEAR) -> Housekeeping:
    """The housekeeping of a world."""
    return Housekeeping(
        store=here.store,
        mirror=here.mirror,
        outbox=here.outbox,
        opened_wraps=OpenedWraps(here.store.database),
        retention=Retention(here.store, here.mirror, here.outbox, service=here.service.pubkey),
        forget_recordings=here.recorder.forget,
        look_at_the_room=DiskBudget(here.store.database, lambda: 0, here.clock).is_used_up,
        retention_days=days,
        clock=here.clock,
    )


async def attended(here: World, row: LiveSessionRow, key: SecretKey) -> None:
    """A person's traces in a session: attendance, an interval, and a proof with consent."""
    await here.store.attendance.put(
        AttendanceRow(
            session_address=row.session_address,
            pubkey=key.pubkey,
            joined_at=row.scheduled_at,
            total_duration=60,
            join_count=1,
            evidence="presence",
        )
    )
    await here.store.intervals.put(
        IntervalRow(
            connection_id=f"{row.session_address}:{key.pubkey}",
            session_address=row.session_address,
            pubkey=key.pubkey,
            device="laptop",
            joined_at=row.scheduled_at,
            left_at=row.scheduled_at + 60,
            last_evidence=row.scheduled_at + 60,
            source="presence",
        )
    )
    await here.store.members.put(
        RoomMemberRow(
            session_address=row.session_address,
            pubkey=key.pubkey,
            state="admitted",
            role="participant",
            consent=True,
            updated_at=row.scheduled_at,
            assurance="signature",
        )
    )


async def traces(here: World, row: LiveSessionRow) -> tuple[int, int, int]:
    """How many rows of attendance, intervals and proofs there are."""
    tables = (here.store.attendance, here.store.intervals, here.store.members)
    counts = [len(await table.where("lessonId").equals(row.session_address).to_list()) for table in tables]
    return counts[0], counts[1], counts[2]


async def ended(here: World, minutes: int = 60) -> LiveSessionRow:
    """A session that is over, with a person who came."""
    row = await here.schedule(starts_in=0, minutes=minutes)
    await here.turn()
    await here.advance(minutes * 60)
    over = await here.row(row.session_address)
    assert over.state == "ended"
    await attended(here, over, new_key())
    return over


async def test_attendance_is_kept_for_its_time_and_not_longer() -> None:
    """A day before the time is over all is there; a day after, attendance, intervals and proofs are gone."""
    async with world() as here:
        row = await ended(here)
        await here.clock.advance((YEAR - 1) * DAY)
        await keeping(here).sweep()
        assert await traces(here, row) == (1, 1, 1)
        await here.clock.advance(2 * DAY)
        await keeping(here).sweep()
        assert await traces(here, row) == (0, 0, 0)
        assert await here.store.sessions.count() == 0


async def test_questions_go_with_the_attendance() -> None:
    """Who asked what is forgotten with who was there; what relays keep is theirs."""
    async with world() as here:
        row = await ended(here)
        question = QuestionRow(
            session_address=row.session_address,
            pubkey="a" * 64,
            event_id="b" * 64,
            text="Why?",
            created_at=0,
            first_seen_at=0,
        )
        await here.store.questions.add(question)
        await keeping(here).sweep()
        assert await here.store.questions.count() == 1
        await here.clock.advance((YEAR + 1) * DAY)
        await keeping(here).sweep()
        assert await here.store.questions.count() == 0


async def test_the_time_runs_from_the_end() -> None:
    """A long session is forgotten when it has been over for the time, not when it began so long ago."""
    async with world() as here:
        row = await ended(here, minutes=23 * 60)
        await here.clock.advance(DAY - 3600)
        await keeping(here, days=1).sweep()
        assert await traces(here, row) == (1, 1, 1)
        await here.clock.advance(3601)
        await keeping(here, days=1).sweep()
        assert await traces(here, row) == (0, 0, 0)


async def test_zero_days_keep_it_for_ever() -> None:
    """An operator who must keep attendance can."""
    async with world() as here:
        row = await ended(here)
        await here.clock.advance(20 * YEAR * DAY)
        await keeping(here, days=0).sweep()
        assert await traces(here, row) == (1, 1, 1)


async def test_other_sessions_lose_nothing() -> None:
    """A session that is ahead, live or fresh keeps everything, whatever else is old."""
    async with world() as here:
        old = await ended(here)
        await here.clock.advance(2 * YEAR * DAY)
        fresh = await ended(here)
        ahead = await here.schedule()
        await attended(here, ahead, new_key())
        await keeping(here).sweep()
        assert [await traces(here, row) for row in (old, fresh, ahead)] == [(0, 0, 0), (1, 1, 1), (1, 1, 1)]


async def test_a_session_that_never_ended_keeps_its_attendance() -> None:
    """A row whose end was never written down is not forgotten by its date alone."""
    async with world() as here:
        row = await here.schedule()
        await attended(here, row, new_key())
        await here.clock.advance(3 * YEAR * DAY)
        await keeping(here).sweep()
        assert await traces(here, row) == (1, 1, 1)


async def test_a_recording_and_the_consent_to_it_go_together(tmp_path: Path) -> None:
    """As long as the file cannot be deleted, the signed yes of those who are in it is kept with it."""
    async with world(recordings=tmp_path) as here:
        row = await ended(here)
        file, recording = (
            tmp_path / f"{'ab' * 32}.webm",
            RecordingRow(session_address=row.session_address, run=0, **_AVAILABLE),
        )
        file.mkdir()  # it cannot be deleted
        await here.store.recordings.add(recording)
        await here.clock.advance(2 * YEAR * DAY)
        await keeping(here).sweep()
        assert await traces(here, row) == (0, 0, 1)
        assert await here.store.recordings.count() == 1
        file.rmdir()
        file.write_bytes(b"what was said")
        await keeping(here).sweep()
        assert not file.exists()
        assert await traces(here, row) == (0, 0, 0)
        assert await here.store.recordings.count() == 0


async def test_a_recording_that_is_being_made_is_not_deleted(tmp_path: Path) -> None:
    """Whoever makes it would write it down after it was forgotten."""
    async with world(recordings=tmp_path) as here:
        row = await ended(here)
        await here.store.recordings.add(
            RecordingRow(session_address=row.session_address, run=0, **_AVAILABLE | {"state": "processing"})
        )
        assert not await here.recorder.forget(row.session_address)


async def test_expired_events_leave_the_mirror() -> None:
    """An event whose NIP-40 time has come is no longer held; others are."""
    async with world() as here:
        row, key = await here.schedule(), new_key()
        expires = here.now + 60
        tags = (("d", "x"), ("a", row.session_address), ("status", "accepted"), ("expiration", str(expires)))
        event = signed(key, UnsignedEvent(key.pubkey, here.now, kinds.RSVP, tags, ""))
        await here.mirror.ingest([event], received_at=here.now)
        own = Address.from_event(event)
        assert own is not None
        await keeping(here).sweep()
        assert await here.mirror.newest(own) is not None
        await here.clock.advance(61)
        await keeping(here).sweep()
        assert await here.mirror.newest(own) is None
        assert await here.rsvp(key, row) is None


async def test_settled_rows_of_the_outbox_are_forgotten_after_a_month() -> None:
    """What a relay has is remembered for thirty days; what still waits is never forgotten."""
    async with world() as here:
        first = await here.event_of(await here.schedule())
        second = await here.event_of(await here.schedule())

        async def queue(tx: Transaction) -> None:
            await here.event_writer.add(tx, [first])

        await here.store.database.transact(queue)
        await here.deliver()

        async def queue_more(tx: Transaction) -> None:
            await here.event_writer.add(tx, [second])

        await here.store.database.transact(queue_more)
        await here.clock.advance(29 * DAY)
        await keeping(here).sweep()
        assert len(await here.outbox.status_of(first.id)) == 1
        await here.clock.advance(2 * DAY)
        await keeping(here).sweep()
        assert await here.outbox.status_of(first.id) == []
        assert len(await here.outbox.status_of(second.id)) == 1


async def test_opened_wraps_are_forgotten_after_a_month() -> None:
    """Ids of gift wraps that were dealt with are kept while relays may give them back."""
    async with world() as here:
        opened, event_id = OpenedWraps(here.store.database), EventId("ab" * 32)
        await here.store.database.transact(lambda tx: opened.add_within(tx, [event_id], now=here.now))
        await here.clock.advance(29 * DAY)
        await keeping(here).sweep()
        assert await opened.known([event_id]) == {event_id}
        await here.clock.advance(2 * DAY)
        await keeping(here).sweep()
        assert await opened.known([event_id]) == frozenset()


async def test_it_sweeps_at_the_start_and_every_hour() -> None:
    """The service sweeps when it begins and then hour by hour, until it is told to stop."""
    async with world() as here:
        row = await ended(here)
        await here.clock.advance(2 * YEAR * DAY)
        stop = Stop(here.clock)
        running = asyncio.create_task(keeping(here).run(stop))
        await here.clock.until_sleeping()
        assert await traces(here, row) == (0, 0, 0)
        row = await here.schedule()
        await here.store.sessions.put(msgspec.structs.replace(row, state="ended", scheduled_at=1, ends_at=2))
        await attended(here, row, new_key())
        await here.clock.advance(3600)

        async def gone() -> bool:
            return await traces(here, row) == (0, 0, 0)

        await soon(gone)
        stop.set()
        await running


async def test_a_failing_disk_does_not_end_it() -> None:
    """A sweep that fails is tried again an hour later; the service goes on."""
    async with world() as here:
        stop = Stop(here.clock)
        running = asyncio.create_task(keeping(here).run(stop))
        await here.clock.until_sleeping()
        await here.store.close()
        await here.clock.advance(3600)
        await here.clock.until_sleeping()
        assert not running.done()
        stop.set()
        await running


async def test_after_a_sweep_the_room_is_measured() -> None:
    """What was deleted makes room: strangers are not refused until the next request."""
    async with world() as here:
        budget, most = DiskBudget(here.store.database, lambda: most[0], here.clock), [1]
        sweeping = keeping(here)
        sweeping._look_at_the_room = budget.is_used_up
        await sweeping.sweep()
        assert budget.is_reached
        most[0] = budget.used + 1
        await here.clock.advance(3600)
        await sweeping.sweep()
        assert not budget.is_reached

"""Presence events (kind 10312) as evidence of attendance."""

from __future__ import annotations

import pytest

from podium_daemon.services.attendance.observation import rule_interval
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.live.attendance import Evidence, Presence, attend
from podium_protocol.live.attendance_record import read_attendance_record
from podium_protocol.live.lifecycle import Run
from podium_protocol.live.live_status import SPACE_IDENTIFIER
from podium_protocol.live.rsvp import RsvpStatus
from podium_storage.table.models import IntervalRow, LiveSessionRow, RoomMemberRow
from tests.support.able_engine import AbleEngine
from tests.support.presence import presence_intervals
from tests.support.world import Room, World, new_key, world

ELSEWHERE = f"{kinds.SPACE}:{'b' * 64}:somewhere"


async def _live(here: World, **fields: object) -> LiveSessionRow:
    row = await here.schedule(starts_in=0, minutes=60, **fields)
    await here.turn()
    return await here.row(row.session_address)


async def _guest(here: World, row: LiveSessionRow, status: RsvpStatus = RsvpStatus.CONFIRMED) -> SecretKey:
    key = await here.person()
    await here.answer(key, row, status)
    await here.turn()
    return key


def _meeting(here: World, row: LiveSessionRow) -> str:
    return str(Address(kinds.MEETING, here.service.pubkey, row.conference_room_id or ""))


def _space(here: World) -> str:
    return str(Address(kinds.SPACE, here.service.pubkey, SPACE_IDENTIFIER))


async def _say(here: World, key: SecretKey, room: str, *, ahead: int = 0) -> None:
    draft = UnsignedEvent(key.pubkey, here.now + ahead, kinds.ROOM_PRESENCE, (("a", room, "", "root"),), "")
    await here.publish(key, draft)


async def _stays(here: World, row: LiveSessionRow, key: SecretKey) -> list[IntervalRow]:
    found = await here.store.intervals.where("[lessonId+pubkey]").equals([row.session_address, key.pubkey]).to_list()
    return sorted(found, key=lambda stay: stay.joined_at)


async def _credit(here: World, row: LiveSessionRow, key: SecretKey) -> tuple[int, int, str] | None:
    await here.turn()
    found = await here.store.attendance.where("[lessonId+pubkey]").equals([row.session_address, key.pubkey]).first()
    return None if found is None else (found.total_duration, found.join_count, found.evidence)


async def test_presence_events_are_one_stay_of_a_guest_and_are_attested_as_presence() -> None:
    """Two events two minutes apart credit from the first to 150 s after the second, whether for meeting or room."""
    async with world() as here:
        row = await _live(here)
        guest = await _guest(here, row)
        await _say(here, guest, _meeting(here, row))
        await here.advance(120)
        await _say(here, guest, _space(here))
        await here.advance(600)
        assert await _credit(here, row, guest) == (270, 1, Evidence.PRESENCE)
        (stay,) = await _stays(here, row, guest)
        assert (stay.joined_at, stay.left_at) == (here.now - 720, here.now - 450)
        await here.lifecycle.end(row.session_address, here.instructor.pubkey)
        await here.turn()
        records = [read_attendance_record(event) for event in here.published(kinds.ATTENDANCE)]
        told = [(one.total_duration, one.evidence, one.assurance) for one in records if one is not None]
        assert told == [(270, "presence", "signature")]


async def test_credit_ends_with_the_session() -> None:
    """Who is present at the actual end gets that end and none of the credit beyond it."""
    async with world() as here:
        row = await _live(here)
        guest = await _guest(here, row)
        await _say(here, guest, _meeting(here, row))
        await here.clock.advance(40)
        await here.lifecycle.end(row.session_address, here.instructor.pubkey)
        await here.turn()
        await here.advance(60)
        assert await _credit(here, row, guest) == (40, 1, Evidence.PRESENCE)
        (stay,) = await _stays(here, row, guest)
        assert stay.left_at == here.now - 60


async def test_events_that_were_not_made_just_now_count_for_nothing() -> None:
    """120 s off our time either way is taken, 121 s is not."""
    async with world() as here:
        row = await _live(here)
        for ahead, counts in ((-121, False), (121, False), (-120, True), (120, True)):
            guest = await _guest(here, row)
            await _say(here, guest, _meeting(here, row), ahead=ahead)
            assert bool(await _stays(here, row, guest)) is counts
        assert here.presence.passed_over == {"too_old_or_new": 2}


async def test_another_room_ends_the_stay_at_once() -> None:
    """The newest event names where a person is; who comes back after more than a minute has joined twice."""
    async with world() as here:
        row = await _live(here)
        guest = await _guest(here, row)
        await _say(here, guest, _meeting(here, row))
        await here.advance(60)
        await _say(here, guest, ELSEWHERE)
        assert [stay.left_at for stay in await _stays(here, row, guest)] == [here.now]
        await here.advance(100)
        await _say(here, guest, _meeting(here, row))
        await here.advance(30)
        assert await _credit(here, row, guest) == (90, 2, Evidence.PRESENCE)


async def test_two_rooms_in_turn_make_no_row_with_each_event() -> None:
    """A person back within a minute has not left, so one who alternates fills no table."""
    async with world() as here:
        row = await _live(here)
        guest = await _guest(here, row)
        for _ in range(10):
            for room in (_meeting(here, row), ELSEWHERE):
                await _say(here, guest, room)
                await here.clock.advance(5)
        assert await _credit(here, row, guest) == (95, 1, Evidence.PRESENCE)
        assert len(await _stays(here, row, guest)) == 1


async def test_an_engine_with_media_needs_no_presence_events() -> None:
    """Beside an engine that sees media they are passed over, and counted."""

    class MediaEngine(AbleEngine):
        evidence = "engine"  # type: ignore[misc,assignment]  # the link engine's is final

    async with world(engine=MediaEngine) as here:
        row = await _live(here)
        guest = await _guest(here, row)
        await _say(here, guest, _meeting(here, row))
        assert await _stays(here, row, guest) == []
        assert here.presence.passed_over == {"engine": 1}


async def test_only_people_whom_the_door_lets_in_are_present() -> None:
    """Strangers and those who declined make no rows; the instructor and invited people need no answer."""
    async with world() as here:
        invited, stranger = new_key(), new_key()
        row = await _live(here, invited=(invited.pubkey,))
        declined = await _guest(here, row, RsvpStatus.DECLINED)
        for key in (invited, stranger, declined, here.instructor):
            await _say(here, key, _meeting(here, row))
        there = {
            stay.pubkey for stay in await here.store.intervals.where("lessonId").equals(row.session_address).to_list()
        }
        assert there == {invited.pubkey, here.instructor.pubkey}
        assert here.presence.passed_over == {"not_let_in": 2}


async def test_who_waits_to_be_let_in_is_not_present() -> None:
    """An event is no way around the waiting room."""
    async with world() as here:
        row = await _live(here, waiting_room=True)
        guest = await _guest(here, row)
        await _say(here, guest, _meeting(here, row))
        assert await _stays(here, row, guest) == []


async def test_the_room_says_nothing_where_two_sessions_are_live() -> None:
    """Presence in the room counts for the one live session, and for none of two."""
    async with world() as here:
        row, other = await _live(here), await _live(here)
        guest = await _guest(here, row)
        await here.answer(guest, other)
        await _say(here, guest, _space(here))
        assert await _stays(here, row, guest) == await _stays(here, other, guest) == []
        assert here.presence.passed_over == {"several_live": 1}


async def test_a_seat_and_presence_events_at_the_same_time_count_once() -> None:
    """Both are the union of their times, and the poll of the seats leaves the other stay alone."""
    async with world() as here:
        row = await _live(here)
        guest = await _guest(here, row)
        seat = await Room(here, row).sit(guest)
        for _ in range(5):
            await _say(here, guest, _meeting(here, row))
            seat.beat()
            await here.advance(60)
        assert await _credit(here, row, guest) == (300, 1, Evidence.PRESENCE)
        assert [stay.left_at for stay in await _stays(here, row, guest)] == [None, None]


async def test_a_restart_of_the_daemon_does_not_end_the_stay() -> None:
    """What relays tell goes on; only what has run out meanwhile is closed, at the end of its credit."""
    async with world() as here:
        row = await _live(here)
        gone, there = await _guest(here, row), await _guest(here, row)
        await _say(here, gone, _meeting(here, row))
        await here.clock.advance(140)
        await _say(here, there, _meeting(here, row))
        await here.clock.advance(20)
        await here.attendance._close_what_a_former_run_left_open()
        assert [stay.left_at for stay in await _stays(here, row, gone)] == [here.now - 10]
        assert [stay.left_at for stay in await _stays(here, row, there)] == [None]


async def test_who_was_removed_is_not_present() -> None:
    """A person whom the instructor removed is not brought back by an event."""
    async with world() as here:
        row = await _live(here)
        guest = await _guest(here, row)
        for state, counts in (("removed", False), ("admitted", True)):
            member = RoomMemberRow(
                session_address=row.session_address,
                pubkey=guest.pubkey,
                state=state,
                role="participant",
                updated_at=here.now,
                assurance="signature",
            )
            await here.store.members.upsert([member], by="[lessonId+pubkey]")
            await _say(here, guest, _meeting(here, row))
            await here.clock.advance(1)
            assert bool(await _stays(here, row, guest)) is counts


@pytest.mark.parametrize(
    "pauses", [(0, 150, 1), (60, 61, 210, 211), (30, 30, 30, 300), (149, 151, 209, 2), (1, 59, 60, 61)]
)
@pytest.mark.parametrize("every", [1, 2, 3])
async def test_stays_are_counted_as_the_rule_counts_the_events(pauses: tuple[int, ...], every: int) -> None:
    """Kept in few rows, with polls between, they give the same attendance as each event by itself would."""
    async with world() as here:
        row = await _live(here)
        guest = await _guest(here, row)
        rooms, beats = (_meeting(here, row), _space(here)), []
        for number, pause in enumerate((*pauses, *pauses), 1):
            room = ELSEWHERE if every > 1 and number % every == 0 else rooms[number % 2]
            await here.advance(pause + 1)
            await _say(here, guest, room)
            beats.append(Presence(guest.pubkey, room, here.now, here.now))
        await here.advance(400)
        runs = [Run(*run) for run in (await here.row(row.session_address)).runs]
        by_rule = attend(presence_intervals(beats, rooms), runs, now=here.now, has_engine=False)
        kept = [rule_interval(stay) for stay in await _stays(here, row, guest)]
        assert attend(kept, runs, now=here.now, has_engine=False) == by_rule

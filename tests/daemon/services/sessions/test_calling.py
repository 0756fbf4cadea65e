"""The model's calling service on the real store, lifecycle, attendance service and engine, in one process."""

from __future__ import annotations

import os

import pytest

from podium_daemon.conference.engine import RoomId
from podium_daemon.conference.service import TrainingCallingIntegration
from podium_daemon.runtime.outcomes import Rejection
from podium_daemon.services.sessions.calling import CallersSessions, NotedAttendance, config_of
from podium_protocol.events import Pubkey
from tests.support.world import Room, World, new_key, world

PAGE = "https://live.example.org/s/x"


def calling(here: World, by: Pubkey, note: str | None = None) -> TrainingCallingIntegration:
    """The service in the hands of a person."""
    sessions = CallersSessions(
        by, store=here.store, lifecycle=here.lifecycle, page_of=lambda _row: PAGE, room_of=here.room_of
    )
    attendance = NotedAttendance(here.attendance, note=note, clock=here.clock)
    return TrainingCallingIntegration(
        engine=here.engine, sessions=sessions, attendance=attendance, random_bytes=os.urandom
    )


async def test_the_models_five_calls_work_on_the_real_parts() -> None:
    """Create keeps the session's room, start and end move its state, details count people, attendance is settled."""
    async with world() as here:
        row = await here.schedule(starts_in=600)
        service, person = calling(here, here.instructor.pubkey, "by the register"), new_key()
        created = await service.create_live_session(row, config_of(row))
        assert not isinstance(created, Rejection)
        assert (created.conference_room_id, created.join_url) == (row.conference_room_id, PAGE)
        assert await service.start_live_session(row.session_address) is None
        await Room(here, row).sit(person)
        details = await service.get_conference_details(row.session_address)
        assert (details.conference_room_id, details.is_active, details.participant_count) == (
            row.conference_room_id,
            True,
            1,
        )
        other, began = new_key(), row.scheduled_at
        await here.clock.advance(600 + 1900)
        assert await service.track_live_attendance(row.session_address, other.pubkey, began, began + 1800) is None
        assert await service.end_live_session(row.session_address) is None
        await here.turn()
        attended = await here.store.attendance.where("lessonId").equals(row.session_address).to_list()
        assert {(one.pubkey, one.total_duration, one.evidence) for one in attended} >= {
            (other.pubkey, 1800, "manual"),
        }
        assert (await here.row(row.session_address)).state == "ended"


@pytest.mark.parametrize("call", ["start_live_session", "end_live_session"])
async def test_the_callers_key_is_what_the_lifecycle_judges(call: str) -> None:
    """Through this door too, nobody but the instructor starts or ends a session."""
    async with world() as here:
        row = await here.schedule(starts_in=600)
        if call == "end_live_session":
            await here.lifecycle.start(row.session_address, here.instructor.pubkey)
        before = (await here.row(row.session_address)).state
        refused = await getattr(calling(here, new_key().pubkey), call)(row.session_address)
        assert isinstance(refused, Rejection)
        assert refused.slug == "not-allowed"
        assert (await here.row(row.session_address)).state == before


async def test_what_is_unknown_is_refused_and_counts_nobody() -> None:
    """An address without a session, or another room than the session's."""
    async with world() as here:
        row = await here.schedule(starts_in=600)
        service, unknown = calling(here, here.instructor.pubkey), f"31923:{new_key().pubkey}:x"
        assert isinstance(await service.start_live_session(unknown), Rejection)
        assert isinstance(await service.track_live_attendance(unknown, new_key().pubkey, 1, 2), Rejection)
        assert (await service.get_conference_details(unknown)).conference_room_id is None
        sessions = CallersSessions(
            here.instructor.pubkey,
            store=here.store,
            lifecycle=here.lifecycle,
            page_of=lambda _row: PAGE,
            room_of=here.room_of,
        )
        assert isinstance(
            await sessions.set_conference(row.session_address, RoomId("another"), config_of(row)), Rejection
        )

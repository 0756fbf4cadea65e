"""The service's own public events: the room (30312) and the live status of each session (30313)."""

from __future__ import annotations

import msgspec
import pytest

from podium_daemon.writers.live_status import SPACE_IDENTIFIER, StatusEvents, StatusSettings
from podium_protocol import kinds, tags
from podium_protocol.events import VerifiedEvent
from podium_protocol.live.live_status import MeetingStatus, read_meeting
from podium_protocol.live.rsvp import RsvpStatus
from podium_storage.table.models import IntervalRow, LiveSessionRow
from tests.support.world import RELAY, World, new_key, world

URL = "http://127.0.0.1:7448"


def status_of(here: World, **settings: object) -> StatusEvents:
    """The composer of a world."""
    given = StatusSettings(space_name="Podium", public_url=URL)
    return StatusEvents(
        msgspec.structs.replace(given, **settings),
        store=here.store,
        mirror=here.mirror,
        event_writer=here.event_writer,
        signer=here.signer,
        clock=here.clock,
    )


async def spaces(here: World) -> list[VerifiedEvent]:
    """The rooms that were announced so far."""
    await here.deliver()
    return here.published(kinds.SPACE)


async def present(
    here: World, row: LiveSessionRow, *, left: int | None = None, device: str = "a", key: str = ""
) -> str:
    """A person in the room, or who was there."""
    pubkey = key or new_key().pubkey
    await here.store.intervals.put(
        IntervalRow(
            connection_id=f"{pubkey}{device}",
            session_address=row.session_address,
            pubkey=pubkey,
            device=device,
            joined_at=here.now,
            left_at=left,
            last_evidence=here.now,
            source="engine",
        )
    )
    return pubkey


async def test_the_room_is_announced_once() -> None:
    """The same room again says nothing new and is not published; another name is."""
    async with world() as here:
        for _ in range(2):
            await status_of(here).announce_space()
        (space,) = await spaces(here)
        assert space.pubkey == here.service.pubkey
        assert tags.first(space.tags, "d") == SPACE_IDENTIFIER
        assert tags.first(space.tags, "room") == "Podium"
        await status_of(here, space_name="Learning").announce_space()
        first, second = await spaces(here)
        assert tags.first(second.tags, "room") == "Learning"
        assert second.created_at > first.created_at


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("scheduled", MeetingStatus.PLANNED),
        ("active", MeetingStatus.LIVE),
        ("ended", MeetingStatus.ENDED),
        ("cancelled", MeetingStatus.ENDED),
    ],
)
async def test_each_state_is_told_as_its_status(state: str, status: MeetingStatus) -> None:
    """Planned, live and ended are NIP-53's words for it; a cancelled session is over."""
    async with world() as here:
        row = msgspec.structs.replace(await here.schedule(), state=state)
        (event,) = await status_of(here).status_events_of(row)
        meeting = read_meeting(event)
        assert meeting is not None
        assert (meeting.status, meeting.session_address, meeting.identifier) == (
            status,
            row.session_address,
            row.conference_room_id,
        )
        assert event.pubkey == here.service.pubkey


async def test_people_are_counted_and_never_named() -> None:
    """The status says how many are and were there, each person once, and holds nobody's key but the instructor's."""
    async with world() as here:
        row = await here.schedule()
        here_now = await present(here, row)
        await present(here, row, device="b", key=here_now)
        gone = await present(here, row, left=here.now)
        (event,) = await status_of(here).status_events_of(row)
        meeting = read_meeting(event)
        assert meeting is not None
        assert (meeting.current_participants, meeting.total_participants) == (1, 2)
        text = event.to_json().decode()
        assert here_now not in text
        assert gone not in text
        assert here.instructor.pubkey in text


async def test_until_people_come_registrations_are_counted() -> None:
    """Clients show a session that many look forward to as such: those who said yes count, until the first is there."""
    async with world() as here:
        row = await here.schedule()

        async def total(state: str) -> int:
            shown = read_meeting((await status_of(here).status_events_of(msgspec.structs.replace(row, state=state)))[0])
            assert shown is not None
            assert shown.current_participants <= 1
            return shown.total_participants

        for answer in (RsvpStatus.CONFIRMED, RsvpStatus.CONFIRMED, RsvpStatus.TENTATIVE, RsvpStatus.DECLINED):
            await here.answer(new_key(), row, answer)
        assert [await total(state) for state in ("scheduled", "active", "ended", "cancelled")] == [2, 2, 0, 0]
        await present(here, row)
        assert [await total(state) for state in ("active", "ended")] == [1, 1]


async def test_the_times_are_the_actual_ones_once_there_are() -> None:
    """Before the start the scheduled times are told, afterwards when it really began and ended."""
    async with world() as here:
        row = await here.schedule()
        planned = read_meeting((await status_of(here).status_events_of(row))[0])
        assert planned is not None
        assert (planned.starts_at, planned.ends_at) == (row.scheduled_at, row.ends_at)
        began, ended = row.scheduled_at + 120, row.scheduled_at + 900
        over = msgspec.structs.replace(row, state="ended", runs=((began, ended),), ended_at=ended)
        told = read_meeting((await status_of(here).status_events_of(over))[0])
        assert told is not None
        assert (told.starts_at, told.ends_at) == (began, ended)


async def test_each_status_is_newer_than_the_last() -> None:
    """Two changes in one second: the second counts on every relay."""
    async with world() as here:
        row = await here.schedule()
        (event,) = await status_of(here).status_events_of(msgspec.structs.replace(row, status_created_at=here.now + 5))
        assert event.created_at == here.now + 6


async def test_a_private_session_is_told_nobody() -> None:
    """Nothing public is written about it."""
    async with world() as here:
        row = msgspec.structs.replace(await here.schedule(), visibility="private")
        assert await status_of(here, announce_live_event=True).status_events_of(row) == []


async def test_a_private_session_is_remembered_by_ourselves() -> None:
    """The same status as an unsigned rumor, newer than the last one; of a public session none is made."""
    async with world() as here:
        row = await here.schedule()
        assert await status_of(here).memory_of(row) is None
        secret = msgspec.structs.replace(row, visibility="private", state="active", status_created_at=here.now + 5)
        rumor = await status_of(here).memory_of(secret)
        assert rumor is not None
        told = read_meeting(rumor)
        assert told is not None
        assert (told.session_address, told.status, rumor.created_at) == (row.session_address, "live", here.now + 6)


async def test_streaming_clients_can_be_told_as_well() -> None:
    """With the option on the same state goes out as kind 30311 too."""
    async with world() as here:
        row = await here.schedule()
        events = await status_of(here, announce_live_event=True).status_events_of(row)
        assert [event.kind for event in events] == [kinds.MEETING, kinds.LIVE_EVENT]
        assert len({tags.first(event.tags, "status") for event in events}) == 1


@pytest.mark.parametrize(("state", "due"), [("active", 600), ("scheduled", None), ("ended", None), ("cancelled", None)])
async def test_only_a_live_session_is_told_again(state: str, due: int | None) -> None:
    """Clients give up a live session that is silent for an hour; the others need no refreshing."""
    async with world() as here:
        row = msgspec.structs.replace(await here.schedule(), state=state)
        after = status_of(here).refreshed_at(row, here.now)
        assert after.status_created_at == here.now
        assert after.status_due_at == (None if due is None else here.now + due)


async def test_the_session_s_relay_is_given_as_a_hint() -> None:
    """A reader of the status knows where to look for the session."""
    async with world() as here:
        (event,) = await status_of(here).status_events_of(await here.schedule())
        assert RELAY in {value for tag in event.tags for value in tag}


async def state_of_the_room(here: World) -> tuple[int, str | None]:
    """How often the room was published, and the status it has."""
    found = await spaces(here)
    return len(found), tags.first(found[-1].tags, "status")


async def test_the_room_is_open_while_something_is_on_or_near() -> None:
    """Closed without a session, open from eight hours before one, closed after it; it says when to look again."""
    async with world() as here:
        status = status_of(here)
        assert await status.keep_space() is None
        assert await state_of_the_room(here) == (1, "closed")
        row = await here.schedule(starts_in=10 * 3600)
        opens = row.scheduled_at - 8 * 3600
        assert await status.keep_space() == opens
        assert await state_of_the_room(here) == (1, "closed")
        await here.clock.advance(opens - here.now)
        assert await status.keep_space() == here.now + 4 * 3600
        assert await state_of_the_room(here) == (2, "open")
        await here.store.sessions.put(msgspec.structs.replace(await here.row(row.session_address), state="active"))
        assert await status.keep_space() == here.now + 4 * 3600
        assert await state_of_the_room(here) == (2, "open")
        await here.store.sessions.put(msgspec.structs.replace(await here.row(row.session_address), state="ended"))
        assert await status.keep_space() is None
        assert await state_of_the_room(here) == (3, "closed")


async def test_an_open_room_does_not_grow_old() -> None:
    """Clients call a room closed that is older than eight hours: an open one is published again after four."""
    async with world() as here:
        await here.schedule(starts_in=8 * 3600)
        status = status_of(here)
        due = await status.keep_space()
        assert due == here.now + 4 * 3600
        await here.clock.advance(4 * 3600 - 1)
        assert await status.keep_space() == due
        assert await state_of_the_room(here) == (1, "open")
        await here.clock.advance(1)
        assert await status.keep_space() == here.now + 4 * 3600
        assert await state_of_the_room(here) == (2, "open")


async def test_a_private_session_does_not_open_the_room() -> None:
    """The room is public: that it opens would tell when a private session is."""
    async with world() as here:
        row = await here.schedule(starts_in=60)
        await here.store.sessions.put(msgspec.structs.replace(row, visibility="private", state="active"))
        assert await status_of(here).keep_space() is None
        assert await state_of_the_room(here) == (1, "closed")

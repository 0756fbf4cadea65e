"""A cancellation that was wrong: the instructor takes it back within the session's time."""

from __future__ import annotations

import pytest

from podium_protocol import kinds
from podium_protocol.events import UnsignedEvent, VerifiedEvent
from podium_protocol.live.rsvp import RsvpStatus
from podium_storage.table.models import LiveSessionRow
from tests.support.site import site
from tests.support.world import World, world


async def saved_again(here: World, before: VerifiedEvent, *, start: int | None = None) -> None:
    """The instructor's client publishes the session once more, newer than anything there is."""
    row = await here.row(f"31923:{before.pubkey}:{before.tags[0][1]}")
    created_at = max(here.now, row.event_created_at) + 1
    end = next(tag[1] for tag in before.tags if tag[0] == "end")
    times = {} if start is None else {"start": str(start), "end": str(start + int(end) - row.scheduled_at)}
    tags = tuple((tag[0], times.get(tag[0], tag[1]), *tag[2:]) for tag in before.tags)
    await here.publish(here.instructor, UnsignedEvent(before.pubkey, created_at, before.kind, tags, before.content))


async def answered(here: World, **wish: int) -> tuple[LiveSessionRow, VerifiedEvent]:
    """A session that a person will come to."""
    row = await here.schedule(**wish)
    return row, await here.event_of(row)


async def test_it_is_scheduled_again_and_people_are_told_and_reminded() -> None:
    """People who were told of the cancellation are told, once; the reminders that were dropped are planned anew."""
    async with world() as here:
        ada = await here.person()
        row, event = await answered(here)
        await here.answer(ada, row, RsvpStatus.CONFIRMED)
        await here.turn()
        await here.cancel(row)
        await here.turn()
        await here.deliver()
        assert (await here.row(row.session_address)).state == "cancelled"
        assert (await here.states(ada, row))["cancelled"] == "sent"
        await here.advance(60)
        await saved_again(here, event)
        await here.turn()
        after = await here.row(row.session_address)
        assert (after.state, after.withdrawn, after.epoch) == ("scheduled", False, row.epoch + 1)
        assert (after.ended_at, after.end_reason, after.scheduled_at) == (None, None, row.scheduled_at)
        await here.turn()
        await here.deliver()
        states = await here.states(ada, after)
        assert states["restored"] == "sent"
        assert {states[name] for name in ("day", "hour", "quarter", "start")} == {"scheduled"}
        assert "moved" not in states
        statuses = [event for event in here.published(kinds.MEETING) if ("title", row.title) in event.tags]
        assert ("status", "planned") in statuses[-1].tags


async def test_what_nobody_was_told_of_is_not_taken_back_in_words() -> None:
    """A cancellation that was undone before its message went out leaves no word about either."""
    async with world() as here:
        ada = await here.person()
        row, event = await answered(here)
        await here.answer(ada, row, RsvpStatus.CONFIRMED)
        await here.turn()
        await here.cancel(row)
        await saved_again(here, event)
        await here.turn()
        assert (await here.row(row.session_address)).state == "scheduled"
        assert not {"cancelled", "restored"} & (await here.states(ada, row)).keys()


async def test_another_time_goes_with_it() -> None:
    """Taken back and moved in one: the new time counts."""
    async with world() as here:
        row, event = await answered(here)
        await here.cancel(row)
        await here.turn()
        await saved_again(here, event, start=row.scheduled_at + 3600)
        await here.turn()
        after = await here.row(row.session_address)
        assert (after.state, after.scheduled_at, after.duration) == ("scheduled", row.scheduled_at + 3600, 90)


async def test_a_live_session_goes_on() -> None:
    """Cancelled by mistake while people were in the room: a second run, the first stays."""
    async with world() as here:
        row, event = await answered(here, starts_in=900)
        await here.advance(900)
        await here.cancel(row)
        await here.turn()
        ended = await here.row(row.session_address)
        assert (ended.state, ended.end_reason) == ("ended", "withdrawn")
        await here.advance(30)
        await saved_again(here, event)
        await here.turn()
        after = await here.row(row.session_address)
        assert (after.state, len(after.runs), after.runs[0][1]) == ("active", 2, ended.ended_at)


@pytest.mark.parametrize("starts_in", [600, 900])
async def test_after_its_time_it_stays_over(starts_in: int) -> None:
    """A revision that comes when the session would have ended revives nothing."""
    async with world() as here:
        row, event = await answered(here, starts_in=starts_in, minutes=30)
        await here.cancel(row)
        await here.turn()
        await here.advance(starts_in + 1800)
        await saved_again(here, event)
        await here.turn()
        assert (await here.row(row.session_address)).state == "cancelled"


async def test_over_http_a_draft_takes_it_back() -> None:
    """The draft is the session as it was, newer than its deletion; of what is not cancelled there is none."""
    async with site() as here:
        row = await here.here.schedule(max_participants=7, waiting_room=True)
        path = f"/api/sessions/{row.session_address}"
        refused = await here.post(f"{path}/restore/draft", here.here.instructor, {})
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:podium:problem:not-cancelled")
        await here.here.cancel(row)
        await here.here.turn()
        assert (await here.get(path)).json()["canRestore"]
        draft = await here.post(f"{path}/restore/draft", here.here.instructor, {})
        assert (await here.sign_and_submit(here.here.instructor, draft)).status_code == 200
        await here.here.turn()
        shown = (await here.get(path)).json()
        assert (shown["state"], shown["scheduledAt"], shown["canRestore"]) == ("scheduled", row.scheduled_at, False)
        assert (shown["maxParticipants"], shown["waitingRoom"], shown["title"]) == (7, True, row.title)

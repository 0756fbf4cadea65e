"""A daemon that lost its disk, and relays that hold only a revision which says less than the one before."""

from __future__ import annotations

import pytest

from podium_protocol import kinds
from podium_protocol.events import UnsignedEvent
from podium_protocol.filters import Filter
from podium_storage.table.models import LiveSessionRow
from tests.support.private import replay
from tests.support.world import World, world

WHAT_COUNTS = (
    *("title", "scheduled_at", "ends_at", "duration", "max_participants", "requires_rsvp", "waiting_room"),
    *("allow_recording", "visibility", "guests", "event_id", "unread_event_id", "unread_reason", "withdrawn", "state"),
)


async def edited_elsewhere(here: World, session_address: str, keep: tuple[str, ...], at: int) -> LiveSessionRow:
    """Another client publishes the next revision with these tags only."""
    row = await here.row(session_address)
    before = await here.event_of(row)
    kept = tuple(tag for tag in before.tags if tag[0] in keep)
    draft = UnsignedEvent(before.pubkey, before.created_at + at, before.kind, kept, before.content)
    await here.publish(here.instructor, draft)
    return await here.row(session_address)


PLAIN = ("d", "title", "start", "start_tzid", "p")
EDITS = {
    "without our tags and an end": (PLAIN,),
    "that cannot be read": (("d", "start", "end", "p", "rsvp"),),
    "plain, then unreadable": (PLAIN, ("d", "start")),
    "plain twice": (PLAIN, PLAIN),
}


@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("relays_first", [True, False])
async def test_what_was_in_force_is_in_force_again(edits: tuple[tuple[str, ...], ...], *, relays_first: bool) -> None:
    """The relays give the newest revision alone; what it leaves open comes back from what we sealed for ourselves."""
    async with world() as here:
        row = await here.schedule(max_participants=7, rsvp_required=True, waiting_room=True, recording_allowed=True)
        for keep in edits:
            row = await edited_elsewhere(here, row.session_address, keep, at=5)
        assert (row.max_participants, row.duration, row.waiting_room) == (7, 90, True)
        await here.turn()
        await here.deliver()
        async with world(like=here) as anew:
            events = await here.mirror.by_filter(Filter(kinds=(kinds.SESSION,)))
            if relays_first:
                await anew.mirror.ingest(events, received_at=anew.now)
            await replay(here, anew)
            if not relays_first:
                await anew.mirror.ingest(events, received_at=anew.now)
            after = await anew.row(row.session_address)
            assert {name: getattr(after, name) for name in WHAT_COUNTS} == {
                name: getattr(row, name) for name in WHAT_COUNTS
            }


async def test_what_was_deleted_does_not_come_back() -> None:
    """The copies are older than the deletion: they revive nothing."""
    async with world() as here:
        row = await here.schedule(max_participants=7)
        row = await edited_elsewhere(here, row.session_address, ("d", "start"), at=5)
        await here.turn()
        await here.deliver()
        await here.clock.advance(60)
        tags = (("a", row.session_address),)
        await here.publish(here.instructor, UnsignedEvent(here.instructor.pubkey, here.now, kinds.DELETION, tags, ""))
        async with world(like=here) as anew:
            events = await here.mirror.by_filter(Filter(kinds=(kinds.SESSION, kinds.DELETION)))
            await anew.mirror.ingest(events, received_at=anew.now)
            await replay(here, anew)
            assert await anew.store.sessions.to_list() == []


async def test_a_revision_that_is_too_long_to_be_sealed_is_left_out() -> None:
    """A public session may have 60,000 bytes; what cannot be sealed must not keep the other letters from going out."""
    async with world() as here:
        row = await here.schedule(max_participants=7, summary="s" * 900, description="d" * 16_000)
        before = await here.event_of(row)
        long = UnsignedEvent(
            before.pubkey, before.created_at + 1, before.kind, (*before.tags, ("x", "x" * 14_000)), before.content
        )
        await here.publish(here.instructor, long)
        row = await edited_elsewhere(here, row.session_address, ("d", "start"), at=5)
        await here.turn()
        kept = [letter.topic for letter in await here.store.letters.to_list()]
        assert kept == [f"unread:{row.event_id}"]

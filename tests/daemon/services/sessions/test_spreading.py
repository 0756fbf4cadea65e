"""Relays that hold an older revision of a session are given the newest."""

from __future__ import annotations

import pytest

from podium_daemon.services.sessions.spreading import Spreading
from podium_protocol.events import VerifiedEvent, verify_json
from podium_protocol.live.session import Visibility
from tests.support.world import RELAY, World, world


async def queued(here: World) -> list[tuple[str, str]]:
    """Which event is to go to which relay."""
    rows = await here.outbox.due(here.now)
    events = [verify_json(row.event_json) for row in rows]
    assert all(isinstance(event, VerifiedEvent) for event in events)
    return [(event.id, row.relay) for event, row in zip(events, rows, strict=True) if isinstance(event, VerifiedEvent)]


async def test_a_relay_that_is_behind_is_given_the_newest_once() -> None:
    """However often it gives the old one: what was queued for it is not queued again."""
    async with world() as here:
        row = await here.schedule()
        old = await here.event_of(row)
        await here.clock.advance(10)
        await here.move(row, row.scheduled_at + 3600)
        newest = await here.event_of(row)
        for _ in range(2):
            await Spreading(here.store, here.event_writer).catch_up([old, old], RELAY)
        assert await queued(here) == [(newest.id, RELAY)]


@pytest.mark.parametrize(("relay", "visibility"), [("wss://theirs.example", "public"), (RELAY, "private")])
async def test_no_other_relay_and_nothing_private(relay: str, visibility: str) -> None:
    """A relay that we do not write to is given nothing, and no relay anything of a private session."""
    async with world() as here:
        row = await here.schedule(visibility=Visibility(visibility))
        old = await here.event_of(row)
        await here.clock.advance(10)
        await here.move(row, row.scheduled_at + 3600)
        await Spreading(here.store, here.event_writer).catch_up([old], relay)
        assert await queued(here) == []

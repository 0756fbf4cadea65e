"""Versions of entries: any change raises them, a restart and a clock set back do not lower them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_daemon.web.calendar_revisions import CalendarRevisions
from podium_daemon.web.calendars import Revision, Written
from podium_protocol.events import Pubkey
from tests.support.world import World, world

ADA, EVE = Pubkey("a" * 64), Pubkey("e" * 64)
KNOTS = Written("31923:x:knots", 1_900_000_800, 1_900_006_200, "Knots", "Ropes", "https://x.org/s/1", "CONFIRMED", ())
BENDS = msgspec.structs.replace(KNOTS, session_address="31923:x:bends")


@pytest.fixture
async def here() -> AsyncIterator[World]:
    """A store and its clock."""
    async with world() as found:
        yield found


async def test_an_entry_keeps_its_version_until_it_changes(here: World) -> None:
    """Neither time nor another object over the same store changes it; another title does, and a change back as well."""
    revisions = CalendarRevisions(here.store, here.clock)
    (first,) = await revisions.revisions_of(ADA, [KNOTS])
    await here.clock.advance(500)
    assert await CalendarRevisions(here.store, here.clock).revisions_of(ADA, [KNOTS]) == [first]
    seen = [first]
    for title in ("Bends", "Knots"):
        changed = msgspec.structs.replace(KNOTS, title=title)
        seen += await revisions.revisions_of(ADA, [changed])
        assert seen[-1].sequence > seen[-2].sequence
        assert seen[-1].revised_at > seen[-2].revised_at


async def test_versions_are_each_persons_own(here: World) -> None:
    """What changed for one is no change for another, and what left the feed is forgotten."""
    revisions = CalendarRevisions(here.store, here.clock)
    before = await revisions.revisions_of(ADA, [KNOTS, BENDS])
    await revisions.revisions_of(EVE, [msgspec.structs.replace(KNOTS, status="TENTATIVE")])
    await here.clock.advance(60)
    await revisions.revisions_of(EVE, [KNOTS])
    assert await revisions.revisions_of(ADA, [KNOTS, BENDS]) == before
    assert await revisions.revisions_of(ADA, [BENDS]) == before[1:]
    kept = await here.store.calendar_entries.all().to_list()
    assert {(row.pubkey, row.session_address) for row in kept} == {
        (ADA, BENDS.session_address),
        (EVE, KNOTS.session_address),
    }


async def test_a_lost_disk_does_not_lower_a_number(here: World) -> None:
    """Programs ignore an entry whose number went back (RFC 5545, 3.8.7.4)."""
    revisions = CalendarRevisions(here.store, here.clock)
    (before,) = await revisions.revisions_of(ADA, [KNOTS])
    await here.clock.advance(60)
    async with world(like=here) as fresh:
        (after,) = await CalendarRevisions(fresh.store, here.clock).revisions_of(ADA, [KNOTS])
    assert after.sequence > before.sequence


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(-3600, 3600), max_size=6))
async def test_no_clock_lowers_a_number(steps: list[int]) -> None:
    """Whatever the clock does between changes, each version is above the one before."""
    async with world() as here:
        revisions, seen = CalendarRevisions(here.store, here.clock), list[Revision]()
        for number, step in enumerate(steps):
            here.clock.jump(step)
            seen += await revisions.revisions_of(ADA, [msgspec.structs.replace(KNOTS, title=str(number))])
        assert seen == sorted(seen, key=lambda one: one.sequence)
        assert len({one.sequence for one in seen}) == len({one.revised_at for one in seen}) == len(seen)

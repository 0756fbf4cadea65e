"""What a person is told of their own attendance after the session."""

from __future__ import annotations

from podium_daemon.services.attendance.participation import Participation
from podium_protocol.live.attendance import Span
from podium_storage.table.models import IntervalRow, LiveSessionRow
from tests.support.world import World, world


def _stay(row: LiveSessionRow, pubkey: str, start: int, end: int, *, reason: str = "left") -> IntervalRow:
    at = row.scheduled_at
    return IntervalRow(
        connection_id=f"{pubkey}:{start}",
        session_address=row.session_address,
        pubkey=pubkey,
        device="laptop",
        joined_at=at + start,
        left_at=at + end,
        last_evidence=at + end,
        source="engine",
        leave_reason=reason,
        media=True,
    )


async def _held(here: World, minutes: int = 60) -> LiveSessionRow:
    """A session of an hour that was ended after these minutes."""
    row = await here.schedule(starts_in=0, minutes=60)
    await here.turn()
    await here.advance(minutes * 60)
    await here.lifecycle.end(row.session_address, here.instructor.pubkey)
    await here.turn()
    return await here.row(row.session_address)


async def test_the_stays_and_what_is_missing_are_told_after_the_end() -> None:
    """Two stays of nine minutes in all, of which a minute before the start does not count: 21 minutes are missing."""
    async with world() as here:
        person, row = await here.person(), await here.schedule(starts_in=60, minutes=60)
        await here.advance(60)
        stays = [_stay(row, person.pubkey, -60, 240), _stay(row, person.pubkey, 600, 900)]
        await here.store.intervals.upsert(stays, by="connectionId")
        await here.turn()
        participations = here.parts.attendance.participations
        assert await participations.of(await here.row(row.session_address), [person.pubkey]) == {}
        await here.advance(3600)
        await here.lifecycle.end(row.session_address, here.instructor.pubkey)
        await here.turn()
        row = await here.row(row.session_address)
        at = row.runs[0][0]
        expected = Participation((Span(at, at + 240), Span(at + 600, at + 900)), 1800 - 540)
        assert await participations.of(row, [person.pubkey]) == {person.pubkey: expected}


async def test_nothing_is_missing_to_those_who_completed() -> None:
    """A completed attendance has its stays, and no seconds to go."""
    async with world() as here:
        person, row = await here.person(), await _held(here)
        await here.store.intervals.upsert([_stay(row, person.pubkey, 0, 3000)], by="connectionId")
        await here.turn()
        at = row.scheduled_at
        found = await here.parts.attendance.participations.of(row, [person.pubkey])
        assert found == {person.pubkey: Participation((Span(at, at + 3000),), None)}


async def test_an_early_end_asks_for_half_of_what_took_place() -> None:
    """A person who was absent from a session that was ended after 20 minutes has missed ten."""
    async with world() as here:
        person, row = await here.person(), await _held(here, minutes=20)
        found = await here.parts.attendance.participations.of(row, [person.pubkey])
        assert found == {person.pubkey: Participation((), 600)}


async def test_an_attendance_read_back_from_relays_has_no_stays() -> None:
    """Its record has the first join and the last leave: that would look like one long stay."""
    async with world() as here:
        person, row = await here.person(), await _held(here)
        stay = _stay(row, person.pubkey, 0, 3000, reason="remembered")
        await here.store.intervals.upsert([stay], by="connectionId")
        found = await here.parts.attendance.participations.of(row, [person.pubkey])
        assert found[person.pubkey].intervals == ()

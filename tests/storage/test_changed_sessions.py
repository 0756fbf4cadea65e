"""Which sessions a service has to look at after a start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from podium_storage.store import BoundTables, Store
from podium_storage.table.columns import StoredRow
from podium_storage.table.models import IntervalRow, RsvpRow, WatchRow
from tests.support.store import rsvp

A, B = (f"31923:{'bb' * 32}:{name}" for name in "ab")
ADA = "aa" * 32
STAY = IntervalRow(
    connection_id="c", session_address=A, pubkey=ADA, device="d", joined_at=1, last_evidence=1, source="engine"
)
WATCHED = WatchRow(session_address=A, pubkey=ADA, sha256="cd" * 32, updated_at=1)


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with await Store.open(tmp_path / "podium.sqlite3") as opened:
        yield opened


async def test_a_session_is_noted_with_what_changes_it(store: Store) -> None:
    """Once, however often it changes; and not at all if the change is undone."""
    await store.rsvps.bulk_put([rsvp(A, ADA), rsvp(A, "cc" * 32)])

    async def scope(bound: BoundTables) -> None:
        await bound.rsvps.put(rsvp(B, ADA))
        raise PermissionError

    with pytest.raises(PermissionError):
        await store.transaction("rw", [store.rsvps], scope)
    assert await store.unplanned.addresses() == [A]
    assert await store.unattested.addresses() == []


async def test_a_reminder_that_was_sent_changes_no_plan(store: Store) -> None:
    """The note of it is the planner's own; another answer is a change."""
    await store.rsvps.put(rsvp(A, ADA))
    await _forget(store)
    await store.rsvps.where("pubkey").equals(ADA).modify(reminder_sent=True)
    assert await store.unplanned.addresses() == []
    await store.rsvps.where("pubkey").equals(ADA).modify(status="declined")
    assert await store.unplanned.addresses() == [A]


@pytest.mark.parametrize(
    ("row", "is_noted"),
    [(STAY, True), (WATCHED, False), (msgspec.structs.replace(WATCHED, completed_at=5), True), (rsvp(A, ADA), False)],
)
async def test_what_concerns_attendance(store: Store, row: StoredRow, is_noted: bool) -> None:
    """Stays, and recordings that were watched to the end."""
    match row:
        case IntervalRow():
            await store.intervals.put(row)
        case WatchRow():
            await store.watches.put(row)
        case RsvpRow():
            await store.rsvps.put(row)
    assert await store.unattested.addresses() == ([A] if is_noted else [])


async def test_nothing_is_forgotten_while_a_change_waits(store: Store) -> None:
    """The service has not dealt with it yet."""
    with store.changes.subscribe(store.rsvps.name) as changes:
        await store.rsvps.put(rsvp(A, ADA))
        assert not await store.unplanned.clear(changes)
        assert await store.unplanned.addresses() == [A]
        assert changes.take_changes() is not None
        assert await store.unplanned.clear(changes)
        assert await store.unplanned.addresses() == []
        changes.drop_changes()
        assert not await store.unplanned.clear(changes), "what was dropped may have been a change"


async def _forget(store: Store) -> None:
    with store.changes.subscribe() as changes:
        assert await store.unplanned.clear(changes)

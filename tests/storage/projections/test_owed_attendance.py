"""Which ended sessions still owe a person a final record."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from podium_storage.projections.attendance import sessions_with_owed_attendance
from podium_storage.store import Store
from podium_storage.table.models import AttendanceRow, IntervalRow, LiveSessionRow, WatchRow

ADA = "aa" * 32
LESSON = f"31923:{'bb' * 32}:knots"
ENDED = LiveSessionRow(
    session_address=LESSON,
    scheduled_at=1000,
    ends_at=4600,
    duration=60,
    instructor_pubkey="bb" * 32,
    title="Knots",
    summary="",
    description="",
    requires_rsvp=False,
    waiting_room=False,
    allow_recording=False,
    e2ee_required=False,
    visibility="public",
    co_hosts=(),
    invited=(),
    state="ended",
    epoch=0,
    event_id="ab" * 32,
    event_created_at=1000,
    runs=((1000, 4600),),
    adopted_at=1000,
)
STAY = IntervalRow(
    connection_id="c",
    session_address=LESSON,
    pubkey=ADA,
    device="d",
    joined_at=1000,
    last_evidence=1000,
    source="engine",
)
FINAL = AttendanceRow(
    session_address=LESSON, pubkey=ADA, joined_at=1000, total_duration=5, join_count=1, evidence="engine", final=True
)
SO_FAR = msgspec.structs.replace(FINAL, final=False)
WATCHED = WatchRow(session_address=LESSON, pubkey=ADA, sha256="cd" * 32, completed_at=9000, updated_at=9000)
ATTESTED = msgspec.structs.replace(WATCHED, record_created_at=9000)
COMPLETED = msgspec.structs.replace(FINAL, completed_at=9000, completed_by="recording")


Stored = tuple[tuple[IntervalRow, ...], tuple[AttendanceRow, ...], tuple[WatchRow, ...]]


@pytest.mark.parametrize(
    ("stored", "owed"),
    [
        (((), (), ()), False),
        (((STAY,), (FINAL,), ()), False),
        (((STAY,), (SO_FAR,), ()), True),
        (((STAY,), (), ()), True),
        (((), (), (WATCHED,)), True),
        (((), (), (ATTESTED,)), False),
        (((STAY,), (FINAL,), (WATCHED,)), True),
        (((STAY,), (COMPLETED,), (WATCHED,)), False),
        (((), (), (msgspec.structs.replace(WATCHED, completed_at=None),)), False),
    ],
)
@pytest.mark.parametrize("changes", [{}, {"state": "active"}, {"state": "cancelled"}, {"runs": ()}])
async def test_what_is_owed(tmp_path: Path, stored: Stored, owed: bool, changes: dict[str, object]) -> None:
    """A stay without its row, a row that is not final, a completion nobody attested; and only of what has been held."""
    stays, attended, watches = stored
    async with await Store.open(tmp_path / "podium.sqlite3") as store:
        await store.sessions.add(msgspec.structs.replace(ENDED, **changes))
        await store.intervals.bulk_put(list(stays))
        await store.attendance.bulk_put(list(attended))
        await store.watches.bulk_put(list(watches))
        found = await sessions_with_owed_attendance(store.database, await store.unattested.addresses())
        assert found == ([LESSON] if owed and not changes else [])

"""Attendance out of the service's own records: the memory of a daemon that lost its disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, UnsignedEvent, VerifiedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.live.attendance import Evidence
from podium_protocol.live.attendance_record import AttendanceRecord, write_attendance_record
from podium_protocol.live.completion import Completion, CompletionWay
from podium_storage.mirror.mirror import Mirror
from podium_storage.projections.attendance import AttendanceProjection
from podium_storage.store import Store
from podium_storage.table.models import AttendanceRow
from tests.support.events import NOW, key_of, seeded, verify_or_fail

SERVICE, ADA, BEN, STRANGER = (key_of(number) for number in range(1, 5))
SESSION = Address(kinds.SESSION, key_of(9).pubkey, "knots")
LESSON = str(SESSION)
JOINED, LEFT = NOW + 10, NOW + 4000


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """An empty disk."""
    async with await Store.open(tmp_path / "podium.sqlite3") as opened:
        yield opened


def mirror_of(store: Store) -> Mirror:
    """A mirror that remembers what the service attested."""
    projection = AttendanceProjection(store.attendance, store.intervals, service=SERVICE.pubkey)
    return Mirror(store.database, store.interner, [projection])


def record(key: SecretKey = ADA, *, at: int = NOW, by: SecretKey = SERVICE, **changes: object) -> VerifiedEvent:
    """A person's record, signed by the service: they came twice, stayed 3,000 of 4,000 seconds and completed."""
    found = AttendanceRecord(
        session=SESSION,
        participant=key.pubkey,
        joined_at=JOINED,
        left_at=LEFT,
        total_duration=3000,
        join_count=2,
        evidence=Evidence.PRESENCE,
        completed=Completion(CompletionWay.LIVE, JOINED + 1800),
        proof_id=EventId("ab" * 32),
    )
    event = write_attendance_record(msgspec.structs.replace(found, **changes), service=by.pubkey, title="Knots", now=at)
    return verify_or_fail(by.sign(event, seeded("aux")))


async def row_of(store: Store, key: SecretKey = ADA) -> AttendanceRow | None:
    """A person's row."""
    return await store.attendance.where("[lessonId+pubkey]").equals([LESSON, key.pubkey]).first()


async def test_a_record_brings_a_row_and_a_stretch_back(store: Store) -> None:
    """Row and stretch say what was attested: times, joins, evidence, completion, proof."""
    await mirror_of(store).ingest([event := record(at=NOW + 5000)], received_at=NOW + 9000)
    assert await row_of(store) == AttendanceRow(
        id=1,
        session_address=LESSON,
        pubkey=ADA.pubkey,
        joined_at=JOINED,
        left_at=LEFT,
        total_duration=3000,
        join_count=2,
        evidence="presence",
        proof_id="ab" * 32,
        completed_at=JOINED + 1800,
        completed_by="live",
        record_created_at=NOW + 5000,
        final=True,
    )
    (stretch,) = await store.intervals.to_list()
    assert (stretch.connection_id, stretch.device, stretch.leave_reason) == (
        f"record:{event.id}",
        "record",
        "remembered",
    )
    # a seat without media: as presence it would not count beside an engine
    assert (stretch.source, stretch.media) == ("engine", False)
    # as long as what was credited, so that attendance that goes on adds to it
    assert (stretch.joined_at, stretch.left_at) == (JOINED, JOINED + 3000)


async def test_a_record_of_somebody_who_is_still_there_is_not_final(store: Store) -> None:
    """A record without an end may be followed by another."""
    await mirror_of(store).ingest([record(left_at=None, completed=None)], received_at=NOW)
    row = await row_of(store)
    assert row is not None
    assert (row.left_at, row.final, row.completed_at, row.completed_by) == (None, False, None, None)


@pytest.mark.parametrize(("newest_first", "together"), [(True, True), (False, True), (True, False)])
async def test_of_two_records_the_newer_one_is_remembered(store: Store, newest_first: bool, together: bool) -> None:
    """A relay that has an old revision beside the new one takes nothing from anybody."""
    pair = [record(at=NOW, total_duration=60), record(at=NOW + 1)]
    events = pair[::-1] if newest_first else pair
    for batch in [events] if together else [[event] for event in events]:
        await mirror_of(store).ingest(batch, received_at=NOW)
    row = await row_of(store)
    assert row is not None
    assert row.total_duration == 3000


async def test_what_was_computed_here_knows_better(store: Store) -> None:
    """A row that is there came from intervals: a record that a relay gives back changes nothing."""
    own = AttendanceRow(
        session_address=LESSON, pubkey=ADA.pubkey, joined_at=1, total_duration=1, join_count=1, evidence="engine"
    )
    await store.attendance.put(own)
    before = await row_of(store)
    await mirror_of(store).ingest([record(), record(BEN)], received_at=NOW)
    assert await row_of(store) == before
    assert await row_of(store, BEN) is not None
    assert [stretch.pubkey for stretch in await store.intervals.to_list()] == [BEN.pubkey]


async def test_the_same_record_twice_is_one(store: Store) -> None:
    """Copies from several relays double nothing."""
    for _ in range(2):
        await mirror_of(store).ingest([record()], received_at=NOW)
    assert len(await store.attendance.to_list()) == len(await store.intervals.to_list()) == 1


async def test_nobody_attests_but_the_service(store: Store) -> None:
    """A record by a participant, or by another service, sets nothing."""
    for by in (ADA, STRANGER):
        await mirror_of(store).ingest([record(by=by)], received_at=NOW)
    assert await store.attendance.to_list() == []
    assert await store.intervals.to_list() == []


async def test_whoever_only_watched_the_recording_was_not_there(store: Store) -> None:
    """A record without a join is no attendance of the live session."""
    watched = record(joined_at=None, left_at=None, completed=Completion(CompletionWay.RECORDING, NOW))
    await mirror_of(store).ingest([watched], received_at=NOW)
    assert await store.attendance.to_list() == []


async def test_a_flawed_record_is_no_memory(store: Store) -> None:
    """What cannot be read, even of our own key, is left alone."""
    good = record()
    for tags in (
        tuple(tag for tag in good.tags if tag[0] != "duration"),
        (*good.tags, ("p", BEN.pubkey)),
        tuple(("d", "x") if tag[0] == "d" else tag for tag in good.tags),
    ):
        event = UnsignedEvent(SERVICE.pubkey, NOW, kinds.ATTENDANCE, tags, "")
        await mirror_of(store).ingest([verify_or_fail(SERVICE.sign(event, seeded("aux")))], received_at=NOW)
    assert await store.attendance.to_list() == []


async def test_many_people_come_back_in_one_batch(store: Store) -> None:
    """A large session is remembered with one write, each person with their own row."""
    keys = [key_of(number) for number in range(100, 220)]
    await mirror_of(store).ingest([record(key) for key in keys], received_at=NOW)
    assert {row.pubkey for row in await store.attendance.to_list()} == {key.pubkey for key in keys}


def rumor(event: VerifiedEvent) -> UnsignedEvent:
    """The same record as it comes out of a seal."""
    return UnsignedEvent(event.pubkey, event.created_at, event.kind, event.tags, event.content)


@pytest.mark.parametrize("newest_first", [True, False])
async def test_sealed_records_are_remembered_in_any_order(store: Store, newest_first: bool) -> None:
    """Every version of a private session's record comes back, one by one: the newest counts, and its stretch alone."""
    projection = AttendanceProjection(store.attendance, store.intervals, service=SERVICE.pubkey)
    versions = [rumor(record(at=NOW, total_duration=60, left_at=None)), rumor(record(at=NOW + 1))]
    for event in versions[::-1] if newest_first else versions:
        await store.database.transact(lambda tx, event=event: projection.remember(tx, [event]))
    row = await row_of(store)
    assert row is not None
    assert (row.total_duration, row.final) == (3000, True)
    (stretch,) = await store.intervals.to_list()
    assert stretch.left_at == JOINED + 3000


async def test_sealed_records_of_others_are_nothing(store: Store) -> None:
    """Only the service attests."""
    projection = AttendanceProjection(store.attendance, store.intervals, service=SERVICE.pubkey)
    forged = rumor(record(by=STRANGER))
    await store.database.transact(lambda tx: projection.remember(tx, [forged]))
    assert await row_of(store) is None

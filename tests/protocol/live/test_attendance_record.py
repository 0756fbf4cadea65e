"""The attendance record, kind 31953."""

from __future__ import annotations

import msgspec
import pytest

from podium_protocol.addresses import Address
from podium_protocol.events import EventId, UnsignedEvent
from podium_protocol.live.attendance import Assurance, Evidence
from podium_protocol.live.attendance_record import (
    AttendanceRecord,
    read_attendance_record,
    write_attendance_record,
)
from podium_protocol.live.completion import Completion, CompletionWay
from tests.support.events import NOW, key_of

INSTRUCTOR, SERVICE, GUEST = (key_of(number) for number in range(1, 4))
RECORD = AttendanceRecord(
    session=Address(31923, INSTRUCTOR.pubkey, "knots"),
    participant=GUEST.pubkey,
    total_duration=1860,
    join_count=2,
    evidence=Evidence.ENGINE,
    joined_at=NOW,
    left_at=NOW + 2000,
    completed=Completion(CompletionWay.LIVE, NOW + 1800),
    proof_id=EventId("a" * 64),
)
SESSION = f"31923:{INSTRUCTOR.pubkey}:knots"


def written(record: AttendanceRecord = RECORD) -> UnsignedEvent:
    """The event for the record."""
    return write_attendance_record(record, service=SERVICE.pubkey, title="Knots\n", now=NOW)


def with_tag(*row: str) -> UnsignedEvent:
    """The event with one tag replaced."""
    event = written()
    rows = tuple(row if old[0] == row[0] else old for old in event.tags)
    return msgspec.structs.replace(event, tags=rows)


def test_the_event_is_the_one_of_wire_formats() -> None:
    """Each tag, and an empty content."""
    event = written()
    assert (event.kind, event.pubkey, event.content) == (31953, SERVICE.pubkey, "")
    assert event.tags == (
        ("d", f"{SESSION}:{GUEST.pubkey}"),
        ("a", SESSION),
        ("p", GUEST.pubkey),
        ("joined", str(NOW)),
        ("left", str(NOW + 2000)),
        ("duration", "1860"),
        ("joins", "2"),
        ("completed", "live", str(NOW + 1800)),
        ("evidence", "engine"),
        ("assurance", "signature"),
        ("e", "a" * 64),
        ("alt", "Attendance at Knots: 31 min, completed (live)"),
    )


@pytest.mark.parametrize(
    "record",
    [
        RECORD,
        msgspec.structs.replace(RECORD, left_at=None, completed=None, proof_id=None),
        msgspec.structs.replace(
            RECORD, joined_at=None, left_at=None, total_duration=0, join_count=0, evidence=Evidence.MANUAL
        ),
        msgspec.structs.replace(RECORD, completed=Completion(CompletionWay.RECORDING, NOW)),
        *(msgspec.structs.replace(RECORD, assurance=each) for each in Assurance),
    ],
)
def test_what_is_written_is_read_back(record: AttendanceRecord) -> None:
    """With and without a leave, a completion, a proof, and for a person who only watched the recording."""
    assert read_attendance_record(written(record)) == record


def test_a_final_record_replaces_the_first() -> None:
    """The same address, and newer even within the same second."""
    first = written()
    final = write_attendance_record(
        RECORD, service=SERVICE.pubkey, title="Knots", now=NOW, previous_created_at=first.created_at
    )
    assert Address.from_event(first) == Address.from_event(final)
    assert final.created_at == first.created_at + 1


def test_the_address_of_a_record_can_be_parsed() -> None:
    """Also for the longest identifier a session may have."""
    record = msgspec.structs.replace(RECORD, session=Address(31923, INSTRUCTOR.pubkey, "x" * 119))
    address = Address.from_event(written(record))
    assert Address.parse(str(address)) == address


@pytest.mark.family("attendance")
@pytest.mark.parametrize(
    "row",
    [
        ("d", f"{SESSION}:{SERVICE.pubkey}"),
        ("d", "other"),
        ("a", "31922:x"),
        ("p", "nobody"),
        ("duration", "-5"),
        ("duration", "1e9"),
        ("duration", "99999999999"),
        ("joins", ""),
        ("evidence", "rumour"),
        ("assurance", "cross my heart"),
    ],
)
def test_a_record_that_contradicts_itself_is_none(row: tuple[str, ...]) -> None:
    """A `d` for another person, malformed numbers and unknown evidence."""
    assert read_attendance_record(with_tag(*row)) is None


def test_a_record_without_assurance_is_one_of_a_signature() -> None:
    """Records from before there was anything else do not say it."""
    event = written()
    rows = tuple(row for row in event.tags if row[0] != "assurance")
    assert read_attendance_record(msgspec.structs.replace(event, tags=rows)) == RECORD


def test_doubled_tags_are_refused() -> None:
    """Two durations in one record are none."""
    event = written()
    double = msgspec.structs.replace(event, tags=(*event.tags, ("duration", "9999")))
    assert read_attendance_record(double) is None


def test_another_kind_is_no_record() -> None:
    """The same tags elsewhere attest nothing."""
    assert read_attendance_record(msgspec.structs.replace(written(), kind=30000)) is None


@pytest.mark.family("attendance")
@pytest.mark.parametrize(
    "row", [("completed", "live"), ("completed", "magic", str(NOW)), ("completed", "live", "soon")]
)
def test_a_malformed_completion_is_none(row: tuple[str, ...]) -> None:
    """The rest of the record stands."""
    record = read_attendance_record(with_tag(*row))
    assert record is not None
    assert record.completed is None

"""What a live query remembers of its reading."""

from __future__ import annotations

from podium_storage.changes import Batch, Change, ChangeKind
from podium_storage.table.schema import Index
from podium_storage.table.where import EVERYTHING, Condition, Points
from podium_storage.transaction import ReadLog
from tests.support.store import NoteRow

MINE, OTHER = NoteRow(id=1, session_address="mine"), NoteRow(id=1, session_address="other")


def _log(*conditions: Condition) -> ReadLog:
    log = ReadLog()
    for condition in conditions:
        log.add("notes", condition)
    return log


def _mine() -> Points:
    return Points(Index(("lessonId",)), ("session_address",), frozenset({("mine",)}))


def test_a_row_that_comes_changes_or_goes_is_seen() -> None:
    """The row before and the row after both count."""
    log = _log(_mine())
    for before, after in [(None, MINE), (MINE, MINE), (OTHER, MINE), (MINE, OTHER), (MINE, None)]:
        assert log.is_touched_by(Batch((Change("notes", ChangeKind.UPDATED, 1, before, after),)))
    for before, after in [(None, OTHER), (OTHER, OTHER), (OTHER, None)]:
        assert not log.is_touched_by(Batch((Change("notes", ChangeKind.UPDATED, 1, before, after),)))


def test_other_tables_are_not_seen() -> None:
    """A change elsewhere does not matter, unless SQL of one's own was run."""
    batch = Batch((Change("seats", ChangeKind.CREATED, 1, None, MINE),))
    log = _log(EVERYTHING)
    assert not log.is_touched_by(batch)
    log.add_anything()
    assert log.is_touched_by(batch)
    assert not log.is_touched_by(Batch(()))


def test_dropped_changes_may_have_been_anything() -> None:
    """A resync counts for every query, also for one that read nothing."""
    assert ReadLog().is_touched_by(Batch((), resync=True))


def test_the_log_names_its_tables() -> None:
    """A subscriber needs only the tables that were read, unless it may be any."""
    assert ReadLog().tables == frozenset()
    log = _log(EVERYTHING, _mine(), _mine())
    assert log.tables == frozenset({"notes"})
    log.add_anything()
    assert log.tables is None

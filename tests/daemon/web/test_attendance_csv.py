"""Attendance as CSV: RFC 4180, times in ISO 8601 UTC, no formulas."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_daemon.api.attendance import AttendanceOut
from podium_daemon.web import attendance_csv
from podium_storage.table.models import IntervalRow

DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def interval(**changes: object) -> IntervalRow:
    """One stretch of an hour."""
    values: dict[str, object] = {
        "connection_id": "c",
        "session_address": "l",
        "pubkey": "ab" * 32,
        "device": "laptop",
        "joined_at": 1_800_000_000,
        "left_at": 1_800_003_600,
        "last_evidence": 1_800_003_600,
        "source": "presence",
    }
    return IntervalRow(**(values | changes))  # type: ignore[arg-type]  # tests name the fields they mean


def attendance(**changes: object) -> AttendanceOut:
    """A person who came and completed."""
    values: dict[str, object] = {
        "pubkey": "ab" * 32,
        "npub": "npub1x",
        "name": "Ada",
        "joined_at": 1_800_000_000,
        "left_at": None,
        "total_duration": 1800,
        "percent": 50,
        "join_count": 2,
        "evidence": "presence",
        "assurance": "signature",
        "completed_at": 1_800_001_800,
        "completed_by": "live",
    }
    return AttendanceOut(**(values | changes))  # type: ignore[arg-type]  # tests name the fields they mean


def test_people_have_a_row_each() -> None:
    """The head names the columns; times are UTC, and what is open is empty."""
    text = attendance_csv.people([attendance()], answers={"ab" * 32: "confirmed"})
    lines = text.split("\r\n")
    assert lines[0] == (
        "name,npub,pubkey,rsvp,percent,joined,left,seconds,joins,evidence,assurance,completed,completed_by"
    )
    assert lines[1] == (
        f"Ada,npub1x,{'ab' * 32},confirmed,50,2027-01-15T08:00:00Z,,1800,2,presence,signature,2027-01-15T08:30:00Z,live"
    )
    assert lines[2:] == [""]


def test_stretches_have_a_row_each() -> None:
    """The second file has each connection with its end and why."""
    rows = [interval(leave_reason="left", note="late, but there"), interval(left_at=None)]
    lines = attendance_csv.intervals(rows).split("\r\n")
    assert lines[0] == "pubkey,device,joined,left,source,leave_reason,note"
    assert lines[1].endswith(',2027-01-15T08:00:00Z,2027-01-15T09:00:00Z,presence,left,"late, but there"')
    assert lines[2].endswith(",2027-01-15T08:00:00Z,,presence,,")


def test_a_person_who_did_not_answer_has_an_empty_answer() -> None:
    """The percent stand beside it."""
    (row,) = csv.DictReader(io.StringIO(attendance_csv.people([attendance(percent=99)], answers={})))
    assert (row["percent"], row["rsvp"]) == ("99", "")


def test_a_name_is_no_formula() -> None:
    """What a person calls themselves is text for a spreadsheet as well."""
    text = attendance_csv.people([attendance(name="=1+1")], answers={})
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["name"] == "'=1+1"


def test_nobody_is_a_table_with_a_head_alone() -> None:
    """An empty session still gives a file that programs can read."""
    assert attendance_csv.people([], answers={}).count("\r\n") == 1
    assert attendance_csv.intervals([]).count("\r\n") == 1


@pytest.mark.family("output injection")
@pytest.mark.parametrize("start", DANGEROUS)
def test_a_cell_that_a_spreadsheet_would_run_is_text(start: str) -> None:
    """Every beginning of a formula is set behind an apostrophe, in ASCII and full width."""
    assert attendance_csv.harmless(f"{start}1+1") == f"'{start}1+1"
    (row,) = csv.DictReader(io.StringIO(attendance_csv.intervals([interval(note=f"{start}cmd|' /C calc'!A0")])))
    assert row["note"][0] == "'"


@pytest.mark.parametrize("text", ["", "a=b", "1", "late -5", "'quoted'", "2027-01-15", " =x"])
def test_other_cells_stay_as_they_are(text: str) -> None:
    """What runs nothing is not touched."""
    assert attendance_csv.harmless(text) == text


@given(st.text(), st.text())
@settings(max_examples=80)
def test_any_text_comes_back_and_none_begins_a_formula(device: str, note: str) -> None:
    """Quotes, commas and line breaks in a cell stay in it; no cell of the file begins like a formula."""
    text = attendance_csv.intervals([interval(device=device, note=note), interval(note="last")])
    head, first, last = csv.reader(io.StringIO(text, newline=""))
    assert len(head) == len(first) == len(last) == 7
    assert last[-1] == "last"
    for cell, given_text in ((first[1], device), (first[6], note)):
        assert cell in (given_text, f"'{given_text}")
        assert not cell.startswith(DANGEROUS)

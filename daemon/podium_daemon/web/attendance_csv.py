"""Attendance and polls as CSV (RFC 4180). Times are ISO 8601, UTC."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from podium_daemon.api.attendance import AttendanceOut
from podium_storage.table.models import IntervalRow

_FORMULA_STARTS: Final = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
)  # also full width


def people(rows: Iterable[AttendanceOut], *, answers: Mapping[str, str]) -> str:
    """One row per pubkey. `answers`: RSVP statuses by pubkey."""
    return as_csv(_PEOPLE, (_person(row, answers.get(row.pubkey, "")) for row in rows))


_PEOPLE: Final = (
    *("name", "npub", "pubkey", "rsvp", "percent", "joined", "left", "seconds", "joins"),
    *("evidence", "assurance", "completed", "completed_by"),
)


def _person(row: AttendanceOut, answer: str) -> tuple[str, ...]:
    return (
        row.name,
        row.npub,
        row.pubkey,
        answer,
        str(row.percent),
        _iso(row.joined_at),
        _iso(row.left_at),
        str(row.total_duration),
        str(row.join_count),
        row.evidence,
        row.assurance,
        _iso(row.completed_at),
        row.completed_by or "",
    )


def intervals(rows: Iterable[IntervalRow]) -> str:
    """One row per interval in the room."""
    head = ("pubkey", "device", "joined", "left", "source", "leave_reason", "note")
    return as_csv(
        head,
        (
            (
                row.pubkey,
                row.device,
                _iso(row.joined_at),
                _iso(row.left_at),
                row.source,
                row.leave_reason or "",
                row.note or "",
            )
            for row in rows
        ),
    )


def as_csv(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(head)
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    return out.getvalue()


def harmless(cell: str) -> str:
    """Return the cell changed so that no spreadsheet takes it for a formula (CSV injection)."""
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell


def _iso(at: int | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

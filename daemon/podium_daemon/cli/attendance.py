"""`podium attendance`: who was there, for how long, and who completed the session."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from podium_daemon.cli.caller import caller_of
from podium_daemon.cli.failures import CommandFailed
from podium_daemon.cli.options import Json, SessionReference, helped, write_new_file
from podium_daemon.cli.output import note, print_answers, table
from podium_daemon.cli.session_reference import plain_reference
from podium_daemon.cli.session_view import npub_or_hex
from podium_daemon.cli.times import shown_length, shown_time

if TYPE_CHECKING:
    from podium_daemon.api.attendance import AttendanceOut

app = typer.Typer()

CsvFile = Annotated[Path | None, typer.Option("--csv", help="Write one row per person to a new file, or to - .")]
IntervalsFile = Annotated[Path | None, typer.Option("--intervals", help="Write each stay to a new CSV file, or to - .")]


@app.command(
    short_help="Who was there and for how long.",
    help=helped(
        "Who was there, for how long, and who completed the session.",
        "podium attendance knots",
        "podium attendance knots --csv people.csv --intervals stays.csv",
        "podium attendance knots --csv - | head",
    ),
)
def attendance(
    context: typer.Context,
    session: SessionReference,
    csv: CsvFile = None,
    intervals: IntervalsFile = None,
    as_json: Json = False,
) -> None:
    caller = caller_of(context)
    podium = caller.signing()
    reference = caller.run(plain_reference(podium, session))
    for file, is_intervals in ((csv, False), (intervals, True)):
        if file is not None:
            _write(file, caller.run(podium.attendance_csv(reference, intervals=is_intervals)))
    if csv is None and intervals is None:
        _show(caller.run(podium.attendance(reference)), as_json=as_json)


def _show(rows: Sequence[AttendanceOut], *, as_json: bool) -> None:
    if as_json:
        print_answers("attendance", rows)
        return
    table(
        ("person", "joined", "left", "present", "joins", "completed", "evidence"),
        (
            (
                one.npub or npub_or_hex(one.pubkey),
                shown_time(one.joined_at),
                shown_time(one.left_at),
                shown_length(one.total_duration),
                one.join_count,
                _completed(one),
                one.evidence,
            )
            for one in rows
        ),
        empty="Nobody has been there yet.",
    )


def _completed(one: AttendanceOut) -> str:
    return "" if one.completed_at is None else f"{one.completed_by or 'yes'}, {shown_time(one.completed_at)}"


def _write(file: Path, content: bytes) -> None:
    if str(file) == "-":
        _to_stdout(content)
        return
    write_new_file(file, content)
    note(f"Wrote {file}.")


def _to_stdout(content: bytes) -> None:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise CommandFailed("the daemon's answer is no UTF-8 text: is it a Podium daemon?") from None
    sys.stdout.write(text)

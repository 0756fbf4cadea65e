"""The options by which a session is described."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from podium_protocol.live.session_spec import RecordingAccess, Visibility


class RsvpPolicy(StrEnum):
    """Whether people must answer before they may enter."""

    REQUIRED = "required"
    OPTIONAL = "optional"


At = Annotated[
    str,
    typer.Option(
        "--at", help='"2026-12-01 18:00" or "tomorrow 18:00" in --tz, a time with its offset, or "in 2 hours".'
    ),
]
NewTime = Annotated[str | None, typer.Option("--at", help="A new start, written as for `create`.")]
TimeZone = Annotated[str | None, typer.Option("--tz", help="Time zone such as Europe/Berlin. Default: this machine's.")]
Length = Annotated[str, typer.Option("--duration", help='Minutes, or text such as "1h 30m".')]
NewLength = Annotated[str | None, typer.Option("--duration", help='Minutes, or text such as "1h 30m".')]
Seats = Annotated[int | None, typer.Option("--max", min=0, max=100_000, help="Seats; 0: no limit.")]
Rsvp = Annotated[RsvpPolicy | None, typer.Option("--rsvp", help="Whether an RSVP is needed to enter without waiting.")]
WaitingRoom = Annotated[
    bool | None, typer.Option("--waiting-room/--no-waiting-room", help="The instructor lets people in.")
]
Record = Annotated[bool | None, typer.Option("--record/--no-record", help="It may be recorded, if everybody agrees.")]
RecordingFor = Annotated[
    RecordingAccess | None,
    typer.Option("--recording-access", help="Who may see the recording. Default: the service's, participants."),
]
AttendanceRecords = Annotated[
    Visibility | None,
    typer.Option(
        "--attendance",
        help="public: attendance records are published; private: sealed to each person and you, for good. Default: the "
        "service's, public.",
    ),
]
Title = Annotated[str, typer.Argument(metavar="TITLE", help="What people see first.")]
NewTitle = Annotated[str | None, typer.Option("--title", help="What people see first.")]
Summary = Annotated[str | None, typer.Option("--summary", help="One line below the title.")]
Description = Annotated[str | None, typer.Option("--description", help="What it is about.")]
Private = Annotated[bool, typer.Option("--private", help="Only people named with --invite and --co-host see it.")]
EndToEnd = Annotated[bool, typer.Option("--e2ee", help="Require end-to-end encryption; implies --private.")]
CoHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--co-host", metavar="PERSON", help="May do what the instructor may: a key or NIP-05 name. Repeatable."
    ),
]
Invited = Annotated[
    list[str] | None, typer.Option("--invite", metavar="PERSON", help="Invited: a key or NIP-05 name. Repeatable.")
]
Identifier = Annotated[str | None, typer.Option("--id", help="Its identifier (`d`). Default: from its title.")]

"""What concerns the people of a session: `podium rsvp`, `rsvps`, `attendance`, `reminders` and `calendar`."""

from __future__ import annotations

import sys
import webbrowser
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from podium_daemon.cli.caller import caller_of, sign_and_send
from podium_daemon.cli.options import Json, SessionReference, Yes, confirm, helped, write_answer
from podium_daemon.cli.output import clean, note, print_answer, print_answers, print_json, say, table
from podium_daemon.cli.session_view import find_session, plain_reference
from podium_daemon.cli.times import named_zone, session_zone, shown_length, shown_minute, shown_time
from podium_protocol.errors import InvalidInput
from podium_protocol.live.fields import web_url
from podium_protocol.live.rsvp import RsvpStatus

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from podium_daemon.api.attendance import AttendanceOut
    from podium_daemon.api.rsvps import ReminderOut, RsvpOut
    from podium_daemon.api.sessions import SeriesDateOut, SessionOut
    from podium_daemon.client import PodiumClient


app = typer.Typer()


class Answer(StrEnum):
    """What people type; `yes`, `maybe` and `no` are the short forms of what an answer is called in its event."""

    YES = "yes"
    MAYBE = "maybe"
    NO = "no"
    CONFIRMED = "confirmed"
    TENTATIVE = "tentative"
    DECLINED = "declined"


_STATUSES: Final = {
    Answer.YES: RsvpStatus.CONFIRMED,
    Answer.MAYBE: RsvpStatus.TENTATIVE,
    Answer.NO: RsvpStatus.DECLINED,
}


@app.command(
    short_help="Answer: yes, maybe or no.",
    help=helped(
        "Answer an invitation with your key. A later answer replaces an earlier one.",
        "podium rsvp knots yes",
        "podium rsvp naddr1... declined",
        "podium rsvp knots-01 yes --following",
    ),
)
def rsvp(
    context: typer.Context,
    session: SessionReference,
    answer: Annotated[Answer, typer.Argument(metavar="ANSWER", help="yes, maybe or no; or the word of the event.")],
    following: Annotated[bool, typer.Option("--following", help="Also all that follow in its series.")] = False,
) -> None:
    status = _STATUSES.get(answer) or RsvpStatus(answer.value)
    caller = caller_of(context)
    podium = caller.signing()
    found = caller.run(find_session(podium, session))
    if following and found.series is None:
        raise InvalidInput("--following: this session is in no series")
    later = caller.run(podium.dates_after(found)) if following else []
    if later:
        note(f"{len(later) + 1} signatures: one for each date")
    dates: list[SessionOut | SeriesDateOut] = [found, *later]
    for one in dates:
        draft = caller.run(podium.draft_rsvp(one.naddr, status))
        caller.run(sign_and_send(podium, draft))
        if draft.notice and one is found:
            note(draft.notice)
        say(f"{status.value}: {clean(one.title)}, {shown_time(one.scheduled_at, one.timezone)}")


@app.command(
    "open",
    short_help="Open the page of a session.",
    help=helped(
        "Print the address of a session's page, and open it in the browser if this is a terminal.",
        "podium open knots",
        "podium open knots | qrencode -t utf8",
    ),
)
def open_page(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    caller = caller_of(context)
    found = caller.run(find_session(caller.reading(), session))
    if as_json:
        print_json({"url": found.join_url})
        return
    say(found.join_url)
    if sys.stdout.isatty() and web_url(found.join_url) is not None:  # a daemon's answer starts no other program
        webbrowser.open(found.join_url)


@app.command(
    short_help="Who answered, and who has a seat.",
    help=helped(
        "Who answered, and who has a seat. Instructors see everybody, others see themselves.",
        "podium rsvps knots",
        "podium rsvps knots --json",
    ),
)
def rsvps(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    caller = caller_of(context)
    podium = caller.signing()
    reference = caller.run(plain_reference(podium, session))
    rows, zone = caller.run(podium.rsvps(reference)), caller.run(_zone_of(podium, reference))
    if as_json:
        print_answers("rsvps", rows, zone)
        return
    table(
        ("person", "answer", "when", "seat", "remarks"),
        ((one.name, one.status, shown_time(one.rsvp_time, zone.key), _seat(one), _remarks(one)) for one in rows),
        empty="Nobody has answered yet.",
        details=("remarks",),
    )


def _seat(one: RsvpOut) -> str:
    return f"{one.seat or ''} {one.position}" if one.position is not None else one.seat or ""


def _remarks(one: RsvpOut) -> str:
    remarks = {
        "answered for another time": one.needs_reconfirmation,
        "reminded": one.reminder_sent,
        "no message relays (kind 10050)": one.undeliverable,
    }
    said = [f'"{one.note}"'.replace("\n", " ")] if one.note else []
    return ", ".join([*(name for name, holds in remarks.items() if holds), *said])


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
            write_answer(file, caller.run(podium.attendance_csv(reference, intervals=is_intervals)))
    if csv is None and intervals is None:
        rows, zone = caller.run(podium.attendance(reference)), caller.run(_zone_of(podium, reference))
        _show(rows, zone, as_json=as_json)


async def _zone_of(podium: PodiumClient, reference: str) -> ZoneInfo:
    return session_zone((await podium.session(reference)).timezone)


def _show(rows: Sequence[AttendanceOut], zone: ZoneInfo, *, as_json: bool) -> None:
    if as_json:
        print_answers("attendance", rows, zone)
        return
    table(
        ("person", "joined", "left", "present", "joins", "completed", "evidence", "assurance"),
        (
            (
                one.name,
                shown_minute(one.joined_at, zone),
                shown_minute(one.left_at, zone),
                shown_length(one.total_duration),
                one.join_count,
                _completed(one, zone),
                one.evidence,
                one.assurance,
            )
            for one in rows
        ),
        empty="Nobody has been there yet.",
        details=("completed", "evidence", "assurance"),
    )
    if times := [at for one in rows for at in (one.joined_at, one.completed_at) if at is not None]:
        say(f"Times in {named_zone(zone, max(times))}.")


def _completed(one: AttendanceOut, zone: ZoneInfo) -> str:
    return "" if one.completed_at is None else f"{one.completed_by or 'yes'}, {shown_minute(one.completed_at, zone)}"


@app.command(
    short_help="What became of each message.",
    help=helped(
        "What became of each message: planned, sent and what the relays said, missed, undeliverable.",
        "podium reminders knots",
        "podium reminders knots --json",
    ),
)
def reminders(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    caller = caller_of(context)
    podium = caller.signing()
    reference = caller.run(plain_reference(podium, session))
    ledger, zone = caller.run(podium.reminders(reference)), caller.run(_zone_of(podium, reference))
    if as_json:
        print_answer(ledger, zone)
        return
    table(
        ("person", "message", "due", "state", "remarks"),
        (
            (
                one.name,
                one.message,
                shown_time(one.due_at, zone.key),
                one.state,
                _reminder_remarks(one),
            )
            for one in ledger.reminders
        ),
        empty="No messages are planned for this session.",
        details=("remarks",),
    )
    if ledger.summary:
        say(", ".join(f"{count} {state}" for state, count in sorted(ledger.summary.items())))
    if ledger.unreachable:
        names = ", ".join(one.name for one in ledger.unreachable)
        say(f"{len(ledger.unreachable)} cannot be reached, since they name no message relays (kind 10050): {names}")


def _reminder_remarks(one: ReminderOut) -> str:
    said = [f"{answer.relay}: {answer.said}" for answer in one.relays]
    tries = [f"{one.attempts} attempts"] if one.attempts > 1 else []
    return "; ".join([*([one.reason] if one.reason else []), *said, *tries])


Revoke = Annotated[bool, typer.Option("--revoke", help="Make the addresses given out so far worthless first.")]


@app.command(
    short_help="Your sessions as a calendar to subscribe to.",
    help=helped(
        "Print an address that any calendar program can subscribe to: the sessions you lead, and those you answered "
        "confirmed or tentative to. Whoever knows the address can read the calendar; --revoke gives you a new one.",
        "podium calendar",
        "podium calendar --revoke",
    ),
)
def calendar(context: typer.Context, revoke: Revoke = False, yes: Yes = False, as_json: Json = False) -> None:
    if revoke:
        confirm("Make every calendar that is subscribed to your address stop working?", yes=yes)
    caller = caller_of(context)
    url = caller.run(caller.signing().calendar(revoke=revoke))
    if as_json:
        print_json({"url": url})
        return
    say(url)
    note("Keep it to yourself: whoever knows this address can read your calendar.")

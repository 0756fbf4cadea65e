"""`podium session create` and `edit`: the daemon composes, the caller's key signs what was asked for, nothing else."""

from __future__ import annotations

import asyncio
import time

import typer

from podium_daemon.cli.api_client import decode, session_path
from podium_daemon.cli.caller import caller_of
from podium_daemon.cli.named_people import named_people
from podium_daemon.cli.options import Json, SessionReference, helped
from podium_daemon.cli.output import note
from podium_daemon.cli.session_options import (
    At,
    AttendanceRecords,
    CoHosts,
    Description,
    EndToEnd,
    Identifier,
    Invited,
    Length,
    NewLength,
    NewTime,
    NewTitle,
    Private,
    Record,
    RecordingFor,
    Rsvp,
    RsvpPolicy,
    Seats,
    Summary,
    TimeZone,
    Title,
    WaitingRoom,
)
from podium_daemon.cli.session_reference import find_session
from podium_daemon.cli.session_view import show_session
from podium_daemon.cli.signing import sign_and_send
from podium_daemon.cli.times import checked_zone, minutes_of, start_of
from podium_daemon.client.values import Draft, Session
from podium_protocol import kinds
from podium_protocol.errors import InvalidInput
from podium_protocol.live.session_spec import DEFAULT_LIMITS
from podium_protocol.tags import Tag
from podium_protocol.text import single_line

app = typer.Typer()


@app.command(
    short_help="Schedule a session.",
    help=helped(
        "Schedule a session: the daemon composes it, your key signs it, the relays get it (sealed if it is private).",
        'podium session create "Knots for beginners" --at "tomorrow 18:00"',
        'podium session create "Knots II" --at +2h --duration 90 --max 12 --rsvp required --waiting-room',
        'podium session create "Our own knots" --at +2h --private --invite npub1... --invite npub1...',
    ),
)
def create(
    context: typer.Context,
    title: Title,
    *,
    at: At,
    tz: TimeZone = None,
    duration: Length = "60",
    seats: Seats = None,
    rsvp: Rsvp = None,
    waiting_room: WaitingRoom = None,
    record: Record = None,
    recording_access: RecordingFor = None,
    attendance: AttendanceRecords = None,
    summary: Summary = None,
    description: Description = None,
    private: Private = False,
    e2ee: EndToEnd = False,
    co_host: CoHosts = None,
    invite: Invited = None,
    identifier: Identifier = None,
    as_json: Json = False,
) -> None:
    zone = checked_zone(tz)
    wish = _given(
        title=title,
        summary=summary,
        description=description,
        scheduledAt=start_of(at, zone, int(time.time())),
        duration=minutes_of(duration),
        timezone=zone,
        maxParticipants=seats or None,
        requiresRSVP=_is_required(rsvp),
        waitingRoom=waiting_room,
        allowRecording=record,
        recordingAccess=recording_access,
        attendance=attendance,
        e2eeRequired=e2ee,
        visibility="private" if private or e2ee else "public",
        coHosts=_people(co_host, "--co-host"),
        invited=_people(invite, "--invite"),
        identifier=identifier,
    )
    api, secret = caller_of(context).signing_api()
    draft = decode(api.post("/api/sessions/draft", wish), Draft)
    sign_and_send(api, secret, draft, [(kinds.SESSION, _asked_for(wish))])
    if draft.notice:
        note(draft.notice)
    show_session(find_session(api, draft.lesson_id).raw, as_json=as_json)


@app.command(
    short_help="Change a session that is not over.",
    help=helped(
        "Change what is given, leave the rest. People with an RSVP are told when it moves.",
        'podium session edit knots --at "2026-12-02 18:00"',
        "podium session edit knots --max 20",
    ),
)
def edit(
    context: typer.Context,
    session: SessionReference,
    *,
    title: NewTitle = None,
    at: NewTime = None,
    tz: TimeZone = None,
    duration: NewLength = None,
    seats: Seats = None,
    rsvp: Rsvp = None,
    waiting_room: WaitingRoom = None,
    record: Record = None,
    recording_access: RecordingFor = None,
    attendance: AttendanceRecords = None,
    summary: Summary = None,
    description: Description = None,
    co_host: CoHosts = None,
    invite: Invited = None,
    as_json: Json = False,
) -> None:
    api, secret = caller_of(context).signing_api()
    before = find_session(api, session).value
    zone = checked_zone(tz or before.timezone)
    wish = _given(
        title=title,
        summary=summary,
        description=description,
        scheduledAt=None if at is None else start_of(at, zone, int(time.time())),
        duration=None if duration is None else minutes_of(duration),
        timezone=None if tz is None else zone,
        requiresRSVP=_is_required(rsvp),
        waitingRoom=waiting_room,
        allowRecording=record,
        recordingAccess=recording_access,
        attendance=attendance,
        coHosts=_people(co_host, "--co-host"),
        invited=_people(invite, "--invite"),
    )
    if seats is not None:
        wish["maxParticipants"] = seats or None
    if not wish:
        raise InvalidInput("nothing to change: give at least one option, see `podium session edit --help`")
    draft = decode(api.post(session_path(before.naddr, "draft"), wish), Draft)
    expected = (("d", before.identifier), *_asked_for(_merged(before, wish)))
    sign_and_send(api, secret, draft, [(kinds.SESSION, expected)])
    show_session(find_session(api, before.naddr).raw, as_json=as_json)


def _given(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _is_required(rsvp: RsvpPolicy | None) -> bool | None:
    return None if rsvp is None else rsvp is RsvpPolicy.REQUIRED


def _people(texts: list[str] | None, option: str) -> object:
    return asyncio.run(named_people(texts, option)) if texts else None


def _merged(before: Session, wish: dict[str, object]) -> dict[str, object]:
    """What the next revision must say: the duration alone moves the end too, and private it stays."""
    known = {"title": before.title, "scheduledAt": before.scheduled_at, "duration": before.duration}
    return known | {"visibility": before.visibility} | wish


def _asked_for(wish: dict[str, object]) -> tuple[Tag, ...]:
    begins, minutes = wish["scheduledAt"], wish["duration"]
    assert isinstance(begins, int)
    assert isinstance(minutes, int)
    title = single_line(str(wish["title"]), DEFAULT_LIMITS.max_title)  # as it is written into the event
    private = (("visibility", "private"),) if wish.get("visibility") == "private" else ()
    # sealed in any case where the session is private
    sealed = "private" if private else wish.get("attendance")
    attendance = (("attendance", str(sealed)),) if sealed else ()
    return (("title", title), ("start", str(begins)), ("end", str(begins + minutes * 60)), *private, *attendance)

"""`podium session create` and `edit`: the daemon composes, the caller's key signs what was asked for, nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from podium_daemon.cli.caller import CommandCaller, caller_of, sign_and_send
from podium_daemon.cli.failures import CommandFailed
from podium_daemon.cli.options import Json, SessionReference, helped, pubkey_of
from podium_daemon.cli.output import note
from podium_daemon.cli.session_view import find_session, show_session
from podium_daemon.cli.times import checked_zone, minutes_of, start_of
from podium_daemon.cli.unfinished import edit_following
from podium_daemon.config.values import is_nip05
from podium_protocol.errors import InvalidInput
from podium_protocol.events import Pubkey
from podium_protocol.live.series import MAX_TIMES, Repeat
from podium_protocol.live.session_spec import RecordingAccess, Visibility
from podium_protocol.nips.nip19 import encode_npub

if TYPE_CHECKING:
    from podium_daemon.api.base import Model
    from podium_daemon.api.sessions import DraftOut
    from podium_daemon.client import PodiumClient

M = TypeVar("M", bound="Model")
Look = Callable[[str], Awaitable[Pubkey | None]]
"""From a NIP-05 name to its key, or None; raises OSError where there is no answer to go by."""


async def named_people(texts: Sequence[str], option: str, look: Look | None = None) -> list[Pubkey]:
    """People named by hex, npub, nprofile, nostr: URI or NIP-05 name, in their order.

    Raises:
        InvalidInput: a text is none of these, or its name has no key; a secret key is refused and not repeated.
        CommandFailed: a name could not be looked up.
    """
    # a mistake in one text is told before a domain is asked for another
    read = [text.lower() if is_nip05(text) else pubkey_of(text, option) for text in texts]
    names = list(dict.fromkeys(text for text in read if is_nip05(text)))
    keys = await asyncio.gather(*(_looked_up(name, option, look or _look) for name in names))
    known = dict(zip(names, keys, strict=True))
    for name, key in known.items():
        note(f"{name} is {encode_npub(key)}")
    return [known.get(text) or Pubkey(text) for text in read]


async def _looked_up(name: str, option: str, look: Look) -> Pubkey:
    try:
        key = await look(name)
    except OSError as error:
        text = f"{option}: {name} cannot be looked up ({error}): give the person's npub, or try again"
        raise CommandFailed(text) from None
    if key is None:
        raise InvalidInput(f"{option}: {name} names no key: ask the person for the name they have now, or for an npub")
    return key


async def _look(name: str) -> Pubkey | None:
    from podium_daemon.relays.addresses import SystemLookup
    from podium_daemon.services.people.nip05_lookup import look_up

    return await look_up(name, SystemLookup())


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
Times = Annotated[int | None, typer.Option("--times", min=2, max=MAX_TIMES, help="How many sessions, with --repeat.")]
Repeats = Annotated[
    Repeat | None,
    typer.Option(
        "--repeat",
        help="A series at this weekday and time: each week, each second week, or on that weekday of each month.",
    ),
]
Following = Annotated[bool, typer.Option("--following", help="Also all that follow in its series.")]
Identifier = Annotated[str | None, typer.Option("--id", help="Its identifier (`d`). Default: from its title.")]


app = typer.Typer()


@app.command(
    short_help="Schedule a session.",
    help=helped(
        "Schedule a session: the daemon composes it, your key signs it, the relays get it (sealed if it is private).",
        'podium session create "Knots for beginners" --at "tomorrow 18:00"',
        'podium session create "Knots II" --at +2h --max 12 --rsvp required',
        'podium session create Knots --at "tomorrow 18:00" --repeat weekly --times 12',
        'podium session create "Our own knots" --at +2h --private --invite npub1...',
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
    repeat: Repeats = None,
    times: Times = None,
    identifier: Identifier = None,
    as_json: Json = False,
) -> None:
    from podium_daemon.api.sessions import SessionDraftIn

    caller, zone = caller_of(context), checked_zone(tz)
    if (repeat is None) is not (times is None):
        raise InvalidInput("--repeat and --times go together: how often, and how many sessions")
    wish = _wish(
        SessionDraftIn,
        title=title,
        summary=summary,
        description=description,
        scheduled_at=start_of(at, zone, int(time.time())),
        duration=minutes_of(duration),
        timezone=zone,
        max_participants=seats or None,
        e2ee_required=e2ee,
        visibility="private" if private or e2ee else "public",
        **_rules(rsvp, waiting_room=waiting_room, record=record, access=recording_access, attendance=attendance),
        **_people(caller, co_host, invite),
        identifier=identifier,
        repeat=_value(repeat),
        times=times,
    )
    podium = caller.signing()
    _send(caller, podium, caller.run(podium.draft_session(wish)), as_json=as_json, is_new=True)


@app.command(
    short_help="Change a session that is not over.",
    help=helped(
        "Change what is given, leave the rest. People with an RSVP are told when it moves.",
        'podium session edit knots --at "2026-12-02 18:00"',
        "podium session edit knots --max 20",
        'podium session edit knots-03 --at "2026-12-15 19:00" --following',
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
    following: Following = False,
    as_json: Json = False,
) -> None:
    from podium_daemon.api.sessions import SessionEditIn

    caller = caller_of(context)
    podium = caller.signing()
    before = caller.run(find_session(podium, session))
    zone = checked_zone(tz or before.timezone)
    wish = _wish(
        SessionEditIn,
        title=title,
        summary=summary,
        description=description,
        scheduled_at=None if at is None else start_of(at, zone, int(time.time())),
        duration=None if duration is None else minutes_of(duration),
        timezone=None if tz is None else zone,
        **_rules(rsvp, waiting_room=waiting_room, record=record, access=recording_access, attendance=attendance),
        **_people(caller, co_host, invite),
        **({} if seats is None else {"max_participants": seats or None}),
    )
    if not wish.model_fields_set:
        raise InvalidInput("nothing to change: give at least one option, see `podium session edit --help`")
    if following and before.series is None:
        raise InvalidInput("--following: this session is in no series")
    if following:
        draft = edit_following(caller, podium, before, wish.model_copy(update={"following": True}))
        _show(caller, podium, draft, as_json=as_json)
        return
    _send(caller, podium, caller.run(podium.draft_edit(before, wish)), as_json=as_json)


def _send(caller: CommandCaller, podium: PodiumClient, draft: DraftOut, *, as_json: bool, is_new: bool = False) -> None:
    caller.run(sign_and_send(podium, draft, go_on=_go_on(draft) if is_new else ""))
    _show(caller, podium, draft, as_json=as_json)


def _show(caller: CommandCaller, podium: PodiumClient, draft: DraftOut, *, as_json: bool) -> None:
    if draft.notice:
        note(draft.notice)
    show_session(caller.run(podium.session(draft.lesson_id)), as_json=as_json)


def _go_on(draft: DraftOut) -> str:
    """What to type again: the daemon leaves out the dates that are there."""
    return f"The same command with --id {(draft.series or '').split(':', 2)[-1]} goes on with the rest."


def _wish(model: type[M], **fields: object) -> M:
    """A wish with what was given; an option that was left out stays out."""
    from pydantic import ValidationError

    given = {name: value for name, value in fields.items() if value is not None or name == "max_participants"}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        flaws = error.errors(include_url=False, include_input=False)
        raise CommandFailed("; ".join(f"{flaw['loc'][0]}: {flaw['msg']}" for flaw in flaws)) from None


def _value(choice: StrEnum | None) -> str | None:
    return None if choice is None else choice.value


def _rules(
    rsvp: RsvpPolicy | None,
    *,
    waiting_room: bool | None,
    record: bool | None,
    access: RecordingAccess | None,
    attendance: Visibility | None,
) -> dict[str, object]:
    return {
        "requires_rsvp": None if rsvp is None else rsvp is RsvpPolicy.REQUIRED,
        "waiting_room": waiting_room,
        "allow_recording": record,
        "recording_access": _value(access),
        "attendance": _value(attendance),
    }


def _people(caller: CommandCaller, co_hosts: list[str] | None, invited: list[str] | None) -> dict[str, object]:
    given = {"co_hosts": (co_hosts, "--co-host"), "invited": (invited, "--invite")}
    return {name: caller.run(named_people(texts, option)) if texts else None for name, (texts, option) in given.items()}

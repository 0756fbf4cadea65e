"""`podium session`: schedule, look at, change, start, end and cancel sessions."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from podium_daemon.cli import session_writing
from podium_daemon.cli.api_client import ApiProblem, decode, session_path
from podium_daemon.cli.caller import caller_of
from podium_daemon.cli.confirming import confirm
from podium_daemon.cli.options import Json, SessionReference, Yes, helped
from podium_daemon.cli.output import clean, note, print_json, table
from podium_daemon.cli.session_reference import find_session, list_sessions, plain_reference
from podium_daemon.cli.session_view import show_session
from podium_daemon.cli.signing import sign_and_send
from podium_daemon.cli.times import shown_time
from podium_daemon.client.looking import Expectation
from podium_daemon.client.values import Draft, PassedOvers
from podium_protocol import kinds

app = typer.Typer(no_args_is_help=True, help="Schedule sessions and run them.")
app.add_typer(session_writing.app)


class State(StrEnum):
    """Where a session is."""

    SCHEDULED = "scheduled"
    ACTIVE = "active"
    ENDED = "ended"
    CANCELLED = "cancelled"


@app.command(
    "list",
    short_help="List sessions by start.",
    help=helped("List sessions by start.", "podium session list", "podium session list --only active --json"),
)
def list_(
    context: typer.Context,
    state: Annotated[State | None, typer.Option("--only", help="Only those in this state.")] = None,
    as_json: Json = False,
) -> None:
    api = caller_of(context).reading_api()
    found = list_sessions(api, state)
    if as_json:
        print_json({"sessions": [decode(one.raw, dict) for one in found]})
        return
    table(
        ("start", "state", "title", "confirmed", "session"),
        (
            (
                shown_time(one.scheduled_at, one.timezone),
                one.state,
                one.title,
                f"{one.counts.confirmed}" + (f" of {one.max_participants}" if one.max_participants else ""),
                one.identifier,
            )
            for one in (each.value for each in found)
        ),
        empty="No sessions yet. `podium session create` schedules one.",
    )


@app.command(
    short_help="Show one session.",
    help=helped("Show one session.", "podium session show naddr1...", "podium session show knots --json"),
)
def show(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    caller = caller_of(context)
    try:
        found = find_session(caller.reading_api(), session)
    except ApiProblem as problem:
        if problem.slug != "unknown-session" or caller.bunker_option is None:
            raise
        api, _ = caller.signing_api()  # it may be a private one: to unsigned calls those are not there
        found = find_session(api, session)
    show_session(found.raw, as_json=as_json)


@app.command(
    "passed-over",
    short_help="List what was signed elsewhere and is no session here.",
    help=helped(
        "List what instructors signed in other programs and is no session here, with the reason. Instructors see "
        "their own events, the service's key sees all.",
        "podium session passed-over",
        "podium session passed-over --json",
    ),
)
def passed_over(context: typer.Context, as_json: Json = False) -> None:
    api, _ = caller_of(context).signing_api()
    raw = api.get("/api/sessions/passed-over")
    if as_json:
        print_json(decode(raw, dict))
        return
    table(
        ("signed", "title", "session", "reason", ""),
        (
            (
                shown_time(one.created_at),
                one.title,
                one.lesson_id.split(":", 2)[-1],
                one.reason,
                "the revision before stays in force" if one.keeps else "",
            )
            for one in decode(raw, PassedOvers).events
        ),
        empty="Nothing was passed over.",
    )


@app.command(
    short_help="Start a session now.",
    help=helped(
        "Start a session now, from doors-open on. The signed call is the instructor's command.",
        "podium session start knots",
    ),
)
def start(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    _command(context, session, "start", as_json=as_json)


@app.command(
    short_help="End a session now.",
    help=helped("End a session now. It can be opened again for a while.", "podium session end knots"),
)
def end(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    _command(context, session, "end", as_json=as_json)


@app.command(
    short_help="Open a session again shortly after its end.",
    help=helped(
        "Open a session again shortly after its end. The first run stays as it was.", "podium session reopen knots"
    ),
)
def reopen(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    _command(context, session, "reopen", as_json=as_json)


@app.command(
    short_help="Cancel a session and tell everybody.",
    help=helped(
        "Cancel a session: it is marked, deleted from the relays, and everybody with an RSVP is told.",
        'podium session cancel knots --reason "The instructor is ill."',
        "podium session cancel knots --yes",
    ),
)
def cancel(
    context: typer.Context,
    session: SessionReference,
    reason: Annotated[str, typer.Option(help="One sentence for the participants.")] = "",
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    api, secret = caller_of(context).signing_api()
    found = find_session(api, session).value
    if not yes:
        note(f"{clean(found.title)}, {shown_time(found.scheduled_at, found.timezone)}")
    confirm("Cancel this session for everybody?", yes=yes)
    draft = decode(api.post(session_path(found.naddr, "cancel", "draft"), {"reason": reason}), Draft)
    revision: Expectation = (kinds.SESSION, (("d", found.identifier), ("status", "cancelled")))
    deletion: Expectation = (kinds.DELETION, (("a", found.lesson_id), ("k", str(kinds.SESSION))))
    sign_and_send(api, secret, draft, [revision, deletion])
    show_session(find_session(api, found.naddr).raw, as_json=as_json)


@app.command(
    short_help="Take a cancellation back.",
    help=helped(
        "Take a cancellation back, within the session's time: it takes place after all, and everybody who was told of "
        "the cancellation is told.",
        "podium session restore knots",
    ),
)
def restore(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    api, secret = caller_of(context).signing_api()
    found = find_session(api, session).value
    draft = decode(api.post(session_path(found.naddr, "restore", "draft"), {}), Draft)
    sign_and_send(api, secret, draft, [(kinds.SESSION, (("d", found.identifier), ("start", str(found.scheduled_at))))])
    show_session(find_session(api, found.naddr).raw, as_json=as_json)


def _command(context: typer.Context, session: str, name: str, *, as_json: bool) -> None:
    api, _ = caller_of(context).signing_api()
    raw = api.post(session_path(plain_reference(api, session), name), {})
    show_session(raw, as_json=as_json)

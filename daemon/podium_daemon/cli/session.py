"""`podium session`: schedule, look at, change, start, end and cancel sessions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from podium_daemon.cli import session_watching, session_writing
from podium_daemon.cli.caller import caller_of, sign_and_send
from podium_daemon.cli.options import Json, SessionReference, Yes, confirm, helped
from podium_daemon.cli.output import clean, note, print_answer, print_answers, say, table
from podium_daemon.cli.session_view import find_session, plain_reference, show_session
from podium_daemon.cli.times import shown_time
from podium_protocol.errors import InvalidInput
from podium_protocol.live.lifecycle import SessionState

if TYPE_CHECKING:
    from podium_daemon.api.sessions import SessionOut
    from podium_daemon.client import PodiumClient

    Order = Callable[[PodiumClient, str], Coroutine[Any, Any, SessionOut]]

_PATIENCE: Final = 10.0  # seconds until a daemon has acted on what it took
app = typer.Typer(no_args_is_help=True, help="Schedule sessions and run them.")
app.add_typer(session_writing.app)
app.add_typer(session_watching.app)


@app.command(
    "list",
    short_help="List sessions by start.",
    help=helped("List sessions by start.", "podium session list", "podium session list --only active --json"),
)
def list_(
    context: typer.Context,
    state: Annotated[SessionState | None, typer.Option("--only", help="Only those in this state.")] = None,
    as_json: Json = False,
) -> None:
    caller = caller_of(context)
    found = caller.run(caller.reading().sessions(state))
    if as_json:
        print_answers("sessions", found)
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
            for one in found
        ),
        empty="No sessions yet. `podium session create` schedules one.",
        whole=("start",),
        details=("session",),  # what other commands are given: the dates of a series differ at its end only
    )


@app.command(
    short_help="Show one session.",
    help=helped("Show one session.", "podium session show naddr1...", "podium session show knots --json"),
)
def show(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    from podium_daemon.client import ApiProblem

    caller = caller_of(context)
    try:
        found = caller.run(find_session(caller.reading(), session))
    except ApiProblem as problem:
        if problem.slug != "unknown-session" or caller.bunker_option is None:
            raise
        # it may be a private one: to unsigned calls those are not there
        found = caller.run(find_session(caller.signing(), session))
    show_session(found, as_json=as_json)


@app.command(
    short_help="List the dates of a session's series.",
    help=helped("List the dates of the series that a session belongs to.", "podium session dates knots-01"),
)
def dates(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    caller = caller_of(context)
    podium = caller.reading()
    series = caller.run(podium.series(caller.run(plain_reference(podium, session))))
    if as_json:
        print_answer(series)
        return
    table(
        ("date", "start", "state", "title", "session"),
        (
            (str(one.number), shown_time(one.scheduled_at, one.timezone), one.state, one.title, one.identifier)
            for one in series.dates
        ),
        empty="No dates.",
        whole=("start",),
        details=("session",),
    )
    if series.outdated:
        gone = "a date that no longer takes" if series.outdated == 1 else f"{series.outdated} dates that no longer take"
        note(f"The calendar of the series lists {gone} place: `podium session relist {session}` publishes it anew.")


@app.command(
    short_help="Publish the calendar of a series anew.",
    help=helped(
        "Publish the calendar of a series anew (kind 31924), with the dates that take place: another client that "
        "cancels one leaves it there. One signature, and none if it lists just those.",
        "podium session relist knots-01",
    ),
)
def relist(context: typer.Context, session: SessionReference) -> None:
    caller = caller_of(context)
    podium = caller.signing()
    found = caller.run(find_session(podium, session))
    if found.series is None:
        raise InvalidInput("this session is in no series: it has no calendar")
    draft = caller.run(podium.draft_calendar(found))
    if not draft.events:
        say("The calendar lists the dates that take place: nothing to sign.")
        return
    caller.run(sign_and_send(podium, draft))
    say("The calendar lists the dates that take place.")


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
    caller = caller_of(context)
    found = caller.run(caller.signing().passed_over())
    if as_json:
        print_answers("events", found)
        return
    table(
        ("signed", "title", "session", "reason", "besides"),
        (
            (
                shown_time(one.created_at),
                one.title,
                one.lesson_id.split(":", 2)[-1],
                one.reason,
                "the revision before stays in force" if one.keeps else "",
            )
            for one in found
        ),
        empty="Nothing was passed over.",
        details=("reason", "besides"),
    )


@app.command(
    short_help="Start a session now.",
    help=helped(
        "Start a session now, from doors-open on. The signed call is the instructor's command.",
        "podium session start knots",
    ),
)
def start(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    _command(context, session, lambda podium, found: podium.start(found), as_json=as_json)


@app.command(
    short_help="End a session now.",
    help=helped("End a session now. It can be opened again for a while.", "podium session end knots"),
)
def end(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    _command(context, session, lambda podium, found: podium.end(found), as_json=as_json)


@app.command(
    short_help="Open a session again shortly after its end.",
    help=helped(
        "Open a session again shortly after its end. The first run stays as it was.", "podium session reopen knots"
    ),
)
def reopen(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    _command(context, session, lambda podium, found: podium.reopen(found), as_json=as_json)


@app.command(
    short_help="Cancel a session and tell everybody.",
    help=helped(
        "Cancel a session: it is marked, deleted from the relays, and everybody with an RSVP is told.",
        'podium session cancel knots --reason "The instructor is ill."',
        "podium session cancel knots --yes",
        "podium session cancel knots-05 --following",
    ),
)
def cancel(
    context: typer.Context,
    session: SessionReference,
    *,
    reason: Annotated[str, typer.Option(help="One sentence for the participants.")] = "",
    following: session_writing.Following = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    caller = caller_of(context)
    podium = caller.signing()
    found = caller.run(find_session(podium, session))
    if following and found.series is None:
        raise InvalidInput("--following: this session is in no series")
    if not yes:
        note(f"{clean(found.title)}, {shown_time(found.scheduled_at, found.timezone)}")
    confirm("Cancel it and all that follow?" if following else "Cancel this session for everybody?", yes=yes)
    draft = caller.run(podium.draft_cancellation(found, reason, and_following=following))
    caller.run(sign_and_send(podium, draft, go_on="The same command goes on with the rest."))
    show_session(caller.run(podium.session(found.naddr)), as_json=as_json)


@app.command(
    short_help="Take a cancellation back.",
    help=helped(
        "Take a cancellation back, within the session's time: it takes place after all, and everybody who was told of "
        "the cancellation is told.",
        "podium session restore knots",
    ),
)
def restore(context: typer.Context, session: SessionReference, as_json: Json = False) -> None:
    caller = caller_of(context)
    podium = caller.signing()
    found = caller.run(find_session(podium, session))
    draft = caller.run(podium.draft_restoration(found))
    caller.run(sign_and_send(podium, draft))
    show_session(caller.run(_taking_place(podium, found.naddr)), as_json=as_json)


async def _taking_place(podium: PodiumClient, reference: str) -> SessionOut:
    """The session once the daemon has acted on the revision; as it is if that takes too long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE), contextlib.aclosing(podium.watch(reference)) as changes:
            async for news in changes:
                if news.view.session is not None and news.view.session.state != SessionState.CANCELLED:
                    return news.view.session
    return await podium.session(reference)


def _command(context: typer.Context, session: str, order: Order, *, as_json: bool) -> None:
    caller = caller_of(context)
    podium = caller.signing()
    reference = caller.run(plain_reference(podium, session))
    show_session(caller.run(order(podium, reference)), as_json=as_json)

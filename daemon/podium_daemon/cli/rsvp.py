"""`podium rsvp` and `podium rsvps`: answer an invitation, and see who answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from podium_daemon.cli.caller import caller_of
from podium_daemon.cli.options import Json, SessionReference, helped
from podium_daemon.cli.output import clean, note, print_answers, say, table
from podium_daemon.cli.session_reference import find_session, plain_reference
from podium_daemon.cli.signing import sign_and_send
from podium_daemon.cli.times import shown_time
from podium_protocol.live.rsvp import RsvpStatus

if TYPE_CHECKING:
    from podium_daemon.api.rsvps import RsvpOut

app = typer.Typer()


@app.command(
    short_help="Answer: confirmed, tentative or declined.",
    help=helped(
        "Answer an invitation with your key. A later answer replaces an earlier one.",
        "podium rsvp knots confirmed",
        "podium rsvp naddr1... declined",
    ),
)
def rsvp(
    context: typer.Context,
    session: SessionReference,
    status: Annotated[RsvpStatus, typer.Argument(help="Your answer.")],
) -> None:
    caller = caller_of(context)
    podium = caller.signing()
    found = caller.run(find_session(podium, session))
    draft = caller.run(podium.draft_rsvp(found, status))
    caller.run(sign_and_send(podium, draft))
    if draft.notice:
        note(draft.notice)
    say(f"{status.value}: {clean(found.title)}, {shown_time(found.scheduled_at, found.timezone)}")


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
    rows = caller.run(podium.rsvps(caller.run(plain_reference(podium, session))))
    if as_json:
        print_answers("rsvps", rows)
        return
    table(
        ("person", "answer", "when", "seat", "remarks"),
        ((one.npub, one.status, shown_time(one.rsvp_time), _seat(one), _remarks(one)) for one in rows),
        empty="Nobody has answered yet.",
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

"""`podium rsvp` and `podium rsvps`: answer an invitation, and see who answered."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from podium_daemon.cli.api_client import decode, session_path
from podium_daemon.cli.caller import caller_of
from podium_daemon.cli.options import Json, SessionReference, helped
from podium_daemon.cli.output import clean, note, print_json, say, table
from podium_daemon.cli.session_reference import find_session, plain_reference
from podium_daemon.cli.signing import sign_and_send
from podium_daemon.cli.times import shown_time
from podium_daemon.client.values import Draft, Rsvp, Rsvps
from podium_protocol import kinds

app = typer.Typer()


class Status(StrEnum):
    """The model's answers."""

    CONFIRMED = "confirmed"
    TENTATIVE = "tentative"
    DECLINED = "declined"


_ON_THE_WIRE = {Status.CONFIRMED: "accepted", Status.TENTATIVE: "tentative", Status.DECLINED: "declined"}  # NIP-52


@app.command(
    short_help="Answer: confirmed, tentative or declined.",
    help=helped(
        "Answer an invitation with your key. A later answer replaces an earlier one.",
        "podium rsvp knots confirmed",
        "podium rsvp naddr1... declined",
    ),
)
def rsvp(
    context: typer.Context, session: SessionReference, status: Annotated[Status, typer.Argument(help="Your answer.")]
) -> None:
    api, secret = caller_of(context).signing_api()
    found = find_session(api, session).value
    draft = decode(api.post(session_path(found.naddr, "rsvp", "draft"), {"status": status.value}), Draft)
    sign_and_send(api, secret, draft, [(kinds.RSVP, (("a", found.lesson_id), ("status", _ON_THE_WIRE[status])))])
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
    api, _ = caller_of(context).signing_api()
    raw = api.get(session_path(plain_reference(api, session), "rsvps"))
    if as_json:
        print_json(decode(raw, dict))
        return
    rows = decode(raw, Rsvps).rsvps
    table(
        ("person", "answer", "when", "seat", "remarks"),
        ((one.npub, one.status, shown_time(one.rsvp_time), _seat(one), _remarks(one)) for one in rows),
        empty="Nobody has answered yet.",
    )


def _seat(one: Rsvp) -> str:
    return f"{one.seat or ''} {one.position}" if one.position is not None else one.seat or ""


def _remarks(one: Rsvp) -> str:
    remarks = {
        "answered for another time": one.needs_reconfirmation,
        "reminded": one.reminder_sent,
        "no message relays (kind 10050)": one.undeliverable,
    }
    said = [f'"{one.note}"'.replace("\n", " ")] if one.note else []
    return ", ".join([*(name for name, holds in remarks.items() if holds), *said])

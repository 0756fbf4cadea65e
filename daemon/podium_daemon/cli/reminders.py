"""`podium reminders`: the ledger of messages, person by person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from podium_daemon.cli.caller import caller_of
from podium_daemon.cli.options import Json, SessionReference, helped
from podium_daemon.cli.output import print_answer, say, table
from podium_daemon.cli.session_reference import plain_reference
from podium_daemon.cli.session_view import npub_or_hex
from podium_daemon.cli.times import shown_time

if TYPE_CHECKING:
    from podium_daemon.api.rsvps import ReminderOut

app = typer.Typer()


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
    ledger = caller.run(podium.reminders(caller.run(plain_reference(podium, session))))
    if as_json:
        print_answer(ledger)
        return
    table(
        ("person", "message", "due", "state", "remarks"),
        (
            (one.npub or npub_or_hex(one.pubkey), one.message, shown_time(one.due_at), one.state, _remarks(one))
            for one in ledger.reminders
        ),
        empty="No messages are planned for this session.",
    )
    if ledger.summary:
        say(", ".join(f"{count} {state}" for state, count in sorted(ledger.summary.items())))
    if ledger.unreachable:
        say(f"{len(ledger.unreachable)} cannot be reached: they name no relays for private messages (kind 10050).")


def _remarks(one: ReminderOut) -> str:
    said = [f"{answer.relay}: {answer.said}" for answer in one.relays]
    tries = [f"{one.attempts} attempts"] if one.attempts > 1 else []
    return "; ".join([*([one.reason] if one.reason else []), *said, *tries])

"""`podium reminders`: the ledger of messages, person by person."""

from __future__ import annotations

import typer

from podium_daemon.cli.api_client import decode, session_path
from podium_daemon.cli.caller import caller_of
from podium_daemon.cli.options import Json, SessionReference, helped
from podium_daemon.cli.output import print_json, say, table
from podium_daemon.cli.session_reference import plain_reference
from podium_daemon.cli.session_view import npub_or_hex
from podium_daemon.cli.times import shown_time
from podium_daemon.client.values import Reminder, Reminders

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
    api, _ = caller_of(context).signing_api()
    raw = api.get(session_path(plain_reference(api, session), "reminders"))
    if as_json:
        print_json(decode(raw, dict))
        return
    ledger = decode(raw, Reminders)
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


def _remarks(one: Reminder) -> str:
    said = [f"{answer.relay}: {answer.said}" for answer in one.relays]
    tries = [f"{one.attempts} attempts"] if one.attempts > 1 else []
    return "; ".join([*([one.reason] if one.reason else []), *said, *tries])

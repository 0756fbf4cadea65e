"""`podium calendar`: the address of your sessions for a calendar program."""

from __future__ import annotations

from typing import Annotated

import typer

from podium_daemon.cli.caller import caller_of
from podium_daemon.cli.options import Json, Yes, confirm, helped
from podium_daemon.cli.output import note, print_json, say

app = typer.Typer()
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

"""`podium chat`: what was written in a room."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from podium_daemon.cli.caller import caller_of
from podium_daemon.cli.options import Json, SessionReference, helped, write_answer
from podium_daemon.cli.output import print_answer
from podium_daemon.cli.session_view import plain_reference

app = typer.Typer(no_args_is_help=True, help="What was written in a session's room.")


@app.callback()
def _chat() -> None:
    """Keep `export` a command of its own, though it is the only one."""


@app.command(
    short_help="The chat as text, for those who lead.",
    help=helped(
        "Write what is kept of a session's chat as text: the newest 500 lines, private ones marked.",
        "podium chat export knots",
        "podium chat export knots --to chat.txt",
        "podium chat export knots --json",
    ),
)
def export(
    context: typer.Context,
    session: SessionReference,
    to: Annotated[Path, typer.Option("--to", help="A new file, or - for the terminal.")] = Path("-"),
    as_json: Json = False,
) -> None:
    caller = caller_of(context)
    podium = caller.signing()
    reference = caller.run(plain_reference(podium, session))
    if as_json:
        print_answer(caller.run(podium.chat(reference)))
        return
    write_answer(to, caller.run(podium.chat_text(reference)))

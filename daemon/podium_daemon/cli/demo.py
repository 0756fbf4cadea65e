"""`podium demo`: a whole session in a few minutes, on this machine alone."""

from __future__ import annotations

from typing import Annotated

import typer

from podium_daemon.cli.options import helped

app = typer.Typer()


@app.command(
    short_help="Show a whole session on this machine.",
    help=helped(
        "Show a whole session, with a daemon, a relay and people of its own. Nothing of yours is used.",
        "podium demo",
        "podium demo --relay ws://127.0.0.1:7777 --json",
    ),
)
def demo(
    relay: Annotated[str | None, typer.Option(help="A relay to use instead of the daemon's own.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each step.")] = False,
) -> None:
    from podium_daemon import demo as show

    raise typer.Exit(show.run(relay=relay, as_json=as_json))

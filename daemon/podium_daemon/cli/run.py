"""`podium run`: the daemon."""

from __future__ import annotations

from typing import Annotated

import typer

from podium_daemon.cli.caller import caller_of
from podium_daemon.cli.failures import CommandFailed, Exit, exit_code_of
from podium_daemon.cli.options import helped
from podium_protocol.errors import InvalidInput

app = typer.Typer()


@app.command(
    short_help="Run the daemon.",
    help=helped(
        "Run the daemon until SIGTERM or Ctrl-C. SIGHUP reads the configuration again.",
        "podium run",
        "podium run --config /etc/podium/relays.toml --log-format json",
    ),
)
def run(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="web.host")] = None,
    port: Annotated[str | None, typer.Option(help="web.port")] = None,
    log_level: Annotated[str | None, typer.Option(help="logging.level")] = None,
    log_format: Annotated[str | None, typer.Option(help="logging.format")] = None,
) -> None:
    overrides = {"web.host": host, "web.port": port, "logging.level": log_level, "logging.format": log_format}
    caller = caller_of(context)
    config = caller.config(overrides)
    from podium_daemon.app import run as daemon

    try:
        daemon.run(config, key_option=caller.key_option)
    except InvalidInput as error:
        # nothing was typed wrong: what the daemon was configured with does not work on this machine
        code = exit_code_of(error)
        raise CommandFailed(str(error), Exit.CONFIG if code is Exit.USAGE else code) from None

"""`podium config`: whether the configuration is good, and what is in force."""

from __future__ import annotations

import typer

from podium_daemon.cli.caller import caller_of
from podium_daemon.cli.options import Json, helped
from podium_daemon.cli.output import print_json, say
from podium_daemon.config import FIELDS, Config, changed_keys, effective_toml, effective_values

app = typer.Typer(no_args_is_help=True, help="Look at the configuration.")


@app.command(
    short_help="Say everything that is wrong with it.",
    help=helped(
        "Say everything that is wrong with the configuration. Exit code 3 if something is.",
        "podium config check",
        "podium config check --config relays.toml",
    ),
)
def check(context: typer.Context, as_json: Json = False) -> None:
    caller = caller_of(context)
    config = caller.config()
    source = str(caller.config_file or "no file, only defaults and environment")
    changed = changed_keys(Config(), config)
    if as_json:
        print_json({"file": source, "ok": True, "changed": changed})
    else:
        say(f"Good: {source}; {len(changed)} of {len(FIELDS)} keys differ from their defaults.")


@app.command(
    short_help="Show the values in force.",
    help=helped(
        "Show the values in force after file, environment and options. Secrets are never shown.",
        "podium config show",
        "podium config show --json",
    ),
)
def show(context: typer.Context, as_json: Json = False) -> None:
    config = caller_of(context).config()
    if as_json:
        print_json(effective_values(config))
    else:
        say(effective_toml(config).rstrip())

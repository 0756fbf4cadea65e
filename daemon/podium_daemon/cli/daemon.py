"""Commands for the machine on which the daemon runs: `podium init`, `config`, `run`, `demo` and `backup`."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Annotated

import typer

from podium_daemon.cli.caller import caller_of
from podium_daemon.cli.failures import CommandFailed, Exit, exit_code_of
from podium_daemon.cli.options import Json, NewFile, helped, new_file, write_new_file
from podium_daemon.cli.output import fields, print_json, say
from podium_daemon.config import (
    FIELDS,
    Config,
    changed_keys,
    default_config_file,
    effective_toml,
    effective_values,
    starting_toml,
)
from podium_daemon.keys.key_file import new_secret, write_key_file
from podium_protocol.errors import InvalidInput
from podium_protocol.nips.nip19 import encode_npub

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


@app.command(
    short_help="Show a whole session on this machine.",
    help=helped(
        "Show a whole session, with a daemon, a relay and people of its own. Nothing of yours is used.",
        "podium demo",
        "podium demo --keep",
        "podium demo --relay ws://127.0.0.1:7777 --json",
    ),
)
def demo(
    relay: Annotated[str | None, typer.Option(help="A relay to use instead of the daemon's own.")] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave its pages open afterwards to look at, until Ctrl-C.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each step.")] = False,
) -> None:
    from podium_daemon import demo as show

    raise typer.Exit(show.run(relay=relay, as_json=as_json, keep=keep))


_KEY = "podium.key"
_CONFIG = "relays.toml"


@app.command(
    short_help="Write a configuration and a key.",
    help=helped(
        "Write a configuration in which every key is explained, and a fresh secret key beside it. "
        "Nothing that exists is overwritten.",
        "podium init",
        "podium init --dir /etc/podium",
    ),
)
def init(directory: Annotated[Path | None, typer.Option("--dir", help="The folder to write into.")] = None) -> None:
    folder = (directory or default_config_file().parent).absolute()
    config, key = folder / _CONFIG, folder / _KEY
    for path in (config, key):
        if path.exists() or path.is_symlink():
            raise CommandFailed(f"{path} exists already; nothing was written")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CommandFailed(f"{folder} cannot be made: {error.strerror}") from None
    secret = new_secret()
    write_key_file(key, secret)
    write_new_file(config, starting_toml({"identity.key_file": _KEY}).encode())
    fields(
        {
            "configuration": config,
            "secret key": f"{key} (keep a copy in a safe place)",
            "npub": encode_npub(secret.pubkey),
        }
    )
    named = "" if config == default_config_file() else f" --config {config}"
    say(f"\nNext: podium doctor{named}, then podium run{named}")


config_app = typer.Typer(no_args_is_help=True, help="Look at the configuration.")


@config_app.command(
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


@config_app.command(
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


@app.command(
    short_help="Copy the database to a new file.",
    help=helped(
        "Copy the database to a new file, while the daemon runs or not. It holds RSVPs and attendance, and no keys: "
        "copy the key file by itself, to a place of its own.",
        "podium backup /media/usb/podium-2026-12-01.sqlite3",
    ),
)
def backup(context: typer.Context, file: NewFile) -> None:
    source = caller_of(context).config().database_file
    copy_database(source, file)
    say(f"Copied {source} to {file} ({file.stat().st_size} bytes, checked).")


def copy_database(source: Path, target: Path) -> None:
    """Copy in one read transaction (SQLite's online backup), check the copy, and only then give it its name.

    Raises:
        CommandFailed: no database, no room, a damaged source, or `target` exists.
    """
    if not source.is_file():
        raise CommandFailed(f"there is no database {source}: name its folder with --state")
    with new_file(target) as temporary:
        try:
            _copy(source, temporary)
        except sqlite3.Error as error:
            raise CommandFailed(f"{source} cannot be copied to {target}: {error}") from None
        finally:
            for suffix in ("-wal", "-shm", "-journal"):
                temporary.with_name(temporary.name + suffix).unlink(missing_ok=True)


def _copy(source: Path, temporary: Path) -> None:
    with (
        contextlib.closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as read,
        contextlib.closing(sqlite3.connect(temporary)) as written,
    ):
        read.backup(written)
        written.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
        verdict = written.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != ("ok",):
        raise sqlite3.DatabaseError(f"the copy is damaged ({verdict[0]})")
    with temporary.open("rb") as file:
        os.fsync(file.fileno())

"""`podium init`: a configuration that documents itself, and a key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from podium_daemon.cli.failures import CommandFailed
from podium_daemon.cli.new_file import write_new_file
from podium_daemon.cli.options import helped
from podium_daemon.cli.output import fields, say
from podium_daemon.config import default_config_file, starting_toml
from podium_daemon.keys.key_file import new_secret, write_key_file
from podium_protocol.nips.nip19 import encode_npub

app = typer.Typer()
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

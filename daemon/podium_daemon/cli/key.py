"""`podium key`: make, show and take over secret keys. They are read from files and prompts, never from arguments."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from podium_daemon.cli.caller import Caller, caller_of
from podium_daemon.cli.options import Json, helped
from podium_daemon.cli.output import fields, print_json
from podium_daemon.keyfile import KeyFileError, new_secret, parse_secret, write_key_file
from podium_protocol.keys import SecretKey
from podium_protocol.nips.nip19 import encode_npub

app = typer.Typer(no_args_is_help=True, help="Make, show and take over keys.")
_MAX_CHARACTERS: Final = 4096

Target = Annotated[Path | None, typer.Argument(metavar="FILE", help="Default: --key, or the configured key file.")]


@app.command(
    short_help="Make a secret key.",
    help=helped("Make a secret key in a new file of mode 0600.", "podium key new", "podium key new ~/instructor.key"),
)
def new(context: typer.Context, file: Target = None, as_json: Json = False) -> None:
    _store(caller_of(context), file, new_secret(), as_json=as_json)


@app.command(
    short_help="Show the public key.",
    help=helped("Show the public key and where its secret is. The secret itself is never shown.", "podium key show"),
)
def show(context: typer.Context, as_json: Json = False) -> None:
    caller = caller_of(context)
    config = caller.config()
    place = caller.key_place(config)
    _print(caller.secret(config), str(place.path or place.source.value), as_json=as_json)


@app.command(
    "import",
    short_help="Take over a secret key you have.",
    help=helped(
        "Take over an nsec or a key in hex: it is asked for without being shown, or read from standard input.",
        "podium key import",
        "podium key import ~/instructor.key < nsec.txt",
    ),
)
def import_(context: typer.Context, file: Target = None, as_json: Json = False) -> None:
    text = getpass.getpass("Secret key (nsec or hex): ") if sys.stdin.isatty() else sys.stdin.read(_MAX_CHARACTERS)
    _store(caller_of(context), file, parse_secret(text, "the input"), as_json=as_json)


def _store(caller: Caller, file: Path | None, secret: SecretKey, *, as_json: bool) -> None:
    path = (file or caller.key_option or caller.config().key_file).absolute()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise KeyFileError(f"{path.parent} cannot be made: {error.strerror}") from None
    write_key_file(path, secret)
    _print(secret, str(path), as_json=as_json)


def _print(secret: SecretKey, where: str, *, as_json: bool) -> None:
    rows = {"npub": encode_npub(secret.pubkey), "pubkey": secret.pubkey, "secret": where}
    if as_json:
        print_json(rows)
    else:
        fields({"npub": rows["npub"], "hex": rows["pubkey"], "secret key": f"in {where}"})

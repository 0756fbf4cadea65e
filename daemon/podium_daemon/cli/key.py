"""`podium key`: make, show, take over and encrypt secret keys, read from files and prompts, never from arguments."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from podium_daemon.cli.caller import CommandCaller, caller_of
from podium_daemon.cli.options import Json, helped
from podium_daemon.cli.output import fields, print_json
from podium_daemon.keys.key_file import (
    KeyFileError,
    KeyPlace,
    KeySource,
    ask_terminal,
    encrypt_key_file,
    new_secret,
    parse_secret,
    read_password_file,
    read_stored_key,
    write_key_file,
)
from podium_protocol.keys import SecretKey
from podium_protocol.limits import MAX_SCRYPT_LOG_N
from podium_protocol.nips.nip19 import encode_npub

app = typer.Typer(no_args_is_help=True, help="Make, show, take over and encrypt keys.")
_MAX_CHARACTERS: Final = 4096
_LEAST_LOG_N: Final = 16  # NIP-49's smallest: 64 MiB, 100 ms a guess

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


@app.command(
    short_help="Put a key file under a password.",
    help=helped(
        "Put a key file under a password (NIP-49), or under another one. The file is replaced; copies of it that were "
        "made before are not. Whatever reads it asks for the password, or takes it from the file that "
        "PODIUM_PASSWORD_FILE names.",
        "podium key encrypt",
        "podium key encrypt ~/instructor.key --password-file ~/password",
    ),
)
def encrypt(
    context: typer.Context,
    file: Target = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="A file of mode 0600 with the new password.")
    ] = None,
    log_n: Annotated[
        int, typer.Option("--log-n", min=_LEAST_LOG_N, max=MAX_SCRYPT_LOG_N, help="scrypt takes 2^N KiB of memory.")
    ] = MAX_SCRYPT_LOG_N,
    as_json: Json = False,
) -> None:
    place = _place_of(caller_of(context), file)
    stored = read_stored_key(place, os.environ)
    assert place.path is not None, "a stored key has a file"
    encrypt_key_file(place.path, stored, _new_password(password_file), log_n=log_n)
    _print(stored.secret, f"{place.path}, encrypted", as_json=as_json)


def _place_of(caller: CommandCaller, file: Path | None) -> KeyPlace:
    return KeyPlace(KeySource.OPTION, file) if file is not None else caller.key_place(caller.config())


def _new_password(file: Path | None) -> str:
    if file is not None:
        return read_password_file(file)
    password = ask_terminal("New password")
    if password is None:
        raise KeyFileError("there is no terminal to ask for a password: name a file that holds it, --password-file")
    if not password:
        raise KeyFileError("nothing was changed: an empty password protects nothing")
    if ask_terminal("The same password again") != password:
        raise KeyFileError("nothing was changed: the two passwords differ")
    return password


def _store(caller: CommandCaller, file: Path | None, secret: SecretKey, *, as_json: bool) -> None:
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

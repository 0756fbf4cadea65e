"""Parts that several commands share: options, a question to the person, and files that are never overwritten."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from podium_daemon.cli.failures import CommandFailed, Exit
from podium_daemon.cli.output import note
from podium_protocol.errors import InvalidInput
from podium_protocol.events import Pubkey
from podium_protocol.nips.nip19 import parse_pubkey

SessionReference = Annotated[
    str, typer.Argument(metavar="SESSION", help="naddr, address, or the beginning of its identifier.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
NewFile = Annotated[Path, typer.Argument(metavar="FILE", help="A file that does not exist yet.")]


def helped(text: str, *examples: str) -> str:
    """Help with its examples first."""
    # the backspace tells the formatter to keep the lines that follow as they are
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples) + f"\n\n{text}"


def pubkey_of(text: str, option: str) -> Pubkey:
    """The person named by hex, npub, nprofile or a nostr: URI.

    Raises:
        InvalidInput: anything else; a secret key is refused and not repeated.
    """
    try:
        return parse_pubkey(text)
    except InvalidInput as error:
        raise InvalidInput(f"{option}: {error}: give the person's npub, nprofile or 64 hex digits") from None


def can_ask() -> bool:
    """Whether a person is at a terminal, who can be asked."""
    return sys.stdin.isatty()


def confirm(question: str, *, yes: bool) -> None:
    """Ask on the terminal, unless the person said `--yes` already; "no" ends the command.

    For each act that no other command takes back. Its command has the option `Yes`, by which a test finds them all.

    Raises:
        CommandFailed: standard input is no terminal. A script that lost its input must not answer by silence.
    """
    if yes:
        return
    if not can_ask():
        raise CommandFailed(
            f"nothing was done: {question} There is no terminal to answer on. Add --yes to do it unasked", Exit.USAGE
        )
    typer.confirm(question, abort=True)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary file of mode 0600 beside `path`, to be filled; it becomes `path` if nothing fails.

    Raises:
        CommandFailed: `path` exists already, or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        try:
            yield temporary
            os.link(temporary, path)  # unlike rename, it does not replace
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        raise CommandFailed(f"{path} exists already and was left as it is: name another file") from None
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written ({error.strerror}): name another file") from None


def write_new_file(path: Path, content: bytes) -> None:
    """Write `content` to `path`, which must not exist.

    Raises:
        CommandFailed: as `new_file`.
    """
    with new_file(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_answer(file: Path, content: bytes) -> None:
    """Write what the daemon answered to a new file, or for `-` to standard output."""
    if str(file) == "-":
        _to_stdout(content)
        return
    write_new_file(file, content)
    note(f"Wrote {file}.")


def _to_stdout(content: bytes) -> None:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise CommandFailed("the daemon's answer is no UTF-8 text: is it a Podium daemon?") from None
    sys.stdout.write(text)

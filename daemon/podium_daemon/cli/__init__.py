"""The `podium` command: a client of the running daemon, and what starts it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from podium_daemon.cli import (
    badges,
    certificate,
    chat,
    daemon,
    doctor,
    guests,
    instructors,
    joining,
    key,
    people,
    questions,
    recording,
    relays,
    session,
    signer,
)
from podium_daemon.cli.caller import CONFIG_VARIABLE, CommandCaller
from podium_daemon.cli.failures import Exit, exit_code_of, sentence_of
from podium_daemon.cli.options import helped
from podium_daemon.cli.output import note
from podium_daemon.config.problems import find_secret
from podium_daemon.keys.secret_file import is_like_secret
from podium_protocol.errors import InvalidInput, PodiumError

_GLOBAL: Final = ("--config", "--state", "--key", "--url", "--bunker")


class PodiumGroup(TyperGroup):
    """Takes the global options before or after the command, and turns our errors into a sentence and an exit code."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:  # typer's own signature
        """Run a command line; ends by SystemExit."""
        _forgive_narrow_terminals()
        try:
            given = list(sys.argv[1:] if args is None else args)
            _refuse_secrets(given)
            return super().main(_globals_first(given), *rest, **extra)
        except PodiumError as error:
            note(f"podium: {sentence_of(error)}")
            sys.exit(exit_code_of(error))
        except BrokenPipeError:
            # the reader of our output has gone, as in `| head`; the buffered rest must not fail again at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(Exit.FAILED)


app = typer.Typer(
    cls=PodiumGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,  # its tracebacks show local variables, and some of those are keys
    help=helped(
        "Live sessions over Nostr: schedule, RSVP, encrypted reminders, observed attendance. "
        "The options below may stand anywhere on the command line.",
        "podium init",
        "podium run",
        'podium session create "Knots for beginners" --at "tomorrow 18:00"',
        "podium rsvp knots yes",
        "podium attendance knots --csv people.csv",
    ),
    epilog="Exit codes: 0 ok, 1 failed, 2 usage, 3 configuration, 4 no relay, 5 signer.",
)
app.add_typer(daemon.app)
app.add_typer(session.app, name="session")
for _part in (people, joining, questions):
    app.add_typer(_part.app)
app.add_typer(chat.app, name="chat")
app.add_typer(guests.app, name="guests")
app.add_typer(recording.app, name="recording")
app.add_typer(certificate.app, name="certificate")
app.add_typer(badges.app, name="badges")
app.add_typer(instructors.app, name="instructors")
app.add_typer(key.app, name="key")
app.add_typer(signer.app, name="signer")
app.add_typer(relays.app, name="relays")
app.add_typer(daemon.config_app, name="config")
app.add_typer(doctor.app)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"podium {version('podium-nostr')}")
        raise typer.Exit


@app.callback()
def _globals(
    context: typer.Context,
    *,
    config_file: Annotated[
        Path | None,
        typer.Option("--config", help=f"Configuration file. Default: {CONFIG_VARIABLE}, or the user's."),
    ] = None,
    state: Annotated[Path | None, typer.Option("--state", help="State directory (storage.state_directory).")] = None,
    key_file: Annotated[Path | None, typer.Option("--key", help="Key file to sign with (identity.key_file).")] = None,
    url: Annotated[str | None, typer.Option("--url", help="Address of the daemon. Default: its public URL.")] = None,
    bunker: Annotated[
        str | None, typer.Option("--bunker", help="Remote signer to sign with: its key, or its bunker:// URL.")
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    from podium_daemon.runtime import logs

    # what a command prints is for programs too: words of the parts it uses go to standard error, and only warnings
    logs.configure("warning", "console")
    context.obj = caller = CommandCaller(config_file, state, key_file, url, bunker)
    context.call_on_close(caller.close)


def main() -> None:
    """Entry point of the `podium` command."""
    app()


_OF_PATHS: Final = ("--config", "--state", "--key", "--password-file")


def _refuse_secrets(arguments: list[str]) -> None:
    if any(find_secret(argument) for argument in arguments) or _hex_for_a_path(arguments):
        raise InvalidInput(
            "a secret key (nsec or hex) was given on the command line, where other users and the shell's history see "
            "it. It was not used and is not repeated here. Make a new key if others may have seen it; use `podium key "
            "import`"
        )


def _hex_for_a_path(arguments: list[str]) -> bool:
    """Whether 64 hex digits stand where only a file or a command can: in other places they are a public key."""
    values = [value for option, value in pairwise(arguments) if option in _OF_PATHS]
    values += [value for option, is_one, value in (one.partition("=") for one in arguments) if option in _OF_PATHS]
    left = _globals_first(arguments)
    while left and left[0].partition("=")[0] in _GLOBAL:
        left = left[2:] if left[0] in _GLOBAL else left[1:]
    words = [one for one in left if not one.startswith("-")]
    values += words if words[:1] == ["key"] else words[:1]
    return any(is_like_secret(value) for value in values)


def _globals_first(arguments: list[str]) -> list[str]:
    """Move `--config X` and its like to the front, so that they may stand where people write them."""
    moved: list[str] = []
    left: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--":
            left += [argument, *remaining]
        elif argument in _GLOBAL:
            moved += [argument, *([value] if (value := next(remaining, None)) is not None else [])]
        elif argument.startswith(tuple(f"{option}=" for option in _GLOBAL)):
            moved.append(argument)
        else:
            left.append(argument)
    return moved + left


def _forgive_narrow_terminals() -> None:
    # a title in another script must not end a command in a C locale
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # tests put other streams here

"""A question before a command that cannot be undone. Without a terminal, nothing is done unless `--yes` is given."""

from __future__ import annotations

import sys

import typer

from podium_daemon.cli.failures import CommandFailed, Exit


def confirm(question: str, *, yes: bool) -> None:
    """Ask on the terminal, unless the person said `--yes` already; "no" ends the command.

    Raises:
        CommandFailed: standard input is no terminal. A script that lost its input must not answer by silence.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandFailed(
            f"nothing was done: {question} There is no terminal to answer on. Add --yes to do it unasked", Exit.USAGE
        )
    typer.confirm(question, abort=True)

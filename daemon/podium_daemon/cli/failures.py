"""From an error to an exit code and a sentence: 0 ok, 1 failed, 2 usage, 3 config, 4 no relay, 5 signer."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from podium_protocol.errors import InvalidInput, PodiumError


class Exit(IntEnum):
    """Exit codes, for scripts."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CONFIG = 3
    NO_RELAY = 4
    SIGNER = 5


class CommandFailed(PodiumError):
    """A command did not do what it was asked to; the text says why and what to do."""

    def __init__(self, text: str, exit_code: Exit = Exit.FAILED) -> None:
        super().__init__(text)
        self.exit_code = exit_code


_EXIT_CODES: Final = {"login": Exit.SIGNER, "signer": Exit.SIGNER, "no-relay": Exit.NO_RELAY}
"""By the slug of what the daemon refused."""


def exit_code_of(error: PodiumError) -> Exit:
    """The exit code of an error, by which scripts can tell what to do."""
    if isinstance(error, CommandFailed):
        return error.exit_code
    from podium_daemon.client.errors import ApiProblem, DraftRefused
    from podium_daemon.config import ConfigError
    from podium_daemon.keys.key_file import KeyFileError
    from podium_daemon.relays.embedded import EmbeddedRelayFailed
    from podium_daemon.runtime.state_directory import AlreadyRunning
    from podium_daemon.signers.signer import SignerUnavailable

    if isinstance(error, ApiProblem):
        return _EXIT_CODES.get(error.slug, Exit.FAILED)
    if isinstance(error, ConfigError | AlreadyRunning):
        return Exit.CONFIG
    if isinstance(error, KeyFileError | SignerUnavailable | DraftRefused):
        return Exit.SIGNER
    if isinstance(error, EmbeddedRelayFailed):
        return Exit.NO_RELAY
    return Exit.USAGE if isinstance(error, InvalidInput) else Exit.FAILED


def sentence_of(error: PodiumError) -> str:
    """An error as text: what went wrong, and what a person at a terminal can do about it."""
    from podium_daemon.client.errors import DaemonUnreachable

    if isinstance(error, DaemonUnreachable) and error.is_closed:
        return f"{error}: start it with `podium run`, or name it with --url"
    return str(error)

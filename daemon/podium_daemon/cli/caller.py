"""The caller's key and the daemon to call: the options that stand before or after every command."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import typer

from podium_daemon.cli.failures import CommandFailed, Exit
from podium_daemon.cli.output import note
from podium_daemon.config import Config, default_config_file, load_config
from podium_daemon.keys.key_file import KeyFileMissing, KeyPlace, PasswordMissing, locate_key, read_key
from podium_daemon.signers.known_bunkers import KnownBunkers
from podium_protocol import kinds
from podium_protocol.errors import InvalidInput, PodiumError
from podium_protocol.keys import SecretKey

if TYPE_CHECKING:
    from podium_daemon.api.sessions import DraftOut
    from podium_daemon.client import PodiumClient
    from podium_daemon.signers.signer import Signer


CONFIG_VARIABLE: Final = "PODIUM_CONFIG"
_NAMED_ABOVE: Final = 3  # a cancellation of one date of a series takes three signatures
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
T = TypeVar("T")


class CommandCaller:
    """The options of one command, not yet looked at, and the event loop on which it talks to a daemon and a signer."""

    def __init__(
        self,
        config_option: Path | None = None,
        state_option: Path | None = None,
        key_option: Path | None = None,
        url_option: str | None = None,
        bunker_option: str | None = None,
    ) -> None:
        self.config_option = config_option
        self.state_option = state_option
        self.key_option = key_option
        self.url_option = url_option
        self.bunker_option = bunker_option
        self._runner = asyncio.Runner()
        self._opened: list[Callable[[], Coroutine[Any, Any, None]]] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` and return its result. Between two calls a person can be asked: Ctrl-C ends only running work."""
        return self._runner.run(work)

    def close(self) -> None:
        """End the connections of this command."""
        try:
            while self._opened:
                self.run(self._opened.pop()())
        finally:
            self._runner.close()

    @property
    def config_file(self) -> Path | None:
        """The file named by option or variable, else the usual one if it is there."""
        named = self.config_option or _named_by_variable()
        usual = default_config_file()
        return named or (usual if usual.exists() else None)

    def config(self, overrides: Mapping[str, object] | None = None) -> Config:
        """The configuration in force.

        Raises:
            ConfigError: it cannot be used.
        """
        state = None if self.state_option is None else str(self.state_option.absolute())
        return load_config(self.config_file, {"storage.state_directory": state, **(overrides or {})})

    def key_place(self, config: Config) -> KeyPlace:
        """Find the caller's key.

        Raises:
            KeyFileError: it must not be taken from there.
        """
        allow = config.identity.allow_environment_key
        return locate_key(self.key_option, config.key_file, os.environ, allow_environment=allow)

    def secret(self, config: Config) -> SecretKey:
        """The caller's key.

        Raises:
            KeyFileError: it cannot be read safely.
        """
        return read_key(self.key_place(config), os.environ)

    def bunkers(self) -> KnownBunkers:
        """The remote signers that are connected."""
        return KnownBunkers(self.config().state_directory / "signers")

    def signer(self, config: Config) -> SecretKey | Signer:
        """The signer of the caller: the remote signer of --bunker, else the caller's key.

        Raises:
            KeyFileError: the key cannot be read safely.
            InvalidInput: --bunker names no signer, or is given together with --key.
            SignerUnavailable: it could not be connected.
        """
        if self.bunker_option is None:
            return self.secret(config)
        if self.key_option is not None:
            raise InvalidInput("--bunker and --key name two signers: give one of them")
        from podium_daemon.cli.remote_signer import RemoteSigner, find_signer

        remote = RemoteSigner(self.run(find_signer(self.bunker_option, self.bunkers())))
        self._opened.append(remote.close)
        return remote

    def daemon(self, config: Config, signer: SecretKey | Signer | None) -> PodiumClient:
        """The daemon to talk to.

        Logins name the address that is called. Only where --url is loopback and the configuration names a public URL
        do they name that one: it is the same daemon behind its proxy. A daemon is never asked what to sign.

        Raises:
            InvalidInput: --url is no address of a daemon.
        """
        from podium_daemon.client import PodiumClient

        url = self.url_option or config.public_url
        is_tunnel = bool(config.web.public_url) and _is_loopback(url)
        try:
            podium = PodiumClient(url, signer, signed_url=config.public_url if is_tunnel else None)
        except InvalidInput as error:
            raise InvalidInput(f"--url: {error}") from None
        self._opened.append(podium.close)
        return podium

    def reading(self) -> PodiumClient:
        """The daemon, to read public data: calls are signed if there is a key, else unsigned."""
        config = self.config()
        if self.bunker_option is not None:
            return self.daemon(config, None)  # no person is asked to agree to a read of public data
        try:
            return self.daemon(config, self.secret(config))
        except (KeyFileMissing, PasswordMissing):
            if self.key_option is not None:
                raise
            return self.daemon(config, None)

    def signing(self) -> PodiumClient:
        """The daemon and the signer, for calls that need a login."""
        config = self.config()
        return self.daemon(config, self.signer(config))


def caller_of(context: typer.Context) -> CommandCaller:
    """The options of this call."""
    caller = context.find_root().obj
    assert isinstance(caller, CommandCaller)
    return caller


def _named_by_variable() -> Path | None:
    named = os.environ.get(CONFIG_VARIABLE)
    return Path(named) if named else None


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in _LOOPBACK


async def sign_and_send(
    podium: PodiumClient,
    draft: DraftOut,
    *,
    go_on: str = "",
    stopped: Callable[[int], None] = lambda _done: None,
) -> None:
    """Sign the draft's events one after the other, and hand each to the daemon.

    Says beforehand how many signatures several sessions take, and where it stopped, with `go_on` as what to do then;
    `stopped` is called with the number of signatures.

    Raises:
        CommandFailed: the daemon has no relay to send them to.
    """
    done, several = 0, len(draft.events) > _NAMED_ABOVE

    def signed(so_far: int, of: int) -> None:
        nonlocal done
        done = so_far
        if several:
            note(f"{so_far} of {of} signed")

    if several:
        note(f"{len(draft.events)} signatures: {_counted(draft)}")
    try:
        accepted = await podium.sign_and_submit(draft, signed=signed)
    except (PodiumError, asyncio.CancelledError):  # Ctrl-C too
        if several or done:
            note(f"Stopped after {done} of {len(draft.events)}: what was signed stands. {go_on}".strip())
            stopped(done)
        raise
    if not all(one.relays for one in accepted):
        raise CommandFailed(
            "the daemon has taken it and has no relay to send it to: see `podium relays check`", Exit.NO_RELAY
        )


def _counted(draft: DraftOut) -> str:
    names = {kinds.SESSION: "session", kinds.DELETION: "deletion", kinds.CALENDAR: "calendar"}
    counts = Counter(names.get(event.kind, "event") for event in draft.events)
    return ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items())

"""Who calls and whom: the options that stand before or after every command."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
import typer

from podium_daemon.cli.api_client import Api, CallerSigner
from podium_daemon.config import Config, default_config_file, load_config
from podium_daemon.keys.key_file import KeyFileMissing, KeyPlace, locate_key, read_key
from podium_daemon.keys.key_password import PasswordMissing
from podium_daemon.signers.known_bunkers import KnownBunkers
from podium_protocol.errors import InvalidInput
from podium_protocol.keys import SecretKey

CONFIG_VARIABLE: Final = "PODIUM_CONFIG"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Caller(msgspec.Struct, frozen=True):
    """The options of one call, not yet looked at; `at_end` runs what is given to it when the command is over."""

    config_option: Path | None = None
    state_option: Path | None = None
    key_option: Path | None = None
    url_option: str | None = None
    bunker_option: str | None = None
    at_end: Callable[[Callable[[], None]], object] | None = None

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
        """Where the caller's key is.

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

    def signer(self, config: Config) -> CallerSigner:
        """Whoever signs for the caller: the remote signer of --bunker, else the caller's key.

        Raises:
            KeyFileError: the key cannot be read safely.
            InvalidInput: --bunker names no signer, or stands beside --key.
            SignerUnavailable: it could not be connected.
        """
        if self.bunker_option is None:
            return self.secret(config)
        if self.key_option is not None:
            raise InvalidInput("--bunker and --key name two signers: give one of them")
        from podium_daemon.cli.remote_signer import RemoteSigner, find_signer

        remote = RemoteSigner(find_signer(self.bunker_option, self.bunkers()))
        if self.at_end is not None:
            self.at_end(remote.close)
        return remote

    def api(self, config: Config, secret: CallerSigner | None) -> Api:
        """The daemon to talk to.

        Logins name the address that is called. Only where --url is loopback and the configuration names a public URL
        do they name that one: it is the same daemon behind its proxy. A daemon is never asked what to sign.
        """
        url = self.url_option or config.public_url
        is_tunnel = bool(config.web.public_url) and _is_loopback(url)
        return Api(url, secret, signed_url=config.public_url if is_tunnel else None)

    def reading_api(self) -> Api:
        """For what everybody may read: signed where there is a key, unsigned where there is none to be had."""
        config = self.config()
        if self.bunker_option is not None:
            return self.api(config, None)  # nobody is asked to agree to a look at what is public
        try:
            return self.api(config, self.secret(config))
        except (KeyFileMissing, PasswordMissing):
            if self.key_option is not None:
                raise
            return self.api(config, None)

    def signing_api(self) -> tuple[Api, CallerSigner]:
        """For what only a known caller may see or do."""
        config = self.config()
        signer = self.signer(config)
        return self.api(config, signer), signer


def caller_of(context: typer.Context) -> Caller:
    """The options of this call."""
    caller = context.find_root().obj
    assert isinstance(caller, Caller)
    return caller


def _named_by_variable() -> Path | None:
    named = os.environ.get(CONFIG_VARIABLE)
    return Path(named) if named else None


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in _LOOPBACK

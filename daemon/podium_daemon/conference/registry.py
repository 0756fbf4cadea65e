"""Engines by the name they have in the configuration; each is loaded only when it is chosen."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from podium_daemon.conference.engine import ConferenceEngine, RandomBytes
from podium_daemon.conference.engines.bigbluebutton.settings import BigBlueButtonSettings
from podium_daemon.conference.engines.janus.settings import JanusPlace
from podium_daemon.conference.engines.link import LinkEngine, LinkSettings
from podium_daemon.conference.engines.livekit.settings import LiveKitSettings
from podium_daemon.conference.page_media.settings import PageMediaSettings, page_media_settings
from podium_daemon.conference.shared_secret import SharedSecret
from podium_daemon.config import Config
from podium_daemon.keys.secret_file import read_secret_file
from podium_daemon.runtime.clock import Clock
from podium_protocol.errors import InvalidInput


class Servers(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the engine in use; secrets of other engines are not read."""

    bigbluebutton: BigBlueButtonSettings | None = None
    livekit: LiveKitSettings | None = None
    janus: JanusPlace | None = None
    page_media: PageMediaSettings | None = None  # of `embedded` and `janus`


def configured_servers(config: Config, environment: Mapping[str, str]) -> Servers:
    """The settings of the configured engine's server.

    Raises:
        InvalidInput: its section lacks something, or its secret cannot be read; says which.
    """
    given = config.conference
    if given.engine == "bigbluebutton":
        return Servers(
            bigbluebutton=BigBlueButtonSettings(
                url=given.bigbluebutton.url,
                secret=_secret("bigbluebutton", given.bigbluebutton.secret_file, environment),
                public_url=config.public_url,
                poll=given.bigbluebutton.poll,
                devices=given.devices,
            )
        )
    if given.engine == "janus":
        return Servers(
            page_media=page_media_settings(config),
            janus=JanusPlace(
                folder=config.state_directory / "janus",
                program=given.janus.program,
                address=given.janus.address,
                ports=given.janus.ports,
            ),
        )
    if given.engine == "livekit":
        return Servers(
            livekit=LiveKitSettings(
                url=given.livekit.url,
                api_key=given.livekit.api_key,
                secret=_secret("livekit", given.livekit.secret_file, environment),
                front_end=given.livekit.front_end,
                public_url=config.public_url,
                recordings=given.livekit.recordings,
                poll=given.livekit.poll,
                devices=given.devices,
            )
        )
    return Servers(page_media=page_media_settings(config))


def _secret(engine: str, path: Path | None, environment: Mapping[str, str]) -> SharedSecret:
    if path is not None:
        return _read(engine, path, is_credential=False)
    credential = Path(environment.get("CREDENTIALS_DIRECTORY", "")) / f"podium.{engine}"
    if "CREDENTIALS_DIRECTORY" in environment and credential.exists():
        return _read(engine, credential, is_credential=True)
    raise InvalidInput(
        f"conference.{engine}.secret_file is needed: put the server's secret into a file of mode 0600 and name it "
        f"there, or give it as the systemd credential podium.{engine}"
    )


def _read(engine: str, path: Path, *, is_credential: bool) -> SharedSecret:
    try:
        return SharedSecret(read_secret_file(path, is_credential=is_credential).decode("ascii", "replace"))
    except InvalidInput as error:
        raise InvalidInput(f"conference.{engine}.secret_file: {error}") from None


class EngineParts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of every engine: the daemon's clock and randomness, and the settings of each kind."""

    clock: Clock
    random_bytes: RandomBytes
    link: LinkSettings = LinkSettings()
    servers: Servers = Servers()


def _link(parts: EngineParts) -> ConferenceEngine:
    return LinkEngine(parts.link, clock=parts.clock, random_bytes=parts.random_bytes)


def _embedded(parts: EngineParts) -> ConferenceEngine:
    if parts.servers.page_media is None:
        raise _unset("embedded")
    from podium_daemon.conference.engines.embedded.engine import build_embedded_engine

    return build_embedded_engine(parts.servers.page_media, clock=parts.clock, random_bytes=parts.random_bytes)


def _janus(parts: EngineParts) -> ConferenceEngine:
    if parts.servers.page_media is None or parts.servers.janus is None:
        raise _unset("janus")
    from podium_daemon.conference.engines.janus.engine import build_janus_engine

    return build_janus_engine(
        parts.servers.page_media, parts.servers.janus, clock=parts.clock, random_bytes=parts.random_bytes
    )


def _bigbluebutton(parts: EngineParts) -> ConferenceEngine:
    if parts.servers.bigbluebutton is None:
        raise _unset("bigbluebutton")
    from podium_daemon.conference.engines.bigbluebutton.engine import BigBlueButtonEngine

    return BigBlueButtonEngine(parts.servers.bigbluebutton, clock=parts.clock, random_bytes=parts.random_bytes)


def _livekit(parts: EngineParts) -> ConferenceEngine:
    if parts.servers.livekit is None:
        raise _unset("livekit")
    try:
        from podium_daemon.conference.engines.livekit.engine import LiveKitEngine
    except ImportError as error:
        raise InvalidInput(
            f'conference.engine: "livekit" needs its library ({error.name} is missing): '
            "pip install 'podium-nostr[livekit]'"
        ) from None
    return LiveKitEngine(parts.servers.livekit, clock=parts.clock, random_bytes=parts.random_bytes)


def _unset(name: str) -> InvalidInput:
    return InvalidInput(f"the section [conference.{name}] says where the engine's server is: it is needed")


_ENGINES: Final[dict[str, Callable[[EngineParts], ConferenceEngine]]] = {
    "link": _link,
    "embedded": _embedded,
    "janus": _janus,
    "bigbluebutton": _bigbluebutton,
    "livekit": _livekit,
}


def engine_names() -> tuple[str, ...]:
    """The names of all engines."""
    return tuple(_ENGINES)


def build_engine(name: str, parts: EngineParts) -> ConferenceEngine:
    """Build the engine `name`.

    Raises:
        InvalidInput: there is none of that name, with the nearest one and all there are; or its settings are bad.
    """
    build = _ENGINES.get(name)
    if build is None:
        nearest = difflib.get_close_matches(name, _ENGINES, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else "."
        there_are = ", ".join(_ENGINES)
        raise InvalidInput(f"conference.engine: there is no engine {name[:40]!r}{hint} There are: {there_are}")
    return build(parts)

"""Engines by the name they have in the configuration."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Final

import msgspec

from podium_daemon.conference.base import ConferenceEngine, RandomBytes
from podium_daemon.conference.bigbluebutton.engine import BigBlueButtonEngine
from podium_daemon.conference.embedded.engine import EmbeddedEngine
from podium_daemon.conference.embedded.settings import EmbeddedSettings
from podium_daemon.conference.janus.engine import JanusEngine
from podium_daemon.conference.janus.settings import JanusSettings
from podium_daemon.conference.link import LinkEngine
from podium_daemon.conference.link_settings import LinkSettings
from podium_daemon.conference.servers import Servers
from podium_daemon.runtime.clock import Clock
from podium_protocol.errors import InvalidInput


class EngineParts(msgspec.Struct, frozen=True, kw_only=True):
    """What engines are built from: the daemon's clock and randomness, and the settings of each kind."""

    clock: Clock
    random_bytes: RandomBytes
    link: LinkSettings = LinkSettings()
    servers: Servers = Servers()
    embedded: EmbeddedSettings | None = None


def _link(parts: EngineParts) -> ConferenceEngine:
    return LinkEngine(parts.link, clock=parts.clock, random_bytes=parts.random_bytes)


def _embedded(parts: EngineParts) -> ConferenceEngine:
    if parts.embedded is None:
        raise _unset("embedded")
    return EmbeddedEngine(parts.embedded, clock=parts.clock, random_bytes=parts.random_bytes)


def _janus(parts: EngineParts) -> ConferenceEngine:
    if parts.embedded is None or parts.servers.janus is None:
        raise _unset("janus")
    settings = JanusSettings(**msgspec.structs.asdict(parts.embedded), place=parts.servers.janus)
    return JanusEngine(settings, clock=parts.clock, random_bytes=parts.random_bytes)


def _bigbluebutton(parts: EngineParts) -> ConferenceEngine:
    if parts.servers.bigbluebutton is None:
        raise _unset("bigbluebutton")
    return BigBlueButtonEngine(parts.servers.bigbluebutton, clock=parts.clock, random_bytes=parts.random_bytes)


def _livekit(parts: EngineParts) -> ConferenceEngine:
    if parts.servers.livekit is None:
        raise _unset("livekit")
    try:
        from podium_daemon.conference.livekit.engine import LiveKitEngine
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
    """The engines there are."""
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

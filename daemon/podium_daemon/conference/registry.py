"""Engines by the name they have in the configuration."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Final

import msgspec

from podium_daemon.clock import Clock
from podium_daemon.conference.base import ConferenceEngine, RandomBytes
from podium_daemon.conference.link import LinkEngine
from podium_daemon.conference.link_settings import LinkSettings
from podium_protocol.errors import InvalidInput


class EngineParts(msgspec.Struct, frozen=True, kw_only=True):
    """What engines are built from: the daemon's clock and randomness, and the settings of each kind."""

    clock: Clock
    random_bytes: RandomBytes
    link: LinkSettings = LinkSettings()


def _link(parts: EngineParts) -> ConferenceEngine:
    return LinkEngine(parts.link, clock=parts.clock, random_bytes=parts.random_bytes)


_ENGINES: Final[dict[str, Callable[[EngineParts], ConferenceEngine]]] = {"link": _link}


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

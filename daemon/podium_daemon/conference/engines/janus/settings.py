"""What the Janus engine can do, what it says about the rest, and what an operator can set."""

from __future__ import annotations

from pathlib import Path

import msgspec

from podium_daemon.conference.engines.embedded.settings import EmbeddedSettings


class JanusPlace(msgspec.Struct, frozen=True, kw_only=True):
    """`folder` is for Janus's sockets and configuration; `program` is what is started.

    `address` is ours as others see it, where that is not the machine's own; `ports` are "from-to" for media (UDP).
    """

    folder: Path
    program: str = "janus"
    address: str = ""
    ports: str = ""


class JanusSettings(EmbeddedSettings, frozen=True, kw_only=True):
    """The embedded engine's, and where Janus is."""

    place: JanusPlace

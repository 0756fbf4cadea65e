"""The settings of the Janus engine's own Janus."""

from __future__ import annotations

from pathlib import Path

import msgspec


class JanusPlace(msgspec.Struct, frozen=True, kw_only=True):
    """`folder` is for Janus's sockets and configuration; `program` is what is started.

    `address` is ours as others see it, where that is not the machine's own; `ports` are "from-to" for media (UDP).
    """

    folder: Path
    program: str = "janus"
    address: str = ""
    ports: str = ""

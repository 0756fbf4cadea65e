"""The authorities by whose signatures servers are trusted (TLS)."""

from __future__ import annotations

import ssl
from functools import cache


@cache
def system_trust() -> ssl.SSLContext:
    """The authorities that this machine trusts, read once in a process: 2 MB, and 20 ms of the event loop."""
    return ssl.create_default_context()


@cache
def no_trust() -> ssl.SSLContext:
    """No authority at all, for addresses without TLS: if one were asked with TLS after all, no server would do."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

"""Events from relays before they are checked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec


class Incoming(msgspec.Struct, frozen=True, gc=False):
    """One event as a relay sent it: `raw` is its JSON, and nothing about it has been checked.

    Its subscription is open; the ingest checks whether it matches the filters, is valid and new.
    """

    relay_url: str
    subscription: str
    raw: msgspec.Raw


Sink = Callable[[Sequence[Incoming]], Awaitable[None]]
"""Takes events of one relay in batches, in the relay's order. While it waits, that relay's socket is not read."""

OnEose = Callable[[str, str, bool], Awaitable[None]]
"""Called with (subscription, relay URL, partial) after the sink has returned from every event that came before."""

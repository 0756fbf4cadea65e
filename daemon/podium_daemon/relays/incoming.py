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


Sink = Callable[[Sequence[Incoming]], Awaitable[object]]
"""Takes events of one relay in batches, in the relay's order; what it returns is done when they are stored or dropped.

It is called with further batches meanwhile. Once too much of a relay is not done, that relay's socket is not read.
"""

OnEose = Callable[[str, str, bool], Awaitable[None]]
"""Called with (subscription, relay URL, partial) after the sink is done with every event that came before."""

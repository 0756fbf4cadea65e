"""What comes in from relays, before anybody has looked at it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec


class Incoming(msgspec.Struct, frozen=True, gc=False):
    """One event as a relay sent it: `raw` is its JSON, and nothing about it has been checked.

    It is for a subscription that is open; whether it answers its filters, is sound and new is for the ingest to find.
    """

    relay_url: str
    subscription: str
    raw: msgspec.Raw


Sink = Callable[[Sequence[Incoming]], Awaitable[None]]
"""Takes events in batches of one relay, in the relay's order. While it waits, that relay's socket is not read."""

OnEose = Callable[[str, str, bool], Awaitable[None]]
"""Told (subscription, relay URL, partial) after the sink has returned from every event that came before."""

"""Mailboxes that run inside `async with mailboxes(...)`, and a listener that does nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from podium_daemon.relays.mailboxes import Mailboxes
from podium_daemon.relays.pool import PoolRelay
from podium_daemon.runtime.clock import SystemClock
from podium_daemon.runtime.supervisor import Stop
from tests.support.pools import LOOPBACK


class Silent:
    """A listener that does nothing."""

    def open_page(self, url: str) -> None:
        """Not shown."""

    def still_waiting(self) -> None:
        """Not told."""


@asynccontextmanager
async def mailboxes(*own: str, guarded: bool = False) -> AsyncIterator[Mailboxes]:
    """Mailboxes at work; strangers' relays may be on loopback unless they are `guarded`."""
    transport = Mailboxes(
        [PoolRelay(url) for url in own], clock=SystemClock(), permitted=() if guarded else (LOOPBACK,)
    )
    stop = Stop()
    running = asyncio.create_task(transport.run(stop))
    try:
        yield transport
    finally:
        stop.set()
        await running

"""A relay pool for tests: it runs inside `async with running_pool(...)`, and keeps what comes in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from ipaddress import IPv4Network
from typing import Any

import msgspec

from podium_daemon.relays.incoming import Incoming
from podium_daemon.relays.pool import PoolRelay, RelayPool, RelayStatus
from podium_daemon.relays.relay_state import ConnectionState
from podium_daemon.runtime.supervisor import Stop
from podium_protocol.nips.nip11 import RelayLimits
from tests.support.clock import ManualClock

LOOPBACK = IPv4Network("127.0.0.0/8")


class Inbox:
    """What the pool handed on."""

    def __init__(self) -> None:
        self.incoming: list[Incoming] = []
        self.ends: list[tuple[str, str, bool]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self._news = asyncio.Condition()

    async def sink(self, batch: Sequence[Incoming]) -> None:
        """Take events; waits while the gate is closed."""
        await self.gate.wait()
        async with self._news:
            self.incoming += batch
            self._news.notify_all()

    async def on_eose(self, name: str, url: str, partial: bool) -> None:
        """Take the end of stored events."""
        async with self._news:
            self.ends.append((name, url, partial))
            self._news.notify_all()

    def ids(self, url: str | None = None) -> list[str]:
        """Ids of the events that came, from one relay or from all."""
        return [id_of(one) for one in self.incoming if url in (None, one.relay_url)]

    async def until(self, condition: Callable[[Inbox], Any]) -> None:
        """Wait until something holds of what came."""
        async with self._news:
            await self._news.wait_for(lambda: condition(self))

    async def until_end(self, name: str, url: str, count: int = 1) -> None:
        """Wait until a relay has said so often that a subscription's stored events are over."""
        await self.until(lambda inbox: inbox.ends.count((name, url, False)) >= count)


class PoolInTest(RelayPool):
    """The pool, with its inbox and a few short ways."""

    inbox: Inbox

    def state_of(self, url: str) -> RelayStatus:
        """How one relay is doing."""
        return next(state for state in self.states() if state.url == url)

    async def until_state(self, url: str, condition: Callable[[RelayStatus], Any]) -> RelayStatus:
        """Wait until something holds of how a relay is doing."""
        while not condition(state := self.state_of(url)):
            await asyncio.sleep(0.005)
        return state

    async def retry(self, url: str, clock: ManualClock) -> None:
        """Move the clock just as far as the next attempt; further, and a connection it makes may seem long silent."""
        await self.away(url)
        next_attempt = self.state_of(url).next_attempt_at
        assert next_attempt is not None
        await clock.until_sleeping()
        await clock.advance(next_attempt - clock.now() + 0.01)  # times of 2027 have a resolution of 0.2 us

    async def opened(self, url: str) -> None:
        """Wait until the relay is connected."""
        await self.until(url, ConnectionState.OPEN)

    async def away(self, url: str) -> None:
        """Wait until the relay is known to be away."""
        await self.until(url, ConnectionState.WAITING, ConnectionState.PENALTY)


class SilentPool(RelayPool):
    """A pool that is not run: nothing comes and nothing goes. `limits`: what relays are taken to have said (NIP-11)."""

    def __init__(self, relays: Iterable[PoolRelay], **options: Any) -> None:
        super().__init__(relays, **options)
        self.limits: dict[str, RelayLimits] = {}

    def limits_of(self, urls: Iterable[str]) -> tuple[RelayLimits, ...]:
        """See `RelayPool`."""
        return tuple(self.limits[url] for url in urls if url in self.limits)


@contextlib.asynccontextmanager
async def running_pool(*relays: PoolRelay | str, **options: Any) -> AsyncIterator[PoolInTest]:
    """A pool that runs; strangers' relays may be on loopback unless `permitted` says otherwise."""
    inbox = Inbox()
    configured = [PoolRelay(relay) if isinstance(relay, str) else relay for relay in relays]
    options = {"permitted": (LOOPBACK,), "sink": inbox.sink, "on_eose": inbox.on_eose, **options}
    pool = PoolInTest(configured, **options)
    pool.inbox = inbox
    stop = Stop()
    running = asyncio.create_task(pool.run(stop))
    try:
        yield pool
    finally:
        stop.set()
        inbox.gate.set()
        await running


def id_of(incoming: Incoming) -> str:
    """The id an event claims."""
    event = msgspec.json.decode(incoming.raw)
    return str(event.get("id")) if isinstance(event, dict) else ""

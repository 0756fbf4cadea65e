"""Our way of an event from a relay's socket to a durable row: pool, verifier and mirror, joined as in the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

from podium_daemon.relays.incoming import Incoming
from podium_daemon.relays.ingest import Arrival, EventVerifier
from podium_daemon.relays.pool import PoolRelay, RelayPool
from podium_daemon.relays.relay_state import ConnectionState
from podium_daemon.runtime.supervisor import Stop
from podium_protocol.events import Pubkey
from podium_protocol.filters import Filter
from podium_storage.mirror.mirror import Mirror, Projection
from podium_storage.projections.attendance import AttendanceProjection
from podium_storage.projections.rsvps import RsvpProjection
from podium_storage.projections.sessions import SessionProjection
from podium_storage.store import Store

_NOBODY = Pubkey("0" * 64)


class Feed:
    """Takes in what some relays have, as `relays.syncer` does with what is new."""

    def __init__(self, store: Store, relays: Sequence[str], *, with_projections: bool) -> None:
        """Connect nothing yet; `with_projections`: derive the rows of sessions, answers and attendance too."""
        self.pool = RelayPool([PoolRelay(url) for url in relays], sink=self._take, on_eose=self._on_eose)
        self._relays = relays
        self._mirror = Mirror(store.database, store.interner, _projections(store) if with_projections else ())
        self._verifier = EventVerifier(time.time)
        self._filters: tuple[Filter, ...] = ()
        self._waiting: set[str] = set()
        self._is_read = asyncio.Event()

    async def connected(self) -> None:
        """Wait until every relay is."""
        for url in self._relays:
            await self.pool.until(url, ConnectionState.OPEN)

    async def read(self, name: str, wanted: Filter) -> None:
        """Ask every relay and return when all that they have is stored."""
        self._is_read.clear()
        self._waiting = {state.url for state in self.pool.states()}
        self._filters = (wanted,)
        self.pool.subscribe(name, self._filters)
        await self._is_read.wait()

    async def _take(self, events: Sequence[Incoming]) -> None:
        good = await self._verifier.verify([Arrival(one.relay_url, self._filters, bytes(one.raw)) for one in events])
        if good:
            await self._mirror.ingest(good, received_at=int(time.time()))
            self._verifier.remember(good)

    async def _on_eose(self, _name: str, relay: str, _partial: bool) -> None:
        self._waiting.discard(relay)
        if not self._waiting:
            self._is_read.set()


@contextlib.asynccontextmanager
async def running_feed(store: Store, relays: Sequence[str], *, with_projections: bool) -> AsyncIterator[Feed]:
    """A feed whose connections are open."""
    feed = Feed(store, relays, with_projections=with_projections)
    stop = Stop()
    running = asyncio.create_task(feed.pool.run(stop))
    try:
        await feed.connected()
        yield feed
    finally:
        stop.set()
        await running


def _projections(store: Store) -> list[Projection]:
    return [
        RsvpProjection(store.rsvps, store.database, store.interner),
        SessionProjection(store.sessions, service=_NOBODY, accepts=lambda _: False),
        AttendanceProjection(store.attendance, store.intervals, service=_NOBODY),
    ]

"""Our way of an event from a relay's socket to a durable row: pool, verifier and mirror, joined as in the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence

from podium_daemon.app.core import Core, Current
from podium_daemon.app.parts import Parts, join_parts
from podium_daemon.app.run import shorten_waits
from podium_daemon.config import Config
from podium_daemon.relays.incoming import Incoming
from podium_daemon.relays.ingest import Good, Ingest
from podium_daemon.relays.judgement import Arrival
from podium_daemon.relays.judging import JudgingProcesses
from podium_daemon.relays.pool import PoolRelay, RelayPool
from podium_daemon.relays.relay_state import ConnectionState
from podium_daemon.runtime.clock import SystemClock
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.signers.signer import LocalSigner
from podium_protocol.events import EventId
from podium_protocol.filters import Filter
from podium_protocol.keys import SecretKey
from podium_storage.meta import Meta
from podium_storage.mirror.mirror import Mirror
from podium_storage.store import Store

_MEETING = "https://meet.example.org/benchmark"


class Feed:
    """Takes in what some relays have, as `relays.syncer` does with what is new."""

    def __init__(self, store: Store, relays: Sequence[str], *, with_projections: bool) -> None:
        """Connect nothing yet; `with_projections`: derive the rows of sessions, answers and attendance too."""
        self.pool = RelayPool([PoolRelay(url) for url in relays], sink=self._take, on_eose=self._on_eose)
        self._relays = relays
        plain = Mirror(store.database, store.interner)
        self._mirror = daemon_parts(store, relays).mirror.mirror if with_projections else plain
        self.judges = JudgingProcesses(SystemClock())
        self._ingest = Ingest(self._keep, time.time, self.judges)
        self._filters: tuple[Filter, ...] = ()
        self._waiting: set[str] = set()
        self._is_read = asyncio.Event()

    @property
    def dropped(self) -> Counter[str]:
        """What was refused, by reason."""
        return self._ingest.dropped

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

    def _take(self, events: Sequence[Incoming]) -> Awaitable[None]:
        return self._ingest.take_in([Arrival(one.relay_url, self._filters, bytes(one.raw)) for one in events])

    async def _keep(self, batch: Sequence[Good]) -> list[EventId]:
        await self._mirror.ingest([one.event for one in batch], received_at=int(time.time()))
        return [one.event.id for one in batch]

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
        shorten_waits()
        yield feed
    finally:
        stop.set()
        await running
        await feed.judges.close()


def daemon_parts(store: Store, relays: Sequence[str]) -> Parts:
    """Join the daemon's own parts on a store, with these relays and a fresh key."""
    config = Config.model_validate(
        {"relays": [{"url": url} for url in relays], "conference": {"meeting_url": _MEETING}}
    )
    return join_parts(
        Core(
            current=Current(config),
            store=store,
            meta=Meta(store.database),
            signer=LocalSigner(SecretKey(secrets.token_bytes(32))),
            clock=SystemClock(),
        )
    )

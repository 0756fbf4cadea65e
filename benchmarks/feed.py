"""Our way of an event from a relay's socket to a durable row: pool, verifier and mirror, joined as in the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from itertools import groupby

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
from podium_protocol import kinds
from podium_protocol.events import EventId
from podium_protocol.filters import Filter
from podium_protocol.keys import SecretKey
from podium_storage.meta import Meta
from podium_storage.mirror.mirror import Mirror
from podium_storage.store import Store

_MEETING = "https://meet.example.org/benchmark"


class Feed:
    """Takes in what some relays have, as `relays.syncer` and `relays.gift_wraps` do with what is new."""

    def __init__(
        self, store: Store, relays: Sequence[str], *, with_projections: bool, service: SecretKey | None = None
    ) -> None:
        """Connect nothing yet; `with_projections`: derive the rows of sessions, answers and attendance too.

        `service`: the key to which gift wraps are sealed; without it none are read.
        """
        self.pool = RelayPool([PoolRelay(url) for url in relays], sink=self._take, on_eose=self._on_eose)
        self._relays = relays
        parts = daemon_parts(store, relays, service)
        self._mirror = parts.mirror.mirror if with_projections else Mirror(store.database, store.interner)
        self._replies = parts.messages.replies
        self.judges = JudgingProcesses(SystemClock())
        self._ingest = Ingest(self._keep, time.time, self.judges)
        self._wraps = Ingest(self._open, time.time, self.judges)
        self._filters: dict[str, tuple[Filter, ...]] = {}
        self._waiting: dict[str, set[str]] = {}
        self._are_read: dict[str, asyncio.Event] = {}

    @property
    def dropped(self) -> Counter[str]:
        """What was refused, by reason."""
        return self._ingest.dropped

    @property
    def replies(self) -> Counter[str]:
        """What gift wraps were found to be."""
        return self._replies.counts

    async def connected(self) -> None:
        """Wait until every relay is."""
        for url in self._relays:
            await self.pool.until(url, ConnectionState.OPEN)
        await self._replies.past_is_read()

    async def read(self, name: str, wanted: Filter, relay: str | None = None) -> None:
        """Ask every relay, or one, and return when all that they have is stored."""
        asked = list(self._relays) if relay is None else [relay]
        self._are_read[name], self._waiting[name], self._filters[name] = asyncio.Event(), set(asked), (wanted,)
        self.pool.subscribe(name, (wanted,), relays=asked)
        await self._are_read[name].wait()

    def forget(self, name: str) -> None:
        """End what was read."""
        self.pool.unsubscribe(name)
        for of_name in (self._are_read, self._waiting, self._filters):
            del of_name[name]

    def _take(self, events: Sequence[Incoming]) -> Awaitable[object]:
        """Queue the events of one piece of a relay's stream, which may be for two subscriptions."""
        taken = [
            self._take_of(name, list(of_one)) for name, of_one in groupby(events, key=lambda one: one.subscription)
        ]
        return taken[0] if len(taken) == 1 else asyncio.gather(*taken)

    def _take_of(self, name: str, events: Sequence[Incoming]) -> Awaitable[None]:
        filters = self._filters[name]
        ingest = self._wraps if kinds.GIFT_WRAP in (filters[0].kinds or ()) else self._ingest
        return ingest.take_in([Arrival(one.relay_url, filters, bytes(one.raw)) for one in events])

    async def _keep(self, batch: Sequence[Good]) -> list[EventId]:
        await self._mirror.ingest([one.event for one in batch], received_at=int(time.time()))
        return [one.event.id for one in batch]

    async def _open(self, batch: Sequence[Good]) -> list[EventId]:
        await self._replies.handle_wraps([one.event for one in batch])
        return [one.event.id for one in batch]

    async def _on_eose(self, name: str, relay: str, _partial: bool) -> None:
        if (waiting := self._waiting.get(name)) is None:
            return
        waiting.discard(relay)
        if not waiting:
            self._are_read[name].set()


@contextlib.asynccontextmanager
async def running_feed(
    store: Store, relays: Sequence[str], *, with_projections: bool, service: SecretKey | None = None
) -> AsyncIterator[Feed]:
    """A feed whose connections are open."""
    feed = Feed(store, relays, with_projections=with_projections, service=service)
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


def daemon_parts(store: Store, relays: Sequence[str], service: SecretKey | None = None) -> Parts:
    """Join the daemon's own parts on a store, with these relays and this key, or a fresh one."""
    config = Config.model_validate(
        {"relays": [{"url": url} for url in relays], "conference": {"meeting_url": _MEETING}}
    )
    return join_parts(
        Core(
            current=Current(config),
            store=store,
            meta=Meta(store.database),
            signer=LocalSigner(service or SecretKey(secrets.token_bytes(32))),
            clock=SystemClock(),
        )
    )

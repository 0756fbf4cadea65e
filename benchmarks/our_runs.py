"""Our runs that take place in a process of their own (see `child`)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from benchmarks.child import Meter, Run, complete, cpu_seconds_of
from benchmarks.feed import daemon_parts, running_feed
from benchmarks.messages import Drafts
from benchmarks.signed_load import part, wraps_part
from podium_daemon.relays.incoming import Incoming
from podium_daemon.relays.pool import PoolRelay, Prepared, RelayPool
from podium_daemon.relays.publisher import Publisher
from podium_daemon.relays.relay_state import ConnectionState
from podium_daemon.runtime.supervisor import Stop
from podium_protocol import relay_url
from podium_protocol.keys import SecretKey
from podium_storage.changes import Change
from podium_storage.outbox import outbox as outbox_module
from podium_storage.outbox.values import Delivery, DeliveryState, OutboxItem
from podium_storage.store import Store

_AT_ONCE: Final = 25  # messages wrapped before the connection has its turn: 4 ms


async def ingest(relays: list[str], count: int, *, with_projections: bool) -> Run:
    """Read `count` events from each relay, the same from all, into a new database."""
    async with _new_store() as store, running_feed(store, relays, with_projections=with_projections) as feed:
        with Meter() as meter:
            await feed.read("load", part(0, count))
        run = meter.run(0)
        workers = sum(map(cpu_seconds_of, feed.judges.pids))
        row = await store.database.fetch_one("SELECT count(*) FROM events")
    stored = row[0] if row and isinstance(row[0], int) else 0
    return complete(msgspec.structs.replace(run, count=stored, cpu_seconds=run.cpu_seconds + workers), count)


async def reject(relays: list[str], count: int) -> Run:
    """Read `count` forged events from each relay; ends when all are refused."""
    async with _new_store() as store, running_feed(store, relays, with_projections=False) as feed:
        with Meter() as meter:
            await feed.read("load", part(0, count))
        run = meter.run(feed.dropped["bad_signature"])
        workers = sum(map(cpu_seconds_of, feed.judges.pids))
    return complete(msgspec.structs.replace(run, cpu_seconds=run.cpu_seconds + workers), count)


async def open_wraps(relays: list[str], count: int, *, secret: str, outcome: str) -> Run:
    """Read `count` gift wraps to the key `secret` from each relay; ends when all are found to be `outcome`."""
    service = SecretKey(bytes.fromhex(secret))
    async with (
        _new_store() as store,
        running_feed(store, relays, with_projections=False, service=service) as feed,
    ):
        with Meter() as meter:
            await feed.read("wraps", wraps_part(service.pubkey, count))
        run = meter.run(feed.replies[outcome])
        workers = sum(map(cpu_seconds_of, feed.judges.pids))
    return complete(msgspec.structs.replace(run, cpu_seconds=run.cpu_seconds + workers), count)


async def fanout(relay: str, people: int, *, prepared: bool) -> Run:
    """Send all recipients a message, wrapped before or while others are on their way; ends with the last OK."""
    drafts = Drafts(people)
    wraps = map(Prepared.from_event, drafts.wraps())
    waves = [list(wraps)] if prepared else _in_waves(wraps)
    async with _running(RelayPool([PoolRelay(relay)], sink=_ignore), relay) as pool:
        with Meter() as meter:
            done = await _publish(pool, relay, waves)
    return complete(meter.run(done), people)


async def outbox(relay: str, people: int) -> Run:
    """Send all recipients a message that waits in the outbox; ends when each OK is durably stored."""
    url = relay_url.normalise(relay) or relay
    items = [OutboxItem(event=wrap, relays=(url,)) for wrap in Drafts(people).wraps()]
    async with _new_store() as store:
        parts = daemon_parts(store, [relay])
        await store.database.transact(lambda tx: parts.mirror.outbox.add_many_within(tx, items))
        async with _running(parts.relays.pool, url):
            with Meter() as meter:
                done = await _deliver(store, parts.people.publisher, people)
    return complete(meter.run(done), people)


@contextlib.asynccontextmanager
async def _new_store() -> AsyncIterator[Store]:
    with TemporaryDirectory() as folder:
        async with await Store.open(Path(folder) / "podium.sqlite") as store:
            yield store


@contextlib.asynccontextmanager
async def _running(pool: RelayPool, relay: str) -> AsyncIterator[RelayPool]:
    stop = Stop()
    running = asyncio.create_task(pool.run(stop))
    try:
        await pool.until(relay, ConnectionState.OPEN)
        yield pool
    finally:
        stop.set()
        await running


async def _publish(pool: RelayPool, relay: str, waves: Iterator[list[Prepared]] | list[list[Prepared]]) -> int:
    async def send(wave: list[Prepared]) -> int:
        return len([outcome async for outcome in pool.publish_many(relay, wave) if outcome.is_done])

    sending: list[asyncio.Task[int]] = []
    for wave in waves:
        sending.append(asyncio.create_task(send(wave)))
        await asyncio.sleep(0)
    return sum(await asyncio.gather(*sending))


def _in_waves(wraps: Iterator[Prepared]) -> Iterator[list[Prepared]]:
    while wave := list(islice(wraps, _AT_ONCE)):
        yield wave


async def _deliver(store: Store, publisher: Publisher, people: int) -> int:
    stop, done = Stop(), 0
    with store.changes.subscribe(outbox_module.TABLE) as changes:
        running = asyncio.create_task(publisher.run(stop))
        while done < people:
            await changes.wait()
            batch = changes.take_changes()
            done += 0 if batch is None else sum(map(_is_delivery, batch.changes))
    stop.set()
    await running
    return done


def _is_delivery(change: Change) -> bool:
    return isinstance(change.after, Delivery) and change.after.state is DeliveryState.DONE


async def _ignore(_events: Sequence[Incoming]) -> None:
    pass

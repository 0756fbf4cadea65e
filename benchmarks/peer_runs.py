"""nostr-sdk's runs, each in a process of its own (see `child`). None of our code is loaded there.

Its quickest ways were looked for. `fetch_events` stays in Rust until all is there. `stream_events` is as quick, but
loses events without a word when its reader falls behind, and is left out. Notifications are its way to follow what is
new. Of messages, 50 are on their way at a time: awaiting each one costs twice as much.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from tempfile import TemporaryDirectory
from typing import Any, Final

import nostr_sdk as sdk

from benchmarks.child import Meter, Run, complete

_PATIENCE: Final = timedelta(seconds=120)
_AT_ONCE: Final = 50
_NOTIFICATIONS: Final = 4  # room for each event: it is told of the event and of its frame


async def ingest(relay: str, kind: int, since: int, count: int, *, way: str) -> Run:
    """Read `count` events: "fetched" at once, "notified" of each, or "LMDB": fetched and stored."""
    sdk.uniffi_set_event_loop(asyncio.get_running_loop())
    with TemporaryDirectory() as folder:
        builder = sdk.ClientBuilder()
        if way == "LMDB":
            builder = builder.database(await sdk.NostrLmdb.open(folder))
        if way == "notified":
            builder = builder.notification_channel_size(_NOTIFICATIONS * count)
        async with _connected(builder, relay) as client:
            last = sdk.Timestamp.from_secs(since + count - 1)
            wanted = sdk.Filter().kind(sdk.Kind(kind)).since(sdk.Timestamp.from_secs(since)).until(last)
            with Meter() as meter:
                found = await (_follow if way == "notified" else _fetch)(client, wanted, count)
            stored = await client.database().count(sdk.Filter()) if way == "LMDB" else found
    return complete(meter.run(min(found, stored)), count)


async def fanout(relay: str, people: int, text: str, *, prepared: bool) -> Run:
    """Send all recipients a message, wrapped before or while others are on their way; ends with the last OK."""
    keys = sdk.Keys.generate()
    recipients = [sdk.Keys.generate().public_key() for _ in range(people)]
    wraps: Iterator[Any] = (sdk.nip17_make_private_msg(keys, recipient, text) for recipient in recipients)
    if prepared:
        wraps = iter(list(wraps))
    async with _connected(sdk.ClientBuilder(), relay) as client:
        with Meter() as meter:
            done = await _send(client, relay, wraps)
    return complete(meter.run(done), people)


@contextlib.asynccontextmanager
async def _connected(builder: Any, relay: str) -> AsyncIterator[Any]:
    client = builder.build()
    await client.add_relay(sdk.RelayUrl.parse(relay))
    await client.connect(timedelta(seconds=10))
    try:
        yield client
    finally:
        await client.shutdown()


async def _fetch(client: Any, wanted: Any, count: int) -> int:
    # one more than there are: at its own limit it gives up
    return len(await client.fetch_events(sdk.ReqTarget.auto([wanted]), _PATIENCE, max_events=count + 1))


async def _follow(client: Any, wanted: Any, count: int) -> int:
    notifications, found = client.notifications(), 0
    await client.subscribe(sdk.ReqTarget.auto([wanted]))
    async with asyncio.timeout(_PATIENCE.total_seconds()):
        while found < count:
            found += (await notifications.next()).is_NEW_EVENT()
    return found


async def _send(client: Any, relay: str, wraps: Iterator[Any]) -> int:
    to = sdk.SendEventTarget.to([sdk.RelayUrl.parse(relay)])

    async def send() -> int:
        return sum([len((await client.send_event(wrap, to)).success) for wrap in wraps])

    return sum(await asyncio.gather(*(send() for _ in range(_AT_ONCE))))

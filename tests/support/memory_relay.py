"""A relay that remembers what it was given and answers honestly, until a test tells it to hold something back.

Built on `scripted_relay`: what clients asked is kept word for word, which a real relay would not show.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

import msgspec

from podium_protocol.events import SignedEvent
from podium_protocol.filters import Filter
from tests.support.scripted_relay import ScriptedRelay, Talk, scripted_relay


class MemoryRelay:
    """One relay. `events` are what it has; `may_end` cleared keeps every EOSE back."""

    def __init__(self) -> None:
        self.url = ""
        self.events: list[SignedEvent] = []
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.wire = ScriptedRelay()
        self.open: dict[Talk, dict[str, list[Filter]]] = {}

    async def serve(self, talk: Talk) -> None:
        """Answer one client until it leaves."""
        own = self.open[talk] = {}
        waiting: set[asyncio.Task[None]] = set()
        try:
            while True:
                match await talk.receive():
                    case ["REQ", str(name), *filters]:
                        own[name] = [self.filter_of(one) for one in filters]
                        task = asyncio.create_task(self.answer(talk, name, own[name]))
                        waiting.add(task)
                        task.add_done_callback(waiting.discard)
                    case ["CLOSE", str(name)]:
                        own.pop(name, None)
                    case ["EVENT", event]:
                        await talk.send("OK", event["id"], True, "")
        finally:
            del self.open[talk]
            for task in waiting:
                task.cancel()

    async def answer(self, talk: Talk, name: str, filters: Iterable[Filter]) -> None:
        """Send what is stored, newest first, and the end."""
        newest_first = sorted(self.events, key=lambda event: -event.created_at)
        for event in newest_first:
            if any(one.matches(event) for one in filters):
                await talk.send("EVENT", name, msgspec.to_builtins(event))
        await self.may_end.wait()
        await talk.send("EOSE", name)

    @staticmethod
    def filter_of(given: dict[str, Any]) -> Filter:
        """A filter as a client sent it."""
        tags = tuple((name[1:], tuple(values)) for name, values in given.items() if name.startswith("#"))
        return Filter(
            ids=_tuple(given.get("ids")),
            authors=_tuple(given.get("authors")),
            kinds=_tuple(given.get("kinds")),
            tags=tags,
            since=given.get("since"),
            until=given.get("until"),
            limit=given.get("limit"),
        )

    async def publish(self, *events: SignedEvent) -> None:
        """Take events, and tell those who listen for them."""
        self.events += events
        for event in events:
            for talk, subscriptions in list(self.open.items()):
                for name, filters in list(subscriptions.items()):
                    if any(one.matches(event) for one in filters):
                        await talk.send("EVENT", name, msgspec.to_builtins(event))

    async def send_raw(self, name: str, event: object) -> None:
        """Send a frame to the client with this subscription."""
        for talk, subscriptions in list(self.open.items()):
            if name in subscriptions:
                await talk.send("EVENT", name, event)

    def asked(self, name: str) -> list[list[dict[str, Any]]]:
        """The filters of each REQ by this name, in order."""
        return [message[2:] for message in self.wire.messages if message[:2] == ["REQ", name]]

    def closed(self, name: str) -> int:
        """How often a subscription was closed."""
        return sum(message == ["CLOSE", name] for message in self.wire.messages)

    async def until_asked(self, name: str, count: int = 1) -> list[list[dict[str, Any]]]:
        """Wait for so many REQs by this name."""
        await self.until(lambda: len(self.asked(name)) >= count)
        return self.asked(name)

    async def until(self, condition: Any) -> None:
        """Wait until something holds of what clients sent."""
        async with asyncio.timeout(60), self.wire._news:
            await self.wire._news.wait_for(condition)

    async def drop_connections(self) -> None:
        """Cut every client off."""
        for talk in list(self.open):
            talk.socket.transport.abort()


@contextlib.asynccontextmanager
async def memory_relay() -> AsyncIterator[MemoryRelay]:
    """A relay on a free port of loopback."""
    relay = MemoryRelay()
    async with scripted_relay(relay.serve) as wire:
        relay.wire = wire
        relay.url = wire.url
        yield relay


def _tuple(values: list[Any] | None) -> Any:
    return None if values is None else tuple(values)

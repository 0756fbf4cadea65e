"""A relay that allows few subscriptions, as nostream does: one too many gets a NOTICE, and no EOSE."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import Any

import msgspec

from podium_protocol.filters import Filter
from tests.support.memory_relay import MemoryRelay
from tests.support.scripted_relay import Talk, says, scripted_relay

PAGE = 500


class NarrowRelay(MemoryRelay):
    """One relay. `most` are the subscriptions it allows a connection, `filters` those of a REQ."""

    def __init__(self, most: int, filters: int) -> None:
        super().__init__()
        self.most = most
        self.filters = filters
        self.refused: list[str] = []

    def admits(self, own: dict[str, Any], name: str, filters: list[Any]) -> str | None:
        """None, or the words of the NOTICE."""
        if name not in own and len(own) >= self.most:
            return f"Too many subscriptions: Number of subscriptions must be less than or equal to {self.most}"
        if len(filters) > self.filters:
            return f"Too many filters: Number of filters per subscription must be less then or equal to {self.filters}"
        return None

    async def answer(self, talk: Talk, name: str, filters: Iterable[Filter]) -> None:
        """Send the newest that are stored, no more for a filter than it asks for, and the end."""
        newest_first = sorted(self.events, key=lambda event: -event.created_at)
        for one in filters:
            matching = (event for event in newest_first if one.matches(event))
            for event in islice(matching, min(one.limit or PAGE, PAGE)):
                await talk.send("EVENT", name, msgspec.to_builtins(event))
        await talk.send("EOSE", name)

    async def serve(self, talk: Talk) -> None:
        """Answer one client until it leaves."""
        own = self.open[talk] = {}
        try:
            while True:
                match await talk.receive():
                    case ["REQ", str(name), *filters]:
                        if (words := self.admits(own, name, filters)) is not None:
                            self.refused.append(name)
                            await talk.send("NOTICE", words)
                            continue
                        own[name] = [self.filter_of(one) for one in filters]
                        await self.answer(talk, name, own[name])
                    case ["CLOSE", str(name)]:
                        own.pop(name, None)
                    case ["EVENT", event]:
                        await talk.send("OK", event["id"], True)
        finally:
            del self.open[talk]


@contextlib.asynccontextmanager
async def narrow_relay(most: int = 10, filters: int = 10, *, tells: bool = True) -> AsyncIterator[NarrowRelay]:
    """A relay on a free port of loopback; `tells`: its information document names the limits."""
    relay = NarrowRelay(most, filters)
    limitation = {"max_subscriptions": most, "max_filters": filters} if tells else {}
    async with scripted_relay(relay.serve, process_request=says({"limitation": limitation})) as wire:
        relay.wire = wire
        relay.url = wire.url
        yield relay

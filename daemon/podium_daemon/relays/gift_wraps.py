"""Private messages to the service, from its own message relays: verified like everything else, then handed on.

They are kept out of the mirror: what is in them is nobody else's business, and most of what strangers send is noise.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from podium_daemon.clock import Clock
from podium_daemon.relays.incoming import Incoming
from podium_daemon.relays.ingest import Arrival, Ladder
from podium_daemon.relays.interests import wraps_for
from podium_daemon.relays.pool import RelayPool
from podium_daemon.supervisor import Stop
from podium_protocol.events import Pubkey, VerifiedEvent
from podium_storage.watermarks import Watermarks

SUBSCRIPTION: Final = "wraps"

Deliver = Callable[[Sequence[VerifiedEvent]], Awaitable[None]]
"""Takes gift wraps whose signatures are good; returns once it is written down what was in them."""


class GiftWraps:
    """The service that asks for gift wraps."""

    name = "gift wraps"

    def __init__(self, *, service: Pubkey, deliver: Deliver, watermarks: Watermarks, clock: Clock) -> None:
        self._filters = wraps_for(service)
        self._deliver = deliver
        self._watermarks = watermarks
        self._clock = clock
        self._marks: dict[str, int] = {}
        self._pool: RelayPool | None = None
        self.ladder = Ladder(clock.now)

    def join(self, pool: RelayPool) -> None:
        """Name the pool that brings the wraps."""
        self._pool = pool

    async def run(self, stop: Stop) -> None:
        """Ask the message relays for what came since, and for what comes."""
        assert self._pool is not None, "the composition root joins the pool"
        self._marks = await self._watermarks.of(SUBSCRIPTION)
        if relays := self._pool.urls("dm"):
            self._pool.subscribe(SUBSCRIPTION, self._filters, relays=relays, since_for=self._marks.get)
        await stop.wait()

    async def take(self, events: Sequence[Incoming]) -> list[Incoming]:
        """Take what answers to our subscription out of a relay's batch; what is left is for others."""
        own = [Arrival(one.relay_url, self._filters, bytes(one.raw)) for one in events if _is_ours(one)]
        if own and (good := await self.ladder.climb(own)):
            await self._deliver(good)
            self.ladder.mark(good)  # only now: a wrap whose effects were not stored comes again
        return [one for one in events if not _is_ours(one)]

    async def on_eose(self, name: str, relay: str, partial: bool) -> None:
        """The pool's EOSE listener: from here on a restart need not read further back than two days."""
        if name == SUBSCRIPTION and not partial:
            self._marks[relay] = now = int(self._clock.now())
            await self._watermarks.set(relay, name, now)


def _is_ours(event: Incoming) -> bool:
    return event.subscription == SUBSCRIPTION

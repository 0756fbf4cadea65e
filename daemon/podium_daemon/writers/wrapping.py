"""Seals and wraps messages as the service: on the event loop when few wait, in worker processes while many do."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.worker_processes import WorkerProcesses
from podium_daemon.writers.wrapping_child import Made, WrapOrder, make
from podium_protocol.events import Pubkey, SignedEvent, UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip59
from podium_protocol.nips.nip11 import NOTHING_ASKED, RequiredByRelays

BACKLOG: Final = 400
"""Messages to wrap at once from which on worker processes are worth their start: 0.1 s of the event loop."""

_KEPT_KEYS: Final = (
    20_000  # conversation keys of recipients: 35 us each to make, and each recipient gets several messages
)
_INLINE: Final = 10  # wraps made before the event loop gets a turn: some 2 ms
_BATCH: Final = 50  # wraps that a worker makes at a time

_encode: Final = msgspec.msgpack.Encoder().encode
_made: Final = msgspec.msgpack.Decoder(list[Made]).decode
_event: Final = msgspec.json.Decoder(SignedEvent).decode


class MessageWrapping(WorkerProcesses):
    """The service that keeps the workers while they are needed. Without them the daemon wraps by itself."""

    def __init__(
        self, secret: SecretKey, clock: Clock, random_bytes: Callable[[int], bytes], count: int | None = None
    ) -> None:
        """`count`: how many workers; None: one for each core, four at most. Each is handed `secret` over its socket."""
        module = "podium_daemon.writers.wrapping_child"
        super().__init__("message wrapping", module, clock, count=count, setup=secret.expose)
        self.service = secret.pubkey
        """The author of all messages."""
        self._secret = secret
        self._random_bytes = random_bytes
        self._keys: dict[Pubkey, bytes] = {}

    def order(
        self,
        rumor: UnsignedEvent,
        recipient: Pubkey,
        *,
        now: int,
        expiration: int | None,
        asked: RequiredByRelays = NOTHING_ASKED,
    ) -> WrapOrder:
        """The order to wrap one message, as its relays have `asked`; it is for one wrap only."""
        return WrapOrder(
            rumor=rumor,
            recipient=recipient,
            now=now,
            entropy=self._random_bytes(nip59.ENTROPY_BYTES),
            expiration=expiration,
            backdating=asked.backdating,
            work=asked.work,
            conversation_key=self._keys.get(recipient),
        )

    def wrap(self, order: WrapOrder) -> SignedEvent:
        """Wrap one message here and now."""
        return self._kept(order, make(order, self._secret))

    async def wrap_all(self, orders: Sequence[WrapOrder]) -> list[SignedEvent]:
        """Wrap messages; the wraps are in the order of the orders. What has to be mined is made on a thread."""
        if len(orders) >= BACKLOG:
            self.start()
        parts = deque(_parts(orders))
        wrapped: dict[int, list[SignedEvent]] = {}
        async with asyncio.TaskGroup() as group:
            handed: set[asyncio.Task[None]] = set()
            while parts:
                is_mined = bool(parts[0][1][0].work)
                if self.free and len(orders) > _INLINE and not is_mined:
                    handed.add(task := group.create_task(self._by_worker(*parts.popleft(), wrapped)))
                    task.add_done_callback(handed.discard)
                    await asyncio.sleep(0)  # it counts as in hand from then on
                elif handed and not is_mined:
                    await asyncio.wait(handed, return_when=asyncio.FIRST_COMPLETED)
                else:
                    number, part = parts.popleft()
                    wrapped[number] = await self._by_ourselves(part)
        return [event for number in sorted(wrapped) for event in wrapped[number]]

    async def _by_worker(self, number: int, part: Sequence[WrapOrder], wrapped: dict[int, list[SignedEvent]]) -> None:
        answer = await self.ask(_encode(part))
        if answer is None:
            wrapped[number] = await self._by_ourselves(part)
        else:
            wrapped[number] = [self._kept(*pair) for pair in zip(part, _made(answer), strict=True)]

    async def _by_ourselves(self, part: Sequence[WrapOrder]) -> list[SignedEvent]:
        events: list[SignedEvent] = []
        for done, order in enumerate(part, 1):
            events.append(await asyncio.to_thread(self.wrap, order) if order.work else self.wrap(order))
            if done % _INLINE == 0:
                await asyncio.sleep(0)
        return events

    def _kept(self, order: WrapOrder, made: Made) -> SignedEvent:
        if len(self._keys) >= _KEPT_KEYS and order.recipient not in self._keys:
            self._keys.clear()
        self._keys[order.recipient] = made.conversation_key
        return _event(made.event_json)


def _parts(orders: Sequence[WrapOrder]) -> Iterator[tuple[int, Sequence[WrapOrder]]]:
    """Orders in batches; one that has to be mined takes seconds, and is a batch of its own."""
    start = 0
    while start < len(orders):
        end = start + 1
        while end < min(start + _BATCH, len(orders)) and not (orders[start].work or orders[end].work):
            end += 1
        yield start, orders[start:end]
        start = end

"""One person's own connection to one relay: publish, ask, listen. It verifies what it is given."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count

from websockets.asyncio.client import ClientConnection, connect

from podium_protocol import messages
from podium_protocol.events import EventId, Rejected, SignedEvent, VerifiedEvent, verify_json
from podium_protocol.filters import Filter, matches_any

_ANSWER_SECONDS = 10.0


class Wire:
    """A relay as one client sees it; made by `open_wire`."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._answers: dict[EventId, asyncio.Future[messages.OkFrame]] = {}
        self._listeners: dict[str, tuple[Sequence[Filter], Callable[[VerifiedEvent], None], asyncio.Event]] = {}

    async def publish(self, event: SignedEvent) -> messages.OkFrame:
        """Send an event and wait for the relay's OK."""
        answer: asyncio.Future[messages.OkFrame] = asyncio.get_running_loop().create_future()
        self._answers[event.id] = answer
        await self._socket.send(messages.encode_event(event), text=True)
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await answer

    async def listen(self, filters: Sequence[Filter], heard: Callable[[VerifiedEvent], None]) -> asyncio.Event:
        """Call `heard` with each stored and each new event; the event returned is set once the stored ones are told."""
        name = f"demo-{next(self._numbers)}"
        stored = asyncio.Event()
        self._listeners[name] = (filters, heard, stored)
        await self._socket.send(messages.encode_req(name, filters), text=True)
        return stored

    async def fetch(self, *filters: Filter) -> list[VerifiedEvent]:
        """What the relay has stored."""
        found: list[VerifiedEvent] = []
        stored = await self.listen(filters, found.append)
        async with asyncio.timeout(_ANSWER_SECONDS):
            await stored.wait()
        return found

    async def pump(self) -> None:
        """Take what the relay sends, until the socket closes."""
        async for frame in self._socket:
            match messages.decode(frame):
                case messages.EventFrame(name, raw):
                    self._hear(name, verify_json(raw))
                case messages.EoseFrame(name):
                    if name in self._listeners:
                        self._listeners[name][2].set()
                case messages.OkFrame() as answer:
                    waiting = self._answers.pop(answer.event_id, None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(answer)

    def _hear(self, name: str, event: VerifiedEvent | Rejected) -> None:
        listener = self._listeners.get(name)
        if listener is not None and isinstance(event, VerifiedEvent) and matches_any(listener[0], event):
            listener[1](event)


@asynccontextmanager
async def open_wire(url: str) -> AsyncIterator[Wire]:
    """Connect to a relay for as long as the block runs."""
    async with connect(url, proxy=None, compression=None, max_size=1024 * 1024) as socket:
        wire = Wire(socket)
        pumping = asyncio.create_task(wire.pump())
        try:
            yield wire
        finally:
            pumping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pumping

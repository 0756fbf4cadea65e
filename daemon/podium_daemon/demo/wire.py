"""One person's own connection to one relay: publish, ask, listen, log in. It verifies what it is given."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count

from websockets.asyncio.client import ClientConnection, connect

from podium_protocol.events import EventId, Rejected, SignedEvent, VerifiedEvent, verify_json
from podium_protocol.filters import Filter, matches_any
from podium_protocol.keys import SecretKey
from podium_protocol.messages import EventFrame
from podium_protocol.nips import nip42
from podium_protocol.relay.events import AuthNeeded, EndOfStored, Published, SessionEvent, SubscriptionClosed
from podium_protocol.relay.session import RelaySession
from podium_protocol.relay.verdicts import Verdict

_ANSWER_SECONDS = 10.0


class RefusedByRelay(Exception):  # noqa: N818  (what happened)
    """The relay does not serve what was asked; the text has its words."""


class _Listener:
    def __init__(self, filters: Sequence[Filter], heard: Callable[[VerifiedEvent], None]) -> None:
        self.filters = filters
        self.heard = heard
        self.stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Wire:
    """A relay as one client sees it; made by `open_wire`."""

    def __init__(self, socket: ClientConnection, url: str) -> None:
        self._socket = socket
        self._session = RelaySession(url)
        self._session.connected(time.monotonic())
        self._key: SecretKey | None = None
        self._numbers = count(1)
        self._answers: dict[EventId, asyncio.Future[Verdict]] = {}
        self._listeners: dict[str, _Listener] = {}

    def log_in_as(self, key: SecretKey) -> None:
        """Sign the relay's challenges with this key (NIP-42), where it asks who we are."""
        self._key, self._session.may_authenticate = key, True

    async def publish(self, event: SignedEvent) -> Verdict:
        """Send an event and wait for the relay's word on it."""
        answer: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._answers[event.id] = answer
        self._session.publish(event, time.monotonic())
        await self._flush()
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await answer

    async def listen(self, filters: Sequence[Filter], heard: Callable[[VerifiedEvent], None]) -> str:
        """Call `heard` with each stored and each new event, once the stored ones are told; the subscription's name.

        Raises:
            RefusedByRelay: it does not serve that.
        """
        name = f"demo-{next(self._numbers)}"
        listener = self._listeners[name] = _Listener(filters, heard)
        self._session.subscribe(name, filters, time.monotonic())
        await self._flush()
        async with asyncio.timeout(_ANSWER_SECONDS):
            await listener.stored
        return name

    async def fetch(self, *filters: Filter) -> list[VerifiedEvent]:
        """What the relay has stored; the subscription is closed again, since relays allow few.

        Raises:
            RefusedByRelay: it does not serve that.
        """
        found: list[VerifiedEvent] = []
        name = await self.listen(filters, found.append)
        del self._listeners[name]
        self._session.unsubscribe(name)
        await self._flush()
        return found

    async def pump(self) -> None:
        """Take what the relay sends, until the socket closes."""
        async for frame in self._socket:
            self._session.receive(frame, time.monotonic())
            for event in self._session.events_received():
                self._take(event)
            await self._flush()

    async def _flush(self) -> None:
        for frame in self._session.data_to_send():
            await self._socket.send(frame, text=True)

    def _take(self, event: SessionEvent) -> None:
        match event:
            case EventFrame(name, raw):
                self._hear(name, verify_json(raw))
            case EndOfStored(name):
                self._end(name, None)
            case SubscriptionClosed(name, verdict):
                self._end(name, RefusedByRelay(verdict.message))
            case Published(event_id, verdict):
                waiting = self._answers.pop(event_id, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(verdict)
            case AuthNeeded(challenge):
                self._log_in(challenge)

    def _log_in(self, challenge: str) -> None:
        assert self._key is not None, "the session asks only once there is a key"
        draft = nip42.write_auth(self._key.pubkey, self._session.url, challenge, int(time.time()))
        self._session.authenticate(self._key.sign(draft, secrets.token_bytes(32)), time.monotonic())

    def _end(self, name: str, failure: Exception | None) -> None:
        listener = self._listeners.get(name)
        if listener is None or listener.stored.done():
            return
        if failure is None:
            listener.stored.set_result(None)
        else:
            listener.stored.set_exception(failure)

    def _hear(self, name: str, event: VerifiedEvent | Rejected) -> None:
        listener = self._listeners.get(name)
        if listener is not None and isinstance(event, VerifiedEvent) and matches_any(listener.filters, event):
            listener.heard(event)


@asynccontextmanager
async def open_wire(url: str) -> AsyncIterator[Wire]:
    """Connect to a relay for as long as the block runs."""
    async with connect(url, proxy=None, compression=None, max_size=1024 * 1024) as socket:
        wire = Wire(socket, url)
        pumping = asyncio.create_task(wire.pump())
        try:
            yield wire
        finally:
            pumping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pumping

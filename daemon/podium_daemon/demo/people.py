"""The instructor and the participants: each has a key and a socket, and shares no code with the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from podium_daemon.client import PodiumClient, RoomSeat
from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Rejected, SignedEvent, UnsignedEvent, VerifiedEvent, verify_json
from podium_protocol.filters import Filter, matches_any
from podium_protocol.keys import SecretKey
from podium_protocol.live.rsvp import RsvpStatus, write_rsvp
from podium_protocol.messages import EventFrame
from podium_protocol.nips import nip17, nip42, nip59
from podium_protocol.relay.events import AuthNeeded, EndOfStored, Published, SessionEvent, SubscriptionClosed
from podium_protocol.relay.session import RelaySession
from podium_protocol.relay.verdicts import EventAccepted, Verdict

_ANSWER_SECONDS = 10.0


class RefusedByRelay(Exception):
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
        """Read the relay's stored events; the subscription is closed again, since relays allow few.

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


class UnwrappedMessage(msgspec.Struct, frozen=True):
    """A private message that was really unwrapped. `due_at` is the rumor's own time, `at` when it arrived."""

    subject: str
    text: str
    due_at: int
    at: float
    rumor_id: EventId


class DemoPerson:
    """A person with a key, on their own connection."""

    def __init__(self, name: str, wire: Wire, base_url: str, secret: SecretKey | None = None) -> None:
        self.name = name
        self.secret = secret or SecretKey(secrets.token_bytes(32))
        self.wire = wire
        wire.log_in_as(self.secret)
        self.podium = PodiumClient(base_url, self.secret)

    async def publish(self, event: UnsignedEvent) -> VerifiedEvent:
        """Sign and publish on the person's own socket; the relay must answer OK."""
        signed = self.secret.sign(event, secrets.token_bytes(32))
        answer = await self.wire.publish(signed)
        is_taken = isinstance(answer, EventAccepted)
        if not is_taken:
            raise AssertionError(f"the relay refused {self.name}'s event: {answer.message}")
        return VerifiedEvent(**msgspec.structs.asdict(signed))


class Participant(DemoPerson):
    """A participant who answers, reads messages and joins."""

    def __init__(self, name: str, wire: Wire, base_url: str) -> None:
        super().__init__(name, wire, base_url)
        self.letters: list[UnwrappedMessage] = []
        self.copies = 0
        self.rejected: list[str] = []
        self._arrived = asyncio.Condition()

    async def open_inbox(self, relay: str, service: str) -> None:
        """Publish a list of message relays (kind 10050) and listen there; only the service's letters count."""
        await self.publish(nip17.write_dm_relays(self.secret.pubkey, [relay], created_at=int(time.time())))

        def heard(event: VerifiedEvent) -> None:
            opened = nip59.unwrap(event, self.secret, now=int(time.time()))
            if not isinstance(opened, nip59.Unwrapped) or opened.sender != service:
                self.rejected.append(str(opened))
                return
            rumor = opened.rumor
            if any(letter.rumor_id == rumor.id for letter in self.letters):
                self.copies += 1
                return
            subject = tags.first(rumor.tags, "subject") or ""
            self.letters.append(UnwrappedMessage(subject, rumor.content, rumor.created_at, time.time(), rumor.id))
            self._tell()

        wanted = Filter(kinds=(kinds.GIFT_WRAP,), tags=(("p", (self.secret.pubkey,)),))
        await self.wire.listen([wanted], heard)

    async def answer(self, session: Address, status: RsvpStatus, revision: EventId) -> None:
        """Send an RSVP on the person's own socket, as any Nostr client would."""
        now = int(time.time())
        await self.publish(write_rsvp(session, status, pubkey=self.secret.pubkey, now=now, revision_id=revision))

    async def letter(self, wanted: Callable[[UnwrappedMessage], bool], seconds: float) -> UnwrappedMessage:
        """Wait for the first letter that `wanted` accepts.

        Raises:
            TimeoutError: it did not.
        """
        async with asyncio.timeout(seconds), self._arrived:
            while True:
                for letter in self.letters:
                    if wanted(letter):
                        return letter
                await self._arrived.wait()

    async def join(self, reference: str) -> RoomSeat:
        """Join with one signature and take a seat."""
        return await self.podium.join(reference, consent=True)

    def _tell(self) -> None:
        async def notify() -> None:
            async with self._arrived:
                self._arrived.notify_all()

        self._telling = asyncio.ensure_future(notify())

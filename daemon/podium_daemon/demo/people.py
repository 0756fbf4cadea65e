"""The instructor and the participants: a key, a socket, and nothing of the daemon's."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from podium_daemon.demo.api import Api
from podium_daemon.demo.wire import Wire
from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, UnsignedEvent, VerifiedEvent
from podium_protocol.filters import Filter
from podium_protocol.keys import SecretKey
from podium_protocol.live.join_proof import Consent, write_join_proof
from podium_protocol.live.rsvp import RsvpStatus, write_rsvp
from podium_protocol.nips import nip17, nip59


class Letter(msgspec.Struct, frozen=True):
    """A private message that was really unwrapped. `due_at` is the rumor's own time, `at` when it arrived."""

    subject: str
    text: str
    due_at: int
    at: float
    rumor_id: EventId


class Person:
    """Somebody with a key, on their own connection."""

    def __init__(self, name: str, wire: Wire, base_url: str, secret: SecretKey | None = None) -> None:
        self.name = name
        self.secret = secret or SecretKey(secrets.token_bytes(32))
        self.wire = wire
        self.api = Api(base_url, self.secret)

    async def publish(self, event: UnsignedEvent) -> VerifiedEvent:
        """Sign and publish on one's own socket; the relay must say OK."""
        signed = self.api.sign(event)
        answer = await self.wire.publish(signed)
        if not answer.accepted:
            raise AssertionError(f"the relay refused {self.name}'s event: {answer.message}")
        return VerifiedEvent(**msgspec.structs.asdict(signed))


class Participant(Person):
    """Somebody who answers, reads messages and joins."""

    def __init__(self, name: str, wire: Wire, base_url: str) -> None:
        super().__init__(name, wire, base_url)
        self.letters: list[Letter] = []
        self.copies = 0
        self.rejected: list[str] = []
        self._arrived = asyncio.Condition()

    async def open_inbox(self, relay: str, service: str) -> None:
        """Publish where messages are read (kind 10050) and listen there; nothing but the service's letters count."""
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
            self.letters.append(Letter(subject, rumor.content, rumor.created_at, time.time(), rumor.id))
            self._tell()

        wanted = Filter(kinds=(kinds.GIFT_WRAP,), tags=(("p", (self.secret.pubkey,)),))
        stored = await self.wire.listen([wanted], heard)
        await stored.wait()

    async def answer(self, session: Address, status: RsvpStatus, revision: EventId) -> None:
        """RSVP from one's own socket, as any Nostr client would."""
        now = int(time.time())
        await self.publish(write_rsvp(session, status, pubkey=self.secret.pubkey, now=now, revision_id=revision))

    async def letter(self, wanted: Callable[[Letter], bool], seconds: float) -> Letter:
        """The first letter that is wanted, once it arrives.

        Raises:
            TimeoutError: it did not.
        """
        async with asyncio.timeout(seconds), self._arrived:
            while True:
                for letter in self.letters:
                    if wanted(letter):
                        return letter
                await self._arrived.wait()

    async def join(self, reference: str, session: Address) -> Chair:
        """Join with one signature and sit down."""
        path = f"/api/sessions/{reference}/join"
        challenge = msgspec.convert(await self.api.post(f"{path}/challenge"), _Challenge)
        policy = challenge.recordingPolicyHash
        proof = write_join_proof(
            self.secret.pubkey,
            url=challenge.url,
            method="POST",
            body=None,
            session=session,
            nonce=challenge.nonce,
            device=secrets.token_hex(4),
            now=int(time.time()),
            consent=Consent(True, policy) if policy else None,
        )
        ticket = msgspec.convert(await self.api.post_proof(path, self.api.sign(proof)), _Ticket)
        return await Chair.take(ticket.socketUrl, {"type": "hello", "token": ticket.token})

    def _tell(self) -> None:
        async def notify() -> None:
            async with self._arrived:
                self._arrived.notify_all()

        self._telling = asyncio.ensure_future(notify())


class Chair:
    """A seat in the room: a socket that beats."""

    def __init__(self, socket: ClientConnection, url: str) -> None:
        self._socket = socket
        self._url = url
        self._secret = ""
        self.meeting_url: str | None = None
        self.was_ended = False
        self._welcomed = asyncio.Event()
        self._tasks = [asyncio.create_task(self._read())]

    @classmethod
    async def take(cls, url: str, greeting: dict[str, str]) -> Chair:
        """Open the socket and wait until the seat is given."""
        socket = await connect(url, proxy=None, compression=None)
        chair = cls(socket, url)
        await socket.send(msgspec.json.encode(greeting), text=True)
        async with asyncio.timeout(15):
            await chair._welcomed.wait()
        return chair

    async def drop(self) -> None:
        """Lose the connection without a word, as a tunnel does."""
        self._stop()
        self._socket.transport.abort()
        await self._socket.wait_closed()

    async def come_back(self) -> Chair:
        """Return with the resume secret: no second signature."""
        return await Chair.take(self._url, {"type": "return", "secret": self._secret})

    async def leave(self) -> None:
        """Say goodbye."""
        await self._socket.send('{"type":"leave"}')
        await self._socket.wait_closed()
        self._stop()

    async def until_ended(self, seconds: float) -> bool:
        """Stay until the room is closed; whether it said that the session has ended."""
        async with asyncio.timeout(seconds):
            await self._socket.wait_closed()
        self._stop()
        return self.was_ended

    async def _read(self) -> None:
        with contextlib.suppress(Exception):
            async for frame in self._socket:
                message = msgspec.json.decode(frame, type=_RoomMessage)
                if message.type == "welcome":
                    self.meeting_url = message.meetingUrl
                    self._tasks.append(asyncio.create_task(self._beat(message.heartbeat)))
                    self._welcomed.set()
                elif message.type == "resume":
                    self._secret = message.secret
                elif message.type == "ended":
                    self.was_ended = True

    async def _beat(self, every: int) -> None:
        while True:
            await asyncio.sleep(every)
            await self._socket.send('{"type":"beat"}')

    def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()


class _Challenge(msgspec.Struct):
    url: str
    nonce: str
    recordingPolicyHash: str = ""  # noqa: N815  (the interface's name)


class _Ticket(msgspec.Struct):
    state: str
    socketUrl: str  # noqa: N815  (the interface's name)
    token: str


class _RoomMessage(msgspec.Struct):
    type: str
    heartbeat: int = 5
    meetingUrl: str | None = None  # noqa: N815  (the interface's name)
    secret: str = ""

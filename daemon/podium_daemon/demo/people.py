"""The instructor and the participants: a key, a socket, and nothing of the daemon's."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable

import msgspec

from podium_daemon.client import PodiumClient, RoomSeat
from podium_daemon.demo.wire import Wire
from podium_protocol import kinds, tags
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, UnsignedEvent, VerifiedEvent
from podium_protocol.filters import Filter
from podium_protocol.keys import SecretKey
from podium_protocol.live.rsvp import RsvpStatus, write_rsvp
from podium_protocol.nips import nip17, nip59
from podium_protocol.relay.verdicts import Done


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
        wire.log_in_as(self.secret)
        self.podium = PodiumClient(base_url, self.secret)

    async def publish(self, event: UnsignedEvent) -> VerifiedEvent:
        """Sign and publish on one's own socket; the relay must say OK."""
        signed = self.secret.sign(event, secrets.token_bytes(32))
        answer = await self.wire.publish(signed)
        is_taken = isinstance(answer, Done)
        if not is_taken:
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
        await self.wire.listen([wanted], heard)

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

    async def join(self, reference: str) -> RoomSeat:
        """Join with one signature and sit down."""
        return await self.podium.join(reference, consent=True)

    def _tell(self) -> None:
        async def notify() -> None:
            async with self._arrived:
                self._arrived.notify_all()

        self._telling = asyncio.ensure_future(notify())

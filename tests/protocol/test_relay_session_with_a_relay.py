"""The session against a relay nobody here wrote, through the thinnest possible pump."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TypeVar

import pytest
from websockets.asyncio.client import ClientConnection, connect

from podium_daemon.relays.embedded_child import RelaySettings
from podium_protocol.events import VerifiedEvent, verify_json
from podium_protocol.filters import Filter
from podium_protocol.messages import EventFrame
from podium_protocol.nips import nip17, nip42, nip59
from podium_protocol.relay.events import AuthAnswered, AuthNeeded, EndOfStored, Published, SessionEvent
from podium_protocol.relay.session import RelaySession
from podium_protocol.relay.verdicts import EventAccepted, Pow
from tests.support.relays import new_key, running_relay, signed

pytestmark = pytest.mark.real_peer

Event = TypeVar("Event", bound=SessionEvent)


class Pump:
    """Carries frames between a session and a socket until the wanted event comes."""

    def __init__(self, session: RelaySession, socket: ClientConnection) -> None:
        self.session = session
        self.socket = socket
        self.told: list[SessionEvent] = []
        session.connected(time.monotonic())

    async def until(self, kind: type[Event]) -> Event:
        """The next event of this kind; those before it are kept in `told`."""
        while True:
            for frame in self.session.data_to_send():
                await self.socket.send(frame, text=True)
            self.told += self.session.events_received()
            for place, event in enumerate(self.told):
                if isinstance(event, kind):
                    del self.told[place]
                    return event
            frame_in = await asyncio.wait_for(self.socket.recv(decode=False), 60)
            self.session.receive(frame_in, time.monotonic())


def _id_of(frame: EventFrame) -> str:
    event = verify_json(frame.raw)
    assert isinstance(event, VerifiedEvent)
    return event.id


async def test_events_are_published_and_come_back() -> None:
    """OK, duplicate, stored events, EOSE and live events, all understood without a fault."""
    key = new_key()
    async with running_relay() as relay, connect(relay.url, proxy=None, open_timeout=60) as socket:
        session = RelaySession(relay.url)
        pump = Pump(session, socket)
        stored, live = signed(key, "stored"), signed(key, "live")
        session.publish(stored, time.monotonic())
        assert (await pump.until(Published)).verdict == EventAccepted()
        session.publish(stored, time.monotonic())
        assert isinstance((await pump.until(Published)).verdict, EventAccepted)
        session.subscribe("live", [Filter(authors=(key.pubkey,))], time.monotonic())
        frame = await pump.until(EventFrame)
        assert _id_of(frame) == stored.id
        assert await pump.until(EndOfStored) == EndOfStored("live", partial=False)
        session.publish(live, time.monotonic())
        assert _id_of(await pump.until(EventFrame)) == live.id
        assert not session.misbehaviour.counts


async def test_a_refusal_is_understood() -> None:
    """A relay that asks for work says how much, and the verdict names it."""
    async with (
        running_relay(RelaySettings(min_pow=20)) as relay,
        connect(relay.url, proxy=None, open_timeout=60) as socket,
    ):
        pump = Pump(RelaySession(relay.url), socket)
        pump.session.publish(signed(new_key(), "without work"), time.monotonic())
        verdict = (await pump.until(Published)).verdict
        assert isinstance(verdict, Pow)
        assert verdict.bits == 20
        assert not pump.session.misbehaviour.counts


async def test_a_relay_that_wants_to_know_us_gets_a_login() -> None:
    """Refused, logged in, sent once more, accepted: for an EVENT and for a REQ over gift wraps."""
    key = new_key()
    settings = RelaySettings(login="both", guard_messages=True)
    async with running_relay(settings) as relay, connect(relay.url, proxy=None, open_timeout=60) as socket:
        session = RelaySession(relay.url, may_authenticate=True)
        pump = Pump(session, socket)
        now = int(time.time())
        rumor = nip17.write_message(key.pubkey, key.pubkey, "to myself", created_at=now)
        wrap = nip59.gift_wrap(rumor, key, key.pubkey, now=now, entropy=os.urandom(nip59.ENTROPY_BYTES))
        session.publish(wrap, time.monotonic())
        session.subscribe("wraps", [Filter(kinds=(1059,), tags=(("p", (key.pubkey,)),))], time.monotonic())
        challenge = (await pump.until(AuthNeeded)).challenge
        login = key.sign(nip42.write_auth(key.pubkey, relay.url, challenge, now), os.urandom(32))
        session.authenticate(login, time.monotonic())
        assert await pump.until(AuthAnswered) == AuthAnswered(EventAccepted())
        assert (await pump.until(Published)).verdict == EventAccepted()
        frame = await pump.until(EventFrame)
        event = verify_json(frame.raw)
        assert isinstance(event, VerifiedEvent)
        assert nip59.unwrap(event, key, now=now) == nip59.Unwrapped(key.pubkey, rumor)
        await pump.until(EndOfStored)
        assert not session.misbehaviour.counts

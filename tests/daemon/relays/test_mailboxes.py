"""Mailboxes on real relays (nostr-sdk's), lost and found again; and what strangers bring to them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from podium_daemon.relays.incoming import Incoming
from podium_daemon.relays.mailboxes import Mailboxes, MailboxReceiver
from podium_daemon.runtime.clock import SystemClock
from podium_daemon.signers.invitation import SignerInvitation
from podium_daemon.signers.known_bunkers import KnownBunker
from podium_daemon.signers.remote_connection import RemoteSignerConnection
from podium_protocol import kinds
from podium_protocol.errors import InvalidInput
from podium_protocol.events import SignedEvent, UnsignedEvent, VerifiedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.nips.nip46 import Request, Response
from tests.support.bunker import ScriptedBunker, serving
from tests.support.mailboxes import Silent, mailboxes
from tests.support.pools import LOOPBACK
from tests.support.relays import new_key, running_relay
from tests.support.soon import soon

pytestmark = pytest.mark.real_peer


class Ear:
    """Keeps what comes to a mailbox."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    @property
    def unanswered(self) -> tuple[SignedEvent, ...]:
        """Nothing was asked."""
        return ()

    def receive(self, raw: bytes) -> bool:
        """Keep it."""
        self.heard.append(raw)
        return True


@asynccontextmanager
async def line(bunker: ScriptedBunker, *relays: str) -> AsyncIterator[RemoteSignerConnection]:
    """A line to the signer on these relays."""
    key = new_key()
    bunker.clients.add(key.pubkey)
    async with mailboxes(*relays) as transport:
        found = RemoteSignerConnection(
            key, transport, listener=Silent(), clock=SystemClock(), random_bytes=os.urandom, patience=60
        )
        await found.resume(KnownBunker(bunker.key.pubkey, bunker.user.pubkey, relays, key))
        yield found
        found.close()


def draft(bunker: ScriptedBunker) -> UnsignedEvent:
    """An event to sign."""
    return UnsignedEvent(bunker.user.pubkey, 1_800_000_000, 1, (), "hello")


def letter(to: SecretKey, text: str = "hello", kind: int = kinds.REMOTE_SIGNING) -> SignedEvent:
    """An event to a person's mailbox."""
    author = new_key()
    event = UnsignedEvent(author.pubkey, int(time.time()), kind, (("p", to.pubkey),), text)
    return author.sign(event, os.urandom(32))


async def test_one_relay_of_several_is_enough() -> None:
    """A dead relay beside a living one costs neither the connection nor the signature."""
    bunker = ScriptedBunker()
    async with running_relay() as dead, running_relay() as alive, serving(bunker, alive.url):
        await dead.stop()
        async with line(bunker, dead.url, alive.url) as client:
            assert (await client.sign(draft(bunker))).pubkey == bunker.user.pubkey


async def test_a_relay_that_restarts_while_a_person_thinks_loses_nothing() -> None:
    """The relay dies before the signer answers; both come back, the same request goes out again and is answered."""
    heard = asyncio.Event()
    bunker = ScriptedBunker()

    def say_nothing(_: Request) -> list[Response]:
        heard.set()
        return []

    bunker.behaviour = say_nothing
    async with running_relay() as relay, line(bunker, relay.url) as client:
        async with serving(bunker, relay.url):
            asked: asyncio.Task[VerifiedEvent] = asyncio.create_task(client.sign(draft(bunker)))
            await heard.wait()
            await relay.kill()
        bunker.behaviour = None
        await relay.start()
        async with serving(bunker, relay.url):
            assert (await asked).content == "hello"
        assert len({request.id for request in bunker.requests}) == 1


async def test_another_mailbox_makes_no_request_go_out_twice() -> None:
    """A subscription that grows by a key is no lost connection: a signer would ask its person a second time."""
    heard = asyncio.Event()
    bunker = ScriptedBunker(lambda _: (heard.set(), [])[1])
    key = new_key()
    async with running_relay() as relay, mailboxes(relay.url) as transport, serving(bunker, relay.url):
        first = RemoteSignerConnection(key, transport, listener=Silent(), clock=SystemClock(), random_bytes=os.urandom)
        await first.resume(KnownBunker(bunker.key.pubkey, bunker.user.pubkey, (relay.url,), key))
        asked = asyncio.create_task(first.sign(draft(bunker)))
        await heard.wait()
        for _ in range(3):
            assert await transport.open(new_key().pubkey, [relay.url], Ear()).listens() is None
        assert len(bunker.requests) == 1
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)


async def test_each_mailbox_gets_its_own_letters() -> None:
    """Over one connection and one subscription; a mailbox that was given up gets nothing."""
    keys, ears = [new_key() for _ in range(3)], [Ear() for _ in range(3)]
    async with running_relay() as relay, mailboxes(relay.url) as transport:
        boxes = [transport.open(key.pubkey, [relay.url], ear) for key, ear in zip(keys, ears, strict=True)]
        for box in boxes:
            assert await box.listens() is None
        boxes[2].close()
        for key in keys:
            assert (await transport.pool.publish(relay.url, letter(key))).is_done
        await soon(lambda: len(ears[0].heard) == len(ears[1].heard) == 1)
        assert keys[0].pubkey.encode() in ears[0].heard[0]
        assert ears[2].heard == []
        boxes[0].close()
        boxes[0].close()
        boxes[1].close()
        assert transport.pool.states() == ()


async def test_a_strangers_relay_is_guarded() -> None:
    """A `bunker://` URL that names this machine, or a private network, makes nobody connect there."""
    async with running_relay() as relay, mailboxes(guarded=True) as transport:
        box = transport.open(new_key().pubkey, [relay.url], Ear())
        await soon(lambda: any(one.last_error for one in transport.pool.states()))
        assert "no public address" in transport.problems_of(box.relays)
        with pytest.raises(InvalidInput, match="no relay can be used"):
            transport.open(new_key().pubkey, ["http://x"], Ear())


async def test_what_is_no_letter_reaches_nobody() -> None:
    """Other kinds, garbage, and letters by a relay that the mailbox is not on."""
    ear, key = Ear(), new_key()
    transport = Mailboxes((), clock=SystemClock(), permitted=(LOOPBACK,))
    box = transport.open(key.pubkey, ["wss://mine.example"], ear)
    good = letter(key).to_json()
    for relay, raw in (
        ("wss://mine.example/", letter(key, kind=1).to_json()),
        ("wss://mine.example/", b"{}"),
        ("wss://mine.example/", b"[[[["),
        ("wss://other.example/", good),
        (box.relays[0], good),
    ):
        await transport._take([Incoming(relay, "mail", raw)])  # type: ignore[arg-type]  # bytes do as Raw
    assert ear.heard == [good]


async def test_forgeries_are_held_against_the_relay_that_passes_them_on() -> None:
    """It had to check them; what a stranger signed properly is not its fault."""
    key = new_key()
    transport = Mailboxes((), clock=SystemClock(), permitted=(LOOPBACK,))
    invitation = SignerInvitation(key, ["wss://mine.example/"], name="x", url="", random_bytes=os.urandom)
    box = transport.open(key.pubkey, ["wss://mine.example"], invitation)
    sound = letter(key).to_json()
    forged = sound.replace(b"hello", b"HELLO")
    await transport._take([Incoming(box.relays[0], "mail", raw) for raw in (sound, forged, forged)])  # type: ignore[arg-type]
    (state,) = transport.pool.states()
    assert state.violations == {"bad_event": 2}
    assert invitation.dropped == {"unreadable": 1, "bad_id": 2}


async def test_many_mailboxes_share_subscriptions() -> None:
    """Two hundred keys in each: opening one more does not send all the others again."""
    transport = Mailboxes((), clock=SystemClock(), permitted=(LOOPBACK,))
    relay = "wss://busy.example"
    boxes = [transport.open(new_key().pubkey, [relay], receiver()) for _ in range(450)]
    sizes = sorted(len(keys) for keys in transport._shards[boxes[0].relays[0]])
    assert sizes == [50, 200, 200]
    for box in boxes:
        box.close()
    assert not transport._shards


def receiver() -> MailboxReceiver:
    """A person who listens."""
    return Ear()

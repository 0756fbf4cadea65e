"""A line to one signer: where it is asked, and whose key it turns out to hold. Signer and mailboxes are scripted."""

from __future__ import annotations

import os

import pytest

from podium_daemon.runtime.clock import SystemClock
from podium_daemon.signers.invitation import SignerInvitation
from podium_daemon.signers.known_bunkers import KnownBunker
from podium_daemon.signers.remote_connection import RemoteSignerConnection
from podium_daemon.signers.signer import SignerUnavailable
from podium_protocol.events import UnsignedEvent
from podium_protocol.nips import nip46
from podium_protocol.nips.nip46 import Request, Response
from tests.support.bunker import MemoryTransport, ScriptedBunker
from tests.support.mailboxes import Silent
from tests.support.relays import new_key

RELAYS = ("wss://one.example", "wss://two.example")


class Scene:
    """A signer that answers `switch_relays` as the test says, and a line to it."""

    def __init__(self, moves: Response | None = None) -> None:
        self.bunker = ScriptedBunker(self._behave)
        self.moves = moves
        self.transport = MemoryTransport(self.bunker)
        self.client = new_key()
        self.line = RemoteSignerConnection(
            self.client, self.transport, listener=Silent(), clock=SystemClock(), random_bytes=os.urandom
        )

    async def connect(self) -> KnownBunker:
        """By the signer's URL."""
        return await self.line.connect(nip46.parse_bunker(self.bunker.url(*RELAYS)), name="Podium")

    def _behave(self, request: Request) -> list[Response] | None:
        if request.method != "switch_relays" or self.moves is None:
            return None
        return [Response(request.id, self.moves.result, self.moves.error)]


async def test_the_user_may_be_another_key_than_the_signers() -> None:
    """NIP-46 keeps the two apart; the user is asked for, whichever side invited."""
    scene = Scene()
    invitation = SignerInvitation(scene.client, RELAYS, name="Podium", random_bytes=os.urandom)
    known = await scene.line.accept(invitation, RELAYS, scene.transport.scan)
    assert known == KnownBunker(scene.bunker.key.pubkey, scene.bunker.user.pubkey, RELAYS, scene.client)
    assert scene.line.pubkey != known.signer


async def test_a_signer_that_moves_is_followed() -> None:
    """`switch_relays`: what comes after goes to the new relays, and those are what is kept."""
    scene = Scene(Response("", result='["wss://new.example"]'))
    known = await scene.connect()
    assert known.relays == ("wss://new.example",)
    assert [box.relays for box in scene.transport.boxes] == [RELAYS, ("wss://new.example",)]
    draft = UnsignedEvent(known.user, 1, 1, (), "hello")
    assert (await scene.line.sign(draft)).content == "hello"


@pytest.mark.parametrize(
    "moves",
    [
        Response("", result="null"),
        Response("", result="[]"),
        Response("", result="ack"),
        Response("", result='["http://no.example"]'),
        Response("", result="[1]"),
        Response("", error="unsupported"),
    ],
)
async def test_a_signer_that_says_nothing_of_use_is_asked_where_it_was(moves: Response) -> None:
    """Old signers do not know the method."""
    assert (await Scene(moves).connect()).relays == RELAYS


async def test_no_signer_without_a_key() -> None:
    """A program that does not say whose key it holds is no signer."""
    scene = Scene()
    scene.bunker.behaviour = lambda request: (
        [Response(request.id, result="npub1...")] if request.method == "get_public_key" else None
    )
    with pytest.raises(SignerUnavailable, match="no public key"):
        await scene.connect()

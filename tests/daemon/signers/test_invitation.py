"""Our own URL for signers: only a program with its secret is the signer. The clock is scripted."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from podium_daemon.signers.invitation import SignerInvitation
from podium_daemon.signers.signer import SignerUnavailable
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip46
from podium_protocol.nips.nip46 import Response
from tests.support.clock import ManualClock
from tests.support.relays import new_key

RELAYS = ("wss://one.example", "wss://two.example")


class Scene:
    """An invitation, and signers that answer it."""

    def __init__(self) -> None:
        self.client = new_key()
        self.invitation = SignerInvitation(
            self.client, RELAYS, name="Podium", url="https://podium.example", random_bytes=os.urandom
        )
        self.shown = nip46.parse_client(self.invitation.url)

    def answer(self, signer: SecretKey, response: Response, to: SecretKey | None = None) -> None:
        """One event arrives."""
        client = (to or self.client).pubkey
        draft = nip46.write_event(response, signer, client, now=int(time.time()), nonce=os.urandom(32))
        self.invitation.receive(signer.sign(draft, os.urandom(32)).to_json())


async def test_the_url_says_who_listens_where_and_what_is_asked_for() -> None:
    """Key, relays, a fresh secret of 128 bits, the kinds, and what to call us."""
    one, other = Scene().shown, Scene().shown
    assert (one.relays, one.name, one.url) == (RELAYS, "Podium", "https://podium.example")
    assert {"sign_event:27235", "sign_event:31925", "sign_event:31923"} <= set(one.perms)
    assert not any(perm.startswith("nip") for perm in one.perms)
    assert len(one.secret) == 32
    assert one.secret != other.secret


async def test_the_signer_is_whoever_knows_the_secret() -> None:
    """The author of the answer is the signer's key; whose key it signs with is asked later."""
    scene, signer = Scene(), new_key()
    scene.answer(signer, Response("any id", result=scene.shown.secret))
    assert await scene.invitation.accepted(ManualClock(), 600) == signer.pubkey


@pytest.mark.parametrize("result", ["ack", "", "auth_url", "0" * 32, "x" * 5000])
async def test_an_answer_without_the_secret_changes_nothing(result: str) -> None:
    """`ack` is an answer to our own `connect` only; the true signer is heard afterwards."""
    scene, signer = Scene(), new_key()
    scene.answer(new_key(), Response("x", result=result))
    scene.answer(new_key(), Response("x", result=scene.shown.secret, error="but no"))
    scene.answer(signer, Response("x", result=scene.shown.secret))
    assert await scene.invitation.accepted(ManualClock(), 600) == signer.pubkey
    assert scene.invitation.dropped == {"wrong_secret": 2}


async def test_garbage_and_letters_to_others_change_nothing() -> None:
    """Nothing of it ends the waiting."""
    scene, signer = Scene(), new_key()
    for raw in (b"", b"{}", b"\xff", b"[" * 5000):
        scene.invitation.receive(raw)
    scene.answer(new_key(), Response("x", result=scene.shown.secret), to=new_key())
    scene.answer(signer, Response("x", result=scene.shown.secret))
    assert await scene.invitation.accepted(ManualClock(), 600) == signer.pubkey
    assert scene.invitation.dropped.total() == 5


async def test_the_first_signer_is_the_one() -> None:
    """A second answer with the secret, seen on a relay's way, takes nothing over."""
    scene, first = Scene(), new_key()
    scene.answer(first, Response("x", result=scene.shown.secret))
    scene.answer(new_key(), Response("x", result=scene.shown.secret))
    assert await scene.invitation.accepted(ManualClock(), 600) == first.pubkey


async def test_a_flood_ends_the_invitation() -> None:
    """Two hundred wrong answers, and the person is told to ask for a fresh code; what follows costs nothing."""
    scene, stranger = Scene(), new_key()
    for _ in range(205):
        scene.answer(stranger, Response("x", result="guess"))
    with pytest.raises(SignerUnavailable, match="fresh code"):
        await scene.invitation.accepted(ManualClock(), 600)
    assert scene.invitation.dropped.total() == 200


async def test_nobody_comes() -> None:
    """After the time the next step is said."""
    scene, clock = Scene(), ManualClock()
    waiting = asyncio.create_task(scene.invitation.accepted(clock, 600))
    await clock.until_sleeping()
    await clock.advance(599)
    assert not waiting.done()
    await clock.advance(2)
    with pytest.raises(SignerUnavailable, match="no signer came within 10 minutes: scan a fresh code"):
        await waiting

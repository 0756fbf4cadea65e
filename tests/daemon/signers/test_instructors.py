"""Signers that instructors left: whatever becomes of a request is a value, and files are theirs alone."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from podium_daemon.runtime.clock import SystemClock
from podium_daemon.signers.instructors import InstructorSigners, SigningRefused, Unavailable
from podium_daemon.signers.invitation import SignerInvitation
from podium_daemon.signers.known_bunkers import KnownBunker, KnownBunkers
from podium_daemon.signers.remote_connection import RemoteSignerConnection
from podium_protocol.events import UnsignedEvent, VerifiedEvent
from podium_protocol.nips.nip46 import Request, Response
from tests.support.bunker import MemoryTransport, ScriptedBunker
from tests.support.clock import ManualClock
from tests.support.mailboxes import Silent, mailboxes
from tests.support.ndk import ndk_signer
from tests.support.relays import new_key, running_relay
from tests.support.soon import soon


class Scene:
    """An instructor whose signer the service knows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "instructor-signers"
        self.bunker = ScriptedBunker()
        self.transport = MemoryTransport(self.bunker)
        self.clock = ManualClock()
        self.known = KnownBunker(self.bunker.key.pubkey, self.bunker.user.pubkey, ("wss://one.example",), new_key())
        self.bunker.clients.add(self.known.client.pubkey)

    def signers(self) -> InstructorSigners:
        """As a daemon that has just started."""
        return InstructorSigners(
            KnownBunkers(self.folder, by="user"), self.transport, clock=self.clock, random_bytes=os.urandom
        )

    async def sign(self) -> VerifiedEvent | SigningRefused | Unavailable:
        """Ask for the next revision."""
        return await self.signers().sign(self.bunker.user.pubkey, self.draft())

    def draft(self) -> UnsignedEvent:
        """A revision."""
        return UnsignedEvent(self.bunker.user.pubkey, 1_800_000_000, 31923, (("d", "knots"),), "")


@pytest.fixture
async def scene(tmp_path: Path) -> Scene:
    """The signer was left."""
    made = Scene(tmp_path)
    await made.signers().save_connection(made.known)
    return made


async def test_a_signer_that_was_left_signs_after_a_restart(scene: Scene) -> None:
    """The connection is in a file of mode 0600 in a folder of mode 0700; mailboxes are open only while it is asked."""
    signed = await scene.sign()
    assert isinstance(signed, VerifiedEvent)
    assert (signed.pubkey, signed.kind, signed.tags) == (scene.bunker.user.pubkey, 31923, (("d", "knots"),))
    (kept,) = scene.folder.iterdir()
    assert kept.stem == scene.bunker.user.pubkey
    assert (stat.S_IMODE(kept.stat().st_mode), stat.S_IMODE(scene.folder.stat().st_mode)) == (0o600, 0o700)
    assert (len(scene.transport.boxes), scene.transport.open_boxes) == (1, 0)


async def test_requests_at_the_same_time_share_one_line(scene: Scene) -> None:
    """Two revisions at once: one mailbox, both signed, and closed after the last."""
    signers = scene.signers()
    scene.transport.is_deaf = True
    both = [asyncio.create_task(signers.sign(scene.bunker.user.pubkey, scene.draft())) for _ in range(2)]
    await soon(lambda: len(scene.transport.sent) == 2)
    for event in scene.transport.sent:
        scene.transport.boxes[0].receiver.receive(scene.bunker.answers(event)[0])
    assert all(isinstance(one, VerifiedEvent) for one in await asyncio.gather(*both))
    assert (len(scene.transport.boxes), scene.transport.open_boxes) == (1, 0)


async def test_nobody_left_one(tmp_path: Path) -> None:
    """Said as such: asking again is of no use."""
    told = await Scene(tmp_path).sign()
    assert isinstance(told, Unavailable)
    assert not told.is_connected


@pytest.mark.faults
async def test_a_refusal_is_a_value(scene: Scene) -> None:
    """With the person's words, made safe."""
    scene.bunker.behaviour = lambda request: [Response(request.id, error="not\x1b[2J today")]
    told = await scene.sign()
    assert isinstance(told, SigningRefused)
    assert "today" in told.words
    assert "\x1b" not in told.words


async def test_relays_that_are_away_are_a_value(scene: Scene) -> None:
    """The signer may answer another time."""
    scene.transport.problem = "away are wss://one.example"
    told = await scene.sign()
    assert told == Unavailable("no relay of the signer answers: away are wss://one.example", is_connected=True)
    assert scene.transport.open_boxes == 0


@pytest.mark.faults
async def test_silence_is_a_value_after_ten_minutes(scene: Scene) -> None:
    """The person's time is waited for; then nothing was signed."""
    scene.transport.is_deaf = True
    asked = asyncio.create_task(scene.sign())
    await scene.clock.until_sleeping()
    await scene.clock.advance(599)
    assert not asked.done()
    await scene.clock.advance(2)
    told = await asked
    assert isinstance(told, Unavailable)
    assert "did not answer" in told.reason


def _changed(**changes: object) -> object:
    def behave(bunker: ScriptedBunker, request: Request) -> Sequence[Response]:
        return [Response(request.id, result=bunker.signed(request, **changes).to_json().decode())]

    return behave


def _foreign(_: ScriptedBunker, request: Request) -> Sequence[Response]:
    stranger = ScriptedBunker()
    return [Response(request.id, result=stranger.signed(request).to_json().decode())]


def _garbage(_: ScriptedBunker, request: Request) -> Sequence[Response]:
    return [Response(request.id, result="signed!")]


@pytest.mark.parametrize(
    "lie", [_changed(content="other"), _changed(tags=[["d", "other"]]), _changed(created_at=1), _foreign, _garbage]
)
async def test_another_event_than_was_asked_for_is_not_signed(scene: Scene, lie: object) -> None:
    """Changed words, tags or time, a wrong key, or no event: nothing may be published."""
    scene.bunker.behaviour = lambda request: lie(scene.bunker, request)  # type: ignore[operator]  # one of the above
    told = await scene.sign()
    assert isinstance(told, Unavailable)
    assert told.is_connected


async def test_a_new_signer_replaces_the_old_one(scene: Scene) -> None:
    """One for each person; those of others stay."""
    other = KnownBunker(scene.known.signer, new_key().pubkey, ("wss://one.example",), new_key())
    newer = KnownBunker(new_key().pubkey, scene.known.user, ("wss://two.example",), new_key())
    signers = scene.signers()
    await signers.save_connection(other)
    await signers.save_connection(newer)
    found = await signers.find(scene.known.user)
    assert found is not None
    assert found.signer == newer.signer
    assert await signers.find(other.user) is not None


async def test_a_signer_is_taken_back(scene: Scene) -> None:
    """Our key is gone and the signer is told; a second time there is nothing."""
    signers = scene.signers()
    assert await signers.forget(scene.known.user)
    assert scene.bunker.requests[-1].method == "logout"
    assert list(scene.folder.iterdir()) == []
    assert not await signers.forget(scene.known.user)


@pytest.mark.real_peer
async def test_ndks_signer_signs_what_the_service_asks_for(tmp_path: Path) -> None:
    """A signer nobody here wrote scans the code, is kept, and signs after a restart of the service."""
    async with running_relay() as relay, ndk_signer(relay.url) as signer, mailboxes(relay.url) as transport:
        client, clock = new_key(), SystemClock()
        line = RemoteSignerConnection(client, transport, listener=Silent(), clock=clock, random_bytes=os.urandom)
        invitation = SignerInvitation(client, [relay.url], name="Podium", random_bytes=os.urandom)
        scans: list[asyncio.Task[None]] = []
        known = await line.accept(
            invitation, [relay.url], lambda uri: scans.append(asyncio.create_task(signer.scan(uri)))
        )
        line.close()
        assert known.user == signer.pubkey
        files = KnownBunkers(tmp_path / "kept", by="user")
        await InstructorSigners(files, transport, clock=clock, random_bytes=os.urandom).save_connection(known)
        again = InstructorSigners(files, transport, clock=clock, random_bytes=os.urandom)
        draft = UnsignedEvent(known.user, 1_800_000_000, 31923, (("d", "knots"),), "Grüße")
        signed = await again.sign(known.user, draft)
        assert isinstance(signed, VerifiedEvent)
        assert (signed.pubkey, signed.content, signed.tags) == (known.user, "Grüße", (("d", "knots"),))


async def test_a_damaged_file_is_a_value(scene: Scene) -> None:
    """A disk's fault ends no service."""
    (kept,) = scene.folder.iterdir()
    kept.write_bytes(b"{}")
    told = await scene.sign()
    assert isinstance(told, Unavailable)
    assert "damaged" in told.reason

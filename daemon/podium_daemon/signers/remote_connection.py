"""Our end of a connection to one remote signer over a mailbox on relays: paired by its URL or by ours, then asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from podium_daemon.runtime.clock import Clock
from podium_daemon.signers.bunker import BunkerClient, BunkerSigner, Listener
from podium_daemon.signers.invitation import ASKED_KINDS, SignerInvitation
from podium_daemon.signers.known_bunkers import KnownBunker
from podium_daemon.signers.signer import SignerUnavailable
from podium_protocol.errors import InvalidInput
from podium_protocol.events import Pubkey, SignedEvent, UnsignedEvent, VerifiedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip46

PATIENCE: Final = 600.0
"""Seconds a person may take to agree, or to scan a code."""

_MOVE_WITHIN: Final = 2.0  # seconds for a signer to say where it is from now on; many know no `switch_relays`


class Receiver(Protocol):
    """Reads a mailbox."""

    def receive(self, raw: bytes) -> bool: ...
    @property
    def unanswered(self) -> tuple[SignedEvent, ...]: ...


class Post(Protocol):
    """Sends from one mailbox."""

    receiver: Receiver

    @property
    def relays(self) -> tuple[str, ...]: ...
    async def listens(self) -> str | None: ...
    async def send(self, event: SignedEvent) -> str | None: ...
    def close(self) -> None: ...


class SignerTransport(Protocol):
    """Opens mailboxes."""

    def open(self, key: Pubkey, relays: Sequence[str], receiver: Receiver) -> Post: ...


class RemoteSignerConnection:
    """One conversation. It is a `Signer` once it is paired or resumed."""

    def __init__(
        self,
        client: SecretKey,
        transport: SignerTransport,
        *,
        listener: Listener,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        patience: float = PATIENCE,
    ) -> None:
        """`client`: our key, used for this signer only."""
        self._client = client
        self._transport = transport
        self._listener = listener
        self._clock = clock
        self._random_bytes = random_bytes
        self._patience = patience
        self._post: Post | None = None
        self._bunker: BunkerClient | None = None
        self.known: KnownBunker | None = None

    # -- pairing

    async def accept(
        self, invitation: SignerInvitation, relays: Sequence[str], show: Callable[[str], None]
    ) -> KnownBunker:
        """Wait for the signer that was shown the invitation's URL; `show` is called with the URL once we listen.

        Raises:
            SignerUnavailable: none answered in time, or it does not say which key it holds.
        """
        await self._open(relays, invitation)
        show(invitation.url)
        signer = await invitation.accepted(self._clock, self._patience)
        return await self._introduced(self._talk_to(signer), signer)

    async def connect(self, url: nip46.BunkerUrl, *, name: str, page: str = "") -> KnownBunker:
        """Connect to the signer behind a `bunker://` URL; `name` and `page` are for display.

        Raises:
            SignerUnavailable: it does not answer, refuses, or does not say which key it holds.
        """
        bunker = self._bunker_of(url.signer)
        await self._open(url.relays, bunker)
        await bunker.connect(url.secret, perms=ASKED_KINDS, name=name, url=page)
        return await self._introduced(bunker, url.signer)

    async def resume(self, known: KnownBunker) -> None:
        """Reconnect to a signer that accepted our key before; it is not asked anything yet.

        Raises:
            SignerUnavailable: none of its relays can be reached.
        """
        await self._open(known.relays, self._bunker_of(known.signer))
        self.known = known

    # -- paired

    @property
    def pubkey(self) -> Pubkey:
        """The public key that it signs with."""
        assert self.known is not None, "it is asked only once it is paired"
        return self.known.user

    async def sign(self, event: UnsignedEvent) -> VerifiedEvent:
        """Have `event` signed; see `Signer.sign`."""
        assert self._bunker is not None, "it is asked only once it is paired"
        return await BunkerSigner(self._bunker, self.pubkey).sign(event)

    async def log_out(self) -> None:
        """Tell the signer that this client will not come again.

        Raises:
            SignerUnavailable: no answer, or a refusal.
        """
        assert self._bunker is not None, "it is asked only once it is paired"
        await self._bunker.log_out()

    async def send(self, event: SignedEvent) -> str | None:
        """Send an event to the signer's relays; see `Channel.send`."""
        assert self._post is not None, "nothing is sent before it is opened"
        return await self._post.send(event)

    def close(self) -> None:
        """Close the mailbox; safe to call twice."""
        if self._post is not None:
            self._post.close()
            self._post = None

    # -- inside

    async def _open(self, relays: Sequence[str], receiver: Receiver) -> None:
        try:
            post = self._transport.open(self._client.pubkey, relays, receiver)
        except InvalidInput as error:
            raise SignerUnavailable(str(error)) from None
        self._post = post
        if problem := await post.listens():
            raise SignerUnavailable(f"no relay of the signer answers: {problem}")

    def _bunker_of(self, signer: Pubkey) -> BunkerClient:
        self._bunker = BunkerClient(
            self._client,
            signer,
            self,
            listener=self._listener,
            clock=self._clock,
            random_bytes=self._random_bytes,
            patience=self._patience,
        )
        return self._bunker

    def _talk_to(self, signer: Pubkey) -> BunkerClient:
        assert self._post is not None, "it listened a moment ago"
        bunker = self._bunker_of(signer)
        self._post.receiver = bunker
        return bunker

    async def _introduced(self, bunker: BunkerClient, signer: Pubkey) -> KnownBunker:
        # NIP-46: "compliant clients should send a switch_relays request immediately"; we do not wait long for it
        moving = asyncio.create_task(bunker.switch_relays())
        try:
            user = await bunker.get_public_key()
            await asyncio.wait((moving,), timeout=_MOVE_WITHIN)
            if moving.done() and moving.exception() is None and moving.result():
                await self._move(moving.result(), bunker)
        finally:
            moving.cancel()
            await asyncio.gather(moving, return_exceptions=True)
        assert self._post is not None, "it was just talked over"
        self.known = KnownBunker(signer, user, self._post.relays, self._client)
        return self.known

    async def _move(self, relays: Sequence[str], bunker: BunkerClient) -> None:
        assert self._post is not None, "it was just talked over"
        before = self._post.relays
        try:
            await self._open(relays, bunker)
        except SignerUnavailable:  # it answered us here, and we cannot come to where it wants us: stay
            await self._open(before, bunker)

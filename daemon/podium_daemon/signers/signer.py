"""Signers whose key is in this process, read from a key file.

One of them first does the proof of work that relays ask for (NIP-13), before the event is signed and stored.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Protocol

from podium_protocol import kinds
from podium_protocol.errors import PodiumError
from podium_protocol.events import Pubkey, Rejected, UnsignedEvent, VerifiedEvent, verify
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip13


class SignerUnavailable(PodiumError):
    """The signer did not answer, refused, or returned something else than was asked; nothing was signed."""


class SignerRefused(SignerUnavailable):
    """The signer, or its person, refused."""


class Signer(Protocol):
    """Signs as `pubkey`. What it returns was verified and equals the request."""

    @property
    def pubkey(self) -> Pubkey: ...

    async def sign(self, event: UnsignedEvent) -> VerifiedEvent:
        """Sign `event`.

        Raises:
            SignerUnavailable: no answer, a refusal, or another event than the one asked for.
        """
        ...


RandomBytes = Callable[[int], bytes]


class LocalSigner:
    """Signs with a `SecretKey` and verifies each signature, so that a hardware fault is never published."""

    def __init__(self, secret: SecretKey, *, random_bytes: RandomBytes = secrets.token_bytes) -> None:
        self.secret = secret
        self._random_bytes = random_bytes

    @property
    def pubkey(self) -> Pubkey:
        return self.secret.pubkey

    async def sign(self, event: UnsignedEvent) -> VerifiedEvent:
        """Sign as the key's owner; see `Signer.sign`."""
        verified = verify(self.secret.sign(event, self._random_bytes(32)))
        if isinstance(verified, Rejected):
            raise SignerUnavailable(f"the local key made a signature that does not verify: {verified.detail}")
        return verified


class MiningSigner:
    """Mines events for relays that ask for work, and signs them through another signer."""

    def __init__(self, signer: Signer, *, bits: Callable[[], int]) -> None:
        """`bits`: the work to do now, 0 for none."""
        self._signer = signer
        self._bits = bits
        self._turn = asyncio.Lock()  # one event at a time: threads that compute slow the event loop down

    @property
    def pubkey(self) -> Pubkey:
        return self._signer.pubkey

    async def sign(self, event: UnsignedEvent) -> VerifiedEvent:
        """Mine on a thread if needed, and sign; see `Signer.sign`. Logins and other ephemeral events are not mined."""
        bits = 0 if kinds.is_ephemeral(event.kind) else self._bits()
        if bits:
            async with self._turn:
                mined = await asyncio.to_thread(nip13.mine, event, bits)
            return await self._signer.sign(event if mined is None else mined)
        return await self._signer.sign(event)

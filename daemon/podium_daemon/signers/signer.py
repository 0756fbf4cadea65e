"""A signer that holds its key in this process, read from a key file."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Protocol

from podium_protocol.errors import PodiumError
from podium_protocol.events import Pubkey, Rejected, UnsignedEvent, VerifiedEvent, verify
from podium_protocol.keys import SecretKey


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

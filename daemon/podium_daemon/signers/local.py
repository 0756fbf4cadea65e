"""A signer that holds its key in this process, read from a key file."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from podium_daemon.signers.base import SignerUnavailable
from podium_protocol.events import Pubkey, Rejected, UnsignedEvent, VerifiedEvent, verify
from podium_protocol.keys import SecretKey

RandomBytes = Callable[[int], bytes]


class LocalSigner:
    """Signs with a `SecretKey`; each signature is verified before it leaves, so a fault of the machine stays here."""

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

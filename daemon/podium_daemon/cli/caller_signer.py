"""What signs for the caller."""

from __future__ import annotations

from typing import Protocol

from podium_protocol.events import Pubkey, SignedEvent, UnsignedEvent


class CallerSigner(Protocol):
    """Signs as the caller: a key of this machine (`SecretKey`), or a signer elsewhere."""

    @property
    def pubkey(self) -> Pubkey: ...

    def sign(self, event: UnsignedEvent, aux: bytes) -> SignedEvent:
        """Sign `event`; `aux` is 32 fresh random bytes, which a remote signer does not need."""
        ...

"""The signer interface: whatever can sign as one pubkey."""

from __future__ import annotations

from typing import Protocol

from podium_protocol.errors import PodiumError
from podium_protocol.events import Pubkey, UnsignedEvent, VerifiedEvent


class SignerUnavailable(PodiumError):  # noqa: N818  (said to people: the signer is away, not broken)
    """The signer did not answer, refused, or returned something else than was asked; nothing was signed."""


class SignerRefused(SignerUnavailable):
    """The signer, or its person, said no."""


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

"""People's and services' keys. The only module that imports pynostr, and it trusts nothing pynostr parses.

pynostr takes an npub where an nsec belongs and prints the secret on `str(PrivateKey)`; so it is only handed 32 checked
bytes and asked for the public key, once for each key that is kept. Text forms are read by `nips.nip19`; signatures and
ECDH are `schnorr`'s.
"""

from __future__ import annotations

import hashlib
from typing import NoReturn, Self

from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import EventId, Pubkey, SignedEvent, UnsignedEvent, canonical, hex_bytes
from podium_protocol.schnorr import Keypair


class SecretKey:
    """A secret key that never shows itself: repr, str, format and pickle give nothing away."""

    __slots__ = ("_keypair", "_secret", "pubkey")

    def __init__(self, secret: bytes) -> None:
        """Take 32 secret bytes, from a file or fresh from the caller's random source.

        Raises:
            LocalProtocolError: not 32 bytes, or not in 1..n-1.
        """
        self._keypair = Keypair(secret)
        self._secret = bytes(secret)
        self.pubkey = Pubkey(self._keypair.pubkey.hex())

    @classmethod
    def from_hex(cls, text: str) -> Self:
        """Read 64 lowercase hex digits; the text is never echoed in the error.

        Raises:
            LocalProtocolError: anything else.
        """
        secret = hex_bytes(text, 32)
        if secret is None:
            raise LocalProtocolError("a secret key in hex is exactly 64 lowercase digits")
        return cls(secret)

    def cross_check(self) -> None:
        """Have the public key derived by another library; for a key that is going to be kept.

        Raises:
            LocalProtocolError: pynostr derives another one than libsecp256k1.
        """
        from pynostr.key import PrivateKey  # with an HTTP client: 5 MB, which no process needs that only has a key

        if PrivateKey(self._secret).public_key.hex() != self.pubkey:
            raise LocalProtocolError("pynostr and libsecp256k1 disagree on the public key: do not use this key here")

    def sign(self, event: UnsignedEvent, aux: bytes) -> SignedEvent:
        """Sign `event` as its author; `aux` is 32 fresh random bytes.

        Raises:
            LocalProtocolError: the event names another author.
        """
        if event.pubkey != self.pubkey:
            raise LocalProtocolError("the event names another author than the key that was to sign it")
        digest = hashlib.sha256(canonical(event)).digest()
        signature = self._keypair.sign(digest, aux).hex()
        return SignedEvent(
            EventId(digest.hex()), event.pubkey, event.created_at, event.kind, event.tags, event.content, signature
        )

    def shared_x(self, peer: Pubkey) -> bytes:
        """The x coordinate shared with `peer` (NIP-44 step 1).

        Raises:
            LocalProtocolError: `peer` is no point on the curve.
        """
        point = hex_bytes(peer, 32)
        shared = None if point is None else self._keypair.shared_x(point)
        if shared is None:
            raise LocalProtocolError("the peer's public key is not on the curve")
        return shared

    def expose(self) -> bytes:
        """The 32 secret bytes, for writing a key file or handing them to a worker process. Never log the result."""
        return self._secret

    def __repr__(self) -> str:
        return f"<SecretKey of {self.pubkey}>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret key is not pickled; expose() it on purpose where it must travel")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretKey) and other.pubkey == self.pubkey

    def __hash__(self) -> int:
        return hash(self.pubkey)

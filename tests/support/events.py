"""Keys and events for tests. Keys are derived from numbers, so that a failing test fails again."""

from __future__ import annotations

import hashlib

from podium_protocol.events import SignedEvent, UnsignedEvent, VerifiedEvent, verify
from podium_protocol.keys import SecretKey
from podium_protocol.tags import Tags

NOW = 1_790_000_000
"""A fixed present, in Unix seconds."""


def seeded(*parts: object) -> bytes:
    """32 bytes that look random and are the same each time."""
    return hashlib.sha256(repr(parts).encode()).digest()


def key_of(number: int) -> SecretKey:
    """The secret key of test person `number`."""
    return SecretKey(seeded("key", number))


def signed(key: SecretKey, *, kind: int = 1, tags: Tags = (), content: str = "", created_at: int = NOW) -> SignedEvent:
    """An event by `key`."""
    return key.sign(UnsignedEvent(key.pubkey, created_at, kind, tags, content), seeded("aux", content))


def verified(
    key: SecretKey, *, kind: int = 1, tags: Tags = (), content: str = "", created_at: int = NOW
) -> VerifiedEvent:
    """An event by `key` that went through verification."""
    return verify_or_fail(signed(key, kind=kind, tags=tags, content=content, created_at=created_at))


def verify_or_fail(event: SignedEvent) -> VerifiedEvent:
    """The event, verified."""
    result = verify(event)
    assert isinstance(result, VerifiedEvent), result
    return result

"""Addresses of addressable events, `kind:pubkey:d` (NIP-01): a session's address is the model's `lessonId`."""

from __future__ import annotations

import functools
import re
from typing import Final, Self

import msgspec

from podium_protocol import kinds, tags
from podium_protocol.events import Pubkey, SignedEvent, UnsignedEvent, pubkey_or_none

MAX_IDENTIFIER_BYTES: Final = 255  # an naddr holds the identifier in a TLV with a one-byte length (NIP-19)
_MAX_CHARS: Final = len("65535:") + 64 + len(":") + MAX_IDENTIFIER_BYTES
_REMEMBERED: Final = 4_096  # addresses that were read: thousands of answers name the same few sessions
# any text but lone surrogates, which a command line may hold and which have no UTF-8 form
_FORM: Final = re.compile(r"(0|[1-9][0-9]{0,4}):([0-9a-f]{64}):([^\ud800-\udfff]*)")


class Address(msgspec.Struct, frozen=True, order=True, gc=False):
    """One addressable (or replaceable, with an empty identifier) event, whatever its revision."""

    kind: int
    pubkey: Pubkey
    identifier: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.pubkey}:{self.identifier}"

    @classmethod
    def parse(cls, text: str) -> Address | None:
        """Read `kind:pubkey:d` exactly, or None: leading zeros, upper case, keys off the curve are refused."""
        return None if len(text) > _MAX_CHARS else _parsed(text)  # else long texts would fill the memory

    @classmethod
    def from_event(cls, event: UnsignedEvent | SignedEvent) -> Self | None:
        """The address an event is stored under, or None if its kind has no address (NIP-01, "Kinds")."""
        if kinds.is_addressable(event.kind):
            return cls(event.kind, event.pubkey, tags.first(event.tags, "d") or "")
        if kinds.is_replaceable(event.kind):
            return cls(event.kind, event.pubkey, "")
        return None


@functools.lru_cache(maxsize=_REMEMBERED)
def _parsed(text: str) -> Address | None:
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    kind, pubkey, identifier = int(match[1]), pubkey_or_none(match[2]), match[3]
    if pubkey is None or kind > kinds.MAX_KIND or len(identifier.encode()) > MAX_IDENTIFIER_BYTES:
        return None
    return Address(kind, pubkey, identifier)

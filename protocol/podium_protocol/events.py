"""An event's three stages of life: unsigned, signed (shape checked), verified (id and signature good).

The store and the rules take `VerifiedEvent` only. Sources: NIP-01 for shape and canonical form, BIP-340 for signatures.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Annotated, Final, NewType, NoReturn

import msgspec

from podium_protocol import schnorr
from podium_protocol.errors import LocalProtocolError
from podium_protocol.kinds import MAX_KIND
from podium_protocol.strict_json import RepeatedKey, unique_keys
from podium_protocol.tags import Tags

Pubkey = NewType("Pubkey", str)  # 64 lowercase hex digits; made by `pubkey_or_none` or by a verified event
EventId = NewType("EventId", str)

MAX_CREATED_AT: Final = 2**53 - 1  # beyond it JSON numbers differ between languages

_CreatedAt = Annotated[int, msgspec.Meta(ge=0, le=MAX_CREATED_AT)]
_Kind = Annotated[int, msgspec.Meta(ge=0, le=MAX_KIND)]


class RejectReason(StrEnum):
    """Why bytes from outside did not become a verified event; the name of the counter that is raised."""

    NOT_JSON = "not_json"
    BAD_SHAPE = "bad_shape"
    DUPLICATE_KEY = "duplicate_key"
    BAD_ID = "bad_id"
    BAD_SIGNATURE = "bad_signature"


class Rejected(msgspec.Struct, frozen=True):
    """An expected outcome of parsing hostile input."""

    reason: RejectReason
    detail: str = ""


class UnsignedEvent(msgspec.Struct, frozen=True):
    """An event without a signature: a draft, or a rumor (NIP-59)."""

    pubkey: Pubkey
    created_at: _CreatedAt
    kind: _Kind
    tags: Tags
    content: str

    @property
    def id(self) -> EventId:
        """Lowercase hex SHA-256 of the canonical form."""
        return EventId(hashlib.sha256(canonical(self)).hexdigest())


class SignedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event whose fields have the right types. Its id and signature have not been looked at."""

    id: EventId
    pubkey: Pubkey
    created_at: _CreatedAt
    kind: _Kind
    tags: Tags
    content: str
    sig: str

    def to_json(self) -> bytes:
        """The event as compact JSON, as it goes on the wire."""
        return msgspec.json.encode(self)


class VerifiedEvent(SignedEvent, frozen=True, gc=False):
    """An event whose id and signature were checked. Only `verify` and `verify_json` make one."""


class ParsedEvent(msgspec.Struct, frozen=True, gc=False):
    """A parsed event with its canonical form, kept so that filters are matched before the costly signature check."""

    event: SignedEvent
    form: bytes


_encode = msgspec.json.Encoder().encode
_decode_event = msgspec.json.Decoder(SignedEvent).decode


def canonical(event: UnsignedEvent | SignedEvent) -> bytes:
    """The UTF-8 bytes whose SHA-256 is the event's id (NIP-01, "Events and signatures").

    Raises:
        LocalProtocolError: a string holds a lone surrogate, which has no UTF-8 form.
    """
    try:
        return _encode((0, event.pubkey, event.created_at, event.kind, event.tags, event.content))
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"event text has no UTF-8 form: {error}") from None


def parse_json(raw: bytes | msgspec.Raw) -> ParsedEvent | Rejected:
    """Parse one event strictly: JSON without duplicate keys, exact types, bounded integers, no empty tag."""
    try:
        event = _decode_event(raw)
    except msgspec.ValidationError as error:
        return Rejected(RejectReason.BAD_SHAPE, str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Rejected(RejectReason.NOT_JSON, str(error))
    if () in event.tags:
        return Rejected(RejectReason.BAD_SHAPE, "a tag has no name")
    form = canonical(event)
    if memoryview(raw).nbytes != len(form) + _COMPACT_SURPLUS and (flaw := _flaw_of_loose_json(bytes(raw))):
        return flaw
    return ParsedEvent(event, form)


def verify_parsed(parsed: ParsedEvent) -> VerifiedEvent | Rejected:
    """Recompute the id, compare it with the one on the wire, then check the signature (NIP-01, BIP-340)."""
    event = parsed.event
    digest = hashlib.sha256(parsed.form).digest()
    if digest.hex() != event.id:
        return Rejected(RejectReason.BAD_ID, "the id is not the hash of the event")
    pubkey = hex_bytes(event.pubkey, 32)
    signature = hex_bytes(event.sig, 64)
    if pubkey is None or signature is None or not schnorr.verify(pubkey, digest, signature):
        return Rejected(RejectReason.BAD_SIGNATURE, "the signature is not the author's")
    return VerifiedEvent(event.id, event.pubkey, event.created_at, event.kind, event.tags, event.content, event.sig)


def verify_json(raw: bytes | msgspec.Raw) -> VerifiedEvent | Rejected:
    """Parse strictly and verify one event from outside."""
    parsed = parse_json(raw)
    return parsed if isinstance(parsed, Rejected) else verify_parsed(parsed)


def verify(event: SignedEvent) -> VerifiedEvent | Rejected:
    """Verify an event that is already a value, such as what a signer returned."""
    return verify_parsed(ParsedEvent(event, canonical(event)))


def hex_bytes(text: str, size: int) -> bytes | None:
    """The bytes of a lowercase hex string of exactly `size` bytes, else None (`bytes.fromhex` alone is lax)."""
    try:
        value = bytes.fromhex(text)
    except ValueError:
        return None
    return value if len(value) == size and value.hex() == text else None


def pubkey_or_none(text: str) -> Pubkey | None:
    """The text as a public key if it is 64 lowercase hex digits and a point on the curve, else None."""
    value = hex_bytes(text, 32)
    return Pubkey(text) if value is not None and schnorr.is_public_key(value) else None


# A compact event and its canonical form differ by a constant length. Where they do, there is no room for a second
# value under a repeated key, and the slow search for one is not needed.
_SAMPLE = SignedEvent(EventId("0" * 64), Pubkey("0" * 64), 0, 0, (), "", "0" * 128)
_COMPACT_SURPLUS: Final = len(_SAMPLE.to_json()) - len(canonical(_SAMPLE))


def _flaw_of_loose_json(raw: bytes) -> Rejected | None:
    """Look for what the typed decoder accepts: repeated keys, and numbers that are not integers."""
    try:
        json.loads(raw, object_pairs_hook=unique_keys, parse_float=_no_float, parse_constant=_no_float)
    except RepeatedKey as error:
        return Rejected(RejectReason.DUPLICATE_KEY, str(error))
    except (ValueError, RecursionError) as error:
        return Rejected(RejectReason.NOT_JSON, str(error))
    return None


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"not an integer: {text[:20]}")

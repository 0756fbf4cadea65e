"""NIP-59: a rumor (unsigned event), sealed by its author, in a gift wrap signed by a key that is used once.

What we check beyond what other clients do: seals have no tags, and a rumor that names its id names the hash of the
rumor. A message that may start or cancel something must not be ambiguous. What proves nothing is not checked: 0xchat
and go-nostr write `"sig":""` into their rumors, and the seal vouches for a rumor without an id as well.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from podium_protocol import kinds
from podium_protocol.errors import LocalProtocolError, RemoteProtocolError
from podium_protocol.events import (
    MAX_CREATED_AT,
    EventId,
    Pubkey,
    Rejected,
    SignedEvent,
    UnsignedEvent,
    VerifiedEvent,
    canonical,
    hex_bytes,
    verify_json,
)
from podium_protocol.keys import SecretKey
from podium_protocol.limits import MAX_BACKDATING, MAX_FUTURE
from podium_protocol.nips import nip13, nip44
from podium_protocol.schnorr import Keypair
from podium_protocol.strict_json import read_json
from podium_protocol.tags import Tags

ENTROPY_BYTES: Final = 176
"""Fresh random bytes that one `gift_wrap` uses up: five times 32 for keys, nonces and signatures, twice 8 for times."""

RECENT: Final = 600
"""Seconds back that a wrap is dated for relays that refuse older ones (docs/wire-formats.md, trap 5)."""

_NESTED: Final = frozenset((kinds.SEAL, kinds.GIFT_WRAP, 21059))


class WrapFlaw(StrEnum):
    """Why a gift wrap was dropped; the name of the counter that is raised."""

    NOT_A_WRAP = "not_a_wrap"
    NOT_FOR_US = "not_for_us"
    UNREADABLE = "unreadable"  # the wrap's or the seal's payload does not decrypt
    BAD_SEAL = "bad_seal"
    BAD_RUMOR = "bad_rumor"
    FORGED_SENDER = "forged_sender"
    BAD_TIME = "bad_time"


class WrapRejected(msgspec.Struct, frozen=True):
    """An expected outcome of opening what strangers send."""

    flaw: WrapFlaw
    detail: str = ""


class Unwrapped(msgspec.Struct, frozen=True):
    """An opened gift wrap. `sender` signed the seal; the rumor is the sender's, and `rumor.id` was checked."""

    sender: Pubkey
    rumor: UnsignedEvent


def seal(
    rumor: UnsignedEvent, sender: SecretKey, recipient: Pubkey, *, created_at: int, nonce: bytes, aux: bytes
) -> SignedEvent:
    """Write the kind 13 that holds `rumor` for `recipient`; `nonce` and `aux` are 32 fresh random bytes each.

    Raises:
        LocalProtocolError: the rumor names another author, or is too long to encrypt.
    """
    key = nip44.conversation_key(sender, recipient)
    return _seal(rumor, sender, key, created_at=created_at, nonce=nonce, aux=aux)


def wrap(
    sealed: SignedEvent,
    recipient: Pubkey,
    *,
    ephemeral_secret: bytes,
    created_at: int,
    nonce: bytes,
    aux: bytes,
    expiration: int | None = None,
    work: int = 0,
) -> SignedEvent:
    """Write the kind 1059 that holds a seal for `recipient`; `ephemeral_secret` is 32 fresh random bytes, used once.

    `work`: the bits of proof of work (NIP-13) that it has at least; see `nip13.mine` for what they cost.

    Raises:
        LocalProtocolError: `recipient` is no point on the curve, or the secret is no key (which chance never brings).
    """
    ephemeral = Keypair(ephemeral_secret)
    point = hex_bytes(recipient, 32)
    shared = None if point is None else ephemeral.shared_x(point)
    if shared is None:
        raise LocalProtocolError("the recipient's public key is not on the curve")
    content = nip44.encrypt_bytes(sealed.to_json(), nip44.conversation_key_of(shared), nonce)
    rows: Tags = (("p", recipient),)
    if expiration is not None:
        rows += (("expiration", str(expiration)),)
    event = UnsignedEvent(Pubkey(ephemeral.pubkey.hex()), created_at, kinds.GIFT_WRAP, rows, content)
    if work and (mined := nip13.mine(event, work)) is not None:
        event = mined
    digest = hashlib.sha256(canonical(event)).digest()
    signature = ephemeral.sign(digest, aux).hex()
    return SignedEvent(EventId(digest.hex()), event.pubkey, created_at, kinds.GIFT_WRAP, event.tags, content, signature)


def gift_wrap(
    rumor: UnsignedEvent,
    sender: SecretKey,
    recipient: Pubkey,
    *,
    now: int,
    entropy: bytes,
    conversation_key: bytes | None = None,
    expiration: int | None = None,
    backdating: int = MAX_BACKDATING,
    work: int = 0,
) -> SignedEvent:
    """Seal and wrap a rumor, both dated at random within the last `backdating` seconds (two days in NIP-59).

    `entropy` is `ENTROPY_BYTES` fresh random bytes. `conversation_key` is `nip44.conversation_key(sender, recipient)`
    where the caller keeps it: it saves a third of the time for a recipient who is written to again.
    `work` is that of `wrap`.

    Raises:
        LocalProtocolError: as `seal` and `wrap`, or the entropy has another length.
    """
    if len(entropy) != ENTROPY_BYTES:
        raise LocalProtocolError(f"a gift wrap uses up {ENTROPY_BYTES} random bytes, not {len(entropy)}")
    key = nip44.conversation_key(sender, recipient) if conversation_key is None else conversation_key
    sealed_at, wrapped_at = (backdated(now, random, backdating) for random in (entropy[:8], entropy[8:16]))
    sealed = _seal(rumor, sender, key, created_at=sealed_at, nonce=entropy[16:48], aux=entropy[48:80])
    return wrap(
        sealed,
        recipient,
        ephemeral_secret=entropy[80:112],
        created_at=wrapped_at,
        nonce=entropy[112:144],
        aux=entropy[144:],
        expiration=expiration,
        work=work,
    )


def backdated(now: int, random: bytes, most: int = MAX_BACKDATING) -> int:
    """A time within the `most` seconds before `now` (Unix), evenly spread; `random` is 8 fresh bytes or more."""
    return now - int.from_bytes(random, "big") % (most + 1)


def unwrap(wrap: VerifiedEvent, secret: SecretKey, *, now: int) -> Unwrapped | WrapRejected:
    """Open a gift wrap addressed to us and check all that NIP-59 and NIP-17 promise; `now` is Unix seconds."""
    if flaw := _flaw_of_wrap(wrap, secret.pubkey):
        return flaw
    try:
        sealed = _read_seal(_decrypt(wrap, secret))
        if isinstance(sealed, WrapRejected):
            return sealed
        rumor = _read_rumor(_decrypt(sealed, secret))
    except RemoteProtocolError as error:
        return WrapRejected(WrapFlaw.UNREADABLE, str(error))
    if isinstance(rumor, WrapRejected):
        return rumor
    return _flaw_of_layers(wrap, sealed, rumor, now) or Unwrapped(sealed.pubkey, rumor)


class _Rumor(msgspec.Struct):
    """A rumor as we seal it."""

    id: str
    pubkey: Pubkey
    created_at: int
    kind: int
    tags: Tags
    content: str


class _FoundRumor(msgspec.Struct):
    """A rumor as other clients seal it."""

    pubkey: Pubkey
    created_at: Annotated[int, msgspec.Meta(ge=0, le=MAX_CREATED_AT)]
    kind: Annotated[int, msgspec.Meta(ge=0, le=kinds.MAX_KIND)]
    tags: Tags
    content: str
    id: str | None = None
    sig: str | None = None


_encode: Final = msgspec.json.Encoder().encode
_decode_rumor: Final = msgspec.json.Decoder(_FoundRumor).decode


def _seal(
    rumor: UnsignedEvent, sender: SecretKey, key: bytes, *, created_at: int, nonce: bytes, aux: bytes
) -> SignedEvent:
    if rumor.pubkey != sender.pubkey:
        raise LocalProtocolError("a seal is signed by the rumor's own author")
    plain = _Rumor(rumor.id, rumor.pubkey, rumor.created_at, rumor.kind, rumor.tags, rumor.content)
    content = nip44.encrypt_bytes(_encode(plain), key, nonce)
    return sender.sign(UnsignedEvent(sender.pubkey, created_at, kinds.SEAL, (), content), aux)


def _flaw_of_wrap(wrap: VerifiedEvent, recipient: Pubkey) -> WrapRejected | None:
    if wrap.kind != kinds.GIFT_WRAP:
        return WrapRejected(WrapFlaw.NOT_A_WRAP, f"kind {wrap.kind}")
    if [tag[1:2] for tag in wrap.tags if tag[0] == "p"] != [(recipient,)]:
        return WrapRejected(WrapFlaw.NOT_FOR_US, "it is not addressed to us, and to us alone")
    return None


def _decrypt(event: VerifiedEvent, secret: SecretKey) -> bytes:
    return nip44.decrypt_bytes(event.content, nip44.conversation_key(secret, event.pubkey))


def _read_seal(raw: bytes) -> VerifiedEvent | WrapRejected:
    sealed = verify_json(raw)
    if isinstance(sealed, Rejected):
        return WrapRejected(WrapFlaw.BAD_SEAL, f"{sealed.reason.value}: {sealed.detail}")
    if sealed.kind != kinds.SEAL or sealed.tags:
        return WrapRejected(WrapFlaw.BAD_SEAL, "a seal is of kind 13 and has no tags (NIP-59)")
    return sealed


def _read_rumor(raw: bytes) -> UnsignedEvent | WrapRejected:
    try:
        plain = _decode_rumor(raw)
        read_json(raw)  # the typed decoder lets repeated keys pass
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return WrapRejected(WrapFlaw.BAD_RUMOR, f"not a strict rumor: {error}")
    if plain.sig:
        return WrapRejected(WrapFlaw.BAD_RUMOR, "a rumor is unsigned (NIP-59)")  # signed, it could be published
    if () in plain.tags or plain.kind in _NESTED:
        return WrapRejected(WrapFlaw.BAD_RUMOR, f"kind {plain.kind} in a seal, or a tag without a name")
    rumor = UnsignedEvent(plain.pubkey, plain.created_at, plain.kind, plain.tags, plain.content)
    if plain.id and plain.id != rumor.id:
        return WrapRejected(WrapFlaw.BAD_RUMOR, "the id is not the hash of the rumor")
    return rumor


def _flaw_of_layers(wrap: VerifiedEvent, sealed: VerifiedEvent, rumor: UnsignedEvent, now: int) -> WrapRejected | None:
    if rumor.pubkey != sealed.pubkey:
        # NIP-17: else an attacker could send a message under another person's name
        return WrapRejected(WrapFlaw.FORGED_SENDER, "the rumor names another author than the seal's signer")
    if max(wrap.created_at, sealed.created_at, rumor.created_at) > now + MAX_FUTURE:
        return WrapRejected(WrapFlaw.BAD_TIME, "it is dated in the future")
    return None

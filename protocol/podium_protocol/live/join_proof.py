"""The join proof, kind 27235: one signature that says who enters, from which browser, and to what they consent.

It is a NIP-98 login for the join call with more tags (wire-formats.md, "Join proof"). The daemon keeps the signed event
as proof of identity and of consent. Single use of the nonce is the caller's to enforce, with `JoinProof.nonce`.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import msgspec

from podium_protocol import tags
from podium_protocol.addresses import Address
from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import EventId, Pubkey, UnsignedEvent, VerifiedEvent, hex_bytes
from podium_protocol.live import fields
from podium_protocol.live.guests import door_name
from podium_protocol.nips import nip98
from podium_protocol.tags import Tags

WINDOW: Final = 60
"""Seconds: how old a proof may be, and how long the daemon's nonce lives."""

_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{16,128}")
_FINGERPRINT: Final = re.compile(r"sha-256 [0-9A-F]{2}(:[0-9A-F]{2}){31}")
_NO_NAME: Final = "a name has 1 to 40 characters, and is no key"
_OWN_TAGS: Final = ("a", "nonce", "fingerprint", "recording_consent", "device", "name")


class Consent(msgspec.Struct, frozen=True):
    """The answer to the recording policy with this SHA-256 (hex): the text that was shown."""

    given: bool
    policy_hash: str


class JoinExpectation(msgspec.Struct, frozen=True, kw_only=True):
    """The requirements of the daemon on a join proof.

    Args:
        url: the join call's, built from the configured public URL.
        method: that of the join call.
        body: that of the join call.
        session_address: the session address.
        nonce: issued by the daemon.
        issued_at: when that was, in Unix seconds.
        policy_hash: SHA-256 (hex) of the recording policy that was shown, or None if none was.
        media: whether the browser made an offer, so that a fingerprint must be there.
        fingerprint: of the offer that came with the call, where it is known already.
    """

    url: str
    method: str
    body: bytes | None
    session_address: str
    nonce: str
    issued_at: int
    policy_hash: str | None = None
    media: bool = False
    fingerprint: str | None = None


class JoinProof(msgspec.Struct, frozen=True, kw_only=True):
    """A proof that was checked. `consent` is None where no recording policy was shown.

    `name`: what the person wants to be called in this session, cleaned (`live.guests.door_name`); None if not said.
    """

    pubkey: Pubkey
    event_id: EventId
    created_at: int
    session_address: str
    nonce: str
    device: str
    fingerprint: str | None
    consent: Consent | None
    name: str | None = None


class RefusalReason(StrEnum):
    """Why a proof was not accepted."""

    LOGIN = "login"
    REPEATED_TAG = "repeated_tag"
    WRONG_SESSION = "wrong_session"
    WRONG_NONCE = "wrong_nonce"
    STALE_NONCE = "stale_nonce"
    NO_DEVICE = "no_device"
    WRONG_FINGERPRINT = "wrong_fingerprint"
    WRONG_CONSENT = "wrong_consent"
    WRONG_NAME = "wrong_name"


class ProofRefusal(msgspec.Struct, frozen=True):
    """A refusal, with words for the person."""

    reason: RefusalReason
    detail: str


def write_join_proof(
    pubkey: Pubkey,
    *,
    url: str,
    method: str,
    body: bytes | None,
    session: Address,
    nonce: str,
    device: str,
    now: int,
    fingerprint: str | None = None,
    consent: Consent | None = None,
    name: str | None = None,
) -> UnsignedEvent:
    """Write the join proof for `pubkey` to sign; `name` is what they want to be called in this session.

    Raises:
        LocalProtocolError: a device, nonce, fingerprint, policy hash or name that no check would pass.
    """
    if name is not None and door_name(name) is None:
        raise LocalProtocolError(_NO_NAME)
    fits = (
        fields.device(device) is not None
        and _NONCE.fullmatch(nonce) is not None
        and (fingerprint is None or _FINGERPRINT.fullmatch(fingerprint) is not None)
        and (consent is None or hex_bytes(consent.policy_hash, 32) is not None)
    )
    if not fits:
        raise LocalProtocolError(
            "a join proof has a device and a nonce of letters, digits, - and _, a fingerprint as in SDP (sha-256, then "
            "32 pairs of capital hex digits) and a policy hash of 64 lowercase hex digits"
        )
    extra = tags.build(
        (
            ("a", str(session)),
            ("nonce", nonce),
            ("fingerprint", fingerprint) if fingerprint else None,
            ("recording_consent", "yes" if consent.given else "no", consent.policy_hash) if consent else None,
            ("device", device),
            None if name is None else ("name", name),
        )
    )
    return nip98.write(pubkey, url, method, body, now, extra_tags=extra)


def check_join_proof(event: VerifiedEvent, expected: JoinExpectation, now: int) -> JoinProof | ProofRefusal:
    """Check that `event` proves this join at `now` (Unix seconds); return the proof or the reason against it."""
    login = nip98.check(event, url=expected.url, method=expected.method, body=expected.body, now=now, window=WINDOW)
    if isinstance(login, nip98.LoginRefusal):
        return ProofRefusal(RefusalReason.LOGIN, login.reason)
    refusal = _flaw(event.tags, expected, now)
    if refusal is not None:
        return refusal
    return JoinProof(
        pubkey=event.pubkey,
        event_id=event.id,
        created_at=event.created_at,
        session_address=expected.session_address,
        nonce=expected.nonce,
        device=tags.first(event.tags, "device") or "",
        fingerprint=tags.first(event.tags, "fingerprint"),
        consent=read_consent(event.tags),
        name=door_name(tags.first(event.tags, "name") or ""),
    )


def _flaw(rows: Tags, expected: JoinExpectation, now: int) -> ProofRefusal | None:
    # a proof that names two sessions, or says yes and no, could be shown to two judges with two results
    if any(fields.is_repeated(rows, name) for name in _OWN_TAGS):
        return ProofRefusal(RefusalReason.REPEATED_TAG, "the proof has a tag twice")
    if tags.first(rows, "a") != expected.session_address:
        return ProofRefusal(RefusalReason.WRONG_SESSION, "the proof is for another session")
    if tags.first(rows, "nonce") != expected.nonce:
        return ProofRefusal(RefusalReason.WRONG_NONCE, "the proof does not answer this challenge: ask for a new one")
    if not 0 <= now - expected.issued_at <= WINDOW:
        return ProofRefusal(RefusalReason.STALE_NONCE, f"the challenge is older than {WINDOW} s: ask for a new one")
    if fields.device(tags.first(rows, "device") or "") is None:
        return ProofRefusal(RefusalReason.NO_DEVICE, "the proof names no device")
    return _flaw_of_fingerprint(rows, expected) or _flaw_of_consent(rows, expected) or _flaw_of_name(rows)


def _flaw_of_fingerprint(rows: Tags, expected: JoinExpectation) -> ProofRefusal | None:
    stated = tags.first(rows, "fingerprint")
    well_formed = stated is not None and _FINGERPRINT.fullmatch(stated) is not None
    if (stated is not None or expected.media) and not well_formed:
        return ProofRefusal(RefusalReason.WRONG_FINGERPRINT, "the proof names no DTLS certificate of the browser")
    if expected.fingerprint is not None and stated != expected.fingerprint:
        # else an attacker who relays the offer could put their own certificate into it and listen in
        return ProofRefusal(RefusalReason.WRONG_FINGERPRINT, "the offer has another certificate than the proof")
    return None


def _flaw_of_consent(rows: Tags, expected: JoinExpectation) -> ProofRefusal | None:
    consent = read_consent(rows)
    if expected.policy_hash is None:
        return None
    if consent is None:
        return ProofRefusal(RefusalReason.WRONG_CONSENT, "the proof does not answer the recording policy: yes or no")
    if consent.policy_hash != expected.policy_hash:
        return ProofRefusal(RefusalReason.WRONG_CONSENT, "the recording policy has changed: read it and answer again")
    return None


def _flaw_of_name(rows: Tags) -> ProofRefusal | None:
    if all(len(row) > 1 and door_name(row[1]) is not None for row in tags.named(rows, "name")):
        return None
    return ProofRefusal(RefusalReason.WRONG_NAME, _NO_NAME)


def read_consent(rows: Tags) -> Consent | None:
    """Read the answer to a recording policy from a join proof's tags, or None if there is no clear answer."""
    row = next(tags.named(rows, "recording_consent"), ())
    if len(row) < 3 or row[1] not in ("yes", "no") or hex_bytes(row[2], 32) is None:
        return None
    return Consent(row[1] == "yes", row[2])

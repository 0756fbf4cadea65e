"""The join proof."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from podium_protocol.addresses import Address
from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import UnsignedEvent, VerifiedEvent
from podium_protocol.live.join_proof import (
    Consent,
    JoinExpectation,
    JoinProof,
    ProofRefusal,
    RefusalReason,
    check_join_proof,
    write_join_proof,
)
from tests.support.events import NOW, key_of, seeded, verify_or_fail

INSTRUCTOR, GUEST = key_of(1), key_of(2)
SESSION = Address(31923, INSTRUCTOR.pubkey, "knots")
URL = "https://podium.example/api/sessions/x/room"
BODY = b'{"offer":"v=0"}'
POLICY_HASH = hashlib.sha256(b"We record.").hexdigest()
FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)
NONCE = "n0nce_n0nce-n0nce"
EXPECTED = JoinExpectation(
    url=URL,
    method="POST",
    body=BODY,
    session_address=str(SESSION),
    nonce=NONCE,
    issued_at=NOW - 10,
    policy_hash=POLICY_HASH,
    media=True,
    fingerprint=FINGERPRINT,
)


def proof(**changes: object) -> UnsignedEvent:
    """A good proof by the guest, with some arguments changed."""
    arguments: dict[str, object] = {
        "url": URL,
        "method": "POST",
        "body": BODY,
        "session": SESSION,
        "nonce": NONCE,
        "device": "phone",
        "now": NOW,
        "fingerprint": FINGERPRINT,
        "consent": Consent(given=True, policy_hash=POLICY_HASH),
    }
    return write_join_proof(GUEST.pubkey, **(arguments | changes))  # type: ignore[arg-type]  # named by the test


def signed(event: UnsignedEvent) -> VerifiedEvent:
    """The proof, signed."""
    return verify_or_fail(GUEST.sign(event, seeded("aux")))


def refusal(event: UnsignedEvent, expected: JoinExpectation = EXPECTED, now: int = NOW) -> RefusalReason:
    """The reason for which the proof is refused."""
    result = check_join_proof(signed(event), expected, now)
    assert isinstance(result, ProofRefusal), result
    assert result.detail
    return result.reason


def test_a_good_proof_says_who_enters_and_to_what_they_consent() -> None:
    """Person, session, device, certificate, consent, and the id to keep."""
    event = signed(proof())
    assert check_join_proof(event, EXPECTED, NOW) == JoinProof(
        pubkey=GUEST.pubkey,
        event_id=event.id,
        created_at=NOW,
        session_address=str(SESSION),
        nonce=NONCE,
        device="phone",
        fingerprint=FINGERPRINT,
        consent=Consent(given=True, policy_hash=POLICY_HASH),
    )


def test_the_event_is_the_one_of_wire_formats() -> None:
    """Kind 27235 with each tag once."""
    event = proof()
    assert (event.kind, event.content) == (27235, "")
    assert event.tags == (
        ("u", URL),
        ("method", "POST"),
        ("payload", hashlib.sha256(BODY).hexdigest()),
        ("a", str(SESSION)),
        ("nonce", NONCE),
        ("fingerprint", FINGERPRINT),
        ("recording_consent", "yes", POLICY_HASH),
        ("device", "phone"),
    )


def test_no_is_an_answer() -> None:
    """Who refuses to be recorded has proved who they are all the same."""
    result = check_join_proof(signed(proof(consent=Consent(given=False, policy_hash=POLICY_HASH))), EXPECTED, NOW)
    assert isinstance(result, JoinProof)
    assert result.consent == Consent(given=False, policy_hash=POLICY_HASH)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"url": URL + "?x=1"}, RefusalReason.LOGIN),
        ({"method": "GET"}, RefusalReason.LOGIN),
        ({"body": b"other"}, RefusalReason.LOGIN),
        ({"body": None}, RefusalReason.LOGIN),
        ({"now": NOW - 61}, RefusalReason.LOGIN),
        ({"now": NOW + 61}, RefusalReason.LOGIN),
        ({"session": Address(31923, INSTRUCTOR.pubkey, "other")}, RefusalReason.WRONG_SESSION),
        ({"nonce": "another-nonce-of-ours"}, RefusalReason.WRONG_NONCE),
        ({"fingerprint": None}, RefusalReason.WRONG_FINGERPRINT),
        ({"fingerprint": FINGERPRINT.replace("AB", "CD")}, RefusalReason.WRONG_FINGERPRINT),
        ({"consent": None}, RefusalReason.WRONG_CONSENT),
        ({"consent": Consent(given=True, policy_hash="0" * 64)}, RefusalReason.WRONG_CONSENT),
    ],
)
def test_a_proof_for_something_else_is_refused(changes: dict[str, object], reason: RefusalReason) -> None:
    """Another call, session, challenge, certificate or policy."""
    assert refusal(proof(**changes)) is reason


def test_an_old_challenge_is_refused() -> None:
    """After 60 s, and one from the future too."""
    assert refusal(proof(), msgspec.structs.replace(EXPECTED, issued_at=NOW - 61)) is RefusalReason.STALE_NONCE
    assert refusal(proof(), msgspec.structs.replace(EXPECTED, issued_at=NOW + 1)) is RefusalReason.STALE_NONCE


@pytest.mark.parametrize(
    "row",
    [
        ("a", f"31923:{INSTRUCTOR.pubkey}:other"),
        ("nonce", "another-nonce-of-ours"),
        ("recording_consent", "no", POLICY_HASH),
        ("fingerprint", FINGERPRINT),
        ("device", "laptop"),
    ],
)
def test_a_proof_with_two_answers_is_refused(row: tuple[str, ...]) -> None:
    """It could be shown to two judges with two results."""
    event = proof()
    doubled = msgspec.structs.replace(event, tags=(*event.tags, row))
    assert refusal(doubled) is RefusalReason.REPEATED_TAG


@pytest.mark.parametrize("device", ["", "a b", "a#b", "x" * 65])
def test_a_device_that_is_none_is_refused(device: str) -> None:
    """It becomes part of the engine's identity."""
    event = proof()
    rows = tuple(("device", device) if row[0] == "device" else row for row in event.tags)
    assert refusal(msgspec.structs.replace(event, tags=rows)) is RefusalReason.NO_DEVICE


@pytest.mark.parametrize("row", [("recording_consent",), ("recording_consent", "maybe", POLICY_HASH)])
def test_an_unclear_consent_is_none(row: tuple[str, ...]) -> None:
    """Yes or no, with the hash of what was shown."""
    event = proof()
    rows = tuple(row if old[0] == "recording_consent" else old for old in event.tags)
    assert refusal(msgspec.structs.replace(event, tags=rows)) is RefusalReason.WRONG_CONSENT


def test_without_media_and_recording_less_is_asked() -> None:
    """A room on another page needs neither certificate nor consent; a malformed certificate is refused even there."""
    plain = msgspec.structs.replace(EXPECTED, policy_hash=None, media=False, fingerprint=None)
    result = check_join_proof(signed(proof(fingerprint=None, consent=None)), plain, NOW)
    assert isinstance(result, JoinProof)
    assert (result.fingerprint, result.consent) == (None, None)
    event = proof()
    rows = tuple(("fingerprint", "sha-1 AB") if row[0] == "fingerprint" else row for row in event.tags)
    assert refusal(msgspec.structs.replace(event, tags=rows), plain) is RefusalReason.WRONG_FINGERPRINT


@pytest.mark.parametrize(
    "changes",
    [
        {"device": "a b"},
        {"nonce": "short"},
        {"fingerprint": "sha-256 ab:cd"},
        {"consent": Consent(given=True, policy_hash="x")},
    ],
)
def test_a_proof_that_no_check_would_pass_is_not_written(changes: dict[str, object]) -> None:
    """It fails where it is made."""
    with pytest.raises(LocalProtocolError, match="a join proof has"):
        proof(**changes)

from __future__ import annotations

import copy
import csv
import io
import pickle
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nostr_sdk import Keys

from podium_protocol import schnorr
from podium_protocol.errors import LocalProtocolError
from podium_protocol.schnorr import Keypair
from tests.support.events import key_of, seeded
from tests.support.vectors import read_vectors

VECTORS = list(csv.DictReader(io.StringIO(read_vectors("bip340.csv"))))
SIGNING = [row for row in VECTORS if row["secret key"]]

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
FIELD = 2**256 - 2**32 - 977
DIGEST = seeded("digest")
KEYPAIR = Keypair(key_of(1).expose())
SIGNATURE = KEYPAIR.sign(DIGEST, seeded("aux"))


@pytest.mark.parametrize("row", VECTORS, ids=[row["index"] for row in VECTORS])
def test_bip340_verification(row: dict[str, str]) -> None:
    """Official vectors: good signatures, bad ones, points off the curve, numbers out of range."""
    result = schnorr.verify(*(bytes.fromhex(row[name]) for name in ("public key", "message", "signature")))
    assert result is (row["verification result"] == "TRUE")


@pytest.mark.parametrize("row", SIGNING, ids=[row["index"] for row in SIGNING])
def test_bip340_signing(row: dict[str, str]) -> None:
    """Official vectors: the public key and, for digests of 32 bytes, the signature to the last bit."""
    keypair = Keypair(bytes.fromhex(row["secret key"]))
    assert keypair.pubkey == bytes.fromhex(row["public key"])
    if len(row["message"]) == 64:
        signature = keypair.sign(bytes.fromhex(row["message"]), bytes.fromhex(row["aux_rand"]))
        assert signature == bytes.fromhex(row["signature"])


def test_no_bit_of_a_signature_can_be_changed() -> None:
    """Each of its 512, and each of the digest's 256."""
    assert schnorr.verify(KEYPAIR.pubkey, DIGEST, SIGNATURE)
    for data, place in [(0, bit) for bit in range(256)] + [(1, bit) for bit in range(512)]:
        parts = [bytearray(DIGEST), bytearray(SIGNATURE)]
        parts[data][place // 8] ^= 1 << place % 8
        assert not schnorr.verify(KEYPAIR.pubkey, bytes(parts[0]), bytes(parts[1]))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_public_key_of_another_length_is_none(length: int) -> None:
    """C would read past its end."""
    assert not schnorr.verify((KEYPAIR.pubkey * 3)[:length], DIGEST, SIGNATURE)
    assert not schnorr.is_public_key((KEYPAIR.pubkey * 3)[:length])
    assert KEYPAIR.shared_x((KEYPAIR.pubkey * 3)[:length]) is None


@pytest.mark.parametrize("length", [0, 63, 65, 128])
def test_a_signature_of_another_length_is_none(length: int) -> None:
    """C would read past its end."""
    assert not schnorr.verify(KEYPAIR.pubkey, DIGEST, (SIGNATURE * 3)[:length])


@pytest.mark.parametrize("number", [0, 5, FIELD, 2**256 - 1])
def test_points_off_the_curve_are_no_keys(number: int) -> None:
    """Zero, an x without a y, the field's own size, all ones."""
    point = number.to_bytes(32, "big")
    assert not schnorr.is_public_key(point)
    assert not schnorr.verify(point, DIGEST, SIGNATURE)
    assert KEYPAIR.shared_x(point) is None


@pytest.mark.parametrize("secret", [b"", bytes(31), bytes(32), bytes(33), ORDER.to_bytes(32, "big"), b"\xff" * 32])
def test_numbers_out_of_range_are_no_secrets(secret: bytes) -> None:
    """Zero, the curve's order and more, other lengths; the message does not repeat them."""
    with pytest.raises(LocalProtocolError, match="from 1 to") as caught:
        Keypair(secret)
    assert not secret or secret.hex() not in str(caught.value)


@pytest.mark.parametrize("number", [1, 2, ORDER - 1])
def test_the_ends_of_the_range_are_secrets(number: int) -> None:
    """They sign and verify like others."""
    keypair = Keypair(number.to_bytes(32, "big"))
    assert schnorr.verify(keypair.pubkey, DIGEST, keypair.sign(DIGEST, bytes(32)))


@pytest.mark.parametrize(
    ("digest", "aux"), [(b"", bytes(32)), (bytes(31), bytes(32)), (bytes(32), b""), (bytes(32), bytes(33))]
)
def test_digest_and_randomness_are_32_bytes(digest: bytes, aux: bytes) -> None:
    """C would read past their end."""
    with pytest.raises(LocalProtocolError, match="32 bytes"):
        KEYPAIR.sign(digest, aux)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_both_sides_share_the_same_x(one: int, other: int) -> None:
    """Also where the point's y is odd, which x-only keys leave open."""
    first, second = Keypair(key_of(one).expose()), Keypair(key_of(other).expose())
    assert first.shared_x(second.pubkey) == second.shared_x(first.pubkey)


def test_nostr_sdk_verifies_our_signatures_and_we_theirs() -> None:
    """An independent implementation agrees on key and signature."""
    theirs = Keys.parse(key_of(1).expose().hex())
    assert theirs.public_key().to_hex() == KEYPAIR.pubkey.hex()
    assert schnorr.verify(KEYPAIR.pubkey, DIGEST, bytes.fromhex(theirs.sign_schnorr(DIGEST)))


def test_a_keypair_never_shows_its_secret() -> None:
    """Neither repr, str and format nor pickle and copy."""
    secret = key_of(1).expose().hex()
    shown = f"{KEYPAIR!r} {KEYPAIR!s} {KEYPAIR} {[KEYPAIR]}"
    assert KEYPAIR.pubkey.hex() in shown
    assert secret not in shown
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            leave(KEYPAIR)


def test_threads_do_not_disturb_each_other() -> None:
    """Verification runs without the interpreter's lock, so each thread has a buffer of its own."""
    keypairs = [Keypair(key_of(number).expose()) for number in range(4)]
    signatures = [keypair.sign(DIGEST, bytes(32)) for keypair in keypairs]
    wrong: list[int] = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def verify_often(number: int) -> None:
        for turn in range(1000):
            other = (number + turn) % 4
            if schnorr.verify(keypairs[number].pubkey, DIGEST, signatures[other]) is not (other == number):
                wrong.append(number)

    threads = [threading.Thread(target=verify_often, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    assert wrong == []

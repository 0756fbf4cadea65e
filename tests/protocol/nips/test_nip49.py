"""NIP-49, against its published example and against nostr-sdk."""

from __future__ import annotations

import json
import os
import re

import nostr_sdk as sdk
import pytest

from podium_protocol.errors import InvalidInput, LocalProtocolError
from podium_protocol.keys import SecretKey
from podium_protocol.nips import bech32, nip49
from podium_protocol.nips.nip49 import KeySecurity, decrypt, encrypt
from tests.support.relays import new_key
from tests.support.vectors import read_vectors

PASSWORD = "nostr"
LIGHT = 4  # log_n: what a test checks is not how long scrypt takes
LINES: list[str] = json.loads(read_vectors("nip49-vectors.json"))["lines"]
UNICODE = "\u212b\u2126\u1e9b\u0323"
NORMAL = bytes([0xC3, 0x85, 0xCE, 0xA9, 0xE1, 0xB9, 0xA9]).decode()


@pytest.fixture
def secret() -> SecretKey:
    """A fresh key."""
    return new_key()


def sealed(
    secret: SecretKey, password: str = PASSWORD, *, log_n: int = LIGHT, security: KeySecurity = KeySecurity.UNTRACKED
) -> str:
    """An ncryptsec with fresh randomness."""
    return encrypt(secret, password, salt=os.urandom(16), nonce=os.urandom(24), log_n=log_n, security=security)


def changed(text: str, place: int, value: int) -> str:
    """The same text with another byte at `place`, and a good checksum."""
    _, data = bech32.decode(text)
    return bech32.encode(nip49.PREFIX, data[:place] + bytes((value,)) + data[place + 1 :])


def test_the_published_example_decrypts() -> None:
    """The NIP's own ncryptsec opens with its password, at log_n 16."""
    (text,) = (found[0] for line in LINES if (found := re.findall(r"ncryptsec1[a-z0-9]+", line)))
    assert any("password='nostr' and log_n=16" in line for line in LINES)
    assert bech32.decode(text)[1][1] == 16
    opened = decrypt(text, "nostr")
    assert opened.secret.expose().hex() == "3501454135014541350145413501453fefb02227e449e57cf4d3a3ce05378683"


def test_the_published_password_is_normalised(secret: SecretKey) -> None:
    """The NIP's Unicode example opens what its NFKC form sealed."""
    assert any(UNICODE in line for line in LINES)
    assert UNICODE != NORMAL
    assert decrypt(sealed(secret, NORMAL), UNICODE).secret == secret
    assert decrypt(sealed(secret, UNICODE), NORMAL).secret == secret


@pytest.mark.parametrize("security", list(KeySecurity))
def test_what_is_encrypted_is_decrypted_with_its_past(secret: SecretKey, security: KeySecurity) -> None:
    """Key and security byte come back; the text is 91 bytes and does not hold the key."""
    text = sealed(secret, security=security)
    assert decrypt(text, "nostr") == nip49.Decrypted(secret, security)
    assert decrypt(text.upper(), "nostr").secret == secret
    data = bech32.decode(text)[1]
    assert len(data) == 91
    assert secret.expose() not in data


@pytest.mark.real_peer
@pytest.mark.parametrize("password", ["nostr", " with spaces ", UNICODE, "密碼🔑"])
def test_nostr_sdk_opens_ours_and_we_open_its(secret: SecretKey, password: str) -> None:
    """Both directions with a program nobody here wrote, non-ASCII passwords included."""
    ours = sdk.EncryptedSecretKey.from_bech32(sealed(secret, password))
    assert ours.decrypt(password).to_hex() == secret.expose().hex()
    theirs = sdk.SecretKey.parse(secret.expose().hex()).encrypt(password).to_bech32()
    assert decrypt(theirs, password).secret == secret


@pytest.mark.parametrize("password", ["", "Nostr", "nostr ", "nostr\n"])
def test_another_password_is_refused_and_not_repeated(secret: SecretKey, password: str) -> None:
    """Any other password fails, white space counts, and the error shows neither key nor password."""
    with pytest.raises(InvalidInput, match="password is wrong") as caught:
        decrypt(sealed(secret), password)
    assert "nostr" not in str(caught.value).lower()
    assert caught.value.__cause__ is None


@pytest.mark.family("NIP-46 and NIP-49")
@pytest.mark.parametrize("place", [*range(2, 91, 7), 90])
def test_every_part_is_authenticated(secret: SecretKey, place: int) -> None:
    """A changed byte of salt, nonce, security byte, key or tag is refused, however good the checksum."""
    text = sealed(secret)
    flipped = bech32.decode(text)[1][place] ^ 1
    with pytest.raises(InvalidInput):
        decrypt(changed(text, place, flipped), "nostr")


@pytest.mark.family("NIP-46 and NIP-49")
@pytest.mark.parametrize("log_n", [0, 19, 20, 22, 40, 63, 64, 255])
def test_the_cost_is_looked_at_before_scrypt_runs(
    secret: SecretKey, log_n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that asks for more than 256 MiB, or for an impossible cost, is refused without any work."""
    text = changed(sealed(secret), 1, log_n)

    def never(*_: object, **__: object) -> bytes:
        raise AssertionError("scrypt ran")

    monkeypatch.setattr(nip49.hashlib, "scrypt", never)
    with pytest.raises(InvalidInput, match=f"log_n {log_n}"):
        decrypt(text, "nostr")


@pytest.mark.family("NIP-46 and NIP-49")
@pytest.mark.parametrize("version", [0, 1, 3, 255])
def test_other_versions_are_refused(secret: SecretKey, version: int) -> None:
    """Only version 2 is known."""
    with pytest.raises(InvalidInput, match="version"):
        decrypt(changed(sealed(secret), 0, version), "nostr")


@pytest.mark.parametrize("security", [3, 255])
def test_an_unknown_security_byte_is_refused(secret: SecretKey, security: int) -> None:
    """NIP-49 knows three values."""
    with pytest.raises(InvalidInput, match="security byte"):
        decrypt(changed(sealed(secret), 42, security), "nostr")


@pytest.mark.family("NIP-46 and NIP-49")
@pytest.mark.parametrize("size", [0, 1, 42, 43, 90, 92, 200])
def test_other_lengths_are_refused(size: int) -> None:
    """91 bytes, not one more or less."""
    with pytest.raises(InvalidInput, match="version"):
        decrypt(bech32.encode(nip49.PREFIX, (b"\x02\x04" + bytes(200))[:size]), "nostr")


def test_other_texts_are_refused_and_not_repeated(secret: SecretKey) -> None:
    """Another prefix, a bad checksum, mixed case, surrounding space: each refused without an echo."""
    text = sealed(secret)
    swapped = bech32.encode("nsec", bech32.decode(text)[1])
    for bad in (swapped, text[:-1], text[:-1] + ("q" if text[-1] != "q" else "p"), f" {text}", text.title(), "", "x"):
        with pytest.raises(InvalidInput) as caught:
            decrypt(bad, "nostr")
        assert len(bad) < 2 or bad not in str(caught.value)


def test_a_sealed_zero_is_no_key() -> None:
    """32 bytes that are no scalar are refused even under the right password."""
    salt, nonce = os.urandom(16), os.urandom(24)
    key = nip49._derive("nostr", salt, LIGHT)
    body = nip49.crypto_aead_xchacha20poly1305_ietf_encrypt(bytes(32), b"\x02", nonce, key)
    with pytest.raises(InvalidInput, match="no secret key"):
        decrypt(bech32.encode(nip49.PREFIX, bytes((2, LIGHT)) + salt + nonce + b"\x02" + body), "nostr")


def test_a_password_that_is_no_text_is_refused(secret: SecretKey) -> None:
    """A lone surrogate and an empty password seal nothing."""
    with pytest.raises(InvalidInput, match="Unicode"):
        sealed(secret, "a\ud800")
    with pytest.raises(InvalidInput, match="empty"):
        sealed(secret, "")


def test_wrong_sizes_are_our_own_fault(secret: SecretKey) -> None:
    """Too costly or too short values are refused before anything is encrypted."""
    for salt, nonce, log_n in ((15, 24, LIGHT), (16, 12, LIGHT), (16, 24, 19), (16, 24, 0)):
        with pytest.raises(LocalProtocolError):
            encrypt(secret, "nostr", salt=bytes(salt), nonce=bytes(nonce), log_n=log_n)

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import nostr_sdk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_protocol.errors import LocalProtocolError, RemoteProtocolError
from podium_protocol.keys import SecretKey
from podium_protocol.limits import MAX_ENCRYPTED_CHARS
from podium_protocol.nips import nip44
from tests.support.events import key_of, seeded
from tests.support.vectors import read_vectors

_FILE = read_vectors("nip44.vectors.json")
VECTORS = json.loads(_FILE)["v2"]
VALID, INVALID = VECTORS["valid"], VECTORS["invalid"]

ALICE, BOB = key_of(1), key_of(2)
KEY = nip44.conversation_key(ALICE, BOB.pubkey)
NONCE = seeded("nonce")
PAYLOAD = nip44.encrypt("hello", KEY, NONCE)
PADDED = nip44.encrypt("h" * 33, KEY, NONCE)  # its base64 ends in `=`


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def forge(padded: bytes, *, version: int = 2) -> str:
    """A payload with a good MAC over whatever stands in it: what a malicious peer can make, and nobody else."""
    cipher_key, cipher_nonce, mac_key = nip44._message_keys(KEY, NONCE)
    ciphertext = nip44._chacha20(cipher_key, cipher_nonce, padded)
    mac = hmac.digest(mac_key, NONCE + ciphertext, "sha256")
    return base64.b64encode(bytes([version]) + NONCE + ciphertext + mac).decode()


def test_the_vectors_are_the_official_ones() -> None:
    """The digest of the file is the one printed in NIP-44."""
    assert sha256(_FILE) == "269ed0f69e4c192512cc779e78c555090cebc7c785b609e338a62afc3ce25040"


@pytest.mark.family("NIP-44")
@pytest.mark.parametrize("case", VALID["get_conversation_key"], ids=range(35))
def test_conversation_keys(case: dict[str, str]) -> None:
    """Official vectors: the key of a secret and a public key."""
    assert nip44.conversation_key(SecretKey.from_hex(case["sec1"]), case["pub2"]).hex() == case["conversation_key"]  # type: ignore[arg-type]  # JSON


@pytest.mark.family("NIP-44")
@pytest.mark.parametrize("case", VALID["get_message_keys"]["keys"], ids=range(32))
def test_message_keys(case: dict[str, str]) -> None:
    """Official vectors: the three keys of one message."""
    conversation_key = bytes.fromhex(VALID["get_message_keys"]["conversation_key"])
    keys = nip44._message_keys(conversation_key, bytes.fromhex(case["nonce"]))
    assert [key.hex() for key in keys] == [case["chacha_key"], case["chacha_nonce"], case["hmac_key"]]


@pytest.mark.family("NIP-44")
@pytest.mark.parametrize(("length", "padded"), VALID["calc_padded_len"])
def test_padded_lengths(length: int, padded: int) -> None:
    """Official vectors: how far a text is padded."""
    assert nip44.padded_length(length) == padded


@pytest.mark.family("NIP-44")
@pytest.mark.parametrize("case", VALID["encrypt_decrypt"], ids=range(10))
def test_encryption_and_decryption(case: dict[str, str]) -> None:
    """Official vectors: the payload, and the text back, from either side."""
    one, other = SecretKey.from_hex(case["sec1"]), SecretKey.from_hex(case["sec2"])
    key = nip44.conversation_key(one, other.pubkey)
    assert key == nip44.conversation_key(other, one.pubkey) == bytes.fromhex(case["conversation_key"])
    assert nip44.encrypt(case["plaintext"], key, bytes.fromhex(case["nonce"])) == case["payload"]
    assert nip44.decrypt(case["payload"], key) == case["plaintext"]


@pytest.mark.family("NIP-44")
@pytest.mark.parametrize("case", VALID["encrypt_decrypt_long_msg"], ids=range(3))
def test_long_messages(case: dict[str, str]) -> None:
    """Official vectors: digests of long payloads."""
    text = case["pattern"] * int(case["repeat"])
    assert sha256(text) == case["plaintext_sha256"]
    key = bytes.fromhex(case["conversation_key"])
    payload = nip44.encrypt(text, key, bytes.fromhex(case["nonce"]))
    assert sha256(payload) == case["payload_sha256"]
    assert nip44.decrypt(payload, key) == text


@pytest.mark.parametrize(
    ("length", "digest"),
    [
        (65535, "6d8c2810d1e870fbaa1f0a0937126cca837a15f9260e27060c331d70a3c0bc84"),
        (65536, "b7b4edb36ba92e267d322d56d9aebc22e7fa96ff52e3c12adc07f07a43cbc616"),
        (65537, "eeb7c7c5373894ea2c1547cfd3ccb15d5a0b2d619da852e5c79df792dcc9e435"),
    ],
)
def test_the_extended_length_prefix(length: int, digest: str) -> None:
    """The specification's own digests around 65,536 bytes, where the prefix grows to six bytes."""
    key = bytes.fromhex("c41c775356fd92eadc63ff5a0dc1da211b268cbea22316767095b2871ea1412d")
    payload = nip44.encrypt("a" * length, key, bytes(31) + b"\x01")
    assert sha256(payload) == digest
    assert nip44.decrypt(payload, key) == "a" * length


@pytest.mark.family("NIP-44")
@pytest.mark.parametrize("length", INVALID["encrypt_msg_lengths"])
def test_lengths_that_were_invalid_before_the_extension(length: int) -> None:
    """The file lists 0, 65,536 and more. Since 2026-06-28 only 0 is invalid; the rest is bounded by our own cap."""
    if 65_536 <= length <= 100_000:
        assert nip44.decrypt(nip44.encrypt("a" * length, KEY, NONCE), KEY) == "a" * length
        return
    with pytest.raises(LocalProtocolError):
        nip44.encrypt("a" * length, KEY, NONCE)


@pytest.mark.family("NIP-44")
@pytest.mark.parametrize(
    "case", INVALID["get_conversation_key"], ids=[c["note"] for c in INVALID["get_conversation_key"]]
)
def test_invalid_keys(case: dict[str, str]) -> None:
    """Official vectors: secrets out of range, points off the curve or on its twist."""
    with pytest.raises(LocalProtocolError):
        nip44.conversation_key(SecretKey.from_hex(case["sec1"]), case["pub2"])  # type: ignore[arg-type]  # JSON


@pytest.mark.family("NIP-44")
@pytest.mark.parametrize("case", INVALID["decrypt"], ids=range(12))
def test_invalid_payloads(case: dict[str, str]) -> None:
    """Official vectors: versions, base64, MAC, padding and lengths, each refused for its own reason."""
    words = {"unknown": "not supported", "invalid base64": "base64", "invalid MAC": "MAC", "invalid padding": "padding"}
    expected = next((word for start, word in words.items() if case["note"].startswith(start)), "characters")
    with pytest.raises(RemoteProtocolError, match=expected):
        nip44.decrypt(case["payload"], bytes.fromhex(case["conversation_key"]))


def test_every_flipped_byte_is_noticed() -> None:
    """Version, nonce, ciphertext, MAC: no byte of a payload can be changed, in any bit."""
    raw = base64.b64decode(PAYLOAD)
    for place in range(len(raw)):
        for bit in range(8):
            changed = bytearray(raw)
            changed[place] ^= 1 << bit
            with pytest.raises(RemoteProtocolError):
                nip44.decrypt(base64.b64encode(changed).decode(), KEY)


@pytest.mark.family("NIP-44")
@pytest.mark.parametrize(
    "payload",
    [
        PAYLOAD + "\n",
        "\n" + PAYLOAD,
        " " + PAYLOAD,
        PAYLOAD[:60] + "\n" + PAYLOAD[60:],
        PAYLOAD[:60] + "!" + PAYLOAD[60:],
        PADDED.rstrip("="),
        PAYLOAD + "=",
        PADDED + "====",
        PADDED.rstrip("=") + "=A",
        PAYLOAD.replace("+", "-").replace("/", "_"),
        PAYLOAD + PAYLOAD,
        PAYLOAD[:-4],
        PAYLOAD[4:],
        "é" + PAYLOAD[1:],
        PAYLOAD[:50] + "\x00" + PAYLOAD[51:],
        "A" * 132,
        base64.b64encode(b"\x02" + bytes(97)).decode(),
        "=" * 132,
        "#" + PAYLOAD,
        "#",
        "",
    ],
    ids=range(21),
)
def test_only_strict_base64_is_read(payload: str) -> None:
    """White space, foreign characters, the URL alphabet, missing or surplus padding: none of it."""
    assert payload not in (PAYLOAD, PADDED)
    with pytest.raises(RemoteProtocolError):
        nip44.decrypt(payload, KEY)


def test_a_payload_that_is_too_short_is_told_so() -> None:
    """132 characters of base64 may still be one byte too few."""
    with pytest.raises(RemoteProtocolError, match="too short"):
        nip44.decrypt(base64.b64encode(b"\x02" + bytes(97)).decode(), KEY)


def test_spare_bits_of_base64_are_refused() -> None:
    """Two spellings of the same bytes would make two events of one message."""
    place = len(PADDED.rstrip("=")) - 1
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = PADDED[:place] + alphabet[alphabet.index(PADDED[place]) + 1] + PADDED[place + 1 :]
    assert base64.b64decode(other) == base64.b64decode(PADDED)
    with pytest.raises(RemoteProtocolError, match="strict"):
        nip44.decrypt(other, KEY)


@pytest.mark.family("NIP-44")
@pytest.mark.parametrize(
    "padded",
    [
        b"\x00\x26" + b"a" * 38 + bytes(25),
        b"\x00\x05hello" + bytes(28),
        b"\x00\x05hello" + bytes(26) + b"\x01",
        b"\x00\x05hello" + bytes(27 + 32),
        b"\x00\x04hello" + bytes(27),
        b"\x00\x21" + b"a" * 32,
        b"\x00\x20" + b"a" * 64,
        b"\xff\xff" + b"a" * 32,
        b"\x00\x00" + bytes(32),
        b"\x00\x00\x00\x00\x00\x05hello" + bytes(27),
        b"\x00\x00\xff\xff\xff\xff" + bytes(32),
        b"\x00\x00\x00\x01\x00\x00" + b"a" * 65_535,
        b"\x00\x00\x00\x00\xff\xff" + b"a" * 65_535 + b"\x00",
    ],
    ids=range(13),
)
def test_only_exact_padding_is_read(padded: bytes) -> None:
    """The length, the padding it asks for, zeros and nothing else; a short text never in the long form."""
    with pytest.raises(RemoteProtocolError, match="padding"):
        nip44.decrypt(forge(padded), KEY)


def test_the_forger_of_these_tests_makes_good_payloads_too() -> None:
    """What `forge` makes is refused for its padding, and not for another reason."""
    assert nip44.decrypt(forge(b"\x00\x05hello" + bytes(27)), KEY) == "hello"


@pytest.mark.family("NIP-44")
@pytest.mark.parametrize("version", [0, 1, 3, 255])
def test_other_versions_are_not_supported(version: int) -> None:
    """Also under a good MAC."""
    with pytest.raises(RemoteProtocolError, match=f"version {version}"):
        nip44.decrypt(forge(b"\x00\x05hello" + bytes(27), version=version), KEY)


def test_text_that_is_not_utf8_is_refused() -> None:
    """The bytes can be had, the text cannot."""
    payload = nip44.encrypt_bytes(b"\xff\xfe", KEY, NONCE)
    assert nip44.decrypt_bytes(payload, KEY) == b"\xff\xfe"
    with pytest.raises(RemoteProtocolError, match="UTF-8"):
        nip44.decrypt(payload, KEY)


def test_a_payload_beyond_the_cap_is_refused_before_base64() -> None:
    """By its length alone, even if nothing in it is base64."""
    with pytest.raises(RemoteProtocolError, match="characters"):
        nip44.decrypt("!" * (MAX_ENCRYPTED_CHARS + 1), KEY)


def test_what_we_could_not_read_we_do_not_write() -> None:
    """The cap holds for both: the longest text that encrypts also decrypts."""
    longest = 163_840
    assert nip44.decrypt(nip44.encrypt("a" * longest, KEY, NONCE), KEY) == "a" * longest
    with pytest.raises(LocalProtocolError, match="too long"):
        nip44.encrypt("a" * (longest + 32_769), KEY, NONCE)


@pytest.mark.parametrize(("key", "nonce"), [(KEY[1:], NONCE), (KEY, NONCE[1:]), (KEY, NONCE + b"x"), (b"", NONCE)])
def test_keys_and_nonces_of_another_length_are_our_error(key: bytes, nonce: bytes) -> None:
    """Both are 32 bytes."""
    with pytest.raises(LocalProtocolError, match="32 bytes"):
        nip44.encrypt("hello", key, nonce)


def test_text_without_a_utf8_form_is_our_error() -> None:
    """A lone surrogate is not encrypted."""
    with pytest.raises(LocalProtocolError, match="UTF-8"):
        nip44.encrypt("\ud800", KEY, NONCE)


def test_a_payload_for_somebody_else_is_refused() -> None:
    """By its MAC, before anything is decrypted."""
    with pytest.raises(RemoteProtocolError, match="MAC"):
        nip44.decrypt(PAYLOAD, nip44.conversation_key(ALICE, key_of(3).pubkey))


_texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)


@settings(max_examples=50, deadline=None)
@given(_texts, st.binary(min_size=32, max_size=32))
def test_nostr_sdk_reads_what_we_encrypt(text: str, nonce: bytes) -> None:
    """Any text, with an independent client on the other side."""
    theirs = nostr_sdk.SecretKey.parse(BOB.expose().hex())
    payload = nip44.encrypt(text, KEY, nonce)
    assert nostr_sdk.nip44_decrypt(theirs, nostr_sdk.PublicKey.parse(ALICE.pubkey), payload) == text


@settings(max_examples=50, deadline=None)
@given(_texts)
def test_we_read_what_nostr_sdk_encrypts(text: str) -> None:
    """And the other way round."""
    theirs = nostr_sdk.SecretKey.parse(BOB.expose().hex())
    alice = nostr_sdk.PublicKey.parse(ALICE.pubkey)
    payload = nostr_sdk.nip44_encrypt(theirs, alice, text, nostr_sdk.Nip44Version.V2)
    assert nip44.decrypt(payload, KEY) == text


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 200_000))
def test_padding_is_enough_and_not_too_much(length: int) -> None:
    """Never shorter than the text, never more than an eighth of the next power of two longer."""
    padded = nip44.padded_length(length)
    assert length <= padded < length + max(32, (1 << (length - 1).bit_length()) // 8)
    assert nip44.padded_length(padded) == padded


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300) | st.binary(min_size=99, max_size=200).map(lambda raw: base64.b64encode(raw).decode()))
def test_any_payload_is_read_or_refused(payload: str) -> None:
    """No other exception, whatever stands in the content of an event."""
    with pytest.raises(RemoteProtocolError):
        nip44.decrypt(payload, KEY)

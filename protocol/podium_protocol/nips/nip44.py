"""NIP-44 version 2: encrypted payloads between two keys. secp256k1 ECDH, HKDF, padding, ChaCha20, HMAC-SHA256, base64.

The payload must stand in an event whose signature was checked before it is decrypted.
"""

from __future__ import annotations

import binascii
import hmac
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from podium_protocol.errors import LocalProtocolError, RemoteProtocolError
from podium_protocol.events import Pubkey
from podium_protocol.keys import SecretKey
from podium_protocol.limits import MAX_ENCRYPTED_CHARS

_VERSION: Final = 2
_SALT: Final = b"nip44-v2"
_MIN_CHARS: Final = 132  # NIP-44, "Decryption", step 2
_MIN_BYTES: Final = 99
_LONG: Final = 65_536  # from this length on the prefix has 6 bytes (specification of 2026-06-28)
_SHA256: Final = hashes.SHA256()
_COUNTER: Final = bytes(4)  # `cryptography` takes the block counter, little-endian, before the 12 bytes of the nonce


def conversation_key(secret: SecretKey, peer: Pubkey) -> bytes:
    """Derive the 32-byte key of two people, the same from both sides. Keep it: it costs 35 us.

    Raises:
        LocalProtocolError: `peer` is no point on the curve.
    """
    return conversation_key_of(secret.shared_x(peer))


def conversation_key_of(shared_x: bytes) -> bytes:
    """The conversation key from the x coordinate of the shared point (HKDF-Extract)."""
    return hmac.digest(_SALT, shared_x, "sha256")


def encrypt(plaintext: str, key: bytes, nonce: bytes) -> str:
    """Encrypt `plaintext` under a conversation key; `nonce` is 32 fresh random bytes, never used again.

    Raises:
        LocalProtocolError: the text is empty, has no UTF-8 form or is too long; the key or nonce is not 32 bytes.
    """
    try:
        return encrypt_bytes(plaintext.encode(), key, nonce)
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"the text has no UTF-8 form: {error.reason}") from None


def encrypt_bytes(plaintext: bytes, key: bytes, nonce: bytes) -> str:
    """Encrypt UTF-8 bytes as `encrypt` does text; it raises the same errors."""
    if len(key) != 32 or len(nonce) != 32:
        raise LocalProtocolError("a conversation key and a nonce are 32 bytes each")
    cipher_key, cipher_nonce, mac_key = _message_keys(key, nonce)
    sealed = nonce + _chacha20(cipher_key, cipher_nonce, _pad(plaintext))
    mac = hmac.digest(mac_key, sealed, "sha256")
    payload = binascii.b2a_base64(b"\x02" + sealed + mac, newline=False).decode("ascii")
    if len(payload) > MAX_ENCRYPTED_CHARS:
        raise LocalProtocolError(f"the text is too long: encrypted it has {len(payload)} characters")
    return payload


def decrypt(payload: str, key: bytes) -> str:
    """Decrypt a payload and return its text.

    Raises:
        RemoteProtocolError: the payload is not one that this key's peer made by the rules.
    """
    try:
        return decrypt_bytes(payload, key).decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError("the decrypted text is not UTF-8") from None


def decrypt_bytes(payload: str, key: bytes) -> bytes:
    """Decrypt as `decrypt` does, but return the bytes without a check for UTF-8."""
    raw = _decode(payload)
    nonce, ciphertext, mac = raw[1:33], raw[33:-32], raw[-32:]
    cipher_key, cipher_nonce, mac_key = _message_keys(key, nonce)
    # before anything is decrypted, and in constant time: an attacker who forges payloads gets no oracle
    if not hmac.compare_digest(hmac.digest(mac_key, nonce + ciphertext, "sha256"), mac):
        raise RemoteProtocolError("the payload was not made for this key, or was changed (MAC)")
    return _unpad(_chacha20(cipher_key, cipher_nonce, ciphertext))


def padded_length(length: int) -> int:
    """The length to which `length` bytes are padded (NIP-44): coarse steps, so that it tells little about the text."""
    if length <= 32:
        return 32
    next_power = 1 << (length - 1).bit_length()
    chunk = 32 if next_power <= 256 else next_power // 8
    return chunk * ((length - 1) // chunk + 1)


def _message_keys(key: bytes, nonce: bytes) -> tuple[bytes, bytes, bytes]:
    keys = HKDFExpand(_SHA256, 76, nonce).derive(key)
    return keys[:32], keys[32:44], keys[44:]


def _chacha20(key: bytes, nonce: bytes, data: bytes) -> bytes:
    return Cipher(ChaCha20(key, _COUNTER + nonce), mode=None).encryptor().update(data)


def _pad(plaintext: bytes) -> bytes:
    length = len(plaintext)
    if length == 0 or length > MAX_ENCRYPTED_CHARS:
        raise LocalProtocolError(f"a text to encrypt has 1 to {MAX_ENCRYPTED_CHARS} bytes, and less once it is encoded")
    prefix = length.to_bytes(2, "big") if length < _LONG else bytes(2) + length.to_bytes(4, "big")
    return prefix + plaintext + bytes(padded_length(length) - length)


def _unpad(padded: bytes) -> bytes:
    length, start = int.from_bytes(padded[:2], "big"), 2
    if length == 0:  # the long form; a short text in it would be a second spelling of the same message
        length, start = int.from_bytes(padded[2:6], "big"), 6
        if length < _LONG:
            raise RemoteProtocolError("the padding is wrong: a short text in the long form")
    if len(padded) != start + padded_length(length) or any(padded[start + length :]):
        raise RemoteProtocolError("the padding is wrong: it is not what the length asks for")
    return padded[start : start + length]


def _decode(payload: str) -> bytes:
    if payload.startswith("#"):  # reserved for encodings other than base64
        raise RemoteProtocolError("the payload is of an encryption version that is not supported")
    if not _MIN_CHARS <= len(payload) <= MAX_ENCRYPTED_CHARS:  # before base64 spends memory on it
        raise RemoteProtocolError(
            f"the payload has {len(payload)} characters, {_MIN_CHARS} to {MAX_ENCRYPTED_CHARS} fit"
        )
    try:
        encoded = payload.encode("ascii")
        raw = binascii.a2b_base64(encoded)
    except ValueError:
        raise RemoteProtocolError("the payload is not base64") from None
    # the decoder skips foreign characters and ignores trailing bits: each payload has one spelling
    if binascii.b2a_base64(raw, newline=False) != encoded:
        raise RemoteProtocolError("the payload is not strict base64")
    if len(raw) < _MIN_BYTES:
        raise RemoteProtocolError("the payload is too short")
    if raw[0] != _VERSION:
        raise RemoteProtocolError(f"the payload is of encryption version {raw[0]}, which is not supported")
    return raw

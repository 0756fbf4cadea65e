"""NIP-49: a secret key under a password, as `ncryptsec1...`. scrypt makes the key, XChaCha20-Poly1305 encrypts with it.

Password and key never stand in an error. Python cannot promise to wipe memory; the derived key lives for one call.
"""

from __future__ import annotations

import hashlib
import unicodedata
from enum import IntEnum
from typing import Final

import msgspec
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

from podium_protocol.errors import InvalidInput, LocalProtocolError
from podium_protocol.keys import SecretKey
from podium_protocol.limits import MAX_SCRYPT_LOG_N
from podium_protocol.nips import bech32

PREFIX: Final = "ncryptsec"
SALT_BYTES: Final = 16
NONCE_BYTES: Final = 24
_VERSION: Final = 2
_BYTES: Final = 91  # NIP-49: "The output prior to bech32 encoding should be 91 bytes long"
_BLOCK: Final = 8  # scrypt's r


class KeySecurity(IntEnum):
    """NIP-49's KEY_SECURITY_BYTE: whether the key is known to have been handled in the clear."""

    INSECURE = 0
    SECURE = 1
    UNTRACKED = 2


class Decrypted(msgspec.Struct, frozen=True):
    """A secret key, and what its file says about how the key was handled."""

    secret: SecretKey
    security: KeySecurity


def encrypt(
    secret: SecretKey,
    password: str,
    *,
    salt: bytes,
    nonce: bytes,
    log_n: int = MAX_SCRYPT_LOG_N,
    security: KeySecurity = KeySecurity.UNTRACKED,
) -> str:
    """Encrypt the key as `ncryptsec1...`. `salt` (16 bytes) and `nonce` (24 bytes) are fresh random bytes.

    scrypt takes 2**log_n KiB of memory: at `log_n` 18, 256 MiB and half a second to a second. Do not call it on the
    event loop.

    Raises:
        InvalidInput: the password is empty or no Unicode text.
        LocalProtocolError: `log_n`, the salt or the nonce has the wrong size.
    """
    if not 1 <= log_n <= MAX_SCRYPT_LOG_N or len(salt) != SALT_BYTES or len(nonce) != NONCE_BYTES:
        raise LocalProtocolError(f"scrypt takes log_n 1 to {MAX_SCRYPT_LOG_N}, a salt of 16 bytes and a nonce of 24")
    if not password:
        raise InvalidInput("an empty password protects nothing: choose one")
    associated = bytes((security,))
    key = _derive(password, salt, log_n)
    sealed = crypto_aead_xchacha20poly1305_ietf_encrypt(secret.expose(), associated, nonce, key)
    return bech32.encode(PREFIX, bytes((_VERSION, log_n)) + salt + nonce + associated + sealed)


def decrypt(text: str, password: str) -> Decrypted:
    """Decrypt the key in an `ncryptsec1...`.

    Raises:
        InvalidInput: another form or version, a `log_n` that is too costly (checked before scrypt runs), or the wrong
            password.
    """
    data = _read(text)
    log_n, salt, nonce, associated = data[1], data[2:18], data[18:42], data[42:43]
    key = _derive(password, salt, log_n)
    try:
        secret = crypto_aead_xchacha20poly1305_ietf_decrypt(data[43:], associated, nonce, key)
    except CryptoError:
        raise InvalidInput("the password is wrong, or the ncryptsec was changed") from None
    try:
        return Decrypted(SecretKey(secret), KeySecurity(associated[0]))
    except LocalProtocolError:
        raise InvalidInput("the ncryptsec holds 32 bytes that are no secret key") from None


def _read(text: str) -> bytes:
    prefix, data = bech32.decode(text)
    if prefix != PREFIX:
        raise InvalidInput("an encrypted key begins with `ncryptsec1`")
    if len(data) != _BYTES or data[0] != _VERSION:
        raise InvalidInput("the ncryptsec is of another version than 2 (NIP-49): make it anew with a newer program")
    if not 1 <= data[1] <= MAX_SCRYPT_LOG_N:
        # 2**log_n KiB: a file must not decide that we take 2 TiB of memory
        raise InvalidInput(f"the ncryptsec asks for log_n {data[1]}; at most {MAX_SCRYPT_LOG_N} (256 MiB) is accepted")
    if data[42] not in frozenset(KeySecurity):
        raise InvalidInput("the ncryptsec has an unknown key security byte (NIP-49 knows 0, 1 and 2)")
    return data


def _derive(password: str, salt: bytes, log_n: int) -> bytes:
    cost = 1 << log_n
    try:
        # NFKC: the same password typed on another keyboard must be the same bytes
        raw = unicodedata.normalize("NFKC", password).encode()
    except UnicodeEncodeError:
        raise InvalidInput("the password is no Unicode text: type it again") from None
    return hashlib.scrypt(raw, salt=salt, n=cost, r=_BLOCK, p=1, dklen=32, maxmem=128 * _BLOCK * (cost + 64))

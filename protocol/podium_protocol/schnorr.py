"""BIP-340 signatures and x-only ECDH, straight on the libsecp256k1 handle that coincurve ships.

coincurve's objects reach 0.85 of C's rate, its handle 0.985, and its `sign_schnorr` derives the keypair and verifies
the signature each time (126 us against 20). We leave that self-check out: it guards against a fault in the processor
while signing, and every reader verifies the events we send; our own are verified before they are stored.
"""

from __future__ import annotations

import threading
from typing import Final, NoReturn

from coincurve import GLOBAL_CONTEXT
from coincurve._libsecp256k1 import ffi, lib

from podium_protocol.errors import LocalProtocolError

_context: Final = GLOBAL_CONTEXT.ctx  # blinded with fresh randomness by coincurve when it is imported


class _Scratch(threading.local):
    """One parsed-key buffer per thread: verification runs without the GIL, so threads must not share it."""

    def __init__(self) -> None:
        self.xonly = ffi.new("secp256k1_xonly_pubkey *")


_scratch = _Scratch()


def verify(pubkey: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) is `pubkey`'s (32 bytes, x only) on `message` (BIP-340)."""
    if len(pubkey) != 32 or len(signature) != 64:  # C would read past the end
        return False
    xonly = _scratch.xonly
    return bool(
        lib.secp256k1_xonly_pubkey_parse(_context, xonly, pubkey)
        and lib.secp256k1_schnorrsig_verify(_context, signature, message, len(message), xonly)
    )


def is_public_key(pubkey: bytes) -> bool:
    """Whether the 32 bytes are the x coordinate of a point on the curve."""
    return len(pubkey) == 32 and bool(lib.secp256k1_xonly_pubkey_parse(_context, _scratch.xonly, pubkey))


class Keypair:
    """A secret scalar with its point kept, so that each signature costs one multiplication.

    Never shown: repr, str, format and pickle give nothing away.
    """

    __slots__ = ("_keypair", "pubkey")

    def __init__(self, secret: bytes) -> None:
        """Keep the keypair of `secret` (32 bytes).

        Raises:
            LocalProtocolError: not 32 bytes, or not in 1..n-1.
        """
        keypair = ffi.new("secp256k1_keypair *")
        if len(secret) != 32 or not lib.secp256k1_keypair_create(_context, keypair, secret):
            raise LocalProtocolError("a secret key is 32 bytes, a number from 1 to the curve's order less one")
        self._keypair = keypair
        self.pubkey: bytes = self._xonly()

    def sign(self, digest: bytes, aux: bytes) -> bytes:
        """The 64-byte signature on a 32-byte digest; `aux` is 32 fresh random bytes (BIP-340, "Default Signing")."""
        if len(digest) != 32 or len(aux) != 32:
            raise LocalProtocolError("a digest and its auxiliary randomness are 32 bytes each")
        signature = ffi.new("unsigned char[64]")
        if not lib.secp256k1_schnorrsig_sign32(_context, signature, digest, self._keypair, aux):
            raise LocalProtocolError("signing failed")
        return bytes(ffi.buffer(signature))

    def shared_x(self, pubkey: bytes) -> bytes | None:
        """The unhashed x coordinate of secret times point (NIP-44), or None if `pubkey` is no point on the curve."""
        point = ffi.new("secp256k1_pubkey *")
        if len(pubkey) != 32 or not lib.secp256k1_ec_pubkey_parse(_context, point, b"\x02" + pubkey, 33):
            return None
        secret = ffi.new("unsigned char[32]")
        shared = ffi.new("unsigned char[32]")
        lib.secp256k1_keypair_sec(_context, secret, self._keypair)
        # the constant-time multiplication; `ec_pubkey_tweak_mul` is variable-time and would leak the secret
        if not lib.secp256k1_ecdh(_context, shared, point, secret, _keep_x, ffi.NULL):
            return None
        return bytes(ffi.buffer(shared))

    def _xonly(self) -> bytes:
        xonly = ffi.new("secp256k1_xonly_pubkey *")
        out = ffi.new("unsigned char[32]")
        lib.secp256k1_keypair_xonly_pub(_context, xonly, ffi.NULL, self._keypair)
        lib.secp256k1_xonly_pubkey_serialize(_context, out, xonly)
        return bytes(ffi.buffer(out))

    def __repr__(self) -> str:
        return f"<Keypair of {self.pubkey.hex()}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret key is not pickled")


@ffi.callback("int(unsigned char *, const unsigned char *, const unsigned char *, void *)")  # type: ignore[untyped-decorator]
def _keep_x(output: object, x: object, _y: object, _data: object) -> int:
    ffi.memmove(output, x, 32)
    return 1

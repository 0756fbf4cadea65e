"""What libsecp256k1 itself takes, called through coincurve's library handle in a tight loop: the floor."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from coincurve import GLOBAL_CONTEXT
from coincurve._libsecp256k1 import ffi, lib

from podium_protocol.events import Rejected, verify_json
from podium_protocol.schnorr import _keep_x

_context = GLOBAL_CONTEXT.ctx


class Signed(NamedTuple):
    """What BIP-340 looks at."""

    pubkey: bytes
    digest: bytes
    signature: bytes


def signed_parts(raw: Sequence[bytes]) -> list[Signed]:
    """The parts of good events."""
    events = [event for event in map(verify_json, raw) if not isinstance(event, Rejected)]
    return [Signed(*(bytes.fromhex(text) for text in (event.pubkey, event.id, event.sig))) for event in events]


def verify(parts: Sequence[Signed]) -> None:
    """Parse each public key and verify each signature, and nothing else."""
    xonly = ffi.new("secp256k1_xonly_pubkey *")
    parse, check, context = lib.secp256k1_xonly_pubkey_parse, lib.secp256k1_schnorrsig_verify, _context
    for pubkey, digest, signature in parts:
        if not (parse(context, xonly, pubkey) and check(context, signature, digest, 32, xonly)):
            raise ValueError("a signature made for the benchmark is not good")


class WrapBound:
    """The curve's share of a gift wrap: parse the recipient, ECDH, a new key pair, two signatures."""

    def __init__(self, secret: bytes, recipients: Sequence[bytes]) -> None:
        """Write as `secret` to these people (32 bytes each)."""
        self._secret = secret
        self._points = [b"\x02" + recipient for recipient in recipients]
        self._fresh = [os.urandom(32) for _ in recipients]
        self._own = ffi.new("secp256k1_keypair *")
        lib.secp256k1_keypair_create(_context, self._own, secret)

    def run(self, *, ecdhs: int) -> None:
        """Do it for each of them; `ecdhs` is 1 where the conversation key was kept, else 2."""
        pair, point = ffi.new("secp256k1_keypair *"), ffi.new("secp256k1_pubkey *")
        shared, signature = ffi.new("unsigned char[32]"), ffi.new("unsigned char[64]")
        for encoded, fresh in zip(self._points, self._fresh, strict=True):
            lib.secp256k1_ec_pubkey_parse(_context, point, encoded, 33)
            for _ in range(ecdhs):
                lib.secp256k1_ecdh(_context, shared, point, self._secret, _keep_x, ffi.NULL)
            lib.secp256k1_keypair_create(_context, pair, fresh)
            for signer in (self._own, pair):
                lib.secp256k1_schnorrsig_sign32(_context, signature, fresh, signer, fresh)

"""Blossom without its HTTP: the token that allows an upload (BUD-11, kind 24242) and the server's answer (BUD-02)."""

from __future__ import annotations

import base64
import re
from typing import Final
from urllib.parse import urlsplit

import msgspec

from podium_protocol import kinds
from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import Pubkey, SignedEvent, UnsignedEvent
from podium_protocol.live import fields

MAX_DESCRIPTOR: Final = 64 * 1024
"""Bytes of an answer that are read."""

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class Descriptor(msgspec.Struct, frozen=True):
    """What a server says it has. `url` is the server's claim, None if it is not a web link to this very blob."""

    sha256: str
    size: int
    url: str | None


def write_upload_token(
    pubkey: Pubkey, *, sha256: str, server: str, words: str, now: int, lifetime: int
) -> UnsignedEvent:
    """Write the token for one blob on one server, valid for `lifetime` seconds; `words` tell the signer its purpose.

    It names blob and server, so that an attacker who sees it can use it for nothing else (BUD-11, "Unscoped Tokens").

    Raises:
        LocalProtocolError: no SHA-256 in lowercase hex, no words, or no host in `server`.
    """
    if not words:
        raise LocalProtocolError("an upload token names its purpose")
    return _token("upload", pubkey, sha256, server, words=words, now=now, lifetime=lifetime)


def write_delete_token(pubkey: Pubkey, *, sha256: str, server: str, now: int, lifetime: int) -> UnsignedEvent:
    """Write the token that lets one server delete one blob (BUD-02), valid for `lifetime` seconds.

    Raises:
        LocalProtocolError: no SHA-256 in lowercase hex, or no host in `server`.
    """
    return _token("delete", pubkey, sha256, server, words="Delete a recording", now=now, lifetime=lifetime)


def _token(
    action: str, pubkey: Pubkey, sha256: str, server: str, *, words: str, now: int, lifetime: int
) -> UnsignedEvent:
    host = urlsplit(server).hostname
    if not is_sha256(sha256) or not host:
        raise LocalProtocolError("a token names a SHA-256 (64 lowercase hex digits) and a server")
    rows = (("t", action), ("x", sha256), ("server", host), ("expiration", str(now + lifetime)))
    return UnsignedEvent(pubkey, now, kinds.BLOB_AUTH, rows, words)


def write_header(token: SignedEvent) -> str:
    """The value of the Authorization header: URL-safe base64 without padding (BUD-11)."""
    return "Nostr " + base64.urlsafe_b64encode(token.to_json()).rstrip(b"=").decode("ascii")


class _Wire(msgspec.Struct):
    sha256: str
    size: int
    url: str = ""


_decode = msgspec.json.Decoder(_Wire).decode


def read_descriptor(raw: bytes) -> Descriptor | None:
    """Read the descriptor in a server's answer, or None if the answer is not a descriptor (BUD-02)."""
    try:
        wire = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not is_sha256(wire.sha256) or wire.size < 0:
        return None
    # a link without the hash is a link to something else, now or later (BUD-01)
    url = fields.web_url(wire.url)
    return Descriptor(wire.sha256, wire.size, url if url is not None and wire.sha256 in urlsplit(url).path else None)


def is_sha256(text: str) -> bool:
    """Whether `text` is 64 lowercase hex digits, the SHA-256 by which Blossom names a blob (BUD-01)."""
    return _SHA256.fullmatch(text) is not None

"""Blossom's token and descriptor."""

from __future__ import annotations

import base64
import json
import os

import pytest

from podium_protocol import blossom, tags
from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import VerifiedEvent, verify_json
from podium_protocol.keys import SecretKey

DIGEST = "ab" * 32
KEY = SecretKey(b"\x01" * 32)


def token(**changes: object) -> dict[str, object]:
    """What an upload token is written from."""
    given = {
        "sha256": DIGEST,
        "server": "https://CDN.example.org:8443",
        "words": "Upload x",
        "now": 100,
        "lifetime": 60,
    }
    return given | changes


def test_a_token_names_one_blob_and_one_server_for_a_while() -> None:
    """BUD-11: `t`, `x`, `server` as a lowercase domain, `expiration`, words for people."""
    event = blossom.write_upload_token(KEY.pubkey, **token())  # type: ignore[arg-type]  # as above
    assert (event.kind, event.created_at, event.content) == (24242, 100, "Upload x")
    assert event.tags == (("t", "upload"), ("x", DIGEST), ("server", "cdn.example.org"), ("expiration", "160"))


@pytest.mark.parametrize("changes", [{"sha256": DIGEST.upper()}, {"sha256": ""}, {"words": ""}, {"server": "nowhere"}])
def test_a_token_that_no_server_takes_is_not_written(changes: dict[str, object]) -> None:
    """A mistake of ours is told where it is made."""
    with pytest.raises(LocalProtocolError):
        blossom.write_upload_token(KEY.pubkey, **token(**changes))  # type: ignore[arg-type]  # as above


def test_the_header_is_url_safe_base64_without_padding() -> None:
    """BUD-11, "HTTP Authorization Header"; what is in it verifies."""
    event = KEY.sign(blossom.write_upload_token(KEY.pubkey, **token()), os.urandom(32))  # type: ignore[arg-type]  # as above
    scheme, _, text = blossom.write_header(event).partition(" ")
    assert scheme == "Nostr"
    assert not set(text) & set("+/=")
    found = verify_json(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert isinstance(found, VerifiedEvent)
    assert tags.first(found.tags, "t") == "upload"


def described(**changes: object) -> bytes:
    """A server's answer."""
    whole = {"url": f"https://cdn.example.org/{DIGEST}.webm", "sha256": DIGEST, "size": 7, "type": "x", "uploaded": 1}
    return json.dumps(whole | changes).encode()


def test_a_descriptor_is_read() -> None:
    """BUD-02; fields of other proposals are left alone."""
    found = blossom.read_descriptor(described(magnet="x"))
    assert found == blossom.Descriptor(DIGEST, 7, f"https://cdn.example.org/{DIGEST}.webm")


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "https://cdn.example.org/other",
        f"ftp://x/{DIGEST}",
        f"https://a@b/{DIGEST}",
        "",
        "x" * 9999,
    ],
)
def test_a_link_to_something_else_is_none(url: str) -> None:
    """BUD-01: the hash is in the path; only web links without a user name count."""
    found = blossom.read_descriptor(described(url=url))
    assert found is not None
    assert found.url is None


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, described(sha256="AB" * 32), described(size=-1), described(size="7")],
)
def test_nonsense_is_no_descriptor(raw: bytes) -> None:
    """Whatever a server sends: None, and no exception."""
    assert blossom.read_descriptor(raw) is None


@pytest.mark.parametrize("text", [DIGEST + "\n", DIGEST[:-1], DIGEST.upper(), "", "../" * 21 + "x"])
def test_other_texts_are_no_hashes(text: str) -> None:
    """Names of files are made of them."""
    assert not blossom.is_sha256(text)
    assert blossom.is_sha256(DIGEST)

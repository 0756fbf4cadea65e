"""Uploads to a Blossom server that checks every token, and servers that break their word."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from podium_daemon.runtime.outcomes import Rejection
from podium_daemon.services.recording.blossom import BlossomServer
from podium_daemon.services.recording.files import MadeFile
from podium_daemon.signers.signer import LocalSigner
from podium_protocol import tags
from tests.support.blossom_server import BlossomPeer, blossom_peer
from tests.support.clock import ManualClock
from tests.support.world import new_key


def made(folder: Path, size: int = 700_000) -> MadeFile:
    """A finished recording."""
    content = os.urandom(size)
    path = folder / "made.webm"
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return MadeFile(path=path, sha256=digest, size=size, media_type="video/webm", title="Know your rights")


async def nowhere(_host: str, _port: int) -> Collection[str]:
    """A resolver that must not be asked."""
    raise AssertionError("no name is looked up here")


async def here(_host: str, _port: int) -> Collection[str]:
    """A resolver for which everything is this machine."""
    return ["127.0.0.1"]


def server(peer: BlossomPeer, clock: ManualClock, **options: object) -> BlossomServer:
    """The service's view of a server."""
    given = {"lookup": nowhere, "within": 30} | options
    return BlossomServer(peer.url, signer=LocalSigner(new_key()), clock=clock, **given)  # type: ignore[arg-type]  # the tests' own values


@pytest.fixture
def clock() -> ManualClock:
    """The time on both sides."""
    return ManualClock()


async def test_an_upload_is_signed_fetched_back_and_named_by_its_hash(tmp_path: Path, clock: ManualClock) -> None:
    """BUD-01, BUD-02, BUD-11: the server accepts the token, has the very bytes, and gives them under the URL."""
    file = made(tmp_path)
    async with blossom_peer(clock) as peer:
        url = await server(peer, clock).store_file(file)
        assert url == f"{peer.url}/{file.sha256}.webm", peer.words
        assert peer.blobs[file.sha256] == file.path.read_bytes()
        assert peer.types[file.sha256] == "video/webm"
        (token,) = peer.tokens
        assert "Know your rights" in token.content
        assert int(tags.first(token.tags, "expiration") or 0) == int(clock.now()) + 30


@pytest.mark.parametrize(
    ("flaw", "words"),
    [
        ("refused", "(413): too large"),
        ("nonsense", "something else"),
        ("other hash", "something else"),
        ("lost", "404"),
        ("changed", "hash"),
        ("truncated", "ends after"),
        ("longer", "longer"),
        ("redirect", "307"),
    ],
)
async def test_a_server_that_breaks_its_word_fails_the_recording(
    tmp_path: Path, clock: ManualClock, flaw: str, words: str
) -> None:
    """Nothing is published whose bytes were not read back; the reason is for people, without control characters."""
    async with blossom_peer(clock, flaw=flaw) as peer:
        refused = await server(peer, clock).store_file(made(tmp_path))
    assert isinstance(refused, Rejection)
    assert words in refused.detail
    assert refused.detail.isprintable()


async def test_a_server_that_is_away_fails_the_recording(tmp_path: Path, clock: ManualClock) -> None:
    """A connection that is refused is a failure with a next step, and no exception."""
    async with blossom_peer(clock) as peer:
        pass
    refused = await server(peer, clock).store_file(made(tmp_path))
    assert isinstance(refused, Rejection)
    assert "retry" in refused.next_step


async def test_a_slow_server_is_given_up(tmp_path: Path, clock: ManualClock) -> None:
    """The configured time is the longest that an upload takes."""
    async with blossom_peer(clock, flaw="slow") as peer:
        refused = await server(peer, clock, within=1).store_file(made(tmp_path, 1000))
    assert isinstance(refused, Rejection)
    assert "longer than 1 s" in refused.detail


async def test_a_token_is_good_for_nothing_else(tmp_path: Path, clock: ManualClock) -> None:
    """It names the one blob and the one server (BUD-11, "Unscoped Tokens")."""
    async with blossom_peer(clock) as peer:
        file = made(tmp_path)
        await server(peer, clock).store_file(file)
        rows = {name: list(tags.values(peer.tokens[0].tags, name)) for name in ("t", "x", "server")}
    assert rows == {"t": ["upload"], "x": [file.sha256], "server": ["127.0.0.1"]}


async def test_a_link_to_a_private_address_is_not_followed(tmp_path: Path, clock: ManualClock) -> None:
    """A server that sends us elsewhere cannot make us ask inside this network (hardening.md, URLs)."""
    async with blossom_peer(clock) as inside, blossom_peer(clock) as peer:
        peer.elsewhere = inside.url.replace("127.0.0.1", "inside.example")
        file = made(tmp_path)
        inside.blobs[file.sha256], inside.types[file.sha256] = file.path.read_bytes(), "video/webm"
        url = await _kept_after_losing(peer, server(peer, clock, lookup=here), file)
        assert isinstance(url, Rejection)
        assert "no public address" in url.detail
        assert inside.hosts == []


async def test_a_link_to_another_host_is_checked_and_pinned(tmp_path: Path, clock: ManualClock) -> None:
    """Where the blob is given by another host, the address that was checked is the one connected to."""
    async with blossom_peer(clock) as other, blossom_peer(clock) as peer:
        peer.elsewhere = other.url.replace("127.0.0.1", "cdn.example")
        file = made(tmp_path)
        other.blobs[file.sha256], other.types[file.sha256] = file.path.read_bytes(), "video/webm"
        permitted = server(peer, clock, lookup=here, permitted=[IPv4Network("127.0.0.0/8")])
        url = await _kept_after_losing(peer, permitted, file)
        assert url == f"{peer.elsewhere}/{file.sha256}.webm"
        assert other.hosts == [peer.elsewhere.removeprefix("http://")]


async def _kept_after_losing(peer: BlossomPeer, to: BlossomServer, file: MadeFile) -> str | Rejection:
    """Keep a file on a server that takes it and does not give it out itself."""
    peer.flaw = "lost"
    return await to.store_file(file)


async def test_a_blob_is_deleted_by_a_token_for_it(tmp_path: Path, clock: ManualClock) -> None:
    """BUD-02: the server lets go of it; one that is gone already is as good."""
    file = made(tmp_path, 1_000)
    async with blossom_peer(clock) as peer:
        ours = server(peer, clock)
        await ours.store_file(file)
        assert await ours.forget(file.sha256) is None
        assert peer.blobs == {}
        assert await ours.forget(file.sha256) is None


async def test_a_server_that_keeps_a_blob_is_heard(tmp_path: Path, clock: ManualClock) -> None:
    """Its words come back, and nobody believes that the recording is gone."""
    file = made(tmp_path, 1_000)
    async with blossom_peer(clock, flaw="keeps") as peer:
        ours = server(peer, clock)
        await ours.store_file(file)
        refused = await ours.forget(file.sha256)
        assert isinstance(refused, Rejection)
        assert "refused the deletion (401): this stays" in refused.detail

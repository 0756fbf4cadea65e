"""Recordings in a folder: moved whole, read back, never half."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from podium_daemon.runtime.outcomes import Rejection
from podium_daemon.services.recording.files import LocalFiles, MadeFile, digest_of


def made(path: Path, content: bytes, *, claimed: str | None = None) -> MadeFile:
    """A finished file; `claimed` is another hash than its own."""
    path.write_bytes(content)
    digest = claimed or hashlib.sha256(content).hexdigest()
    return MadeFile(path=path, sha256=digest, size=len(content), media_type="video/webm", title="x")


async def test_a_file_is_moved_under_its_hash(tmp_path: Path) -> None:
    """The URL names the hash; the file is its owner's alone and is not where it was made."""
    files = LocalFiles(tmp_path / "kept", "https://live.example.org/")
    file = made(tmp_path / "made", os.urandom(3_000_000))
    assert await files.store_file(file) == f"https://live.example.org/recordings/{file.sha256}.webm"
    assert digest_of(files.path_of(file.sha256)) == (file.sha256, 3_000_000)
    assert files.path_of(file.sha256).stat().st_mode & 0o777 == 0o600
    assert not file.path.exists()


async def test_what_is_read_back_otherwise_is_not_published(tmp_path: Path) -> None:
    """A disk that lies: no URL, and nothing under the name of the right file."""
    files = LocalFiles(tmp_path / "kept", "https://live.example.org")
    refused = await files.store_file(made(tmp_path / "made", b"content", claimed="0" * 64))
    assert isinstance(refused, Rejection)
    assert refused.slug == "wrong-hash"
    assert list((tmp_path / "kept").iterdir()) == []


async def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    """The system's words, and the next step."""
    (tmp_path / "kept").write_bytes(b"a file")
    refused = await LocalFiles(tmp_path / "kept", "https://x").store_file(made(tmp_path / "made", b"content"))
    assert isinstance(refused, Rejection)
    assert "retry" in refused.next_step


async def test_the_same_recording_twice_is_one_file(tmp_path: Path) -> None:
    """A second attempt after a crash between moving and writing down replaces the file by itself."""
    files = LocalFiles(tmp_path / "kept", "https://x")
    first = await files.store_file(made(tmp_path / "made", b"content"))
    assert await files.store_file(made(tmp_path / "made", b"content")) == first
    assert len(list((tmp_path / "kept").iterdir())) == 1

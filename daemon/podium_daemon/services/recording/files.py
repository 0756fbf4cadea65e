"""Storage of finished recordings: a folder that the daemon serves, or a Blossom server. Each file is read back.

A URL is published only after its bytes were read again and their hash was right (semantics.md).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Final, Protocol

import msgspec

from podium_daemon.runtime.outcomes import Rejection, Slug

EXTENSION: Final = ".webm"
_CHUNK: Final = 1024 * 1024


class MadeFile(msgspec.Struct, frozen=True, kw_only=True):
    """A finished recording on this machine. `size` in bytes; `title` describes it for people."""

    path: Path
    sha256: str
    size: int
    media_type: str
    title: str


class Keeper(Protocol):
    """Stores recordings."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        ...

    async def store_file(self, made: MadeFile) -> str | Rejection:
        """Store a file; return its URL once the bytes were read back and were equal. The file may have been moved."""
        ...

    async def forget(self, sha256: str) -> Rejection | None:
        """Delete the file with this hash; a missing one counts as deleted."""
        ...


class LocalFiles:
    """A folder with one file for each recording, named by its hash."""

    name: Final = "local"

    def __init__(self, folder: Path, public_url: str) -> None:
        self._folder = folder
        self._public_url = public_url.rstrip("/")

    async def store_file(self, made: MadeFile) -> str | Rejection:
        """See `Keeper`."""
        target = self.path_of(made.sha256)
        try:
            await asyncio.to_thread(_move, made.path, target)
            digest, _ = await asyncio.to_thread(digest_of, target)
        except OSError as error:
            detail = f"the recording cannot be kept in {self._folder}: {error.strerror}"
            return Rejection(Slug.DISK, detail, "Make room or mend the folder, then `podium recording retry`.")
        if digest != made.sha256:
            await asyncio.to_thread(target.unlink, missing_ok=True)
            return Rejection(Slug.WRONG_HASH, "the file was read back and is not what was written", "Look at the disk.")
        return self.url_of(made.sha256)

    async def forget(self, sha256: str) -> Rejection | None:
        """See `Keeper`."""
        try:
            await asyncio.to_thread(self.path_of(sha256).unlink, missing_ok=True)
        except OSError as error:
            return Rejection(
                Slug.DISK, f"{self.path_of(sha256)} cannot be deleted: {error.strerror}", "Mend the folder."
            )
        return None

    def url_of(self, sha256: str) -> str:
        """The URL at which the recording with this hash is served."""
        return f"{self._public_url}/recordings/{sha256}{EXTENSION}"

    def path_of(self, sha256: str) -> Path:
        """The path of the recording with this hash, whether or not it exists."""
        return self._folder / f"{sha256}{EXTENSION}"


def digest_of(path: Path) -> tuple[str, int]:
    """SHA-256 (hex) and size in bytes of a file. It blocks: minutes for the largest.

    Raises:
        OSError: it cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def _move(source: Path, target: Path) -> None:
    """Move within one file system, so that the name never stands for half a file, even after a crash."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    source.chmod(0o600)
    with source.open("rb") as file:
        os.fsync(file.fileno())
    source.replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

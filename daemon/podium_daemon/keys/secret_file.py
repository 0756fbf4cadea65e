"""Files that hold secrets: no other user can read them, and they are written completely or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from podium_protocol.errors import InvalidInput

_SECRET_LIKE: Final = re.compile(r"\A[0-9a-f]{64}\Z|n(?:crypt)?sec1[02-9ac-hj-np-z]{6}", re.IGNORECASE)
_MAX_BYTES: Final = 4096
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class KeyFileError(InvalidInput):
    """A secret cannot be read or stored safely; the text says which file and what to do, and never the secret."""


class KeyFileMissing(KeyFileError):
    """There is no such file."""


def shown(path: Path) -> str:
    """The path for a message, unless a secret key was given in its place."""
    return "(what was given looks like a secret key, and is not repeated)" if is_like_secret(path.name) else str(path)


def is_like_secret(text: str) -> bool:
    """Whether a text may be a secret key, where a path or another word is expected: hex, nsec or ncryptsec."""
    return _SECRET_LIKE.search(text) is not None


def read_secret_file(path: Path, *, is_credential: bool = False) -> bytes:
    """Read the content, at most 4 KiB, of a file that belongs to us and that only we can read.

    A symbolic link may only point into its own folder, as mounted secrets do. A systemd credential may belong to root.

    Raises:
        KeyFileError: missing, not a plain file, too long, open to others, or someone else's.
    """
    with _opened(_resolved(path), path) as descriptor:
        _check(os.fstat(descriptor), path, is_credential=is_credential)
        raw = os.read(descriptor, _MAX_BYTES + 1)
    if len(raw) > _MAX_BYTES:
        raise KeyFileError(f"{shown(path)} is longer than {_MAX_BYTES} bytes: it holds no secret key and no password")
    return raw


def write_secret_file(path: Path, content: bytes) -> None:
    """Store `content` in a new file of mode 0600, complete or not at all.

    Raises:
        KeyFileError: the file exists already (it is never overwritten), or the folder cannot be written.
    """
    with _beside(path, content) as temporary:
        os.link(temporary, path)  # unlike rename, it does not replace a key that is there already


def replace_secret_file(path: Path, content: bytes) -> None:
    """Replace a file that `read_secret_file` accepts by one with `content`.

    Raises:
        KeyFileError: it cannot be read safely, or the folder cannot be written; the file is unchanged.
    """
    read_secret_file(path)
    target = _resolved(path)
    with _beside(target, content) as temporary:
        temporary.rename(target)


@contextlib.contextmanager
def _beside(path: Path, content: bytes) -> Iterator[Path]:
    """Write a temporary file that is to become `path`, and remove it afterwards if it is still there."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write_new(temporary, content)
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except FileExistsError:
        raise KeyFileError(
            f"{shown(path)} exists already and was left as it is: a lost key cannot be had back"
        ) from None
    except OSError as error:
        raise KeyFileError(f"{shown(path)} cannot be written: {error.strerror}") from None


def _resolved(path: Path) -> Path:
    try:
        target = path.resolve(strict=True)
        folder = path.parent.resolve(strict=True)
    except (OSError, RuntimeError):
        if path.is_symlink():
            raise KeyFileError(f"{shown(path)} is a symbolic link to nothing: name the key file itself") from None
        raise KeyFileMissing(
            f"there is no key file {shown(path)}: `podium key new` makes one, --key names another"
        ) from None
    if path.is_symlink() and not target.is_relative_to(folder):
        # the user who can write the link may not own the target
        raise KeyFileError(f"{shown(path)} is a symbolic link to elsewhere: name the key file itself")
    return target


@contextlib.contextmanager
def _opened(target: Path, path: Path) -> Iterator[int]:
    try:
        # O_NONBLOCK: a FIFO put in the key's place must not hang us
        descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise KeyFileError(f"{shown(path)} cannot be read: {error.strerror}") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _check(status: os.stat_result, path: Path, *, is_credential: bool) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"{shown(path)} is not a plain file: name the key file itself")
    mode = stat.S_IMODE(status.st_mode)
    # systemd lets the service read root's file through an ACL, which shows as the group's bits
    is_roots = is_credential and status.st_uid == 0
    if status.st_uid != os.geteuid() and not is_roots:
        raise KeyFileError(f"{shown(path)} belongs to another user: run this as its owner, or `chown` it")
    if mode & (stat.S_IRWXO if is_roots else _OTHERS):
        raise KeyFileError(f"{shown(path)} can be read by others (mode {mode:04o}): run `chmod 600 {shown(path)}`")


def _write_new(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)  # whatever the umask was
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)  # all of it: a single os.write may take a part
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

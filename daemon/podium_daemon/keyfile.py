"""Secret keys in files: made and read so that nobody else can read them, and never echoed.

Order of preference: a file named on the command line, a systemd credential, PODIUM_SECRET_KEY_FILE, the configured
file; the environment itself only where the configuration allows it. Never an argument: those are in `ps`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator, MutableMapping
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from podium_protocol.errors import InvalidInput, PodiumError
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip19

CREDENTIAL: Final = "podium.key"
FILE_VARIABLE: Final = "PODIUM_SECRET_KEY_FILE"
KEY_VARIABLE: Final = "PODIUM_SECRET_KEY"
_MAX_BYTES: Final = 4096
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class KeyFileError(InvalidInput):
    """A secret key cannot be read or stored safely; the text says which file and what to do, and never the key."""


class KeyFileMissing(KeyFileError):  # noqa: N818  (said to people)
    """There is no such file."""


class KeySource(StrEnum):
    """Where a key comes from."""

    OPTION = "--key"
    CREDENTIAL = "systemd credential"
    FILE_VARIABLE = FILE_VARIABLE
    CONFIGURED = "identity.key_file"
    ENVIRONMENT = KEY_VARIABLE


class KeyPlace(msgspec.Struct, frozen=True):
    """Where the key is; `path` is None for the environment."""

    source: KeySource
    path: Path | None


def locate_key(
    option: Path | None, configured: Path, environment: MutableMapping[str, str], *, allow_environment: bool
) -> KeyPlace:
    """The place the key is to be taken from.

    Raises:
        KeyFileError: PODIUM_SECRET_KEY is set, and the configuration does not allow it: another key would be used.
    """
    if option is not None:
        return KeyPlace(KeySource.OPTION, option)
    if directory := environment.get("CREDENTIALS_DIRECTORY"):
        credential = Path(directory) / CREDENTIAL
        if credential.exists():
            return KeyPlace(KeySource.CREDENTIAL, credential)
    if named := environment.get(FILE_VARIABLE):
        return KeyPlace(KeySource.FILE_VARIABLE, Path(named))
    if KEY_VARIABLE not in environment:
        return KeyPlace(KeySource.CONFIGURED, configured)
    if not allow_environment:
        raise KeyFileError(
            f"{KEY_VARIABLE} is set, and other programs can read it there. Put the key into a file of mode 0600 and "
            f"set {FILE_VARIABLE}, or allow this with identity.allow_environment_key = true"
        )
    return KeyPlace(KeySource.ENVIRONMENT, None)


def read_key(place: KeyPlace, environment: MutableMapping[str, str]) -> SecretKey:
    """Read the key; a key in the environment is removed from it, so that child processes do not inherit it.

    Raises:
        KeyFileError: as `read_key_file`.
    """
    if place.path is None:
        return parse_secret(environment.pop(KEY_VARIABLE, ""), KEY_VARIABLE)
    return read_key_file(place.path, is_credential=place.source is KeySource.CREDENTIAL)


def read_key_file(path: Path, *, is_credential: bool = False) -> SecretKey:
    """Read an nsec or 64 hex digits from a file that only its owner, who is us, can read.

    A symbolic link may only point into its own folder, as mounted secrets do. A systemd credential may belong to root.

    Raises:
        KeyFileError: missing, not a plain file, open to others, someone else's, or no key inside.
    """
    with _opened(_resolved(path), path) as descriptor:
        _check(os.fstat(descriptor), path, is_credential=is_credential)
        raw = os.read(descriptor, _MAX_BYTES + 1)
    try:
        text = raw.decode("ascii") if len(raw) <= _MAX_BYTES else ""
    except UnicodeDecodeError:
        text = ""
    return parse_secret(text, str(path))


def write_key_file(path: Path, secret: SecretKey) -> None:
    """Store `secret` as an nsec in a new file of mode 0600; it is there whole or not at all.

    Raises:
        KeyFileError: the file exists already (it is never overwritten), or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write_new(temporary, f"{nip19.encode_nsec(secret)}\n".encode())
        try:
            os.link(temporary, path)  # unlike rename, it does not replace a key that is there already
        finally:
            temporary.unlink()
        _sync_folder(path.parent)
    except FileExistsError:
        raise KeyFileError(f"{path} exists already and was left as it is: a lost key cannot be had back") from None
    except OSError as error:
        raise KeyFileError(f"{path} cannot be written: {error.strerror}") from None


def new_secret() -> SecretKey:
    """A fresh key from the system's random source."""
    while True:
        with contextlib.suppress(PodiumError):  # one draw in 2^128 is no scalar
            return SecretKey(secrets.token_bytes(32))


def parse_secret(text: str, where: str) -> SecretKey:
    """Read an nsec or 64 lowercase hex digits; `where` is named in the error, the text never.

    Raises:
        KeyFileError: it is something else.
    """
    trimmed = text.strip()
    if trimmed.startswith("npub1"):
        raise KeyFileError(f"{where} holds a public key (npub); a secret key (nsec) is needed to sign")
    if trimmed.startswith("ncryptsec1"):
        raise KeyFileError(f"{where} holds an encrypted key (ncryptsec); decrypt it to an nsec first")
    try:
        if not trimmed.startswith("nsec1"):
            return SecretKey.from_hex(trimmed)
        decoded = nip19.decode(trimmed)
    except PodiumError:
        decoded = None
    if not isinstance(decoded, nip19.Nsec):
        raise KeyFileError(f"{where} holds no secret key: expected an nsec or 64 lowercase hex digits")
    return decoded.secret


def _resolved(path: Path) -> Path:
    try:
        target = path.resolve(strict=True)
        folder = path.parent.resolve(strict=True)
    except (OSError, RuntimeError):
        if path.is_symlink():
            raise KeyFileError(f"{path} is a symbolic link to nothing: name the key file itself") from None
        raise KeyFileMissing(f"there is no key file {path}: `podium key new` makes one, --key names another") from None
    if path.is_symlink() and not target.is_relative_to(folder):
        # whoever may write the link may not be who owns the target
        raise KeyFileError(f"{path} is a symbolic link to elsewhere: name the key file itself")
    return target


@contextlib.contextmanager
def _opened(target: Path, path: Path) -> Iterator[int]:
    try:
        # O_NONBLOCK: a FIFO put in the key's place must not hang us
        descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _check(status: os.stat_result, path: Path, *, is_credential: bool) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"{path} is not a plain file: name the key file itself")
    mode = stat.S_IMODE(status.st_mode)
    # systemd lets the service read root's file through an ACL, which shows as the group's bits
    is_roots = is_credential and status.st_uid == 0
    if status.st_uid != os.geteuid() and not is_roots:
        raise KeyFileError(f"{path} belongs to another user: run this as its owner, or `chown` it")
    if mode & (stat.S_IRWXO if is_roots else _OTHERS):
        raise KeyFileError(f"{path} can be read by others (mode {mode:04o}): run `chmod 600 {path}`")


def _write_new(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)  # whatever the umask was
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

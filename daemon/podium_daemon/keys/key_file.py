"""Secret keys in files: written and read so that no other user can read them, and never echoed.

Order of preference: a file named on the command line, a systemd credential, PODIUM_SECRET_KEY_FILE, the configured
file; the environment itself only where the configuration allows it. Never an argument: those are in `ps`.

The password of an encrypted file (NIP-49) comes from the systemd credential `podium.password`, else from the file named
by PODIUM_PASSWORD_FILE, else from a question on the terminal; never from a variable's value.
"""

from __future__ import annotations

import contextlib
import getpass
import secrets
import sys
from collections.abc import Callable, Mapping, MutableMapping
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from podium_daemon.keys.secret_file import (
    KeyFileError,
    KeyFileMissing,
    read_secret_file,
    replace_secret_file,
    write_secret_file,
)
from podium_protocol.errors import InvalidInput, PodiumError
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip19, nip49

PASSWORD_CREDENTIAL: Final = "podium.password"  # noqa: S105  (a file's name)
PASSWORD_FILE_VARIABLE: Final = "PODIUM_PASSWORD_FILE"  # noqa: S105  (a variable's name)


class PasswordMissing(KeyFileError):
    """No file holds the password, and no terminal is there to ask for it."""


Ask = Callable[[str], str | None]
"""Asks a person a question without showing the answer; None if there is no terminal."""


def ask_terminal(question: str) -> str | None:
    """Ask the person at the terminal of standard input, without echo; None if it is no terminal."""
    if not sys.stdin.isatty():
        return None
    try:
        return getpass.getpass(f"{question}: ")
    except EOFError:
        return None


def find_password(where: str, environment: Mapping[str, str], ask: Ask = ask_terminal) -> str:
    """Find the password of the encrypted key in `where`.

    Raises:
        KeyFileError: the file with the password cannot be read safely.
        PasswordMissing: there is no such file, and no terminal to ask at.
    """
    if directory := environment.get("CREDENTIALS_DIRECTORY"):
        credential = Path(directory) / PASSWORD_CREDENTIAL
        if credential.exists():
            return read_password_file(credential, is_credential=True)
    if named := environment.get(PASSWORD_FILE_VARIABLE):
        try:
            return read_password_file(Path(named))
        except KeyFileMissing:
            # a password that stands where its file should be named must not be repeated
            raise KeyFileError(f"{PASSWORD_FILE_VARIABLE} names no file: name a file of mode 0600 there") from None
    answer = ask(f"Password of {where}")
    if answer is None:
        raise PasswordMissing(
            f"{where} holds an encrypted key and there is no terminal to ask for its password: put the password into "
            f"a file of mode 0600 and name it in {PASSWORD_FILE_VARIABLE}"
        )
    return answer


def read_password_file(path: Path, *, is_credential: bool = False) -> str:
    """Read the password in a file that no other user can read; one line end after it is not part of it.

    Raises:
        KeyFileError: it cannot be read safely, or is not one line of UTF-8.
    """
    try:
        text = read_secret_file(path, is_credential=is_credential).decode()
    except UnicodeDecodeError:
        raise KeyFileError(f"{path} is no UTF-8 text: a password is expected there") from None
    password = text.removesuffix("\n").removesuffix("\r")
    if not password or "\n" in password:
        raise KeyFileError(f"{path} is to hold one line, the password, and holds none or several")
    return password


__all__ = [
    "CREDENTIAL",
    "KeyFileError",
    "KeyFileMissing",
    "KeyPlace",
    "KeySource",
    "encrypt_key_file",
    "locate_key",
    "new_secret",
    "parse_secret",
    "read_key",
    "read_key_file",
    "read_stored_key",
    "write_key_file",
]

CREDENTIAL: Final = "podium.key"
FILE_VARIABLE: Final = "PODIUM_SECRET_KEY_FILE"
KEY_VARIABLE: Final = "PODIUM_SECRET_KEY"


class KeySource(StrEnum):
    """The kind of source of a key."""

    OPTION = "--key"
    CREDENTIAL = "systemd credential"
    FILE_VARIABLE = FILE_VARIABLE
    CONFIGURED = "identity.key_file"
    ENVIRONMENT = KEY_VARIABLE


class KeyPlace(msgspec.Struct, frozen=True):
    """The source of the key; `path` is None for the environment."""

    source: KeySource
    path: Path | None


def locate_key(
    option: Path | None, configured: Path, environment: MutableMapping[str, str], *, allow_environment: bool
) -> KeyPlace:
    """Find the place from which the key is to be read.

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


def read_key(place: KeyPlace, environment: MutableMapping[str, str], *, ask: Ask = ask_terminal) -> SecretKey:
    """Read the key; a key in the environment is removed from it, so that child processes do not inherit it.

    An encrypted key (ncryptsec) is opened with the password from `find_password`; that takes up to a second and
    256 MiB.

    Raises:
        KeyFileError: as `read_key_file`, or the password is wrong or missing.
    """
    if place.path is None:
        return parse_secret(environment.pop(KEY_VARIABLE, ""), KEY_VARIABLE)
    return read_stored_key(place, environment, ask=ask).secret


def read_stored_key(
    place: KeyPlace, environment: MutableMapping[str, str], *, ask: Ask = ask_terminal
) -> nip49.Decrypted:
    """Read the key in a file, and whether it was ever stored unencrypted (NIP-49's key security).

    Raises:
        KeyFileError: as `read_key`, or the key is in the environment and in no file.
    """
    if place.path is None:
        raise KeyFileError(f"the key is in {KEY_VARIABLE} and in no file: name a key file")
    text = _read_text(place.path, is_credential=place.source is KeySource.CREDENTIAL)
    if not is_encrypted(text):
        return nip49.Decrypted(parse_secret(text, str(place.path)), nip49.KeySecurity.INSECURE)
    password = find_password(str(place.path), environment, ask)
    try:
        return nip49.decrypt(text.strip(), password)
    except InvalidInput as error:
        raise KeyFileError(f"{place.path}: {error}") from None


def read_key_file(path: Path, *, is_credential: bool = False) -> SecretKey:
    """Read an nsec or 64 hex digits from a file that belongs to us and only we can read (`read_secret_file`).

    Raises:
        KeyFileError: missing, not a plain file, open to others, someone else's, encrypted, or no key inside.
    """
    return parse_secret(_read_text(path, is_credential=is_credential), str(path))


def write_key_file(path: Path, secret: SecretKey) -> None:
    """Store `secret` as an nsec in a new file of mode 0600, complete or not at all.

    Raises:
        KeyFileError: the file exists already (it is never overwritten), or the folder cannot be written.
        LocalProtocolError: two libraries derive different public keys from it.
    """
    secret.cross_check()
    write_secret_file(path, f"{nip19.encode_nsec(secret)}\n".encode())


def encrypt_key_file(path: Path, stored: nip49.Decrypted, password: str, *, log_n: int) -> None:
    """Replace the key file at `path` by the encrypted key, after a check that it can be decrypted again.

    Copies of the old bytes on the disk or in a backup are not removed.

    Raises:
        KeyFileError: the file cannot be replaced; it is unchanged.
        InvalidInput: the password cannot be used.
    """
    salt, nonce = secrets.token_bytes(nip49.SALT_BYTES), secrets.token_bytes(nip49.NONCE_BYTES)
    text = nip49.encrypt(stored.secret, password, salt=salt, nonce=nonce, log_n=log_n, security=stored.security)
    if nip49.decrypt(text, password).secret != stored.secret:
        raise KeyFileError(f"{path} was left as it is: the encrypted key does not open again on this machine")
    replace_secret_file(path, f"{text}\n".encode())


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
    if is_encrypted(trimmed):
        raise KeyFileError(f"{where} holds an encrypted key (ncryptsec), which is opened from a file only")
    try:
        if not trimmed.startswith("nsec1"):
            return SecretKey.from_hex(trimmed)
        decoded = nip19.decode(trimmed)
    except PodiumError:
        decoded = None
    if not isinstance(decoded, nip19.Nsec):
        raise KeyFileError(f"{where} holds no secret key: expected an nsec, an ncryptsec or 64 lowercase hex digits")
    return decoded.secret


def is_encrypted(text: str) -> bool:
    """Whether this is an ncryptsec, good or not."""
    return text.strip().lower().startswith(f"{nip49.PREFIX}1")


def _read_text(path: Path, *, is_credential: bool) -> str:
    try:
        return read_secret_file(path, is_credential=is_credential).decode("ascii")
    except UnicodeDecodeError:
        raise KeyFileError(
            f"{path} holds no secret key: expected an nsec, an ncryptsec or 64 lowercase hex digits"
        ) from None

"""The password of an encrypted key file (NIP-49): from a credential, a file or a prompt, never from a variable's value.

Order: the systemd credential `podium.password`, the file named by PODIUM_PASSWORD_FILE, a question on the terminal.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from podium_daemon.keys.secret_file import KeyFileError, read_secret_file

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
        return read_password_file(Path(named))
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

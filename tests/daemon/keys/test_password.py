"""Where the password of an encrypted key comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from podium_daemon.keys.key_file import PasswordMissing, find_password, read_password_file
from podium_daemon.keys.secret_file import KeyFileError


def private(path: Path, content: bytes, mode: int = 0o600) -> Path:
    """A file with a mode."""
    path.write_bytes(content)
    path.chmod(mode)
    return path


def never(question: str) -> str:
    """Nobody may be asked."""
    raise AssertionError(question)


def test_the_credential_wins_then_the_file_then_the_prompt(tmp_path: Path) -> None:
    """A service is not asked, a script names a file, and a person is told which key the question is about."""
    private(tmp_path / "podium.password", b"from systemd\n")
    named = private(tmp_path / "file", b"from file\r\n")
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path), "PODIUM_PASSWORD_FILE": str(named)}
    assert find_password("k", environment, never) == "from systemd"
    del environment["CREDENTIALS_DIRECTORY"]
    assert find_password("k", environment, never) == "from file"
    assert find_password("my.key", {}, lambda question: f"asked: {question}") == "asked: Password of my.key"


def test_the_password_itself_is_never_taken_from_the_environment() -> None:
    """A variable with a password in it is not looked at, and the error says what to use."""
    with pytest.raises(PasswordMissing, match="PODIUM_PASSWORD_FILE"):
        find_password("k", {"PODIUM_PASSWORD": "word", "PASSWORD": "word"}, lambda _: None)


def test_a_password_in_the_place_of_its_file_is_not_repeated() -> None:
    """The variable names a file; what is there instead may be the password."""
    with pytest.raises(KeyFileError, match="PODIUM_PASSWORD_FILE names no file") as caught:
        find_password("k", {"PODIUM_PASSWORD_FILE": "correct horse"}, never)
    assert "horse" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo\n", b"\xff\xfe", b"x" * 5000])
def test_what_is_no_password_is_refused_and_not_repeated(tmp_path: Path, content: bytes) -> None:
    """Nothing, several lines, no text, too much: told with the file's name."""
    path = private(tmp_path / "file", content)
    with pytest.raises(KeyFileError, match=str(path)) as caught:
        read_password_file(path)
    assert "two" not in str(caught.value)


def test_a_password_keeps_its_spaces(tmp_path: Path) -> None:
    """Only the line end is not part of it."""
    assert read_password_file(private(tmp_path / "file", " pä ss \n".encode())) == " pä ss "

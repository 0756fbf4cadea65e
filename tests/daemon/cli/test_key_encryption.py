"""`podium key encrypt`, and the commands that read what it wrote."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path

import nostr_sdk as sdk
import pytest

from podium_daemon.keys.key_file import read_key_file, write_key_file
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip49
from podium_protocol.nips.nip19 import encode_npub, encode_nsec
from tests.daemon.cli.conftest import CommandLine

LIGHT = ("--log-n", "16")


@pytest.fixture
def podium(own_home: Path) -> CommandLine:
    """The command line of a person with a key."""
    return CommandLine(own_home, None)


def password_file(folder: Path, password: str, name: str = "password") -> Path:
    """A private file with a password and a line end."""
    path = folder / name
    path.write_text(f"{password}\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def test_an_encrypted_key_file_serves_as_before(
    podium: CommandLine, own_home: Path, key: SecretKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is replaced by a private ncryptsec that says the key once lay open, and is read with the password."""
    path, secret_word = own_home / "caller.key", password_file(own_home, "correct horse")
    done = podium("key", "encrypt", "--password-file", str(secret_word), *LIGHT, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["pubkey"] == key.pubkey
    text = path.read_text().strip()
    assert nip49.decrypt(text, "correct horse") == nip49.Decrypted(key, nip49.KeySecurity.INSECURE)
    assert sdk.EncryptedSecretKey.from_bech32(text).decrypt("correct horse").to_hex() == key.expose().hex()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(each.name for each in own_home.iterdir()) == ["caller.key", "password"]
    monkeypatch.setenv("PODIUM_PASSWORD_FILE", str(secret_word))
    shown = podium("key", "show")
    assert encode_npub(key.pubkey) in shown.stdout
    for output in (done.output, shown.output):
        assert "correct horse" not in output
        assert encode_nsec(key) not in output
        assert key.expose().hex() not in output


def test_a_second_encryption_changes_the_password(
    podium: CommandLine, own_home: Path, key: SecretKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old password opens the key, the new one closes it."""
    old, new = password_file(own_home, "old"), password_file(own_home, "new", "password2")
    assert podium("key", "encrypt", "--password-file", str(old), *LIGHT).exit_code == 0
    monkeypatch.setenv("PODIUM_PASSWORD_FILE", str(old))
    assert podium("key", "encrypt", "--password-file", str(new), *LIGHT).exit_code == 0
    assert podium("key", "show").exit_code == 5
    monkeypatch.setenv("PODIUM_PASSWORD_FILE", str(new))
    assert json.loads(podium("key", "show", "--json").stdout)["pubkey"] == key.pubkey


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize("word", ["", "\n"])
def test_without_a_password_nothing_is_changed(podium: CommandLine, own_home: Path, word: str) -> None:
    """Neither an empty file nor a missing terminal encrypts anything; exit code 5."""
    before = (own_home / "caller.key").read_bytes()
    for arguments in ((), ("--password-file", str(password_file(own_home, word)))):
        done = podium("key", "encrypt", *arguments)
        assert (done.exit_code, (own_home / "caller.key").read_bytes()) == (5, before)
    assert "--password-file" in podium("key", "encrypt").stderr


@pytest.mark.usefixtures("key")
def test_a_password_file_open_to_others_is_refused(podium: CommandLine, own_home: Path) -> None:
    """A password that others can read is worth as little as a key that they can."""
    path = password_file(own_home, "word")
    path.chmod(0o644)
    done = podium("key", "encrypt", "--password-file", str(path))
    assert done.exit_code == 5
    assert f"chmod 600 {path}" in done.stderr


def test_an_encrypted_key_without_a_password_is_told_with_the_next_step(
    podium: CommandLine, own_home: Path, key: SecretKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a terminal nor a file, or a wrong password: exit code 5, with what to do or with the file's name."""
    assert podium("key", "encrypt", "--password-file", str(password_file(own_home, "a")), *LIGHT).exit_code == 0
    nobody = podium("key", "show")
    assert nobody.exit_code == 5
    assert "PODIUM_PASSWORD_FILE" in nobody.stderr
    assert "encrypted" in podium("doctor").stdout
    monkeypatch.setenv("PODIUM_PASSWORD_FILE", str(password_file(own_home, "b")))
    wrong = podium("key", "show")
    assert wrong.exit_code == 5
    assert "password is wrong" in wrong.stderr
    assert str(own_home / "caller.key") in wrong.stderr
    assert key.expose().hex() not in wrong.output


def test_the_password_is_asked_for_twice_at_a_terminal_and_not_shown(own_home: Path, key: SecretKey) -> None:
    """At a real terminal the answers are not echoed; different ones change nothing, equal ones encrypt."""
    path = own_home / "caller.key"
    assert "differ" in at_terminal(["--key", str(path), "key", "encrypt", *LIGHT], ["one two", "one too"])
    assert read_key_file(path) == key
    said = at_terminal(["--key", str(path), "key", "encrypt", *LIGHT], ["one two", "one two"])
    assert encode_npub(key.pubkey) in said
    assert "one two" not in said
    assert nip49.decrypt(path.read_text().strip(), "one two").secret == key
    shown = at_terminal(["--key", str(path), "key", "show"], ["one two"])
    assert encode_npub(key.pubkey) in shown
    assert f"Password of {path}" in shown


def test_a_file_is_encrypted_that_a_link_in_its_folder_names(
    podium: CommandLine, own_home: Path, key: SecretKey
) -> None:
    """The target is replaced and the link stays a link."""
    write_key_file(own_home / "real.key", key)
    (own_home / "link.key").symlink_to("real.key")
    word = password_file(own_home, "word")
    assert podium("key", "encrypt", str(own_home / "link.key"), "--password-file", str(word), *LIGHT).exit_code == 0
    assert (own_home / "link.key").is_symlink()
    assert nip49.decrypt((own_home / "real.key").read_text().strip(), "word").secret == key


def at_terminal(arguments: list[str], answers: list[str]) -> str:
    """What stands on a terminal after a command whose questions were answered one by one."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "podium_daemon", *arguments]
    with subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, start_new_session=True) as process:
        os.close(follower)
        said = b""
        remaining = iter(answers)
        asked = 0
        while piece := _read(leader):
            said += piece
            while said.count(b": ") > asked and said.endswith(b": "):
                asked = said.count(b": ")
                if (answer := next(remaining, None)) is not None:
                    os.write(leader, answer.encode() + b"\n")
        os.close(leader)
        process.wait(timeout=30)
    return said.decode()


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 4096)
    except OSError:  # Linux: the last process has closed the terminal
        return b""

"""Secret keys in files and credentials."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from podium_daemon.keys import secret_file
from podium_daemon.keys.key_file import (
    CREDENTIAL,
    KeyFileError,
    KeyFileMissing,
    KeyPlace,
    KeySource,
    locate_key,
    new_secret,
    parse_secret,
    read_key,
    read_key_file,
    write_key_file,
)
from podium_protocol.keys import SecretKey
from podium_protocol.nips.nip19 import encode_npub, encode_nsec
from tests.support.relays import new_key

NOBODY = 65_534


@pytest.fixture
def secret() -> SecretKey:
    """A fresh key."""
    return new_key()


def private(path: Path, text: str, mode: int = 0o600) -> Path:
    """A file with a mode."""
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_a_written_key_is_read_back(tmp_path: Path, secret: SecretKey) -> None:
    """What is stored is the same key, in a file of mode 0600 whatever the umask was."""
    path = tmp_path / "podium.key"
    before = os.umask(0o277)
    try:
        write_key_file(path, secret)
    finally:
        os.umask(before)
    assert read_key_file(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["podium.key"]


def test_a_key_is_never_overwritten(tmp_path: Path, secret: SecretKey) -> None:
    """An existing file stays as it was, and no temporary file is left."""
    path = tmp_path / "podium.key"
    write_key_file(path, secret)
    with pytest.raises(KeyFileError, match="exists already"):
        write_key_file(path, new_key())
    assert read_key_file(path) == secret
    assert [file.name for file in tmp_path.iterdir()] == ["podium.key"]


def test_a_symbolic_link_in_the_keys_place_is_not_followed(tmp_path: Path, secret: SecretKey) -> None:
    """A key is not written to where another user's link points."""
    (tmp_path / "podium.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError, match="exists already"):
        write_key_file(tmp_path / "podium.key", secret)
    assert not (tmp_path / "elsewhere").exists()


def test_a_missing_folder_is_told(tmp_path: Path, secret: SecretKey) -> None:
    """A key that cannot be stored is told with the file's name."""
    with pytest.raises(KeyFileError, match="cannot be written"):
        write_key_file(tmp_path / "none" / "podium.key", secret)


@pytest.mark.parametrize("form", [encode_nsec, lambda secret: secret.expose().hex()])
@pytest.mark.parametrize("around", ["{}", "{}\n", "  {} \r\n"])
def test_both_forms_are_read(tmp_path: Path, secret: SecretKey, form: Callable[[SecretKey], str], around: str) -> None:
    """An nsec and 64 hex digits are read, with white space around them."""
    assert read_key_file(private(tmp_path / "key", around.format(form(secret)))) == secret


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o666, 0o601, 0o777])
def test_a_file_open_to_others_is_refused_with_the_command_to_close_it(
    tmp_path: Path, secret: SecretKey, mode: int
) -> None:
    """Any right of group or others is refused."""
    path = private(tmp_path / "key", encode_nsec(secret), mode)
    with pytest.raises(KeyFileError, match=f"chmod 600 {path}"):
        read_key_file(path)


def test_a_read_only_file_is_fine(tmp_path: Path, secret: SecretKey) -> None:
    """Narrower than 0600 is no mistake."""
    assert read_key_file(private(tmp_path / "key", encode_nsec(secret), 0o400)) == secret


def test_somebody_elses_file_is_refused(tmp_path: Path, secret: SecretKey) -> None:
    """A file whose owner could change it under us is refused."""
    if os.geteuid() == 0:
        path = private(tmp_path / "key", encode_nsec(secret))
        os.chown(path, NOBODY, NOBODY)
    else:
        path = Path("/etc/passwd")
    with pytest.raises(KeyFileError, match="belongs to another user"):
        read_key_file(path)


def test_a_link_inside_its_folder_is_followed_and_one_to_elsewhere_is_not(tmp_path: Path, secret: SecretKey) -> None:
    """Mounted secrets are links within their folder; a link that leads out is refused."""
    (tmp_path / "mount" / "..data").mkdir(parents=True)
    private(tmp_path / "mount" / "..data" / "key", encode_nsec(secret))
    (tmp_path / "mount" / "key").symlink_to("..data/key")
    assert read_key_file(tmp_path / "mount" / "key") == secret
    (tmp_path / "link").symlink_to(tmp_path / "mount" / "key")
    assert read_key_file(tmp_path / "link") == secret
    (tmp_path / "mount" / "out").symlink_to(private(tmp_path / "outside", encode_nsec(secret)))
    with pytest.raises(KeyFileError, match="symbolic link to elsewhere"):
        read_key_file(tmp_path / "mount" / "out")
    (tmp_path / "loose").symlink_to("nothing")
    with pytest.raises(KeyFileError, match="symbolic link to nothing"):
        read_key_file(tmp_path / "loose")


def test_a_missing_file_is_told_with_what_makes_one(tmp_path: Path) -> None:
    """Callers can tell a missing file from a bad one."""
    with pytest.raises(KeyFileMissing, match="podium key new"):
        read_key_file(tmp_path / "none")


def test_a_folder_and_a_pipe_are_refused_without_waiting(tmp_path: Path) -> None:
    """A FIFO in the key's place does not hang the start."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("pipe", "."):
        with pytest.raises(KeyFileError, match=r"not a plain file|cannot be read"):
            read_key_file(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "holds no secret key"),
        ("hello", "holds no secret key"),
        ("0" * 64, "holds no secret key"),
        ("f" * 64, "holds no secret key"),
        ("A" * 64, "holds no secret key"),
        ("nsec1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq", "holds no secret key"),
        ("ncryptsec1qqqq", "encrypted key"),
        ("x" * 5000, "holds no secret key"),
        ("clé", "holds no secret key"),
    ],
)
def test_other_content_is_refused_and_not_repeated(tmp_path: Path, text: str, expected: str) -> None:
    """Whatever stands in the file, the error names the file and not the content."""
    path = private(tmp_path / "key", text)
    with pytest.raises(KeyFileError, match=expected) as caught:
        read_key_file(path)
    assert str(path) in str(caught.value)
    assert not text or text not in str(caught.value)


def test_two_keys_in_one_file_are_refused(secret: SecretKey) -> None:
    """A file with two keys does not say which is meant."""
    with pytest.raises(KeyFileError) as caught:
        parse_secret(f"{encode_nsec(secret)}\n{encode_nsec(new_key())}", "the file")
    assert "nsec1" not in str(caught.value)


def test_a_public_key_is_told_apart(secret: SecretKey) -> None:
    """An npub where the secret belongs is a common slip, and is named."""
    with pytest.raises(KeyFileError, match="public key"):
        parse_secret(encode_npub(secret.pubkey), "the file")


def test_fresh_keys_differ() -> None:
    """Each new key is another one."""
    assert len({new_secret() for _ in range(20)}) == 20


def test_the_option_wins_then_the_credential_then_the_file_variable(tmp_path: Path) -> None:
    """The most explicit place is taken, and the configured file is the last."""
    private(tmp_path / CREDENTIAL, "")
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path), "PODIUM_SECRET_KEY_FILE": "/run/secrets/key"}
    configured = Path("/configured")
    found = [locate_key(option, configured, environment, allow_environment=False) for option in (Path("/option"), None)]
    del environment["CREDENTIALS_DIRECTORY"]
    found.append(locate_key(None, configured, environment, allow_environment=False))
    del environment["PODIUM_SECRET_KEY_FILE"]
    found.append(locate_key(None, configured, environment, allow_environment=False))
    assert found == [
        KeyPlace(KeySource.OPTION, Path("/option")),
        KeyPlace(KeySource.CREDENTIAL, tmp_path / CREDENTIAL),
        KeyPlace(KeySource.FILE_VARIABLE, Path("/run/secrets/key")),
        KeyPlace(KeySource.CONFIGURED, configured),
    ]


def test_credentials_of_another_name_are_not_ours(tmp_path: Path) -> None:
    """A service with other credentials still uses the configured file."""
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    place = locate_key(None, Path("/configured"), environment, allow_environment=False)
    assert place.source is KeySource.CONFIGURED


def test_a_key_in_the_environment_is_refused_unless_allowed(secret: SecretKey) -> None:
    """Without the flag the variable is not ignored but refused: another key would be used in silence."""
    environment = {"PODIUM_SECRET_KEY": encode_nsec(secret)}
    with pytest.raises(KeyFileError, match="allow_environment_key") as caught:
        locate_key(None, Path("/configured"), environment, allow_environment=False)
    assert "nsec1" not in str(caught.value)


def test_an_allowed_key_is_taken_out_of_the_environment(secret: SecretKey) -> None:
    """Child processes do not inherit the key."""
    environment = {"PODIUM_SECRET_KEY": encode_nsec(secret)}
    place = locate_key(None, Path("/configured"), environment, allow_environment=True)
    assert read_key(place, environment) == secret
    assert environment == {}


@pytest.mark.parametrize("mode", [0o440, 0o400])
def test_a_systemd_credential_may_be_roots(mode: int) -> None:
    """The service is handed root's file by an ACL, which shows as the group's right to read."""
    roots = os.stat_result((stat.S_IFREG | mode, 0, 0, 1, 0, 0, 64, 0, 0, 0))
    secret_file._check(roots, Path(CREDENTIAL), is_credential=True)
    if mode & 0o040:
        with pytest.raises(KeyFileError):
            secret_file._check(roots, Path("podium.key"), is_credential=False)


def test_a_credential_that_everybody_can_read_is_refused(tmp_path: Path, secret: SecretKey) -> None:
    """The exception for systemd does not reach to others."""
    path = private(tmp_path / CREDENTIAL, encode_nsec(secret), 0o444)
    with pytest.raises(KeyFileError, match="can be read by others"):
        read_key(KeyPlace(KeySource.CREDENTIAL, path), {})

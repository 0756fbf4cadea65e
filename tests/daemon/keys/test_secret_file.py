"""Replacing a secret in its file; reading and first writing are tested with the key files."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from podium_daemon.keys.secret_file import KeyFileError, read_secret_file, replace_secret_file, write_secret_file


def test_a_replaced_file_is_private_and_alone(tmp_path: Path) -> None:
    """The new content stands there with mode 0600 and no temporary file beside it."""
    path = tmp_path / "key"
    write_secret_file(path, b"old")
    replace_secret_file(path, b"new")
    assert read_secret_file(path) == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_what_cannot_be_read_safely_is_not_replaced(tmp_path: Path) -> None:
    """A missing file, one open to others and a link to elsewhere stay as they are."""
    (tmp_path / "open").write_bytes(b"old")
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "folder").mkdir()
    write_secret_file(tmp_path / "outside", b"old")
    (tmp_path / "folder" / "link").symlink_to("../outside")
    for name in ("missing", "open", "folder/link"):
        with pytest.raises(KeyFileError):
            replace_secret_file(tmp_path / name, b"new")
    assert not (tmp_path / "missing").exists()
    assert {(tmp_path / name).read_bytes() for name in ("open", "outside")} == {b"old"}

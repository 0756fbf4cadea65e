"""Settings of engines on other servers: out of the configuration, secrets out of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from podium_daemon.conference.page_media.settings import page_media_settings
from podium_daemon.conference.registry import Servers, configured_servers
from podium_daemon.config import Config
from podium_protocol.errors import InvalidInput

SECRET = "Nc3GahVNwGmcKmtl2AoPJY0sHTMbLEMZ"


def _secret_file(folder: Path, name: str = "secret", text: str = SECRET + "\n", mode: int = 0o600) -> Path:
    file = folder / name
    file.write_text(text)
    file.chmod(mode)
    return file


def _bbb(secret_file: Path | None, url: str = "https://bbb.example.org/bigbluebutton/") -> Config:
    section = {"url": url, "secret_file": secret_file, "poll": 7}
    return Config.model_validate({"conference": {"engine": "bigbluebutton", "devices": 2, "bigbluebutton": section}})


def test_a_configured_server_is_built_with_its_secret(tmp_path: Path) -> None:
    """Address, secret, pace and number of devices arrive at the engine."""
    found = configured_servers(_bbb(_secret_file(tmp_path)), {}).bigbluebutton
    assert found is not None
    assert (found.url, found.poll, found.devices) == ("https://bbb.example.org/bigbluebutton/", 7, 2)
    assert found.secret.reveal() == SECRET
    assert SECRET not in repr(found)


def test_a_systemd_credential_serves_where_no_file_is_named(tmp_path: Path) -> None:
    """A unit with LoadCredential= needs no path in the configuration."""
    _secret_file(tmp_path, "podium.bigbluebutton")
    found = configured_servers(_bbb(None), {"CREDENTIALS_DIRECTORY": str(tmp_path)}).bigbluebutton
    assert found is not None
    assert found.secret.reveal() == SECRET


def test_secrets_of_engines_that_are_not_used_are_not_read(tmp_path: Path) -> None:
    """A broken file of another engine stops nobody."""
    config = Config.model_validate({"conference": {"bigbluebutton": {"secret_file": tmp_path / "nowhere"}}})
    assert configured_servers(config, {}) == Servers(page_media=page_media_settings(config))


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        pytest.param(SECRET, 0o644, "can be read by others", id="open to others"),
        pytest.param("", 0o600, "one word", id="empty"),
        pytest.param("short", 0o600, "one word", id="cut off"),
        pytest.param("two words in this file", 0o600, "one word", id="a sentence"),
    ],
)
def test_a_secret_that_cannot_be_used_is_said_by_its_key(tmp_path: Path, text: str, mode: int, said: str) -> None:
    """The operator learns which key of the configuration, and never reads the secret in a log."""
    with pytest.raises(InvalidInput, match=said) as error:
        configured_servers(_bbb(_secret_file(tmp_path, text=text, mode=mode)), {})
    assert str(error.value).startswith("conference.bigbluebutton.secret_file:")
    assert not text or text not in str(error.value)


@pytest.mark.parametrize("environment", [{}, {"CREDENTIALS_DIRECTORY": "/nowhere"}])
def test_a_server_without_a_secret_is_not_started(environment: dict[str, str]) -> None:
    """Nothing is signed with an empty secret."""
    with pytest.raises(InvalidInput, match=r"podium\.bigbluebutton"):
        configured_servers(_bbb(None), environment)

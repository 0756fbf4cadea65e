"""Settings of media on the page, out of the configuration."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

import pytest

from podium_daemon.conference.engines.embedded.engine import process_settings
from podium_daemon.conference.page_media.settings import CREDENTIAL_SECONDS, page_media_settings, page_servers
from podium_daemon.config import Config, ConfigError, load_config
from podium_protocol.errors import InvalidInput

SECRET = "north-of-the-wall-1234"


def _config(**values: object) -> Config:
    return load_config(None, {f"conference.{name}": value for name, value in values.items()}, environment={})


def test_a_fresh_machine_has_rooms_of_its_own() -> None:
    """Nothing configured is the embedded engine without a foreign server; a meeting URL is a room on another server."""
    settings = page_media_settings(_config())
    assert settings is not None
    assert (settings.ice_servers, settings.addresses, settings.turn_secret) == ((), (), None)
    assert page_media_settings(_config(meeting_url="https://meet.example.org/x")) is None
    assert page_media_settings(_config(engine="link")) is None
    assert page_media_settings(_config(meeting_url="https://meet.example.org/x", engine="embedded")) is not None


def test_settings_are_taken_over(tmp_path: Path) -> None:
    """Addresses, servers, heartbeat and devices; the media process gets no secret and no TURN server."""
    file = tmp_path / "turn.secret"
    file.write_text(SECRET)
    file.chmod(0o600)
    urls = ["stun:stun.example.org", "turn:turn.example.org:3478?transport=udp", "turns:[2001:db8::1]:5349"]
    settings = page_media_settings(
        _config(ice_servers=urls, turn_secret_file=str(file), media_addresses=["192.0.2.7"], heartbeat=3, devices=2)
    )
    assert settings is not None
    assert (settings.heartbeat, settings.devices, settings.addresses) == (3, 2, ("192.0.2.7",))
    assert process_settings(settings).stun == ("stun:stun.example.org",)
    assert SECRET not in repr(settings)


def test_a_turn_server_needs_its_secret(tmp_path: Path) -> None:
    """Without it pages could not use the server: said at the start, with what to do."""
    with pytest.raises(InvalidInput, match="turn_secret_file is needed"):
        page_media_settings(_config(ice_servers=["turn:turn.example.org"]))
    file = tmp_path / "open.secret"
    file.write_text(SECRET)
    file.chmod(0o644)
    with pytest.raises(InvalidInput):
        page_media_settings(_config(ice_servers=["turn:turn.example.org"], turn_secret_file=str(file)))


@pytest.mark.parametrize(
    "url", ["https://x.example.org", "turn:user:pass@x.example.org", "stun:", "turn:x y", "stun://x"]
)
def test_what_is_no_ice_server_is_refused(url: str) -> None:
    """A typo is reported at the start, not by a participant who cannot be seen."""
    with pytest.raises(ConfigError, match="ice_servers"):
        _config(ice_servers=[url])


def test_pages_get_passwords_that_end() -> None:
    """The name says until when, the password is its HMAC-SHA1 under the shared secret; STUN needs none."""
    stun, turn = page_servers(["stun:a.example.org", "turn:b.example.org"], SECRET.encode(), 1_800_000_000)
    assert (stun.username, stun.credential) == ("", "")
    assert turn.username == str(1_800_000_000 + CREDENTIAL_SECONDS)
    expected = hmac.new(SECRET.encode(), turn.username.encode(), hashlib.sha1).digest()
    assert turn.credential == base64.b64encode(expected).decode()
    assert page_servers((), None, 0) == ()

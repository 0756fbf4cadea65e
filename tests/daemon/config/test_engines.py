"""The sections of engines whose server is another program."""

from __future__ import annotations

from pathlib import Path

import pytest

from podium_daemon.config import ConfigError, load_config


def _loaded(folder: Path, section: str, line: str) -> object:
    file = folder / "podium.toml"
    file.write_text(f"[conference.{section}]\n{line}\n")
    name = line.partition(" ")[0]
    return getattr(getattr(load_config(file, environment={}).conference, section), name)


@pytest.mark.parametrize(
    ("section", "line", "value"),
    [
        ("janus", 'ports = "20000-20999"', "20000-20999"),
        ("janus", 'address = "2001:DB8::0:1"', "2001:db8::1"),
        ("janus", 'address = ""', ""),
        ("livekit", 'url = "wss://livekit.example.org"', "wss://livekit.example.org"),
        ("livekit", 'poll = "30 s"', 30),
        ("bigbluebutton", 'url = "https://bbb.example.org/bigbluebutton/"', "https://bbb.example.org/bigbluebutton/"),
    ],
)
def test_what_is_usable_is_taken(tmp_path: Path, section: str, line: str, value: object) -> None:
    """Each key takes what its server takes."""
    assert _loaded(tmp_path, section, line) == value


@pytest.mark.parametrize(
    ("section", "line", "said"),
    [
        ("janus", 'ports = "20999-20000"', "two UDP ports"),
        ("janus", 'ports = "1-99999"', "two UDP ports"),
        ("janus", 'ports = "any"', "two UDP ports"),
        ("janus", 'address = "janus.example.org"', "an IP address"),
        ("livekit", 'url = "ftp://livekit.example.org"', "wss://"),
        ("livekit", 'url = "wss://a:b@livekit.example.org"', "wss://"),
        ("livekit", 'front_end = "javascript:alert(1)"', "https://"),
        ("bigbluebutton", 'url = "bbb.example.org"', "https://"),
        ("bigbluebutton", 'secret = "x"', "secret"),
    ],
)
def test_what_is_not_is_said_with_what_was_expected(tmp_path: Path, section: str, line: str, said: str) -> None:
    """A mistake is heard of when the file is read, by the key it was made in."""
    with pytest.raises(ConfigError, match=said):
        _loaded(tmp_path, section, line)

"""Janus's configuration, and what of a setting cannot stand in it, without a Janus."""

from __future__ import annotations

from pathlib import Path

import pytest

from podium_daemon.conference.engines.janus.process import JanusProcess, Secrets
from podium_daemon.conference.engines.janus.settings import JanusPlace
from podium_protocol.errors import InvalidInput

SECRETS = Secrets(api="a1", admin="b2", rooms="c3", name="d4")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"folder": Path("/x" * 60)}, "shorter storage.state_directory"),
        ({"folder": Path('/x";evil="1')}, "plain characters"),
        ({"address": '1.2.3.4"\nadmin = "x'}, "plain characters"),
        ({"ports": "1;2"}, "plain characters"),
    ],
)
def test_what_cannot_stand_in_the_configuration_is_refused(changes: dict[str, object], said: str) -> None:
    """A path or a setting cannot add lines to Janus's configuration; a socket's path has its limit."""
    given: dict[str, object] = {"folder": Path("/run/podium/janus")} | changes
    with pytest.raises(InvalidInput, match=said):
        JanusProcess(JanusPlace(**given))  # type: ignore[arg-type]  # one of them is wrong on purpose


def test_only_what_is_needed_is_loaded() -> None:
    """One plugin, one transport, sockets in our folder, and the secrets of this start."""
    place = JanusPlace(folder=Path("/run/podium/janus"), address="203.0.113.7", ports="20000-20999")
    files = JanusProcess(place)._configuration(SECRETS)
    assert set(files) == {"janus.jcfg", "janus.transport.websockets.jcfg", "janus.plugin.videoroom.jcfg"}
    core = files["janus.jcfg"]
    assert 'api_secret = "a1"' in core
    assert 'nat_1_1_mapping = "203.0.113.7"' in core
    assert 'rtp_port_range = "20000-20999"' in core
    assert "libjanus_http.so" in core
    assert "libjanus_videoroom.so" not in core
    assert 'ws_unix = "/run/podium/janus/api"' in files["janus.transport.websockets.jcfg"]
    assert 'admin_key = "c3"' in files["janus.plugin.videoroom.jcfg"]


def test_secrets_do_not_show_themselves() -> None:
    """Nothing of them is in a log line."""
    assert repr(SECRETS) == "<Secrets>"


def test_a_pid_of_somebody_else_is_not_ours(tmp_path: Path) -> None:
    """A pid file that outlived its Janus does not make us end another program."""
    process = JanusProcess(JanusPlace(folder=tmp_path))
    for text in ("1", "", "x", "999999999"):
        (tmp_path / "pid").write_text(text)
        assert process.pid is None

"""Engines by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from podium_daemon.conference.engines.bigbluebutton.settings import BigBlueButtonSettings
from podium_daemon.conference.engines.janus.settings import JanusPlace
from podium_daemon.conference.engines.link import LinkEngine, LinkSettings
from podium_daemon.conference.engines.livekit.settings import LiveKitSettings
from podium_daemon.conference.page_media.settings import PageMediaSettings
from podium_daemon.conference.registry import EngineParts, Servers, build_engine, engine_names
from podium_daemon.conference.shared_secret import SharedSecret
from podium_protocol.errors import InvalidInput
from tests.support.clock import ManualClock
from tests.support.conference import seeded_bytes

THERE_ARE = "There are: link, embedded, janus, bigbluebutton, livekit"
SECRET = SharedSecret("a secret of the server".replace(" ", "-"))
SERVERS = Servers(
    page_media=PageMediaSettings(recordings=Path("recordings")),
    janus=JanusPlace(folder=Path("janus")),
    bigbluebutton=BigBlueButtonSettings(
        url="https://bbb.example.org/bigbluebutton/", secret=SECRET, public_url="https://podium.example.org"
    ),
    livekit=LiveKitSettings(
        url="wss://livekit.example.org",
        api_key="podium",
        secret=SECRET,
        front_end="https://meet.example.org",
        public_url="https://podium.example.org",
    ),
)


def _parts(link: LinkSettings | None = None) -> EngineParts:
    return EngineParts(
        clock=ManualClock(),
        random_bytes=seeded_bytes(),
        link=link or LinkSettings(),
        servers=SERVERS,
    )


def test_every_engine_there_is_can_be_built_under_its_name() -> None:
    """The name in the configuration is the engine's own."""
    assert engine_names() == ("link", "embedded", "janus", "bigbluebutton", "livekit")
    for name in engine_names():
        assert build_engine(name, _parts()).name == name


def test_settings_reach_the_engine() -> None:
    """A bad setting is heard of when the engine is built."""
    assert isinstance(build_engine("link", _parts(LinkSettings(meeting_url="https://meet.example.org/"))), LinkEngine)
    with pytest.raises(InvalidInput, match="meeting URL"):
        build_engine("link", _parts(LinkSettings(meeting_url="meet.example.org")))


@pytest.mark.parametrize("name", [name for name in engine_names() if name != "link"])
def test_an_engine_without_its_server_is_said_to_lack_it(name: str) -> None:
    """A person who names an engine and says nothing of its server learns which section is missing."""
    with pytest.raises(InvalidInput, match=rf"\[conference\.{name}\]"):
        build_engine(name, EngineParts(clock=ManualClock(), random_bytes=seeded_bytes()))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lnik", f"there is no engine 'lnik'; did you mean 'link'? {THERE_ARE}"),
        ("teleport", f"there is no engine 'teleport'. {THERE_ARE}"),
        ("", f"there is no engine ''. {THERE_ARE}"),
        ("Link", f"there is no engine 'Link'; did you mean 'link'? {THERE_ARE}"),
        ("x" * 5000, f"there is no engine '{'x' * 40}'. {THERE_ARE}"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, said: str) -> None:
    """A person who mistyped a name sees what was meant, and in any case what there is."""
    with pytest.raises(InvalidInput) as error:
        build_engine(name, _parts())
    assert str(error.value) == f"conference.engine: {said}"


def test_an_engine_is_loaded_only_when_it_is_chosen() -> None:
    """The daemon's parts are imported without any engine but the link, which is a page and no more."""
    script = (
        "import sys, podium_daemon.app.run\n"
        "print(*(name for name in sys.modules if name.startswith('podium_daemon.conference.engines.')))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    engines = {name.removeprefix("podium_daemon.conference.engines.") for name in done.stdout.split()}
    assert {name for name in engines if name.endswith((".engine", ".media", ".media_process"))} == set()

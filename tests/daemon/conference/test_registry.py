"""Engines by name."""

from __future__ import annotations

import pytest

from podium_daemon.conference.link import LinkEngine
from podium_daemon.conference.link_settings import LinkSettings
from podium_daemon.conference.registry import EngineParts, build_engine, engine_names
from podium_protocol.errors import InvalidInput
from tests.support.clock import ManualClock
from tests.support.conference import seeded_bytes


def _parts(link: LinkSettings | None = None) -> EngineParts:
    return EngineParts(clock=ManualClock(), random_bytes=seeded_bytes(), link=link or LinkSettings())


def test_every_engine_there_is_can_be_built_under_its_name() -> None:
    """The name in the configuration is the engine's own."""
    assert engine_names() == ("link",)
    for name in engine_names():
        assert build_engine(name, _parts()).name == name


def test_settings_reach_the_engine() -> None:
    """A bad setting is heard of when the engine is built."""
    assert isinstance(build_engine("link", _parts(LinkSettings(meeting_url="https://meet.example.org/"))), LinkEngine)
    with pytest.raises(InvalidInput, match="meeting URL"):
        build_engine("link", _parts(LinkSettings(meeting_url="meet.example.org")))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lnik", "there is no engine 'lnik'; did you mean 'link'? There are: link"),
        ("teleport", "there is no engine 'teleport'. There are: link"),
        ("", "there is no engine ''. There are: link"),
        ("Link", "there is no engine 'Link'; did you mean 'link'? There are: link"),
        ("x" * 5000, f"there is no engine '{'x' * 40}'. There are: link"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, said: str) -> None:
    """Somebody who mistyped a name sees what was meant, and in any case what there is."""
    with pytest.raises(InvalidInput) as error:
        build_engine(name, _parts())
    assert str(error.value) == f"conference.engine: {said}"

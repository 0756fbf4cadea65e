"""The room on the Janus engine in real browsers: in a network namespace, since Janus never uses loopback for media."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.janus import run_inside
from tests.support.wheel import installed_wheel


@pytest.mark.real_peer
def test_real_browsers_on_a_real_janus() -> None:
    """The tests of janus_in_browsers.py pass."""
    wheel = installed_wheel()  # built out here: the namespace has no network to take the build back end from
    tests = Path(__file__).with_name("janus_in_browsers.py")
    assert "2 passed" in run_inside(tests, environment=wheel.handed_over)

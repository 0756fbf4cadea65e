"""The Janus engine on a real Janus, which needs an address that is not loopback: in a network namespace."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.janus import run_inside


@pytest.mark.real_peer
def test_a_real_janus_in_a_namespace() -> None:
    """Every test of inside_namespace.py passes: media, controls, recording, faults, and the contract."""
    said = run_inside(Path(__file__).with_name("inside_namespace.py"))
    assert " passed" in said
    assert "skipped" not in said

"""The lower bounds of what is depended on."""

from __future__ import annotations

import tomllib
from importlib.metadata import version

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.support.wheel import ROOT

_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_DECLARED = [
    Requirement(text)
    for text in (
        *_PROJECT["dependencies"],
        *(one for extra in _PROJECT["optional-dependencies"].values() for one in extra),
    )
]
_HOLES = {
    "aiohttp": ("3.13.2", "CVE-2025-69223"),
    "cryptography": ("46.0.4", "CVE-2026-26007"),
    "h11": ("0.15.0", "CVE-2025-43859"),
    "pynacl": ("1.6.1", "CVE-2025-69277"),
    "pyopenssl": ("25.3.0", "CVE-2026-27459"),
    "starlette": ("0.49.0", "CVE-2025-62727"),
}
"""The last release with a known hole that strangers could reach here, and one name of it."""


@pytest.mark.parametrize("name", _HOLES)
def test_a_release_with_a_known_hole_is_not_admitted(name: str) -> None:
    """An installation beside older packages takes newer ones instead of the hole."""
    last, hole = _HOLES[name]
    (declared,) = (one for one in _DECLARED if one.name == name)
    assert Version(last) not in declared.specifier, hole


@pytest.mark.parametrize("declared", _DECLARED, ids=lambda one: one.name)
def test_what_is_tested_is_what_is_declared(declared: Requirement) -> None:
    """Tests run on releases within the bounds."""
    assert Version(version(declared.name)) in declared.specifier

"""Where the page's modules cannot be checked: said to a person, refused in continuous integration."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _lint(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Check the page with the packages of `folder`."""
    kept = {name: value for name, value in os.environ.items() if name not in {"CI", "PODIUM_REQUIRE_REAL"}}
    return subprocess.run(
        ("bash", str(ROOT / ".ci/lint-page")),
        env={**kept, "PODIUM_TEST_DATA": str(folder), **environment},
        check=False,
        capture_output=True,
        text=True,
    )


def test_a_machine_without_the_packages_is_told(tmp_path: Path) -> None:
    """Without Node or the packages nothing is checked, which is said and is no failure."""
    said = _lint(tmp_path)
    assert said.returncode == 0
    assert "the page is not checked" in said.stderr


@pytest.mark.parametrize("name", ["CI", "PODIUM_REQUIRE_REAL"])
def test_continuous_integration_fails_without_the_packages(tmp_path: Path, name: str) -> None:
    """In continuous integration a page that nobody checked is a failure."""
    said = _lint(tmp_path, **{name: "1"})
    assert said.returncode != 0
    assert "the page is not checked" in said.stderr

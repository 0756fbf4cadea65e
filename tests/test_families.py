"""Bad input comes in families, and each is tried with about as many cases as docs/hardening.md names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.families import FAMILIES, cases_of, count

ROOT = Path(__file__).parents[1]


def _marked() -> set[Path]:
    files = (ROOT / "tests").rglob("test_*.py")
    return {path for path in files if "pytest.mark.family(" in path.read_text(encoding="utf-8")} - {Path(__file__)}


def test_each_family_has_about_its_number(request: pytest.FixtureRequest) -> None:
    """None has fewer than nine tenths of it, over all tests, whichever of them run."""
    items, files = request.session.items, _marked()
    if files <= {item.path for item in items}:
        found = dict(count(filter(None, map(cases_of, items))))
    else:
        listed = subprocess.run(
            [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:cacheprovider", "-m", "family", *files],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        found = {name: int(cases) for cases, name in re.findall(r"^ *(\d+) of about \d+  (.+)$", listed, re.MULTILINE)}
    assert {name: found.get(name, 0) for name, about in FAMILIES.items() if found.get(name, 0) < 0.9 * about} == {}


def test_the_document_names_the_same_numbers() -> None:
    """The table of docs/hardening.md is the one that the tests count by."""
    text = (ROOT / "docs" / "hardening.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([^|]+) \| (\d+) \|", text, re.MULTILINE))
    assert {name: int(cases) for name, cases in rows.items()} == FAMILIES

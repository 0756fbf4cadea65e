"""What an independent checker of accessibility says of a page: npm axe-core (MPL-2.0, not shipped)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import pytest

PACKAGE: Final = "axe-core@4.14.1"
_DEFAULT: Final = Path.home() / ".cache" / "podium-tests"
_GRAVE: Final = ("serious", "critical")


def installed_axe() -> str:
    """Its source, where it is installed; else the caller's test skips, or fails if PODIUM_REQUIRE_REAL=1."""
    root = Path(os.environ.get("PODIUM_TEST_DATA", _DEFAULT))
    file = root / "node_modules" / "axe-core" / "axe.min.js"
    if not file.is_file():
        pytest.skip(f"no axe-core in {root}: `npm install --prefix {root} {PACKAGE}`, PODIUM_TEST_DATA names another")
    return file.read_text(encoding="utf-8")


async def flaws(page: Any, source: str) -> list[str]:
    """What axe finds on a page, as it stands, that is serious or critical: rule, what it says, and where."""
    if not await page.evaluate("'axe' in window"):
        # by the debugger, as an extension would: the page's own policy lets no other script in, and stays as it is
        await page.evaluate(f"() => {{ {source}\n }}")
    found = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: {node['html']} {node['failureSummary']}"
        for one in found["violations"]
        if one["impact"] in _GRAVE
        for node in one["nodes"]
    ]

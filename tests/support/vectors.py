"""Published test vectors, read from outside the project: they are facts of the specifications, not ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_DEFAULT = Path(__file__).parents[3] / "shared" / "vectors"


def read_vectors(name: str) -> str:
    """The text of a vector file. Where it is absent the caller's module skips, or fails if PODIUM_REQUIRE_REAL=1."""
    folder = Path(os.environ.get("PODIUM_VECTORS", _DEFAULT))
    path = folder / name
    if path.is_file():
        return path.read_text(encoding="utf-8")
    reason = f"no test vectors at {path}: set PODIUM_VECTORS to the folder that holds them"
    if os.environ.get("PODIUM_REQUIRE_REAL") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason, allow_module_level=True)

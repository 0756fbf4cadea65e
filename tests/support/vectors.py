"""Published test vectors: facts of the specifications; tests/data/README.md names their sources."""

from __future__ import annotations

from pathlib import Path
from typing import Final

DATA: Final = Path(__file__).parents[1] / "data"


def read_vectors(name: str) -> str:
    """Read a vector file."""
    return (DATA / "vectors" / name).read_text(encoding="utf-8")

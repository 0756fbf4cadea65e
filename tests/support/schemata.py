"""JSON Schemas of Nostr kinds by other authors: npm @nostrability/schemata (GPL-3.0-or-later, not shipped)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest

PACKAGE = "@nostrability/schemata@0.3.2"
_DEFAULT = Path.home() / ".cache" / "podium-tests"


class Schemata:
    """The schemas by kind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def flaws(self, event: dict[str, Any]) -> list[str]:
        """What the schema of the event's kind has to say against it."""
        kind = event["kind"]
        (path,) = self._folder.glob(f"nips/*/kind-{kind}/schema.json")
        schema = json.loads(path.read_text(encoding="utf-8"))
        return [error.message for error in jsonschema.Draft7Validator(schema).iter_errors(event)]


def installed_schemata() -> Schemata:
    """The schemas, where they are installed; else the caller's test skips, or fails if PODIUM_REQUIRE_REAL=1."""
    root = Path(os.environ.get("PODIUM_TEST_DATA", _DEFAULT))
    folder = root / "node_modules" / "@nostrability" / "schemata" / "dist"
    if not folder.is_dir():
        pytest.skip(
            f"no JSON Schemas in {root}: `npm install --prefix {root} {PACKAGE}`, PODIUM_TEST_DATA names another folder"
        )
    return Schemata(folder)

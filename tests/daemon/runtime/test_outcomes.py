"""The slugs of rejections: each has a status, a place in the documents, and a use."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

import pytest

from podium_daemon.runtime.outcomes import Slug, slug_of
from podium_protocol.live.admission import RefuseReason
from podium_protocol.live.lifecycle_rules import BlockReason
from podium_protocol.live.recording import ObjectionReason

ROOT = Path(__file__).parents[3]
REASONS = [*RefuseReason, *BlockReason, *ObjectionReason]


@pytest.mark.parametrize("slug", Slug)
def test_every_slug_has_the_status_of_an_error_and_is_documented(slug: Slug) -> None:
    """A caller finds the slug of an answer and its status in docs/http-api.md."""
    assert slug.status >= 400
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug)
    assert slug.name == slug.upper().replace("-", "_")
    row = f"| `{slug}` | {slug.status.value} {slug.status.phrase} |"
    assert row in (ROOT / "docs" / "http-api.md").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_of_a_rule_has_its_slug(reason: StrEnum) -> None:
    """A rule that gets another reason gets a slug with it."""
    assert slug_of(reason) == reason.value.replace("_", "-")


def test_every_slug_is_in_use() -> None:
    """A slug that nothing answers with is a promise that is not kept."""
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "daemon").rglob("*.py"))
    used = {Slug[name] for name in re.findall(r"\bSlug\.([A-Z0-9_]+)", sources)} | {slug_of(one) for one in REASONS}
    assert set(Slug) - used == set()

"""The documents: what is generated is up to date, and what code names exists."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_NAMED = re.compile(r"\b([a-z][a-z0-9_-]+\.md)\b")
_SHOWN = re.compile(r"!\[[^\]]+\]\(([a-z0-9_/.-]+\.webp)\)")
_LINKED = re.compile(r"\]\(([a-z0-9_/.-]+\.md)\)")


def _pages() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: write() for name, write in module.PAGES.items()}


@pytest.mark.parametrize(("name", "text"), _pages().items(), ids=list(_pages()))
def test_a_generated_page_is_up_to_date(name: str, text: str) -> None:
    """After a key or a route has changed: `.venv/bin/python docs/generate.py`."""
    assert (DOCS / name).read_text(encoding="utf-8") == text


def test_every_document_that_code_names_exists() -> None:
    """A comment sends nobody to a page that is not there."""
    found = {path.name for path in (*DOCS.glob("*.md"), *ROOT.glob("*.md"))}
    sources = [path for root in ("protocol", "storage", "daemon") for path in (ROOT / root).rglob("*.py")]
    named = {(path.name, name) for path in sources for name in _NAMED.findall(path.read_text(encoding="utf-8"))}
    assert {(path, name) for path, name in named if name not in found} == set()


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    """Links are to files that are there."""
    links = _LINKED.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (DOCS / link).exists()] == []


def test_each_picture_is_shown_and_small() -> None:
    """Pictures that documents show are there, none lies about unseen, and none is above 60 kB."""
    pages = [page.read_text(encoding="utf-8") for page in DOCS.glob("*.md")]
    there = {path.relative_to(DOCS).as_posix(): path.stat().st_size for path in DOCS.rglob("*.webp")}
    assert {name for text in pages for name in _SHOWN.findall(text)} == there.keys()
    assert max(there.values()) <= 60_000


def test_every_page_is_in_the_navigation() -> None:
    """A page that cannot be found is not there."""
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page.name for page in DOCS.glob("*.md") if f"- {page.name}" not in navigation] == []


def test_the_code_that_documents_point_at_exists() -> None:
    """Paths of modules in the documents are those of the repository."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=False, capture_output=True, text=True).stdout.split()
    if not tracked:
        pytest.skip("not a checkout")
    path = re.compile(r"`((?:protocol|storage|daemon|tests)/[a-z0-9_/]+\.py)")
    named = {name for page in DOCS.glob("*.md") for name in path.findall(page.read_text(encoding="utf-8"))}
    assert named - set(tracked) == set()


def test_the_table_of_faults_names_the_tests_that_make_them() -> None:
    """All of docs/hardening.md are marked as faults, and none of the folder of faults is missing there."""
    text = (DOCS / "hardening.md").read_text(encoding="utf-8").partition("## Faults")[2]
    rows = [row for row in text.splitlines() if row.startswith("|")]
    named = {name for row in rows for name in re.findall(r"`([a-z0-9_/]+/test_[a-z0-9_]+)`", row)}
    tests = ROOT / "tests"
    marked = {
        path.relative_to(tests).with_suffix("").as_posix()
        for path in tests.rglob("test_*.py")
        if re.search(r"^(@|pytestmark = .*)pytest\.mark\.faults", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named <= marked
    assert {name for name in marked if name.startswith("faults/")} <= named

"""Families of bad input, and about how many cases each is tried with.

A test that feeds it is marked `@pytest.mark.family(NAME)`, or `@pytest.mark.family(NAME, cases=N)` where it tries
several cases itself. The end of a run lists how many cases of each family passed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

import pytest

FAMILIES: Final = {
    "wire frames": 44,
    "event fields": 72,
    "ids and signatures": 24,
    "replacement, deletion and time": 36,
    "NIP-44": 145,
    "gift wraps": 24,
    "NIP-19 and NIP-05": 46,
    "NIP-46 and NIP-49": 40,
    "HTTP": 56,
    "XSS": 270,
    "URLs": 50,
    "file names": 30,
    "session semantics": 40,
    "attendance": 30,
    "output injection": 24,
    "configuration and CLI": 28,
}


def cases_of(item: pytest.Item) -> tuple[str, int] | None:
    """The family of a test, and how many cases it tries.

    Raises:
        pytest.UsageError: there is no such family.
    """
    mark = item.get_closest_marker("family")
    if mark is None:
        return None
    (name,) = mark.args
    if name not in FAMILIES:
        raise pytest.UsageError(
            f"{item.nodeid}: no family of bad input is called {name!r}: see tests/support/families.py"
        )
    return str(name), int(mark.kwargs.get("cases", 1))


def count(found: Iterable[tuple[str, int]]) -> Counter[str]:
    """Cases of each family."""
    total: Counter[str] = Counter()
    for name, cases in found:
        total[name] += cases
    return total

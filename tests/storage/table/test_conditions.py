"""Conditions on rows in Python; `test_query_model` holds them against SQL."""

from __future__ import annotations

import pytest

from podium_storage.table.schema import Index
from podium_storage.table.where import Key, KeyRange, Points, Ranges, fixed_columns
from tests.support.store import NoteRow


@pytest.mark.parametrize(
    ("keys", "inside", "outside"),
    [
        (KeyRange(), [(1,), ("",)], [(None,)]),
        (KeyRange(lower=(1,)), [(1,), (2,)], [(0,), (None,)]),
        (KeyRange(lower=(1,), lower_open=True), [(2,)], [(1,)]),
        (KeyRange(upper=("b",), upper_open=True), [("a",), ("",)], [("b",), (None,)]),
        (KeyRange(lower=("l",), upper=("l",)), [("l", 1), ("l", None)], [("k", 9), ("m", 0), (None, 1)]),
        (KeyRange(lower=("l", 2)), [("l", 2), ("m", 0), ("m", None)], [("l", 1), ("l", None), ("k", 5)]),
        (KeyRange(lower=("l",), lower_open=True), [("m", 0)], [("l", 99)]),
    ],
)
def test_a_range_holds_keys(keys: KeyRange, inside: list[Key], outside: list[Key]) -> None:
    """A bound shorter than the key stands for all keys that begin with it; a missing value is in no range."""
    assert all(key in keys for key in inside)
    assert not any(key in keys for key in outside)


def test_a_multi_entry_row_matches_by_any_element() -> None:
    """One label in the range is enough, and no labels match nothing."""
    index = Index(("labels",), is_multi=True)
    row, empty = NoteRow(labels=("a", "x")), NoteRow()
    assert Points(index, ("labels",), frozenset({("x",)})).matches(row)
    assert not Points(index, ("labels",), frozenset({("y",)})).matches(row)
    assert Ranges(index, ("labels",), (KeyRange(lower=("m",)),)).matches(row)
    assert not Ranges(index, ("labels",), (KeyRange(),)).matches(empty)


def test_columns_with_one_value_are_known() -> None:
    """What every row has in common needs no place in the order."""
    index, fields = Index(("lessonId", "pubkey")), ("session_address", "pubkey")
    assert fixed_columns(Points(index, fields, frozenset({("a", "b")}))) == 2
    assert fixed_columns(Points(index, fields, frozenset({("a", "b"), ("a", "c")}))) == 0
    assert fixed_columns(Ranges(index, fields, (KeyRange(("a", "b"), ("a", "c")),))) == 1
    assert fixed_columns(Ranges(index, fields, (KeyRange(("a", "b")),))) == 0

"""JSON that two readers read alike."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_protocol.strict_json import RepeatedKey, read_json

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=10,
)


@given(JSON)
def test_what_is_written_once_is_read(value: Any) -> None:
    """As text and as UTF-8."""
    text = json.dumps(value, ensure_ascii=False)
    assert read_json(text) == value
    assert read_json(text.encode()) == value


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', '[{"b": {"a": 1, "c": 2, "\\u0061": 3}}]', '{"": 0, "": 0}'])
def test_a_key_stands_once_in_an_object(text: str) -> None:
    """However deep the object is, and however the key is written."""
    with pytest.raises(RepeatedKey):
        read_json(text)


@pytest.mark.parametrize(
    "raw", ["NaN", "[-Infinity]", "", "{", '{"a": 1} {"a": 1}', b"\xff", '"x"'.encode("utf-16"), b"\xef\xbb\xbf1"]
)
def test_what_is_no_json_is_refused(raw: str | bytes) -> None:
    """Numbers that JSON does not have, other encodings, and half a value."""
    with pytest.raises(ValueError):  # noqa: PT011  (any of them is a refusal)
        read_json(raw)


def test_depth_is_refused() -> None:
    """A value that is nested too deeply ends in an error, not in a crash."""
    with pytest.raises(RecursionError):
        read_json("[" * 200_000)

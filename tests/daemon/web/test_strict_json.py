"""JSON bodies, read strictly."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_daemon.web.strict_json import read_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
@settings(max_examples=60)
def test_what_json_can_say_is_read_as_it_is(value: object) -> None:
    """Every value comes back as it was written, with escapes or without."""
    for ascii_only in (True, False):
        raw = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
        assert read_json(raw) == value


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"{} {}", id="two values"),
        pytest.param(b"{'a': 1}", id="single quotes"),
        pytest.param(b'{"a": 1,}', id="trailing comma"),
        pytest.param(b'{"a": 1, "a": 2}', id="a key twice"),
        pytest.param(b'[{"b": {"a": 1, "\\u0061": 2}}]', id="a key twice, once escaped, deep inside"),
        pytest.param(b"NaN", id="NaN"),
        pytest.param(b'{"a": [Infinity]}', id="Infinity"),
        pytest.param(b'{"a": -Infinity}', id="-Infinity"),
        pytest.param(b'"\\ud800"', id="lone high surrogate"),
        pytest.param(b'{"\\udc00": 1}', id="lone low surrogate in a key"),
        pytest.param(b'"\\ud800\\u0041"', id="half a pair and a letter"),
        pytest.param(b'"\xed\xa0\x80"', id="encoded surrogate"),
        pytest.param(b'"\xff"', id="no UTF-8"),
        pytest.param(b'"\xc0\xaf"', id="overlong UTF-8"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
        pytest.param('{"a": 1}'.encode("utf-16"), id="UTF-16"),
        pytest.param('{"a": 1}'.encode("utf-32"), id="UTF-32"),
        pytest.param(b'"\n"', id="a bare line feed in a text"),
        pytest.param(b"01", id="leading zero"),
        pytest.param(b"+1", id="plus"),
        pytest.param(b"9" * 5000, id="a number nobody reads"),
    ],
)
def test_what_two_readers_could_read_in_two_ways_is_refused(raw: bytes) -> None:
    """Broken, ambiguous and unwritable texts are no JSON here."""
    with pytest.raises(ValueError, match=r".+"):
        read_json(raw)


def test_nesting_has_an_end() -> None:
    """A body of brackets alone exhausts nothing."""
    with pytest.raises((RecursionError, ValueError)):
        read_json(b"[" * 100_000)
    with pytest.raises((RecursionError, ValueError)):
        read_json(b'{"a":' * 40_000 + b"1" + b"}" * 40_000)

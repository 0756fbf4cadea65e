"""The first messages that pass between a browser at the door and the rooms."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_daemon.services.rooms.entry import Hello, Return, read_greeting


@pytest.mark.parametrize(
    ("frame", "greeting"),
    [
        ('{"type": "hello", "token": "t"}', Hello("t")),
        ('{"token": "t", "type": "hello"}', Hello("t")),
        (b'{"type": "hello", "token": "t"}', Hello("t")),
        ('{"type": "return", "secret": "s"}', Return("s")),
    ],
)
def test_a_greeting_is_read(frame: str | bytes, greeting: Hello | Return) -> None:
    """As text or as bytes, with its fields in any order."""
    assert read_greeting(frame) == greeting


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "hello",
        "[]",
        "{}",
        "null",
        '{"type": "hello"}',
        '{"type": "hello", "secret": "s"}',
        '{"type": "hello", "token": null}',
        '{"type": "hello", "token": "t", "x": 1}',
        '{"type": "return", "token": "t"}',
        '{"type": "beat"}',
        '{"type": ["hello"], "token": "t"}',
        "[" * 100_000,
        b"\xff",
        "\ud800",
        '"\\ud800"',
    ],
)
def test_anything_else_is_no_greeting(frame: str | bytes) -> None:
    """Nothing is repaired, and nothing raises."""
    assert read_greeting(frame) is None


@given(st.one_of(st.text(), st.binary(), st.recursive(st.none() | st.text(), st.lists).map(json.dumps)))
@settings(max_examples=100)
def test_no_frame_breaks_the_reader(frame: str | bytes) -> None:
    """Whatever a browser sends first is a greeting or none."""
    assert read_greeting(frame) is None or isinstance(read_greeting(frame), Hello | Return)

"""What passes between a browser at the door and the rooms: first messages, and secrets that are good once."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_daemon.services.rooms import entry as room_entry
from podium_daemon.services.rooms.entry import Hello, OneTimeSecrets, Return, read_greeting
from tests.support.clock import ManualClock


def secrets(clock: ManualClock, seconds: int = 60) -> OneTimeSecrets[str]:
    """A box of secrets."""
    return OneTimeSecrets(clock, os.urandom, seconds=seconds)


def test_a_secret_is_good_once() -> None:
    """It gives back what it stands for, and then nothing; texts nobody gave out give nothing."""
    box = secrets(ManualClock())
    first, second = box.issue("one"), box.issue("two")
    assert box.redeem(second) == "two"
    assert box.redeem(first) == "one"
    for text in (first, second, "", "x" * 43, "x" * 100_000, first + "=", "\ud800"):
        assert box.redeem(text) is None


async def test_a_secret_is_good_for_its_time() -> None:
    """Up to the last moment, and not at the end of it."""
    clock = ManualClock()
    box = secrets(clock)
    early, late = box.issue("early"), box.issue("late")
    await clock.advance(59.9)
    assert box.redeem(early) == "early"
    await clock.advance(0.1)
    assert box.redeem(late) is None


async def test_a_clock_that_is_set_changes_nothing() -> None:
    """Time is measured and not read: a wall clock that jumps neither ends a secret nor lengthens it."""
    clock = ManualClock()
    box = secrets(clock)
    text = box.issue("x")
    clock.jump(100_000)
    assert box.redeem(text) == "x"
    text = box.issue("y")
    clock.jump(-200_000)
    await clock.advance(60)
    assert box.redeem(text) is None


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may ask for a challenge: the oldest give way, and old ones are forgotten by themselves."""
    monkeypatch.setattr(room_entry, "MAX_ISSUED", 3)
    clock = ManualClock()
    box = secrets(clock)
    texts = [box.issue(str(number)) for number in range(5)]
    assert [box.redeem(text) for text in texts] == [None, None, "2", "3", "4"]
    for _ in range(3):
        box.issue("x")
    await clock.advance(61)
    box.issue("y")
    assert len(box._kept) == 1


def test_secrets_cannot_be_guessed_and_are_not_kept() -> None:
    """256 bits each, no two alike; what is kept is a hash."""
    box = secrets(ManualClock())
    texts = {box.issue("x") for _ in range(200)}
    assert len(texts) == 200
    assert all(len(text) == 43 for text in texts)
    assert not any(text.encode() in key for text in texts for key in box._kept)


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

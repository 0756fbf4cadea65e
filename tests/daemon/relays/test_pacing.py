"""Pacing: never more than so many messages in any minute, and pauses that grow."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from podium_daemon.relays.publishing import Pacer, RateLimitPause


def test_a_burst_up_to_the_limit_passes_and_no_more() -> None:
    """All of a minute's messages may go at once."""
    pacer = Pacer(100)
    assert pacer.room(1000.0) == 100
    pacer.note(100, 1000.0)
    assert pacer.room(1059.9) == 0
    assert pacer.room(1061.0) == 100


@given(
    st.lists(st.tuples(st.floats(0, 20), st.integers(0, 80)), max_size=60),
    st.integers(1, 100),
)
def test_no_minute_holds_more_than_the_limit(steps: list[tuple[float, int]], limit: int) -> None:
    """Whatever is wanted when, any 60 seconds hold `limit` messages at most."""
    pacer, now = Pacer(limit), 50.0
    sent: list[tuple[float, int]] = []
    for wait, wanted in steps:
        now += wait
        count = min(wanted, pacer.room(now))
        pacer.note(count, now)
        sent.append((now, count))
    for start, _ in sent:
        assert sum(count for at, count in sent if start <= at <= start + 60) <= limit


@given(st.lists(st.floats(0, 5), max_size=100))
def test_the_pace_recovers_fully(waits: list[float]) -> None:
    """After 61 quiet seconds everything is allowed again."""
    pacer, now = Pacer(10), 0.0
    for wait in waits:
        now += wait
        pacer.note(min(1, pacer.room(now)), now)
    assert pacer.room(now + 61) == 10


def test_the_pause_doubles_from_half_a_minute_to_a_quarter_of_an_hour() -> None:
    """Each refusal after a pause makes the next pause longer."""
    pause, now = RateLimitPause(), 1000.0
    waits = []
    for _ in range(8):
        pause.refused(now)
        waits.append(pause.seconds_left(now))
        now += pause.seconds_left(now)
    assert waits == [30, 60, 120, 240, 480, 900, 900, 900]


def test_many_refusals_at_once_are_one() -> None:
    """A window full of answers to what was sent before the pause does not make it longer."""
    pause = RateLimitPause()
    for _ in range(500):
        pause.refused(1000.0)
    assert pause.seconds_left(1000.0) == 30


def test_an_accepted_event_after_the_pause_makes_the_next_one_short_again() -> None:
    """A relay that takes events again is trusted again; an answer from before the pause does not count."""
    pause = RateLimitPause()
    pause.refused(1000.0)
    pause.accepted(1001.0)
    assert pause.seconds_left(1001.0) == 29
    pause.refused(1030.0)
    assert pause.seconds_left(1030.0) == 60
    pause.accepted(1090.0)
    pause.refused(1091.0)
    assert pause.seconds_left(1091.0) == 30

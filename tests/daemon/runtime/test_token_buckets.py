"""Token buckets: a burst at once, and a rate in the long run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from podium_daemon.runtime.allowances import Buckets, Rate


@given(
    burst=st.integers(1, 20),
    per_second=st.floats(0, 5),
    steps=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 5)), max_size=40),
)
def test_never_more_than_the_burst_and_the_rate(burst: int, per_second: float, steps: list[tuple[float, int]]) -> None:
    """Whatever is asked for and when: what was given is the burst at most, and what has run in since."""
    buckets, now, given_out = Buckets[str](Rate(burst, per_second)), 0.0, 0
    for pause, tokens in steps:
        now += pause
        given_out += tokens if buckets.take_tokens("a", now, tokens) else 0
        assert given_out <= burst + now * per_second + 1e-6


def test_one_name_takes_nothing_from_another() -> None:
    """Each has a bucket of its own, which fills again."""
    buckets = Buckets[str](Rate(2, 0.5))
    assert [buckets.take_tokens("a", 0.0) for _ in range(3)] == [True, True, False]
    assert buckets.take_tokens("b", 0.0)
    assert not buckets.take_tokens("a", 1.9)
    assert buckets.take_tokens("a", 2.0)


def test_a_clock_that_goes_back_gives_nothing() -> None:
    """No token comes of it, and none is lost."""
    buckets = Buckets[str](Rate(1, 1))
    assert buckets.take_tokens("a", 10.0)
    assert not buckets.holds("a", 0.0)


def test_names_are_bounded() -> None:
    """Strangers have as many as they like: the one that asked longest ago is forgotten."""
    buckets = Buckets[int](Rate(1, 0), at_most=3)
    for name in range(5):
        buckets.take_tokens(name, 0.0)
    assert len(buckets) == 3
    assert buckets.holds(0, 0.0)
    assert not buckets.holds(4, 0.0)

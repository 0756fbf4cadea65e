from __future__ import annotations

import random
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium_protocol.relay import backoff


def test_delays_double_up_to_a_minute() -> None:
    """With the least jitter they are half of 1, 2, 4 ... 60; with the most just below the whole."""
    assert list(islice(backoff.delays(lambda: 0.0), 8)) == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert list(islice(backoff.delays(lambda: 1.0), 8)) == [1, 2, 4, 8, 16, 32, 60, 60]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32))
def test_delays_never_exceed_the_cap(seed: int) -> None:
    """Whatever the random source gives."""
    assert all(0.5 <= delay <= 60 for delay in islice(backoff.delays(random.Random(seed).random), 30))


def test_two_clients_do_not_come_back_together() -> None:
    """The jitter comes from the random source of each."""
    one, other = (list(islice(backoff.delays(random.Random(seed).random), 5)) for seed in (1, 2))
    assert all(first != second for first, second in zip(one, other, strict=True))


def test_a_rate_limit_doubles_from_half_a_minute_to_a_quarter_of_an_hour() -> None:
    """The pause a relay asks for is kept in full."""
    assert list(islice(backoff.rate_limit_delays(), 7)) == [30, 60, 120, 240, 480, 900, 900]


@pytest.mark.parametrize(
    ("lasted", "answered", "proven"),
    [(30.0, True, True), (29.9, True, False), (3600.0, False, False), (0.1, False, False)],
)
def test_only_a_connection_that_lasted_and_answered_resets_the_delays(
    lasted: float, answered: bool, proven: bool
) -> None:
    """One that opens and dies, or never says anything, does not."""
    assert backoff.is_proven(lasted, answered) is proven

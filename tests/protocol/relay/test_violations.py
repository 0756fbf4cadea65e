from __future__ import annotations

import pytest

from podium_protocol.relay.verdicts import WEIGHTS, Misbehaviour, Violation


def test_every_fault_has_a_weight() -> None:
    """A fault nobody weighed would crash the session that meets it."""
    assert set(WEIGHTS) == set(Violation)
    assert all(weight > 0 for weight in WEIGHTS.values())


def test_faults_are_counted_by_name() -> None:
    """Status shows how often a relay did what."""
    relay = Misbehaviour()
    relay.add(Violation.BAD_FRAME, 1.0)
    relay.add(Violation.BAD_FRAME, 2.0)
    relay.add(Violation.FLOOD, 3.0)
    assert relay.counts == {Violation.BAD_FRAME: 2, Violation.FLOOD: 1}


def test_the_score_halves_in_ten_minutes() -> None:
    """An old fault fades."""
    relay = Misbehaviour()
    relay.add(Violation.OVERSIZED_FRAME, 1000.0)
    assert relay.score(1000.0) == pytest.approx(10.0)
    assert relay.score(1600.0) == pytest.approx(5.0)
    relay.add(Violation.OVERSIZED_FRAME, 1600.0)
    assert relay.score(1600.0) == pytest.approx(15.0)


def test_one_fault_is_forgiven_and_many_are_not() -> None:
    """One bad message never leads to the penalty box, a stream of them does, and it ends with time."""
    relay = Misbehaviour()
    for _ in range(20):
        assert not relay.is_banned(5.0)
        relay.add(Violation.BAD_FRAME, 5.0)
    relay.add(Violation.BAD_FRAME, 5.0)
    assert relay.is_banned(5.0)
    assert not relay.is_banned(5.0 + 600)


def test_a_clock_that_stands_still_or_steps_back_does_not_raise_the_score() -> None:
    """Fading never runs in reverse."""
    relay = Misbehaviour()
    relay.add(Violation.BAD_FRAME, 10.0)
    assert relay.score(0.0) == pytest.approx(5.0)

"""What people may have the daemon store: each bucket by itself, and none taken from where one is empty."""

from __future__ import annotations

import pytest

from podium_daemon.runtime.allowances import Allowances, Rate
from tests.support.clock import ManualClock

ONE, MANY = Rate(1, 0.1), Rate(100, 1)


@pytest.mark.parametrize("kind", ["key", "session", "address"])
def test_each_of_them_is_a_bound(kind: str) -> None:
    """A key, a session, an address; the one that is empty is named and counted, and another name has its own."""
    rates = {"of_a_key": MANY, "of_a_session": MANY, "of_an_address": MANY}
    rates |= {name: ONE for name in rates if name.endswith(kind)}
    found, names = Allowances(ManualClock(), **rates, in_all=MANY), {"key": "k", "session": "s", "address": "a"}
    assert found.take_token(**names) is None
    assert found.take_token(**names) == kind
    assert found.refused == {kind: 1}
    assert found.take_token(**names | {kind: "another"}) is None


def test_a_new_key_for_each_event_meets_the_bucket_of_all() -> None:
    """Keys cost nothing."""
    found = Allowances(ManualClock(), in_all=Rate(5, 0))
    assert [found.take_token(key=f"{number}") for number in range(7)] == [None] * 5 + ["all"] * 2


async def test_where_one_is_empty_the_others_keep_their_tokens() -> None:
    """A caller over their own share takes nothing from the share of all; it fills as time goes by."""
    clock = ManualClock()
    found = Allowances(clock, of_a_key=ONE, in_all=Rate(2, 0))
    assert found.take_token(key="k") is None
    for _ in range(5):
        assert found.take_token(key="k") == "key"
    assert found.take_token(key="other") is None
    assert found.take_token(key="third") == "all"
    await clock.advance(10)
    assert found.take_token(key="k") == "all"

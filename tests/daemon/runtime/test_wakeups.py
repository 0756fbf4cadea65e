"""Times at which single things are due."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from podium_daemon.runtime.wakeups import Wakeups

_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 8), st.integers(0, 20)),
        st.tuples(st.just("discard"), st.integers(0, 8), st.just(0)),
    ),
    max_size=60,
)


@given(_STEPS, st.integers(0, 20))
def test_it_knows_what_is_due_and_the_next_time_as_a_plain_dictionary_would(
    steps: list[tuple[str, int, int]], now: int
) -> None:
    """Whatever was set, changed and forgotten: the due keys, longest due first, and the earliest time of all."""
    wakeups: Wakeups[int] = Wakeups()
    plain: dict[int, float] = {}
    for word, key, at in steps:
        if word == "set":
            wakeups.set(key, at)
            plain[key] = at
        else:
            wakeups.discard(key)
            plain.pop(key, None)
        assert wakeups.next_at == min(plain.values(), default=None)
        due = wakeups.due(now)
        assert sorted(due) == sorted(key for key, at in plain.items() if at <= now)
        assert [plain[key] for key in due] == sorted(plain[key] for key in due)
    assert len(wakeups) == len(plain)


def test_a_time_that_is_put_off_for_ever_takes_no_more_memory() -> None:
    """A key whose time is changed a thousand times keeps a handful of entries."""
    wakeups: Wakeups[str] = Wakeups()
    for at in range(1_000):
        wakeups.set("session", at)
    assert len(wakeups._heap) < 20
    assert wakeups.next_at == 999

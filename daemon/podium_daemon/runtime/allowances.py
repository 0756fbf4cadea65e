"""How much strangers may make the daemon store: by key, by session, by address and in all, over HTTP and from relays.

A key costs nothing, and neither does an event. So the limits are what one person, one class behind one address and one
large session need. An attacker who takes a new key for each event meets the bucket for all.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, NamedTuple, TypeVar

from podium_daemon.runtime.clock import Clock

K = TypeVar("K", bound=Hashable)


class Rate(NamedTuple):
    """`burst` tokens at once, `per_second` more in the long run."""

    burst: float
    per_second: float


class _Bucket(NamedTuple):
    left: float
    at: float


class Buckets(Generic[K]):
    """One bucket for each name, full at first. Beyond `at_most` names, the one that asked longest ago is forgotten.

    A name costs a stranger nothing, so these buckets do not bound an attacker who takes a new name each time: use one
    bucket for all callers besides.
    """

    def __init__(self, rate: Rate, *, at_most: int = 20_000) -> None:
        self.rate = rate
        self._at_most = at_most
        self._buckets: OrderedDict[K, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def holds(self, name: K, now: float, tokens: float = 1.0) -> bool:
        """Whether `tokens` could be taken at `now` (monotonic seconds)."""
        return self._left(name, now) >= tokens

    def take_tokens(self, name: K, now: float, tokens: float = 1.0) -> bool:
        """Take `tokens` at `now` (monotonic seconds) and return True, or take none and return False."""
        left = self._left(name, now)
        if left < tokens:
            return False
        self._keep(name, left - tokens, now)
        return True

    def owe(self, name: K, now: float, tokens: float) -> float:
        """Take `tokens` at `now` (monotonic seconds), also those that are not there yet.

        Returns the seconds until they will have run in; 0 if there were enough.
        """
        left = self._left(name, now) - tokens
        self._keep(name, left, now)
        return max(0.0, -left / self.rate.per_second)

    def _keep(self, name: K, left: float, now: float) -> None:
        self._buckets[name] = _Bucket(left, now)
        self._buckets.move_to_end(name)
        while len(self._buckets) > self._at_most:
            self._buckets.popitem(last=False)

    def _left(self, name: K, now: float) -> float:
        bucket = self._buckets.get(name)
        if bucket is None:
            return self.rate.burst
        return min(self.rate.burst, bucket.left + max(0.0, now - bucket.at) * self.rate.per_second)


OF_A_KEY: Final = Rate(burst=200, per_second=1.0)
"""A page signs a handful of events and calls a minute; some 200 sessions may be answered in one go."""

OF_A_SESSION: Final = Rate(burst=30_000, per_second=500.0)
"""10,000 answers within a minute, their changes and their questions."""

OF_AN_ADDRESS: Final = Rate(burst=3_000, per_second=30.0)
"""Several hundred people behind one address who come at the same time, with five calls each."""

IN_ALL: Final = Rate(burst=60_000, per_second=1_000.0)

_ALL: Final = ""


class Allowances:
    """The buckets of one entry point (HTTP or relays). `refused` counts by the bucket that was empty."""

    def __init__(
        self,
        clock: Clock,
        *,
        of_a_key: Rate = OF_A_KEY,
        of_a_session: Rate = OF_A_SESSION,
        of_an_address: Rate = OF_AN_ADDRESS,
        in_all: Rate = IN_ALL,
    ) -> None:
        self._clock = clock
        self._buckets = {
            "key": Buckets[str](of_a_key),
            "session": Buckets[str](of_a_session),
            "address": Buckets[str](of_an_address),
            "all": Buckets[str](in_all),
        }
        self.refused: Counter[str] = Counter()

    def take_token(self, *, key: str = "", session: str = "", address: str = "") -> str | None:
        """Take one token from each bucket that is named, and from the bucket for all.

        Returns None, or the name of the first empty bucket ("key", "session", "address", "all"): then no token was
        taken.
        """
        now = self._clock.monotonic()
        wanted = [("key", key), ("session", session), ("address", address)]
        named = [*((kind, name) for kind, name in wanted if name), ("all", _ALL)]
        empty = next((kind for kind, name in named if not self._buckets[kind].holds(name, now)), None)
        if empty is not None:
            self.refused[empty] += 1
            return empty
        for kind, name in named:
            self._buckets[kind].take_tokens(name, now)
        return None

"""Token buckets: how much a caller may have at once, and how much more as time goes by. Pure; functions take `now`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

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

    def take(self, name: K, now: float, tokens: float = 1.0) -> bool:
        """Take `tokens` at `now` (monotonic seconds) and return True, or take none and return False."""
        left = self._left(name, now)
        if left < tokens:
            return False
        self._buckets[name] = _Bucket(left - tokens, now)
        self._buckets.move_to_end(name)
        while len(self._buckets) > self._at_most:
            self._buckets.popitem(last=False)
        return True

    def _left(self, name: K, now: float) -> float:
        bucket = self._buckets.get(name)
        if bucket is None:
            return self.rate.burst
        return min(self.rate.burst, bucket.left + max(0.0, now - bucket.at) * self.rate.per_second)

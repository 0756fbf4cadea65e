"""Times at which single things are due, found without a look at all of them."""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

Key = TypeVar("Key")


class Wakeups(Generic[Key]):
    """For each key the Unix second at which it is due. A key has one time; a new one takes the place of the old."""

    def __init__(self) -> None:
        self._times: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []  # entries whose time is not the key's any more are passed over
        self._entries = 0

    def __len__(self) -> int:
        """The number of keys."""
        return len(self._times)

    def __contains__(self, key: Key) -> bool:
        """Whether the key has a time."""
        return key in self._times

    def set(self, key: Key, at: float) -> None:
        """Let the key be due at `at`."""
        if self._times.get(key) == at:
            return
        self._times[key] = at
        self._entries += 1  # keys themselves need no order
        heapq.heappush(self._heap, (at, self._entries, key))
        if len(self._heap) > 2 * len(self._times) + 16:  # most are passed over: the memory follows the keys
            self._heap = [(time, number, key) for number, (key, time) in enumerate(self._times.items())]
            heapq.heapify(self._heap)

    def discard(self, key: Key) -> None:
        """Forget the key's time, if it has one."""
        self._times.pop(key, None)

    def due(self, now: float) -> list[Key]:
        """The keys that are due at `now`, the longest due first; they stay due until they are changed."""
        found: dict[Key, float] = {}
        while self._heap and self._heap[0][0] <= now:
            at, _, key = heapq.heappop(self._heap)
            if self._times.get(key) == at:
                found[key] = at
        for key, at in found.items():
            self._entries += 1
            heapq.heappush(self._heap, (at, self._entries, key))
        return list(found)

    @property
    def next_at(self) -> float | None:
        """The first time of all; None if no key has one."""
        while self._heap and self._times.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

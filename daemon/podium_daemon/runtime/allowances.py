"""How much strangers may make the daemon store: by key, by session, by address and in all, over HTTP and from relays.

A key costs nothing, and neither does an event. So the limits are what one person, one class behind one address and one
large session need. An attacker who takes a new key for each event meets the bucket for all.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from podium_daemon.runtime.clock import Clock
from podium_protocol.token_buckets import Buckets, Rate

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

    def take(self, *, key: str = "", session: str = "", address: str = "") -> str | None:
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
            self._buckets[kind].take(name, now)
        return None

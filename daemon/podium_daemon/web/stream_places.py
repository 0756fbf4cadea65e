"""How many streams may be open, and how they are shared out: strangers by address, people who signed in, leaders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from podium_daemon.runtime.connections import count_down
from podium_daemon.runtime.outcomes import Slug
from podium_daemon.web.login import Caller
from podium_daemon.web.problems import Problem
from podium_protocol.events import Pubkey

MAX_STREAMS: Final = 2_000  # each is an open connection; beyond that a page asks again after a while
MAX_OF_ONE_KEY: Final = 12  # a person's tabs and devices
MAX_OF_ONE_ADDRESS: Final = 200  # of strangers: three classes of sixty behind one router, each browser has one
_OF_CONNECTIONS: Final = 0.75  # streams at most, so that plain calls find a connection too
_OF_ANYBODY: Final = 0.5  # of the streams; the rest is for people who signed in
MAX_SIGNED_OF_ONE_ADDRESS: Final = 500  # keys cost nothing, and behind a proxy no cap of connections holds them
_OF_ONE_ADDRESS: Final = 0.5  # of these places at most, where there are few
_OF_SIGNED: Final = 0.9  # the rest is for instructors and co-hosts


class StreamPlaces:
    """Counts the open streams."""

    def __init__(self, connections: Callable[[], int]) -> None:
        """`connections`: how many the server takes at once; streams are a part of them."""
        self._connections = connections
        self._taken: Counter[Pubkey | None] = Counter()
        self._strangers: Counter[str] = Counter()
        self._signed: Counter[str] = Counter()
        self._closed = False

    @property
    def taken(self) -> int:
        """The number of open streams."""
        return self._taken.total()

    @contextmanager
    def take_place(self, viewer: Caller | None, *, leading: bool = False, address: str = "") -> Iterator[None]:
        """Count one stream, however many sessions it follows: else some browsers of one address took all places.

        `leading`: the viewer leads a session of it; `address`: what others are counted by as well, "" for no limit.

        Raises:
            Problem: 503, too many streams are open.
        """
        pubkey = viewer.pubkey if viewer else None
        if self._closed or self._is_full(pubkey, leading=leading):
            detail = "too many pages are listening"
            raise Problem(Slug.TOO_MANY_STREAMS, detail, "Close other tabs, or try again later.")
        of_address = self._signed if viewer else self._strangers
        if address and not leading and of_address[address] >= self._share(viewer):
            detail = f"too many pages of this network are listening {'with' if viewer else 'without'} a login"
            next_step = "Close other tabs, or try again later." if viewer else "Sign in, or try again later."
            raise Problem(Slug.TOO_MANY_STREAMS, detail, next_step)
        self._taken[pubkey] += 1
        of_address[address] += 1
        try:
            yield
        finally:
            count_down(self._taken, pubkey)
            count_down(of_address, address)

    def close(self) -> None:
        """Let no other stream begin."""
        self._closed = True

    def _is_full(self, pubkey: Pubkey | None, *, leading: bool) -> bool:
        if pubkey is not None and self._taken[pubkey] >= MAX_OF_ONE_KEY:
            return True
        if pubkey is None and self._taken[None] >= self._of_strangers():
            return True
        return self.taken >= self._places() * (1 if leading else _OF_SIGNED)

    def _share(self, viewer: Caller | None) -> float:
        """How many of one address may listen, as strangers or signed in."""
        if viewer is None:
            return min(MAX_OF_ONE_ADDRESS, self._of_strangers() * _OF_ONE_ADDRESS)
        return min(MAX_SIGNED_OF_ONE_ADDRESS, self._places() * _OF_ONE_ADDRESS)

    def _places(self) -> int:
        return min(MAX_STREAMS, int(self._connections() * _OF_CONNECTIONS))

    def _of_strangers(self) -> float:
        return self._places() * _OF_ANYBODY

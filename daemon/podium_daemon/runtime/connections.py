"""The open connections of a server: how many there may be, and which is closed when one more comes.

A caller that opens a connection has proven nothing yet. So at the cap no caller is refused while there is an idle
connection: the one that has been idle for longest is closed. Idle is a connection without a complete request, and a
WebSocket to which the daemon has sent nothing. Connections at work are never closed.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Final, NamedTuple, TypeVar

import structlog

from podium_daemon.runtime.clock import Clock, SystemClock

K = TypeVar("K", bound=Hashable)

SAY_AGAIN: Final = 600.0
"""Seconds between two equal lines in the log: a flood of connections must not flood the log."""

_log = structlog.get_logger(__name__)


class Caps(NamedTuple):
    """The most connections `in_all`, and of one address (IPv6: one /64) that is not this machine's own."""

    in_all: int
    of_an_address: int


class Connections:
    """Knows every open connection by its transport."""

    def __init__(
        self, caps: Callable[[], Caps], clock: Clock | None = None, *, of: str = "web", proxies: Proxies | None = None
    ) -> None:
        """`caps` is asked at each connection, so that a reload counts at once. `of` begins the actions in the log.

        The connections of `proxies` have no cap of their address: they speak for all people.
        """
        self.of = of
        self._proxies = proxies or Proxies(())
        self._caps = caps
        self._clock = clock or SystemClock()
        self._origins: dict[asyncio.BaseTransport, str] = {}
        self._counts: Counter[str] = Counter()
        self._idle: dict[asyncio.BaseTransport, None] = {}  # idle for longest first
        self._idle_of: dict[str, dict[asyncio.BaseTransport, None]] = {}
        self._quiet_until = float("-inf")
        self.refused = 0

    def __len__(self) -> int:
        return len(self._origins)

    def has_room_for(self, address: str, coming: int) -> bool:
        """Whether one more from `address` may open, besides `coming` that are about to; idle ones are closed for it."""
        caps, origin = self._caps(), self._origin_of(address)
        if origin and self._counts[origin] >= caps.of_an_address and not self._end_one(self._idle_of.get(origin, {})):
            return self._refuse(f"{caps.of_an_address} of one address")
        if len(self) + coming >= caps.in_all and not self._end_one(self._idle):
            return self._refuse(f"{caps.in_all} in all")
        return True

    def opened(self, transport: asyncio.BaseTransport, address: str) -> None:
        """Note a new connection, which is idle."""
        origin = self._origin_of(address)
        self._origins[transport] = origin
        self._counts[origin] += 1
        self.rests(transport)

    def rests(self, transport: asyncio.BaseTransport) -> None:
        """Note that a connection waits for its peer; one that is idle already keeps its place in the order."""
        if (origin := self._origins.get(transport)) is not None and transport not in self._idle:
            self._idle[transport] = None
            self._idle_of.setdefault(origin, {})[transport] = None

    def works(self, transport: asyncio.BaseTransport) -> None:
        """Note that a connection has work, so that it is not closed."""
        if transport not in self._idle:
            return
        del self._idle[transport]
        origin = self._origins[transport]
        del self._idle_of[origin][transport]
        if not self._idle_of[origin]:
            del self._idle_of[origin]

    def closed(self, transport: asyncio.BaseTransport) -> None:
        """Note that a connection was closed; safe to call twice."""
        if transport not in self._origins:
            return
        self.works(transport)
        origin = self._origins.pop(transport)
        count_down(self._counts, origin)

    def _origin_of(self, address: str) -> str:
        return "" if address in self._proxies else origin_of(address)

    def _end_one(self, row: dict[asyncio.BaseTransport, None]) -> bool:
        oldest = next(iter(row), None)
        if oldest is None:
            return False
        self._say("idle connections are closed, others need their place")
        self.closed(oldest)
        assert isinstance(oldest, asyncio.Transport)
        oldest.abort()
        return True

    def _refuse(self, cap: str) -> bool:
        self.refused += 1
        self._say(f"connections are refused: there are {cap}, and all have something to do")
        return False

    def _say(self, what: str) -> None:
        now = self._clock.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + SAY_AGAIN
            _log.warning(what, action=f"{self.of}.crowded", open=len(self))


def origin_of(address: str) -> str:
    """The part of an address that is counted as one; empty for this machine's own, where a proxy speaks for all."""
    ip = _ip_of(address)
    if ip is None:
        return address
    if ip.is_loopback:
        return ""
    # RFC 4291, 2.5.4: one customer has a /64 at least, and all of its addresses
    return str(ip) if isinstance(ip, ipaddress.IPv4Address) else str(ipaddress.ip_network((ip, 64), strict=False))


class Proxies:
    """The reverse proxies that are believed when they say for whom they speak (`X-Forwarded-For`)."""

    def __init__(self, networks: Sequence[str] = ("127.0.0.1", "::1")) -> None:
        """`networks`: addresses, or networks such as 10.0.0.0/8."""
        self._networks = [ipaddress.ip_network(one) for one in networks]

    def __contains__(self, address: str) -> bool:
        ip = _ip_of(address)
        return ip is not None and any(ip in network for network in self._networks)

    def hosts(self) -> list[str]:
        """All spellings: a socket that takes IPv6 and IPv4 names IPv4 callers as ::ffff:192.0.2.1."""
        mapped = (
            f"::ffff:{network.network_address}/{96 + network.prefixlen}"
            for network in self._networks
            if isinstance(network, ipaddress.IPv4Network)
        )
        return [*map(str, self._networks), *mapped]


def _ip_of(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return ip.ipv4_mapped or ip if isinstance(ip, ipaddress.IPv6Address) else ip


def count_down(counts: Counter[K], name: K) -> None:
    """Count one less of `name`, and forget it with the last one; `-=` would look at every name."""
    counts[name] -= 1
    if counts[name] <= 0:
        del counts[name]

"""Resolves a relay URL to addresses, and checks whether we may connect to them.

With a URL in an event or a profile a stranger can make this machine connect to a place of their choice. So its host is
resolved once, addresses that are not plainly public are left out, and the connection is made to one of those that
remain, not to what the name resolves to later (DNS rebinding). URLs that the operator configured are not restricted.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Awaitable, Callable, Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Final
from urllib.parse import urlsplit

import msgspec

from podium_protocol import relay_url

RESOLVE_WITHIN: Final = 5.0  # seconds
_LOOKUPS_AT_ONCE: Final = 8  # strangers' slow name servers must not fill the process with threads
_DEFAULT_PORTS: Final = {"ws": 80, "wss": 443}
_OWN_NAMES: Final = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".test", ".invalid")

Network = IPv4Network | IPv6Network
Lookup = Callable[[str, int], Awaitable[Collection[str]]]
"""From a host name and a port to its addresses. Raises OSError."""


class Destination(msgspec.Struct, frozen=True):
    """A place to connect to: TLS and Host header name `host`, the socket goes to one of `addresses`, in this order."""

    url: str
    host: str
    port: int
    is_secure: bool
    addresses: tuple[str, ...]


class AddressRefused(msgspec.Struct, frozen=True):
    """An expected outcome: the URL leads nowhere, or to a place where strangers must not send us.

    `is_lasting`: trying again is of no use; otherwise the name server may only be down.
    """

    url: str
    reason: str
    is_lasting: bool = True
    retry_after: float | None = None  # seconds, if there was no free place for the relay


async def resolve_public(
    url: str, lookup: Lookup, *, permitted: Iterable[Network] = ()
) -> Destination | AddressRefused:
    """Resolve a stranger's URL to its destination, if it is safe to connect to.

    `permitted` are networks that the operator allows although they are not public.
    """
    if (normal := relay_url.normalise(url)) is None:
        return AddressRefused(url[:200], "it is no ws or wss URL")
    host, port, is_secure = _parts(normal)
    if not is_usual(port):
        return AddressRefused(normal, f"port {port} belongs to another protocol")
    allowed = tuple(permitted)
    found = await _look_up(normal, host, port, lookup)
    if isinstance(found, AddressRefused):
        return found
    safe = tuple(address for address in found if is_public(address) or _is_in(address, allowed))
    if not safe:
        return AddressRefused(normal, "its host has no public address")
    return Destination(normal, host, port, is_secure, safe)


async def resolve_configured(url: str, lookup: Lookup) -> Destination | AddressRefused:
    """Resolve the operator's URL to its destination; private addresses are allowed."""
    if (normal := relay_url.normalise(url)) is None:
        return AddressRefused(url[:200], "it is no ws or wss URL")
    host, port, is_secure = _parts(normal)
    found = await _look_up(normal, host, port, lookup)
    return found if isinstance(found, AddressRefused) else Destination(normal, host, port, is_secure, found)


def is_public(text: str) -> bool:
    """Whether an address is an ordinary public unicast one, by the special-purpose registries of IANA.

    Written out and not left to `ipaddress.is_global`, whose answers differ between versions of Python, and which takes
    multicast and addresses that contain an IPv4 address (6to4, NAT64) for global.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address.scope_id is None and address in _UNICAST_6 and not any(address in net for net in _NOT_PUBLIC_6)


def leads_outside(url: str, permitted: Iterable[Network] = ()) -> bool:
    """Whether a relay's URL may lead beyond this machine and its network, as far as the URL alone tells.

    `permitted` are networks that count as outside although they are not public.
    """
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." in host and not host.endswith(_OWN_NAMES)
    return is_public(host) or _is_in(host, tuple(permitted))


class SystemLookup:
    """Asks the system's resolver, on threads of its own.

    Not on the loop's default threads: a dead name server would hold those for half a minute, and the process waits for
    them when it exits. These are daemon threads, for which it does not wait.
    """

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(_LOOKUPS_AT_ONCE)

    async def __call__(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses of `host` in the system's order of preference.

        Raises:
            OSError: there are none.
        """
        async with self._slots:
            answer: asyncio.Future[tuple[str, ...] | OSError] = asyncio.get_running_loop().create_future()
            threading.Thread(target=_ask_system, args=(host, port, answer), daemon=True, name="dns").start()
            found = await answer
        if isinstance(found, OSError):
            raise found
        return found


def _ask_system(host: str, port: int, answer: asyncio.Future[tuple[str, ...] | OSError]) -> None:
    found: tuple[str, ...] | OSError
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        found = tuple(dict.fromkeys(str(address[0]) for *_, address in rows))
    except OSError as error:
        found = error
    except UnicodeError as error:  # an empty or overlong label
        found = OSError(str(error))

    def settle() -> None:
        if not answer.done():
            answer.set_result(found)

    try:
        answer.get_loop().call_soon_threadsafe(settle)
    except RuntimeError:
        return  # the loop is closed: no task waits any more


async def _look_up(url: str, host: str, port: int, lookup: Lookup) -> tuple[str, ...] | AddressRefused:
    try:
        return (str(ipaddress.ip_address(host)),)  # needs no resolver
    except ValueError:
        pass
    try:
        async with asyncio.timeout(RESOLVE_WITHIN):
            return tuple(await lookup(host, port))
    except TimeoutError:
        return AddressRefused(url, f"its host was not resolved within {RESOLVE_WITHIN:g} s", is_lasting=False)
    except OSError as error:
        return AddressRefused(url, f"its host cannot be resolved: {error.strerror or error}", is_lasting=False)


def _parts(normal: str) -> tuple[str, int, bool]:
    parts = urlsplit(normal)
    assert parts.hostname is not None
    return parts.hostname, parts.port or _DEFAULT_PORTS[parts.scheme], parts.scheme == "wss"


def is_usual(port: int) -> bool:
    """Whether a relay may be at this port: not at a system port but 80 and 443, nor at one that browsers refuse."""
    return port in (80, 443) or (port >= 1024 and port not in _OTHER_PROTOCOLS)


def _is_in(text: str, networks: Collection[Network]) -> bool:
    address = ipaddress.ip_address(text)
    return any(address.version == network.version and address in network for network in networks)


def _networks_4(*texts: str) -> tuple[IPv4Network, ...]:
    return tuple(map(IPv4Network, texts))


def _networks_6(*texts: str) -> tuple[IPv6Network, ...]:
    return tuple(map(IPv6Network, texts))


_NOT_PUBLIC_4: Final = _networks_4(
    "0.0.0.0/8",  # this host
    "10.0.0.0/8",  # private
    "100.64.0.0/10",  # shared by a carrier's customers
    "127.0.0.0/8",  # loopback
    "169.254.0.0/16",  # link-local: the metadata services of clouds
    "172.16.0.0/12",  # private
    "192.0.0.0/24",  # protocol assignments
    "192.0.2.0/24",  # documentation
    "192.31.196.0/24",  # AS112
    "192.52.193.0/24",  # AMT
    "192.88.99.0/24",  # 6to4 relays
    "192.168.0.0/16",  # private
    "192.175.48.0/24",  # AS112
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, broadcast
)
# Unicast is allocated from 2000::/3 only. That alone leaves out loopback, IPv4-mapped and IPv4-compatible addresses,
# NAT64 (64:ff9b::/96 and 64:ff9b:1::/48), unique-local, link-local, site-local, multicast and segment routing.
_UNICAST_6: Final = IPv6Network("2000::/3")
_NOT_PUBLIC_6: Final = _networks_6(
    "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4: any IPv4 address, private ones too, inside
    "2620:4f:8000::/48",  # AS112
    "3fff::/20",  # documentation
)
# The ports from 1024 on that the WHATWG Fetch standard blocks, and databases that act on one line of text.
_OTHER_PROTOCOLS: Final = frozenset(
    {
        1719,
        1720,
        1723,
        2049,
        3659,
        4045,
        4190,
        5060,
        5061,
        6000,
        6379,
        6566,
        6679,
        6697,
        10080,
        11211,
        *range(6665, 6670),
    }
)

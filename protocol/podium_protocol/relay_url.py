"""One spelling for each relay URL, so that lists, dedup and logins compare like with like.

Only what every relay list agrees on is made equal: the case of scheme and host, the default port, and the slash of an
empty path. Paths stay as they are: `/inbox` and `/inbox/` may be two relays. Whether a host may be connected to at all
(private addresses) is the daemon's question.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from podium_protocol.errors import LocalProtocolError
from podium_protocol.limits import MAX_RELAY_URL_CHARS

_DEFAULT_PORTS: Final = {"ws": 80, "wss": 443}
# Read by a pattern and not by urllib, which drops tabs and newlines in silence. No user info: it would put a
# password, or a second host name to mislead the eye, into lists. No fragment: it is never sent.
_URL: Final = re.compile(
    r"(?P<scheme>wss?)://(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?#\\<>\"`{}|^]*)?(?P<query>\?[^#\\<>\"`{}|^]*)?",
    re.IGNORECASE | re.ASCII,
)
_GRAPHIC: Final = re.compile(r"[!-~]+")
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")


def normalise(text: str) -> str | None:
    """The relay's URL in its one spelling, or None where the text is no ws or wss URL that we would list or dial."""
    if len(text) > MAX_RELAY_URL_CHARS or not _GRAPHIC.fullmatch(text):
        return None
    match = _URL.fullmatch(text)
    if match is None:
        return None
    scheme, host, path = match["scheme"].lower(), match["host"].lower(), match["path"] or ""
    port = int(match["port"] or _DEFAULT_PORTS[scheme])
    if not _is_host(host) or not 1 <= port <= 65_535:
        return None
    shown_port = "" if port == _DEFAULT_PORTS[scheme] else f":{port}"
    return f"{scheme}://{host}{shown_port}{'' if path == '/' else path}{match['query'] or ''}"


def same_relay(one: str, other: str) -> bool:
    """Whether two URLs name the same relay, trailing slashes aside (NIP-42 leaves the comparison to us)."""
    first, second = normalise(one), normalise(other)
    return first is not None and second is not None and first.rstrip("/") == second.rstrip("/")


def normalise_all(texts: Iterable[str], at_most: int) -> tuple[str, ...]:
    """The valid ones of what a stranger lists, in their order, each once, and no more than `at_most`."""
    found = dict.fromkeys(url for text in texts if (url := normalise(text)) is not None)
    return tuple(found)[:at_most]


def require_all(texts: Iterable[str], at_most: int) -> tuple[str, ...]:
    """Our own list, in its order, each once.

    Raises:
        LocalProtocolError: it is empty, longer than `at_most`, or one is no ws or wss URL.
    """
    urls = {text: normalise(text) for text in texts}
    for text, url in urls.items():
        if url is None:
            raise LocalProtocolError(f"not a relay URL: {text!r}; write it as wss://host or ws://host:port")
    found = dict.fromkeys(url for url in urls.values() if url is not None)
    if not 1 <= len(found) <= at_most:
        raise LocalProtocolError(f"a relay list names 1 to {at_most} relays, not {len(found)}")
    return tuple(found)


def _is_host(host: str) -> bool:
    if host.startswith("["):
        return _is_address(host[1:-1], ipaddress.IPv6Address)
    labels = host.split(".")
    if labels[-1].isdigit() or labels[-1].startswith("0x"):
        # 127.1, 2130706433 and 0x7f.1 are loopback to a resolver: only the dotted quad is what it looks like
        return _is_address(host, ipaddress.IPv4Address)
    return all(_LABEL.fullmatch(label) for label in labels)


def _is_address(text: str, kind: type[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True

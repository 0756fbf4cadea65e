"""The kinds of values a configuration file holds, with the words for what is expected; the base of its sections."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, ClassVar, Final
from urllib.parse import urlsplit

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.config import JsonDict

from podium_daemon.keys.secret_file import is_like_secret
from podium_protocol.errors import PodiumError
from podium_protocol.nips.nip13 import MAX_WORK
from podium_protocol.nips.nip19 import parse_pubkey
from podium_protocol.relay_url import normalise
from podium_protocol.text import single_line

MAX_SECONDS: Final = 10 * 365 * 86_400
DURATION_FORM: Final = 'a duration: whole seconds such as 90, or text such as "90s", "15 min", "24h" or "14 days"'

_UNITS: Final = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
}
_TEXT: Final = re.compile(r"\s*(?:[0-9]{1,9}\s*[a-z]{1,7}\s*)+", re.ASCII)
_PART: Final = re.compile(r"([0-9]{1,9})\s*([a-z]{1,7})", re.ASCII)
_MAX_CHARACTERS: Final = 64


def parse_duration(value: object) -> int:
    """Whole seconds of a number of seconds or of text such as "15 min" or "1h 30m".

    Raises:
        ValueError: anything else: fractions, negative times, a quoted number without a unit, over ten years.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return _bounded(value)
    if isinstance(value, str) and len(value) <= _MAX_CHARACTERS and _TEXT.fullmatch(value.lower()):
        return _bounded(sum(int(number) * _factor(unit) for number, unit in _PART.findall(value.lower())))
    raise ValueError(f"expected {DURATION_FORM}")


def format_duration(seconds: int) -> str:
    """The shortest text that `parse_duration` reads as `seconds`."""
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        # a day is written in hours ("24h before"), and so is each duration that is not a whole number of days
        if seconds >= size and seconds % size == 0 and (size, seconds) != (86_400, 86_400):
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _factor(unit: str) -> int:
    if unit not in _UNITS:
        raise ValueError(f"expected {DURATION_FORM}")
    return _UNITS[unit]


def _bounded(seconds: int) -> int:
    if not 0 <= seconds <= MAX_SECONDS:
        raise ValueError(f"expected {DURATION_FORM}, from 0 to ten years")
    return seconds


_MAX_CHARACTERS_VALUES: Final = 2048
_MAX_NAME: Final = 200
_MAX_TEXT: Final = 16_384
_PORTS: Final = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Fa-f:.]{2,45}")
_HOST_HEADER: Final = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
_ICE_URL: Final = re.compile(
    r"(stun|turns?):([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?(\?transport=(udp|tcp))?"
)
_ADDRESS: Final = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9A-Fa-f:.]{2,45}")
_NIP05: Final = re.compile(r"[A-Za-z0-9._-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")


class Form(msgspec.Struct, frozen=True):
    """Marks a type with what is expected, in words that follow "expected"."""

    text: str


class AnchoredPath(msgspec.Struct, frozen=True):
    """Marks a path: one that is relative in a file is taken from that file's folder."""


def _path(value: object) -> object:
    """Empty text stands for "derived": TOML has no null."""
    if isinstance(value, str) and is_like_secret(Path(value).name):
        raise ValueError(
            "is to name a file, and what is there looks like a secret key: put that into a file of mode 0600"
        )
    if isinstance(value, str):
        return Path(value).expanduser() if value else None
    return value


def origin_of(url: str) -> str | None:
    """Scheme, host and port of an http(s) URL that has nothing after them, in one spelling; None for anything else."""
    parts = _http_parts(url)
    if parts is None or parts[3] not in ("", "/"):
        return None
    scheme, host, port, _ = parts
    return f"{scheme}://{host}" + ("" if port in (None, {"http": 80, "https": 443}[scheme]) else f":{port}")


def _public_url(value: object) -> object:
    if not isinstance(value, str) or not value:
        return value
    origin = origin_of(value)
    if origin is None:
        raise ValueError("expected http:// or https:// with a host and perhaps a port, nothing after it")
    return origin


def _meeting_url(value: object) -> object:
    # the text is never echoed: it may hold the meeting's password
    if isinstance(value, str) and value and _http_parts(value) is None:
        raise ValueError("expected the http:// or https:// URL of a meeting, without a user name")
    return value


def _server_url(value: object) -> object:
    if isinstance(value, str) and value and _http_parts(value) is None:
        raise ValueError(f"expected {SERVER_FORM}")
    return value


def _plain_address(value: object) -> object:
    if isinstance(value, str) and value:
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            raise ValueError(f"expected {ADDRESS_FORM}") from None
    return value


def _proxy_network(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        network = ipaddress.ip_network(value)
    except ValueError:
        raise ValueError(f"expected {PROXY_FORM}") from None
    if not network.prefixlen:  # it would let every caller choose their address
        raise ValueError(f"expected {PROXY_FORM}, and not of all addresses")
    return value


def _port_range(value: object) -> object:
    if isinstance(value, str) and value:
        found = _PORTS.fullmatch(value)
        if found is None or not 1024 <= int(found[1]) < int(found[2]) <= 65_535:
            raise ValueError(f"expected {PORTS_FORM}")
    return value


def _socket_url(value: object) -> object:
    as_web = re.sub(r"\Aws(?=s?://)", "http", value) if isinstance(value, str) else value
    if isinstance(as_web, str) and as_web and _http_parts(as_web) is None:
        raise ValueError(f"expected {SOCKET_FORM}")
    return value


def _http_parts(url: str) -> tuple[str, str, int | None, str] | None:
    """Scheme, host, port, and all that follows; None if it is no URL to send people to."""
    # urlsplit drops tabs and newlines in silence; a browser would read what is left otherwise than we do
    if len(url) > _MAX_CHARACTERS_VALUES or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return None
    shown = f"[{host}]" if ":" in host else host
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host) or port == 0 or parts.username is not None:
        return None
    return parts.scheme, shown, port, url.split("//", 1)[1][len(parts.netloc) :]


def _relay_url(value: object) -> object:
    if not isinstance(value, str):
        return value
    url = normalise(value)
    if url is None:
        raise ValueError(f"expected {RELAY_FORM}")
    return url


def is_nip05(text: str) -> bool:
    """Whether a checked entry of the allow-list is a NIP-05 name and not a key."""
    return _NIP05.fullmatch(text) is not None


def _instructor(value: object) -> object:
    if not isinstance(value, str):
        return value
    if _NIP05.fullmatch(value):
        return value.lower()
    try:
        return parse_pubkey(value)
    except PodiumError:
        raise ValueError(f"expected {INSTRUCTOR_FORM}") from None


def _name(value: object) -> object:
    if isinstance(value, str) and (single_line(value, _MAX_NAME) != value or not value):
        raise ValueError(f"expected {NAME_FORM}")
    return value


def _matching(pattern: re.Pattern[str], form: str) -> BeforeValidator:
    def check(value: object) -> object:
        if isinstance(value, str) and not pattern.fullmatch(value):
            raise ValueError(f"expected {form}")
        return value

    return BeforeValidator(check)


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


RELAY_FORM: Final = "a ws:// or wss:// URL without a user name, such as wss://relay.example.org"
INSTRUCTOR_FORM: Final = "a public key (npub, nprofile or 64 hex digits) or a NIP-05 name such as ada@example.org"
NAME_FORM: Final = f"one line of 1 to {_MAX_NAME} characters"
ADDRESS_FORM: Final = "an IP address, or empty text"
PROXY_FORM: Final = "an IP address, or a network such as 10.0.0.0/8"
PORTS_FORM: Final = 'two UDP ports from 1024 to 65535, such as "20000-20999", or empty text'
SOCKET_FORM: Final = "a ws://, wss://, http:// or https:// URL without a user name, or empty text"
SERVER_FORM: Final = "an http:// or https:// URL without a user name, or empty text"
ICE_FORM: Final = "a stun:, turn: or turns: URL without a user name, such as turn:turn.example.org:3478"
HOST_FORM: Final = "an address to listen on, such as 127.0.0.1 or ::1"

FrozenList = BeforeValidator(_as_tuple)
"""TOML lists become tuples, so that the whole configuration is frozen."""

Seconds = Annotated[int, BeforeValidator(parse_duration), Field(ge=0, le=MAX_SECONDS), Form(DURATION_FORM)]
PositiveSeconds = Annotated[
    int, BeforeValidator(parse_duration), Field(ge=1, le=MAX_SECONDS), Form(f"{DURATION_FORM}, longer than zero")
]
Port = Annotated[int, Field(ge=0, le=65_535), Form("a port number from 1 to 65535, or 0 for any free one")]
Percent = Annotated[int, Field(ge=1, le=100), Form("a whole number from 1 to 100")]
WorkBits = Annotated[int, Field(ge=0, le=MAX_WORK), Form(f"a whole number from 0 to {MAX_WORK}")]
Minutes = Annotated[int, Field(ge=1, le=24 * 60), Form("whole minutes from 1 to 1440")]
Days = Annotated[int, Field(ge=0, le=36_500), Form("whole days, or 0 for ever")]
Devices = Annotated[int, Field(ge=1, le=16), Form("a whole number from 1 to 16")]
Connections = Annotated[int, Field(ge=16, le=1_000_000), Form("a whole number from 16 to 1000000")]
Messages = Annotated[int, Field(ge=60, le=100_000_000), Form("a whole number from 60 to 100000000")]
BudgetMegabytes = Annotated[int, Field(ge=0, le=10_000_000), Form("whole megabytes from 0 to 10000000")]
Megabytes = Annotated[int, Field(ge=1, le=1_000_000), Form("whole megabytes from 1 to 1000000")]
Location = Annotated[Path | None, BeforeValidator(_path), AnchoredPath(), Form("a path, or empty text")]
PublicUrl = Annotated[
    str, BeforeValidator(_public_url), Form("http:// or https:// with a host and perhaps a port, or empty text")
]
PlainAddress = Annotated[str, BeforeValidator(_plain_address), Form(ADDRESS_FORM)]
ProxyNetwork = Annotated[str, BeforeValidator(_proxy_network), Form(PROXY_FORM)]
PortRange = Annotated[str, BeforeValidator(_port_range), Form(PORTS_FORM)]
SocketUrl = Annotated[str, BeforeValidator(_socket_url), Form(SOCKET_FORM)]
ServerUrl = Annotated[str, BeforeValidator(_server_url), Form(SERVER_FORM)]
MeetingUrl = Annotated[str, BeforeValidator(_meeting_url), Form("the http(s) URL of a meeting, or empty text")]
RelayUrl = Annotated[str, BeforeValidator(_relay_url), Form(RELAY_FORM)]
Instructor = Annotated[str, BeforeValidator(_instructor), Form(INSTRUCTOR_FORM)]
Name = Annotated[str, BeforeValidator(_name), Form(NAME_FORM)]
Text = Annotated[str, Field(max_length=_MAX_TEXT), Form(f"text of at most {_MAX_TEXT} characters")]
IceUrl = Annotated[str, _matching(_ICE_URL, ICE_FORM), Form(ICE_FORM)]
Address = Annotated[str, _matching(_ADDRESS, "an IP address"), Form("an IP address of this machine")]
ListenHost = Annotated[str, _matching(_HOST, HOST_FORM), Form(HOST_FORM)]
HostHeader = Annotated[
    str, _matching(_HOST_HEADER, "a host name, perhaps with a port, such as live.example.org"), Form("a host name")
]


RESTART: Final[JsonDict] = {"restart": True}
"""Marks a key whose change needs a restart: SIGHUP does not apply it."""

UNSHOWN: Final[JsonDict] = {"unshown": True}
"""Marks a key whose value is never shown to people."""


class Section(BaseModel):
    """A section: strict (a quoted number is no number), frozen, and unknown keys are refused."""

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

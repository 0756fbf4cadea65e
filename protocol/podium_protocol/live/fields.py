"""Strict reading of single tag values, the authored event they stand in, and the time of its next revision."""

from __future__ import annotations

import re
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from podium_protocol import tags
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, UnsignedEvent, VerifiedEvent, hex_bytes
from podium_protocol.tags import Tags

AuthoredEvent: TypeAlias = VerifiedEvent | UnsignedEvent
"""A verified event, or a rumor that `nips.nip59.unwrap` accepted: its seal's signature vouches for the author.

Private sessions, their RSVPs and their attendance records travel as such rumors (wire-formats.md, "Public or private").
Never hand in an unsigned event that came from outside in any other way.
"""


MAX_TIME: Final = 32_503_680_000  # the year 3000: beyond it calendars and `datetime` give up
MAX_URL: Final = 2048
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,15}")
_DEVICE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOT_IN_URLS: Final = re.compile('[\x00-\x20\x7f-\xa0"<>\\\\^`{|}\u061c\u1680\u2000-\u206f\u3000\ufeff\ud800-\udfff]')


def whole_number(text: str | None, most: int) -> int | None:
    """The number 0..`most` that `text` spells in plain decimal digits, else None."""
    if text is None or _NUMBER.fullmatch(text) is None:
        return None
    number = int(text)
    return number if number <= most else None


def timestamp(text: str | None) -> int | None:
    """Unix seconds up to the year 3000, else None."""
    return whole_number(text, MAX_TIME)


def event_id(text: str | None) -> EventId | None:
    """64 lowercase hex digits as an event id, else None."""
    return EventId(text) if text is not None and hex_bytes(text, 32) is not None else None


def device(text: str) -> str | None:
    """A device label of 1 to 64 letters, digits, `-` or `_`, else None: it becomes part of an engine identity."""
    return text if _DEVICE.fullmatch(text) else None


def web_url(text: str | None) -> str | None:
    """An http(s) link with a host, at most 2048 characters, no user name (it disguises the host), else None."""
    return _url(text, ("https", "http"))


def relay_url(text: str | None) -> str | None:
    """A ws(s) link under the same rules as `web_url`, else None."""
    return _url(text, ("wss", "ws"))


def is_repeated(rows: Tags, name: str) -> bool:
    """Whether a tag that must be single is there twice: two readers might take different ones."""
    return sum(1 for _ in tags.values(rows, name)) > 1


def address(rows: Tags, kind: int) -> Address | None:
    """The address in the first `a` tag of `kind`, or None if there is none or it is malformed."""
    prefix = f"{kind}:"  # saves the check on the curve for every other address
    for row in rows:  # as `tags.values` does, without a generator for each answer of thousands
        if len(row) > 1 and row[0] == "a" and row[1].startswith(prefix):
            return Address.parse(row[1])
    return None


def _url(text: str | None, schemes: tuple[str, ...]) -> str | None:
    if text is None or len(text) > MAX_URL or _NOT_IN_URLS.search(text):
        return None
    try:
        parts = urlsplit(text)
        usable = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number, an unclosed bracket
        return None
    return text if usable and "@" not in parts.netloc else None


def next_created_at(now: int, *earlier: int | None) -> int:
    """`max(now, last + 1)`: relays keep the newest, so a second edit within one second must be newer (NIP-01)."""
    return max([now, *(time + 1 for time in earlier if time is not None)])

"""NIP-40: when an event expires."""

from __future__ import annotations

import re
from typing import Final

from podium_protocol import tags
from podium_protocol.events import MAX_CREATED_AT, SignedEvent, UnsignedEvent

_DIGITS: Final = re.compile(r"[0-9]{1,16}")  # int() alone takes "+1", " 1" and "1_0"


def expiration(event: UnsignedEvent | SignedEvent) -> int | None:
    """The Unix time at which the event expires; None if it does not expire, or its tag cannot be read."""
    text = tags.first(event.tags, "expiration")
    if text is None or not _DIGITS.fullmatch(text):
        return None
    time = int(text)
    return time if time <= MAX_CREATED_AT else None


def is_expired(event: UnsignedEvent | SignedEvent, now: int) -> bool:
    """Whether the event has expired at `now` (Unix seconds): such events are ignored."""
    time = expiration(event)
    return time is not None and time <= now

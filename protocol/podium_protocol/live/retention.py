"""Which events are too old to keep: relays still have them, and must not bring them back."""

from __future__ import annotations

from typing import Final

from podium_protocol import kinds, tags
from podium_protocol.live.fields import AuthoredEvent

_ENDS: Final = {
    kinds.SESSION: ("end", "start"),
    kinds.MEETING: ("ends", "starts"),
    kinds.ATTENDANCE: ("left", "joined"),
}
_MAX_DIGITS: Final = 16


def is_past(event: AuthoredEvent, kept_from: int) -> bool:
    """Whether a session, its status or a record of attendance ended before `kept_from` (Unix seconds).

    It does not judge answers and questions, which belong to the session they name whenever they were written, nor
    a cancellation by `start` 0, nor events without a readable time: for these it returns False.
    """
    for name in _ENDS.get(event.kind, ()):
        text = tags.first(event.tags, name) or ""
        if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
            return 0 < int(text) < kept_from
    return False

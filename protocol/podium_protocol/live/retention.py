"""Which events are about a time that is not kept any more: relays have them still, and are not to bring them back."""

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

    Answers and questions are about the session they name, whenever they were written. A cancellation by `start` 0, and
    what has no time that can be read, is for others to judge.
    """
    for name in _ENDS.get(event.kind, ()):
        text = tags.first(event.tags, name) or ""
        if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
            return 0 < int(text) < kept_from
    return False

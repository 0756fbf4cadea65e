"""Durations as people write them: whole seconds, or text such as "15 min"."""

from __future__ import annotations

import re
from typing import Final

MAX_SECONDS: Final = 10 * 365 * 86_400
FORM: Final = 'a duration: whole seconds such as 90, or text such as "90s", "15 min", "24h" or "14 days"'

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
    raise ValueError(f"expected {FORM}")


def format_duration(seconds: int) -> str:
    """The shortest text that `parse_duration` reads as `seconds`."""
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        # a day is said in hours ("24h before"), and so is whatever is no whole number of days
        if seconds >= size and seconds % size == 0 and (size, seconds) != (86_400, 86_400):
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _factor(unit: str) -> int:
    if unit not in _UNITS:
        raise ValueError(f"expected {FORM}")
    return _UNITS[unit]


def _bounded(seconds: int) -> int:
    if not 0 <= seconds <= MAX_SECONDS:
        raise ValueError(f"expected {FORM}, from 0 to ten years")
    return seconds

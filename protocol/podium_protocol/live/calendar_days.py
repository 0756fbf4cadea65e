"""The `D` tags of a time-based calendar event (NIP-52): the UTC days it touches."""

from __future__ import annotations

from typing import Final

from podium_protocol.tags import Tag

SECONDS_PER_DAY: Final = 86_400


def days_covered(starts_at: int, ends_at: int) -> range:
    """Days since the epoch that [starts_at, ends_at) touches; the end is exclusive (NIP-52): midnight adds no day."""
    return range(starts_at // SECONDS_PER_DAY, (max(ends_at, starts_at + 1) - 1) // SECONDS_PER_DAY + 1)


def day_tags(starts_at: int, ends_at: int) -> tuple[Tag, ...]:
    """One `D` tag per day covered."""
    return tuple(("D", str(day)) for day in days_covered(starts_at, ends_at))

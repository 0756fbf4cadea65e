"""The time of the next revision of an addressable event."""

from __future__ import annotations


def next_created_at(now: int, *earlier: int | None) -> int:
    """`max(now, last + 1)`: relays keep the newest, so a second edit within one second must be newer (NIP-01)."""
    return max([now, *(time + 1 for time in earlier if time is not None)])

"""Which events are about a time that is not kept any more."""

from __future__ import annotations

import pytest

from podium_protocol import kinds
from podium_protocol.events import Pubkey, UnsignedEvent
from podium_protocol.live.retention import is_past

KEPT_FROM = 1_000_000


def event(kind: int, *rows: tuple[str, ...], created_at: int = 0) -> UnsignedEvent:
    """One of them."""
    return UnsignedEvent(Pubkey("a" * 64), created_at, kind, rows, "")


@pytest.mark.parametrize(
    ("kind", "name"), [(kinds.SESSION, "end"), (kinds.MEETING, "ends"), (kinds.ATTENDANCE, "left")]
)
def test_the_end_decides(kind: int, name: str) -> None:
    """What ended before the first second that is kept is past, whenever it was written."""
    assert is_past(event(kind, (name, str(KEPT_FROM - 1)), created_at=KEPT_FROM + 1), KEPT_FROM)
    assert not is_past(event(kind, (name, str(KEPT_FROM))), KEPT_FROM)
    assert not is_past(event(kind, (name, "1")), 0), "everything is kept"


def test_without_an_end_the_start_decides() -> None:
    """NIP-52 lets the end out."""
    assert is_past(event(kinds.SESSION, ("start", "5")), KEPT_FROM)
    assert not is_past(event(kinds.SESSION, ("start", str(KEPT_FROM + 5))), KEPT_FROM)


def test_what_cancels_or_cannot_be_read_is_not_past() -> None:
    """A cancellation by `start` 0, an answer, and numbers that are none are for others to judge."""
    assert not is_past(event(kinds.SESSION, ("start", "0")), KEPT_FROM)
    assert not is_past(event(kinds.RSVP, ("end", "5")), KEPT_FROM)
    for text in ("", "-5", "5.5", "\u0665", "9" * 5_000):
        assert not is_past(event(kinds.SESSION, ("end", text)), KEPT_FROM)

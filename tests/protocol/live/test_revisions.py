"""The time of the next revision."""

from __future__ import annotations

from podium_protocol.live.fields import next_created_at


def test_the_next_revision_is_newer_than_all_before() -> None:
    """Now, or one second after the newest known time where that is later; unknown times are passed over."""
    assert next_created_at(100) == 100
    assert next_created_at(100, None, 99) == 100
    assert next_created_at(100, 100) == 101
    assert next_created_at(100, 40, None, 500) == 501

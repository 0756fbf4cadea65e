"""How far each subscription was read on each relay."""

from __future__ import annotations

from pathlib import Path

from podium_storage.mirror.mirror import Watermarks
from tests.support.mirrors import mirrored

ONE, TWO = "wss://one.example", "wss://two.example"


async def test_a_watermark_is_kept_by_relay_and_subscription(tmp_path: Path) -> None:
    """Each (relay, subscription) has its own last EOSE, also after a restart; an unknown pair has none."""
    async with mirrored(tmp_path / "p.sqlite") as here:
        marks = Watermarks(here.store.database)
        await marks.set(ONE, "sessions", 10)
        await marks.set(ONE, "wraps", 20)
        await marks.set(TWO, "sessions", 30)
    async with mirrored(tmp_path / "p.sqlite") as here:
        marks = Watermarks(here.store.database)
        assert await marks.get(ONE, "sessions") == 10
        assert await marks.get(ONE, "wraps") == 20
        assert await marks.get(TWO, "wraps") is None
        assert await marks.watermarks_of("sessions") == {ONE: 10, TWO: 30}


async def test_a_clock_that_was_ahead_does_not_stay_ahead() -> None:
    """The last word counts, even if it is lower: else what came in between would never be asked for."""
    async with mirrored() as here:
        marks = Watermarks(here.store.database)
        await marks.set(ONE, "sessions", 10**12)
        await marks.set(ONE, "sessions", 5)
        assert await marks.get(ONE, "sessions") == 5


async def test_a_relay_can_be_read_anew() -> None:
    """Forgetting a relay forgets all its subscriptions, and no other relay's."""
    async with mirrored() as here:
        marks = Watermarks(here.store.database)
        await marks.set(ONE, "sessions", 1)
        await marks.set(TWO, "sessions", 2)
        await marks.forget(ONE)
        assert await marks.watermarks_of("sessions") == {TWO: 2}

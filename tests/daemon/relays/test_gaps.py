"""What the relays do not tell, as `/readyz` says it."""

from __future__ import annotations

from podium_daemon.relays.relay_state import Gaps, PoolRelay
from podium_protocol.filters import Filter
from podium_protocol.limits import EOSE_TIMEOUT
from tests.support.clock import ManualClock
from tests.support.narrow_relay import narrow_relay
from tests.support.pools import running_pool


async def test_what_one_relay_refuses_is_said_and_what_none_serves_is_unserved() -> None:
    """Two relays that are read, of which one refuses; then the other has not told all either."""
    clock = ManualClock()
    async with (
        narrow_relay(most=1, tells=False) as narrow,
        narrow_relay() as wide,
        narrow_relay(most=0, tells=False) as written,
        running_pool(
            PoolRelay(narrow.url), PoolRelay(wide.url), PoolRelay(written.url, read=False), clock=clock
        ) as pool,
    ):
        partial: dict[str, dict[str, str]] = {}
        gaps = Gaps(pool.states, lambda: partial)
        for number in range(2):
            pool.subscribe(f"notes-{number}", [Filter(kinds=(number,))])
        await pool.inbox.until_end("notes-1", wide.url)
        await pool.until_state(narrow.url, lambda state: state.last_notice is not None)
        assert (gaps.unserved(), gaps.remarks()) == ([], [])
        await clock.advance(EOSE_TIMEOUT + 1)
        await pool.until_state(narrow.url, lambda state: state.closed_subscriptions)
        (remark,) = gaps.remarks()
        assert remark.startswith(f"{narrow.url} does not serve notes-1: answered by a notice alone: Too many")
        assert gaps.unserved() == []
        partial[wide.url] = {"notes-1": "it refused:\x1b[2J busy"}
        assert gaps.unserved() == ["notes-1"]
        assert gaps.remarks()[1].startswith(f"{wide.url} does not serve notes-1: it refused:")
        assert "\x1b" not in gaps.remarks()[1]

"""Networks that fail between us and a real relay: noticed in time, mended, and no other relay is touched."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from podium_daemon.relays.relay_state import ConnectionOptions, ConnectionState, Gaps
from podium_protocol.filters import Filter
from podium_protocol.relay.verdicts import Unknown
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.pools import PoolInTest, running_pool
from tests.support.relays import new_key, running_relay, signed

pytestmark = [pytest.mark.real_peer, pytest.mark.faults]

QUICK = ConnectionOptions(ping_after=0.2, ping_within=0.3, tick=0.05, open_within=1.0)
NOTES = Filter(kinds=(1,))
KEY = new_key()


class Scene:
    """One relay behind a proxy, one without, and a pool that reads both."""

    def __init__(self, direct: str, proxy: FaultProxy, other: str, pool: PoolInTest, logs: list[Any]) -> None:
        self.direct = direct
        self.proxy = proxy
        self.url = proxy.url
        self.other = other
        self.pool = pool
        self._gaps = Gaps(pool.states, dict)
        self._logs = logs

    async def publish_behind_its_back(self, text: str) -> str:
        """Publish at the relay without using the line under test; the event's id."""
        async with running_pool(self.direct) as somebody:
            event = signed(KEY, text)
            assert (await somebody.publish(self.direct, event)).is_done
            return event.id

    def check_said(self, words: str) -> None:
        """`/readyz` and the log say that the relay is away and why, and say nothing of the other."""
        (remark,) = self._gaps.remarks()
        assert remark.startswith(f"{self.url} is away: ")
        assert words in remark
        said = [line for line in self._logs if line["action"] == "relay.away"]
        assert {line["relay"] for line in said} == {self.url}
        assert words in said[0]["why"]

    async def check_other(self) -> None:
        """The other relay works, on the connection it had from the start."""
        event = signed(KEY, f"fine beside {self.url}")
        assert (await self.pool.publish(self.other, event)).is_done
        await self.pool.inbox.until(lambda inbox: event.id in inbox.ids(self.other))
        assert self.pool.state_of(self.other).connections == 1

    async def check_mended(self, missed: str) -> None:
        """The line works again, and what was missed has come."""
        await self.pool.opened(self.url)
        await self.pool.inbox.until(lambda inbox: missed in inbox.ids(self.url))
        assert (await self.pool.publish(self.url, signed(KEY, "again"))).is_done
        assert self._gaps.remarks() == []


@contextlib.asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    """Everything connected and subscribed."""
    async with (
        running_relay() as relay,
        running_relay() as other,
        fault_proxy(relay.port) as proxy,
        running_pool(proxy.url, other.url, options=QUICK) as pool,
    ):
        with capture_logs() as logs:
            pool.subscribe("notes", [NOTES])
            for url in (proxy.url, other.url):
                await pool.inbox.until_end("notes", url)
            yield Scene(relay.url, proxy, other.url, pool, logs)


@pytest.mark.parametrize("fault", [FaultProxy.partition, FaultProxy.half_open], ids=["partition", "half-open"])
async def test_a_line_that_is_silent_is_noticed_by_its_silence(fault: Callable[[FaultProxy], None]) -> None:
    """No FIN and no RST comes; the ping that nobody answers tells."""
    async with scene() as there:
        fault(there.proxy)
        await there.pool.away(there.url)
        there.check_said("silent")
        missed = await there.publish_behind_its_back("missed")
        await there.check_other()
        there.proxy.heal()
        await there.check_mended(missed)


async def test_a_publication_into_a_partition_has_an_unknown_outcome_and_the_same_bytes_are_done_later() -> None:
    """Nobody is told that it was sent, and the retry is no second event."""
    async with scene() as there:
        event = signed(KEY, "into the dark")
        there.proxy.half_open()
        outcome = await there.pool.publish(there.url, event)
        assert isinstance(outcome.verdict, Unknown)
        await there.pool.away(there.url)
        await there.check_other()
        there.proxy.heal()
        await there.pool.opened(there.url)
        assert (await there.pool.publish(there.url, event)).is_done
        await there.pool.inbox.until(lambda inbox: event.id in inbox.ids(there.url))


async def test_a_reset_connection_is_opened_again() -> None:
    """An RST is told as what it is, and the gap is filled."""
    async with scene() as there:
        there.proxy.reset()
        await there.pool.away(there.url)
        there.check_said("reset by peer")
        missed = await there.publish_behind_its_back("missed")
        await there.check_other()
        await there.check_mended(missed)


async def test_a_slow_line_is_not_taken_for_a_dead_one() -> None:
    """Long round trips and little bandwidth make it slow, and nothing else."""
    async with scene() as there:
        there.proxy.delay(0.05)
        there.proxy.throttle(20_000)
        for number in range(5):
            assert (await there.pool.publish(there.url, signed(KEY, f"slow {number} " + "x" * 2000))).is_done
        await there.check_other()
        state = there.pool.state_of(there.url)
        assert (state.connections, state.last_error) == (1, None)


async def test_a_partition_while_connecting_is_noticed_too() -> None:
    """A handshake that is never answered is given up, and tried again."""
    async with running_relay() as relay, fault_proxy(relay.port) as proxy:
        proxy.partition()
        async with running_pool(proxy.url, options=QUICK) as pool:
            await pool.away(proxy.url)
            assert pool.state_of(proxy.url).last_error == "it did not answer within 1 s"
            proxy.heal()
            await pool.opened(proxy.url)


async def test_a_pool_in_a_partition_stops_in_time() -> None:
    """Saying goodbye to nobody does not hold up the stop."""
    async with running_relay() as relay, fault_proxy(relay.port) as proxy:
        async with running_pool(proxy.url) as pool:
            await pool.opened(proxy.url)
            proxy.partition()
        assert pool.state_of(proxy.url).state == ConnectionState.STOPPED

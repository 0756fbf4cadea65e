"""A flood of answers, and of copies of them: counted once each, in bounded memory, while the daemon answers others."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

import httpx
import nostr_sdk as sdk
import pytest

from tests.support.faults import check_database, is_soaking, rounds, seeded
from tests.support.installed import Site
from tests.support.outsiders import outsiders, send
from tests.support.relays import running_relay
from tests.support.until import until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900 if is_soaking() else 300)]

ANSWERS: Final = rounds(300, soak=10_000)
SECONDS: Final = rounds(2, soak=60)
COPIES: Final = ANSWERS // 2
MORE_MEMORY: Final = 150 * 1024 * 1024  # bytes


async def test_a_flood_of_answers_is_counted_once_each_in_bounded_memory(tmp_path: Path) -> None:
    """Two relays tell it, one of them half of it as copies; `/healthz` is answered all the while."""
    chance = seeded("floods")
    async with running_relay() as relay, running_relay() as second:
        site = Site(tmp_path, relays=[relay.url, second.url])
        service = await site.make_key()
        async with outsiders(relay.url, 1) as (instructor,):
            site.set(instructors__allow=[instructor.npub])
            starts_at = int(time.time()) + 48 * 3600
            address = await instructor.schedule(service, "knots", starts_at, starts_at + 3600)
            answers = await asyncio.to_thread(_signed, address)
            async with site.running() as daemon:
                await until(lambda: _is_known(site), "it is known")
                before = _memory(daemon.pid)
                watch = asyncio.create_task(_delays(site))
                await asyncio.gather(_publish(relay.url, answers), _publish(second.url, chance.sample(answers, COPIES)))
                await until(lambda: _is_counted(site), "each is counted", seconds=300)
                more = _memory(daemon.pid) - before
                watch.cancel()
                delays = sorted(await watch)
                assert more < MORE_MEMORY, f"{more / 1e6:.0f} MB more"
                assert delays, "nothing was asked meanwhile"
                if is_soaking():  # else the machine is shared with other tests
                    assert delays[len(delays) * 99 // 100] < 0.1, delays[-5:]
    check_database(site.state)
    assert "Traceback" not in site.texts()


def _signed(address: str) -> list[sdk.Event]:
    tags = [sdk.Tag.parse(["a", address]), sdk.Tag.parse(["d", "x"]), sdk.Tag.parse(["status", "accepted"])]
    builders = (sdk.EventBuilder(sdk.Kind(31925), "").tags(tags) for _ in range(ANSWERS))
    return [builder.finalize(sdk.Keys.generate()) for builder in builders]


async def _publish(url: str, events: list[sdk.Event]) -> None:
    client = sdk.ClientBuilder().build()
    await client.add_relay(sdk.RelayUrl.parse(url))
    await client.connect()
    pause = SECONDS / len(events)
    for event in events:
        await asyncio.gather(client.send_event(event), asyncio.sleep(pause))
    await client.shutdown()


async def _delays(site: Site) -> list[float]:
    """How long `/healthz` takes, again and again until the task is cancelled."""
    found: list[float] = []
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        try:
            while True:
                began = time.monotonic()
                assert (await client.get(f"{site.base}/healthz")).status_code == 200
                found.append(time.monotonic() - began)
                await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            return found


def _memory(pid: int) -> int:
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


async def _is_known(site: Site) -> bool:
    return "state" in (await send("GET", f"{site.base}/api/sessions/knots")).body


async def _is_counted(site: Site) -> bool:
    shown = (await send("GET", f"{site.base}/api/sessions/knots")).body
    assert shown["counts"]["confirmed"] <= ANSWERS, shown
    return bool(shown["counts"]["confirmed"] == ANSWERS)

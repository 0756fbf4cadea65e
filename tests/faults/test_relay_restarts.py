"""A relay that is killed and started again on the same port, again and again, beside one that stays."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from podium_daemon.relays.embedded_child import RelaySettings
from tests.support.faults import check_database, is_soaking, rounds, seeded
from tests.support.installed import Site
from tests.support.outsiders import outsiders, send
from tests.support.relays import running_relay
from tests.support.until import until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800 if is_soaking() else 300)]

RESTARTS: Final = rounds(3, soak=20)
# a relay that comes and goes is tried again after up to a minute, and is not asked everything at once
PATIENCE: Final = 180.0


async def test_a_relay_that_restarts_loses_nothing_and_disturbs_no_other(tmp_path: Path) -> None:
    """Subscriptions are back, the gap is filled, nothing has a second effect, and the other line is the first one."""
    chance = seeded("relay restarts")
    (tmp_path / "relay").mkdir()
    async with running_relay(RelaySettings(data=str(tmp_path / "relay"))) as relay, running_relay() as other:
        site = Site(tmp_path / "site", relays=[relay.url, other.url])
        service = await site.make_key()
        async with outsiders(other.url, 1) as (instructor,):
            site.set(instructors__allow=[instructor.npub])
            starts_at = int(time.time()) + 7200
            address = await instructor.schedule(service, "knots", starts_at, starts_at + 3600)
            async with site.running():
                for number in range(1, RESTARTS + 1):
                    await relay.kill()
                    await until(lambda: _is_away(site, relay.url), "/readyz names it")
                    await asyncio.sleep(chance.uniform(0, 1))  # how long it is away is left to chance
                    await relay.start()
                    # published before the daemon is back there, or after: the gap is filled either way
                    async with outsiders(relay.url, 1) as (person,):
                        await person.open_inbox()
                        await person.answer(address, "accepted")
                        await until(lambda number=number: _is_counted(site, number), "it is counted", seconds=PATIENCE)
                        await until(lambda person=person: _has_a_letter(person), "it is confirmed", seconds=PATIENCE)
                await until(lambda: _is_told(site), "nothing waits for a relay", seconds=PATIENCE)
                assert await _remarks(site) == []
                lost = Counter(line["relay"].rstrip("/") for line in _logged(site, "relay.away"))
                assert lost[relay.url] >= RESTARTS, "the log does not say that it was away"
                assert set(lost) == {relay.url}, "the other relay was disturbed"
            async with outsiders(relay.url, 1) as (reader,):
                wraps = await reader.find(1059)
            assert set(Counter(event["tags"][0][1] for event in wraps).values()) == {1}, "told twice"
    check_database(site.state)
    assert "Traceback" not in site.texts()


def _logged(site: Site, action: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (site.folder / "daemon.log").read_text().splitlines() if line[:1] == "{"]
    return [line for line in lines if line.get("action") == action]


async def _remarks(site: Site) -> list[str]:
    """What `/readyz` says beside being ready."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        ready, *remarks = (await client.get(f"{site.base}/readyz")).text.splitlines()
    assert ready == "ready"
    return remarks


async def _is_away(site: Site, url: str) -> bool:
    remarks = await _remarks(site)
    assert all(remark.startswith(url) for remark in remarks), "the other relay is named"
    return any("is away" in remark for remark in remarks)


async def _relays(site: Site) -> list[dict[str, Any]]:
    return list((await send("GET", f"{site.base}/api/relays")).body["relays"])


async def _is_told(site: Site) -> bool:
    return all(row["pending"] == 0 for row in await _relays(site))


async def _is_counted(site: Site, number: int) -> bool:
    shown = (await send("GET", f"{site.base}/api/sessions/knots")).body
    return bool(shown.get("counts", {}).get("confirmed") == number)


async def _has_a_letter(person: Any) -> bool:
    return bool(person.letters)

"""SIGHUP with other relays in the file: a running daemon moves there, tells so, and nobody notices."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx

from podium_daemon.demo.people import open_wire
from podium_protocol import kinds
from podium_protocol.events import VerifiedEvent
from podium_protocol.filters import Filter
from tests.support.installed import Site
from tests.support.relays import running_relay
from tests.support.until import until


async def test_a_running_daemon_moves_to_other_relays(tmp_path: Path) -> None:
    """The new relay gets the service's relay lists and the next session; the one that was dropped gets nothing."""
    async with running_relay() as old, running_relay() as new:
        site = Site(tmp_path, relays=[old.url])
        pubkey = await site.make_key()
        async with site.running() as daemon, open_wire(new.url) as there, open_wire(old.url) as before:
            site.set(relays=[new.url], identity__service_name="Others")
            daemon.signal(signal.SIGHUP)
            own = Filter(authors=(pubkey,), kinds=(kinds.RELAY_LIST, kinds.DM_RELAY_LIST, kinds.SPACE))

            async def told() -> list[VerifiedEvent] | None:
                found = await there.fetch(own)
                said = str([event.tags for event in found])
                is_all = {event.kind for event in found} == set(own.kinds or ()) and "Others" in said
                return found if is_all and old.url not in said else None

            await until(told, "the new relay has what the service says of itself, and nothing of the old one")
            await site.read("session", "create", "Knots", "--at", "+2h", "--id", "knots", key=site.key_file)
            sessions = Filter(authors=(pubkey,), kinds=(kinds.SESSION,))
            await until(lambda: there.fetch(sessions), "the session is on the new relay")
            assert await before.fetch(sessions) == []
            async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
                relays = (await client.get(f"{site.base}/api/relays")).json()["relays"]
            assert (relays[0]["url"], relays[0]["state"]) == (new.url, "open")

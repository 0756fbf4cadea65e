"""Bad input at the doors of a daemon that runs: relays' sockets and HTTP. It is refused, or dropped and counted."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx
import pytest

from podium_protocol.nips import bech32, nip19
from tests.protocol.live.test_session import BASE, UNUSABLE
from tests.protocol.nips.test_nip19 import BAD_DATA
from tests.protocol.nips.test_nip59 import HOSTILE, RECIPIENT
from tests.protocol.test_events import BAD_FIELDS, BAD_IDS
from tests.protocol.test_messages import BAD_FRAMES
from tests.support.events import NOW
from tests.support.installed import Site
from tests.support.outsiders import Outsider, outsiders, send
from tests.support.relays import running_relay
from tests.support.scripted_relay import Talk, scripted_relay
from tests.support.until import until

pytestmark = pytest.mark.timeout(300)

SESSION, GIFT_WRAP = 31923, 1059
A_RELAY: Final = 15  # pieces of bad input from one relay: with more it would be left alone, and heard no more


class BadRelay:
    """A relay that answers the first question for a kind with its pieces, and is honest besides."""

    def __init__(self, kind: int, pieces: Sequence[bytes], *, as_events: bool) -> None:
        self.kind = kind
        self._pieces = pieces
        self._as_events = as_events
        self.has_told = False

    async def __call__(self, talk: Talk) -> None:
        """Serve one connection."""
        while True:
            match await talk.receive():
                case ["REQ", name, *filters]:
                    if not self.has_told and any(self.kind in one.get("kinds", ()) for one in filters):
                        await self._tell(talk, name)
                        self.has_told = True
                    await talk.send("EOSE", name)
                case ["EVENT", event]:
                    await talk.send("OK", event["id"], True, "")

    async def _tell(self, talk: Talk, name: str) -> None:
        for piece in self._pieces:
            frame = b'["EVENT",%b,%b]' % (json.dumps(name).encode(), piece) if self._as_events else piece
            await talk.socket.send(frame, text=True)


def _portions(pieces: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
    return (pieces[at : at + A_RELAY] for at in range(0, len(pieces), A_RELAY))


def _bad_relays() -> list[BadRelay]:
    frames = [frame for frame, _ in BAD_FRAMES]
    fields = [raw for _, raw, _ in BAD_FIELDS]
    forged = [event.to_json() for _, event, _ in BAD_IDS]
    wraps = [make().to_json() for _, _, make in HOSTILE]
    return [
        *(BadRelay(SESSION, some, as_events=False) for some in _portions(frames)),
        *(BadRelay(SESSION, some, as_events=True) for some in _portions(fields + forged)),
        *(BadRelay(GIFT_WRAP, some, as_events=True) for some in _portions(wraps)),
    ]


async def test_no_bad_input_gets_in_or_keeps_good_input_out(tmp_path: Path) -> None:
    """Every frame, event, signature, gift wrap and session of the tables by socket, every event and name over HTTP."""
    bad = _bad_relays()
    async with running_relay() as good, outsiders(good.url, 1) as (instructor,), AsyncExitStack() as stack:
        relays = [await stack.enter_async_context(scripted_relay(behaviour)) for behaviour in bad]
        site = Site(tmp_path, relays=[])
        site.key_file.write_text(nip19.encode_nsec(RECIPIENT) + "\n")  # so that the gift wraps are for this service
        site.key_file.chmod(0o600)
        site.set(instructors__allow=[instructor.npub])
        _read_from(site, [*zip((relay.url for relay in relays), bad, strict=True), (good.url, None)])
        async with site.running():
            await until(lambda: _have_told(bad), "each relay has told what it has")
            assert set(await _refusals(site)) <= {400, 404, 413, 422}
            expected = await _tell_unusable(instructor)
            await _works(site, instructor)
            assert await _passed_over(site, instructor, expected) == []
            assert [relay.connections for relay in relays] == [1] * len(relays), "a bad message ended a connection"
            await _are_counted(site)
            listed = (await send("GET", f"{site.base}/api/sessions")).body["sessions"]
            assert [row["title"] for row in listed] == ["Knots"]
    assert "Traceback" not in site.texts()


def _read_from(site: Site, relays: Iterable[tuple[str, BadRelay | None]]) -> None:
    # of relays for messages there are ten at most
    for_messages = {url: str(bad is None or bad.kind == GIFT_WRAP).lower() for url, bad in relays}
    tables = ", ".join(f'{{url = "{url}", dm = {dm}}}' for url, dm in for_messages.items())
    site.config.write_text(site.config.read_text().replace("relays = []", f"relays = [{tables}]"))


async def _have_told(bad: Iterable[BadRelay]) -> bool:
    return all(relay.has_told for relay in bad)


async def _refusals(site: Site) -> list[int]:
    """The statuses of every bad event that is handed in, and every bad name that is asked for."""
    found = []
    async with httpx.AsyncClient(trust_env=False, timeout=60, base_url=site.base) as client:
        for raw in [*(raw for _, raw, _ in BAD_FIELDS), *(event.to_json() for _, event, _ in BAD_IDS)]:
            body = b'{"events":[%b]}' % raw
            answer = await client.post("/api/events", content=body, headers={"Content-Type": "application/json"})
            found.append(answer.status_code)
        for prefix, data in BAD_DATA:
            answer = await client.get(f"/api/sessions/{quote(bech32.encode(prefix, data), safe='')}")
            found.append(answer.status_code)
    return found


async def _tell_unusable(instructor: Outsider) -> set[str]:
    """Publish every event of the table that is no session, for the service and of the near future; the reasons."""
    now = int(time.time())
    expected = set()
    for number, (changes, without, reason) in enumerate(UNUSABLE):
        named = {row[0] for row in changes} | set(without)
        own = (("d", f"unusable-{number}"), *(row for row in BASE if row[0] != "d"))
        rows = [*(row for row in own if row[0] not in named), *changes, ("p", RECIPIENT.pubkey, "", "service")]
        # the table's times are of a fixed day
        moved = [(row[0], _moved(row[1], now), *row[2:]) if row[0] in ("start", "end") else row for row in rows]
        # without `t`, what names the service is taken for a session; without `d`, a relay takes none
        if "t" not in named and any(row[0] == "d" for row in rows):
            await instructor.publish(SESSION, moved)
            expected.add(reason)
    return expected


def _moved(value: str, now: int) -> str:
    return str(int(value) - NOW + now) if value.isdigit() and abs(int(value) - NOW) < 10 * 86_400 else value


async def _passed_over(site: Site, instructor: Outsider, expected: set[str]) -> list[str]:
    """The reasons of those that the instructor is not told of."""
    listed = (await instructor.call("GET", f"{site.base}/api/sessions/passed-over")).body["events"]
    said = [row["reason"] for row in listed]
    return [reason for reason in expected if not any(reason in one for one in said)]


async def _works(site: Site, instructor: Outsider) -> None:
    starts_at = int(time.time()) + 3600
    await instructor.schedule(RECIPIENT.pubkey, "knots", starts_at, starts_at + 3600)

    async def is_known() -> bool:
        return (await send("GET", f"{site.base}/api/sessions/knots")).status == 200

    await until(is_known, "good input comes in")


async def _are_counted(site: Site) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        metrics = (await client.get(f"{site.base}/metrics")).text
    rows = [line.rpartition(" ") for line in metrics.splitlines() if "accepted" not in line]
    counted: Counter[str] = Counter()
    for name, _, value in rows:
        counted[name.partition("{")[0]] += int(float(value)) if name.startswith("podium_") else 0
    # an event that breaks its frame counts as a bad frame
    assert counted["podium_relay_faults_total"] + counted["podium_events_total"] >= len(BAD_FRAMES) + len(BAD_FIELDS)
    assert counted["podium_events_total"] >= len(BAD_IDS)
    assert counted["podium_gift_wraps_total"] + counted["podium_messages_total"] >= len(HOSTILE) - 1, metrics

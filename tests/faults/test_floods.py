"""A flood of answers, and of copies of them: counted once each, in bounded memory, while the daemon answers others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import nostr_sdk as sdk
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from podium_daemon.web.watch import SETTLE_SECONDS
from tests.support.faults import check_database, is_soaking, rounds, seeded
from tests.support.installed import Site, free_port
from tests.support.outsiders import Outsider, outsiders, send
from tests.support.relays import running_relay
from tests.support.until import until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900 if is_soaking() else 300)]

ANSWERS: Final = rounds(300, soak=10_000)
SECONDS: Final = rounds(2, soak=60)
COPIES: Final = ANSWERS // 2
ROWS: Final = 100  # of a list in one event
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
                async with leader_page(site, instructor) as page:
                    began = time.monotonic()
                    await asyncio.gather(
                        _publish(relay.url, answers), _publish(second.url, chance.sample(answers, COPIES))
                    )
                    await until(lambda: _is_counted(site), "each is counted", seconds=300)
                    await until(lambda: _is_told(page), "the page is told", seconds=60)
                    page.check(time.monotonic() - began)
                more = _memory(daemon.pid) - before
                watch.cancel()
                delays = sorted(await watch)
                assert more < MORE_MEMORY, f"{more / 1e6:.0f} MB more"
                assert delays, "nothing was asked meanwhile"
                late = delays[len(delays) * 99 // 100]
                print(f"p99 of an answer: {late * 1000:.0f} ms; to the page: {page.bytes / 1000:.0f} kB", page.events)
                if is_soaking():  # else the machine is shared with other tests
                    assert late < 0.1, delays[-5:]
    check_database(site.state)
    assert "Traceback" not in site.texts()


async def test_floods_at_the_embedded_relay_delay_no_answer(tmp_path: Path) -> None:
    """Half handshakes, REQs, events that concern no session, forged and huge ones, a client that does not read."""
    port = free_port()
    settings = {"embedded.enabled": True, "embedded.port": port, "embedded.connections": 100}
    site, url = Site(tmp_path, relays=[], settings=settings), f"ws://127.0.0.1:{port}"
    service, keys = await site.make_key(), sdk.Keys.generate()
    site.set(instructors__allow=[keys.public_key().to_hex()])
    async with site.running() as daemon, outsiders(url, 1, [keys]) as (instructor,):
        starts_at = int(time.time()) + 48 * 3600
        address = await instructor.schedule(service, "knots", starts_at, starts_at + 3600)
        await until(lambda: _is_known(site), "it is known")
        before, watch = _memory(daemon.pid), asyncio.create_task(_delays(site))
        async with _floods(url, port) as sent:
            await until(lambda: _is_flooded(sent), "each flood has come", seconds=30)
            await _answer_through_proxy(url, address)
            began = time.monotonic()
            await until(lambda: _is_counted(site, 1), "the answer is counted", seconds=30)
            took = time.monotonic() - began
            await _answer_through_proxy(url, address)
            await until(lambda: _is_counted(site, 2), "so is the next one", seconds=30)
        watch.cancel()
        delays, more = sorted(await watch), _memory(daemon.pid) - before
        (relay,) = (pid for pid in _children(daemon.pid) if "embedded_child" in _command(pid))
        late = delays[len(delays) * 99 // 100] * 1000
        print(
            f"counted in {took:.2f} s, p99 {late:.0f} ms, {more / 1e6:.0f} MB more, relay {_memory(relay) / 1e6:.0f} MB"
        )
        assert more < MORE_MEMORY / 3
        assert _memory(relay) < MORE_MEMORY
    check_database(site.state)
    assert "Traceback" not in site.texts()


@contextlib.asynccontextmanager
async def _floods(url: str, port: int) -> AsyncIterator[Counter[str]]:
    """All of them at once, until the end of the block; how many messages each address sent."""
    sent: Counter[str] = Counter()
    filters = json.dumps({"authors": [secrets.token_hex(32) for _ in range(50)]})
    note = sdk.EventBuilder(sdk.Kind(5555), "x" * 2_000)
    notes = [f'["EVENT",{note.finalize(sdk.Keys.generate()).as_json()}]' for _ in range(200)]
    forged = [f'["EVENT",{json.dumps(json.loads(one)[1] | {"sig": "0" * 128})}]' for one in notes]
    floods = {
        "203.0.113.1": [f'["REQ","{number}",{filters}]' for number in range(500)],
        "203.0.113.2": notes,
        "203.0.113.3": forged,
        "203.0.113.4": ["x" * 600_000],
    }
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        tasks = [asyncio.create_task(_flood(url, address, said, sent)) for address, said in floods.items()]
        try:
            yield sent
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _is_flooded(sent: Counter[str]) -> bool:
    return len(sent) == 4 and min(sent.values()) >= 20


async def _flood(url: str, address: str, said: Sequence[str], sent: Counter[str]) -> None:
    """Send that without end and without reading, and come again when the connection is ended."""
    while True:
        with contextlib.suppress(OSError, WebSocketException, EOFError):
            headers = {"X-Forwarded-For": address}
            one = await connect(url, proxy=None, compression=None, additional_headers=headers, open_timeout=60)
            try:
                one.transport.pause_reading()
                while True:
                    for text in said:
                        await one.send(text)
                        sent[address] += 1
            finally:
                one.transport.abort()
        await asyncio.sleep(0.01)


async def _answer_through_proxy(url: str, address: str) -> None:
    """An honest person's answer, from an address of their own; the relay must take it."""
    (event,) = _signed(address, 1)
    headers = {"X-Forwarded-For": "198.51.100.7"}
    async with connect(url, proxy=None, additional_headers=headers, open_timeout=60, close_timeout=1) as one:
        await one.send(f'["EVENT",{event.as_json()}]')
        assert json.loads(await one.recv())[:3] == ["OK", event.id().to_hex(), True]


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


class LeaderPage:
    """What the page of a session's instructor is sent on its stream."""

    def __init__(self) -> None:
        self.bytes = 0
        self.events: Counter[str] = Counter()
        self.lists: Counter[str] = Counter()
        self.last: dict[str, Any] = {}

    async def read(self, answer: httpx.Response) -> None:
        """Read until the stream ends."""
        name = ""
        async for line in answer.aiter_lines():
            self.bytes += len(line) + 1
            if line.startswith("event: "):
                name = line.removeprefix("event: ").partition(" ")[0]
                self.events[name] += 1
            elif line.startswith("data: "):
                data = json.loads(line.removeprefix("data: "))
                self.lists[name] += "items" in data
                self.last[name] = {**self.last.get(name, {}), **data}

    def check(self, seconds: float) -> None:
        """A list is a part with a count, told at the pace of a stream, sent again only if a person in it changed."""
        assert self.last["session"]["counts"]["confirmed"] == ANSWERS
        assert len(self.last["rsvps"]["items"]) == ROWS
        for name in ("rsvps", "reminders", "unreachable", "room"):
            assert self.events[name] <= 3 + seconds / SETTLE_SECONDS, (name, self.events)
        assert self.lists["rsvps"] <= 5, "the first hundred people are the same for most of the flood"
        assert self.bytes < 500_000 + seconds * 10_000, self.events


@contextlib.asynccontextmanager
async def leader_page(site: Site, instructor: Outsider) -> AsyncIterator[LeaderPage]:
    """The page of the instructor, signed in, with its stream open."""
    url, page = f"{site.base}/api/login", LeaderPage()
    login = instructor.sign(27235, [["u", url], ["method", "POST"]])
    token = (await send("POST", url, login=login)).body["token"]
    async with (
        httpx.AsyncClient(trust_env=False, timeout=None) as client,  # noqa: S113  (a stream has none)
        client.stream(
            "GET", f"{site.base}/api/stream?session=knots", headers={"Authorization": f"Bearer {token}"}
        ) as answer,
    ):
        assert answer.status_code == 200
        reading = asyncio.create_task(page.read(answer))
        try:
            yield page
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _is_told(page: LeaderPage) -> bool:
    return bool("rsvps" in page.last and page.last["rsvps"]["total"] == ANSWERS)


def _signed(address: str, count: int = ANSWERS) -> list[sdk.Event]:
    tags = [sdk.Tag.parse(["a", address]), sdk.Tag.parse(["d", "x"]), sdk.Tag.parse(["status", "accepted"])]
    builders = (sdk.EventBuilder(sdk.Kind(31925), "").tags(tags) for _ in range(count))
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


async def _is_counted(site: Site, count: int = ANSWERS) -> bool:
    shown = (await send("GET", f"{site.base}/api/sessions/knots")).body
    assert shown["counts"]["confirmed"] <= count, shown
    return bool(shown["counts"]["confirmed"] == count)

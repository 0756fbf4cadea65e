"""Stopping the daemon: in whatever phase, the first signal drains it within ten seconds, the second ends it at once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from hashlib import sha256
from itertools import count
from pathlib import Path

import httpx
import pytest

from podium_protocol.events import Pubkey
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow, RsvpRow
from tests.support.faults import check_database
from tests.support.installed import Daemon, Site, free_port
from tests.support.outsiders import Outsider, outsiders, send
from tests.support.page import kept_session
from tests.support.processes import Orphans, adopting
from tests.support.relays import running_relay
from tests.support.scripted_relay import Talk, scripted_relay
from tests.support.until import until

pytestmark = pytest.mark.faults


async def _never_answer(talk: Talk) -> None:
    """A relay that takes everything and says nothing."""
    while True:
        await talk.receive()


async def _answer_questions_only(talk: Talk) -> None:
    """A relay that has no past and never says whether it took an event."""
    while True:
        match await talk.receive():
            case ["REQ", name, *_]:
                await talk.send("EOSE", name)


async def _site(folder: Path, *relays: str, **settings: object) -> Site:
    site = Site(folder, relays=list(relays))
    await site.make_key()
    site.set(**settings)
    return site


Phase = Callable[[Path], AsyncIterator[Daemon]]


@pytest.fixture
def adopted() -> Iterator[None]:
    """What outlives the daemon becomes a child of this process."""
    with adopting():
        yield


@asynccontextmanager
async def _while_reading_the_past(folder: Path) -> AsyncIterator[Daemon]:
    async with scripted_relay(_never_answer) as relay:
        site = await _site(folder, relay.url)
        async with site.started() as daemon:
            await relay.until_messages("REQ")
            assert await _status_of(f"{site.base}/readyz") == httpx.codes.SERVICE_UNAVAILABLE
            yield daemon


@asynccontextmanager
async def _while_nothing_happens(folder: Path) -> AsyncIterator[Daemon]:
    async with running_relay() as relay:
        site = await _site(folder, relay.url)
        async with site.running() as daemon:
            yield daemon


@asynccontextmanager
async def _while_an_ok_is_awaited(folder: Path) -> AsyncIterator[Daemon]:
    async with scripted_relay(_answer_questions_only) as relay:
        site = await _site(folder, relay.url)
        async with site.running() as daemon:
            await relay.until_messages("EVENT", 3)  # one OK that is late holds up no other event
            yield daemon


@asynccontextmanager
async def _with_an_embedded_relay(folder: Path) -> AsyncIterator[Daemon]:
    site = await _site(folder, embedded__port=free_port())
    async with site.running() as daemon:
        yield daemon


@asynccontextmanager
async def _while_a_post_is_slow(folder: Path) -> AsyncIterator[Daemon]:
    """The head is that of a call by a person who may make it: the daemon waits for the body."""
    body = b'{"title": "Knots", "startsAt": 1}'
    async with running_relay() as relay, outsiders(relay.url, 1) as (instructor,):
        site = await _site(folder, relay.url, instructors__allow=[instructor.npub])
        async with site.running() as daemon:
            url = f"{site.base}/api/sessions/draft"
            proof = instructor.sign(27235, [["u", url], ["method", "POST"], ["payload", sha256(body).hexdigest()]])
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            head = (
                f"POST /api/sessions/draft HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n"
                f"Content-Type: application/json\r\n"
                f"Authorization: Nostr {b64encode(json.dumps(proof).encode()).decode()}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body[:1])
            await writer.drain()
            # answered in the order in which they came: the slow one is known by then
            assert await _status_of(f"{site.base}/healthz") == httpx.codes.OK
            yield daemon
            assert await reader.read() == b"", "it was refused before its body was waited for"
            writer.close()
        assert "web.cut_off" in site.texts()


@asynccontextmanager
async def _while_a_leader_watches_many_answers(folder: Path) -> AsyncIterator[Daemon]:
    async with running_relay() as relay, outsiders(relay.url, 2) as (instructor, ada), AsyncExitStack() as stack:
        site = await _site(folder, relay.url, instructors__allow=[instructor.npub])
        row = kept_session(Pubkey(instructor.pubkey), "knots", starts_in=_FAR_AHEAD)
        await _fill(site, row, _MANY)
        daemon = await stack.enter_async_context(site.running())
        lines = await stack.enter_async_context(_stream(f"{site.base}/api/sessions/knots/events", instructor))
        first = await _next_total(lines)
        answering = stack.enter_context(_going_on(_answer_without_end(ada, row.session_address)))
        assert first == _MANY
        assert await _next_total(lines) == _MANY + 1  # and so they go on to change
        assert not answering.done()
        yield daemon


_MANY = 10_000
_FAR_AHEAD = 30 * 24 * 3600  # seconds


async def _fill(site: Site, row: LiveSessionRow, answered: int) -> None:
    """Keep a session with so many answers, as a daemon does."""
    site.state.mkdir(mode=0o700)
    answers = [
        RsvpRow(
            session_address=row.session_address,
            pubkey=f"{number:064x}",
            status="confirmed",
            rsvp_time=row.event_created_at,
            event_id=f"{number:064x}",
            first_seen=number,
            first_seen_at=row.event_created_at,
            seat="held",
        )
        for number in range(1, answered + 1)
    ]
    async with await Store.open(site.state / "podium.sqlite3") as store:
        await store.sessions.put(row)
        await store.rsvps.bulk_put(answers)


@asynccontextmanager
async def _stream(url: str, by: Outsider) -> AsyncIterator[AsyncIterator[str]]:
    """The lines of an open page's stream."""
    login = by.sign(27235, [["u", url], ["method", "GET"]])
    headers = {"Authorization": "Nostr " + b64encode(json.dumps(login).encode()).decode()}
    async with (
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
        client.stream("GET", url, headers=headers) as answer,
    ):
        assert answer.status_code == httpx.codes.OK
        yield answer.aiter_lines()


async def _next_total(lines: AsyncIterator[str]) -> int:
    """How many people have answered, as the stream tells its instructor next."""
    async with asyncio.timeout(60):
        async for line in lines:
            if line == "event: rsvps":
                return int(json.loads((await anext(lines)).removeprefix("data: "))["total"])
    raise AssertionError("the stream ended")


async def _answer_without_end(person: Outsider, session_address: str) -> None:
    for number in count():
        await person.answer(session_address, ("accepted", "declined")[number % 2])


@contextmanager
def _going_on(work: Coroutine[None, None, None]) -> Iterator[asyncio.Task[None]]:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_while_it_starts_or_migrates_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    """Nothing has begun that could drain: it ends with 0 and without a traceback."""
    site = await _site(tmp_path, "ws://127.0.0.1:1")
    lock = site.state / "podium.lock"
    site.state.mkdir(mode=0o700)
    with closing(sqlite3.connect(site.state / "podium.sqlite3", isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN IMMEDIATE")  # its first migration waits for this
        daemon = await site.start()
        try:

            async def holds_the_lock() -> bool:
                return lock.exists() and bool(lock.read_text())

            await until(holds_the_lock, "it starts")
            daemon.signal(number)
            other.execute("ROLLBACK")
            assert await daemon.ended() == 0
        finally:
            await daemon.stop()
    assert "Traceback" not in site.texts()


@pytest.mark.parametrize(
    ("phase", "number"),
    [
        (_while_reading_the_past, signal.SIGTERM),
        (_while_nothing_happens, signal.SIGINT),
        (_while_a_post_is_slow, signal.SIGTERM),
        (_while_an_ok_is_awaited, signal.SIGTERM),
        (_with_an_embedded_relay, signal.SIGINT),
        (_while_a_leader_watches_many_answers, signal.SIGTERM),
    ],
)
@pytest.mark.usefixtures("adopted")
async def test_one_signal_drains(tmp_path: Path, phase: Phase, number: signal.Signals) -> None:
    """SIGTERM and Ctrl-C end the daemon with 0, without a process that is left, and another one may start at once.

    Within ten seconds: after those its own watchdog would end it with 1.
    """
    async with phase(tmp_path) as daemon:
        orphans = Orphans()
        daemon.signal(number)
        assert await daemon.ended() == 0
        assert orphans.running() == []
        check_database(tmp_path / "state")
        log = (tmp_path / "daemon.log").read_text()
        assert f'"why": "{number.name}"' in log
        assert "Traceback" not in log
        assert (tmp_path / "state" / "podium.lock").read_text() == ""


async def test_people_in_the_room_are_accounted_for(tmp_path: Path) -> None:
    """Stopped while a person is seated, the daemon writes down until when, and the stay is there after the restart."""
    async with running_relay() as relay, outsiders(relay.url, 2) as (instructor, ada):
        site = await _site(tmp_path, relay.url)
        service = (await site.read("key", "show"))["pubkey"]
        site.set(instructors__allow=[instructor.npub])
        async with site.running() as daemon:
            now = int(time.time())
            session_address = await instructor.schedule(service, "knots", now + 2, now + 600)
            await until(_has_state(site, "active"), "it starts")
            seat = await ada.join(site.base, "knots", session_address)
            await until(lambda: _attended(site, instructor, 5), "five seconds of attendance up to now")
            daemon.signal(signal.SIGTERM)
            assert await daemon.ended() == 0
            await asyncio.wait_for(seat.closed.wait(), 60)
        before = int(time.time())
        async with site.running():
            (row,) = await until(lambda: _attended(site, instructor, 3), "the stay is remembered")
            assert row["leftAt"] is not None
            assert abs(before - row["leftAt"]) <= 3
            shown = (await send("GET", f"{site.base}/api/sessions/knots")).body
            assert (shown["state"], shown["participantCount"]) == ("active", 0)


def _has_state(site: Site, state: str) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return bool((await send("GET", f"{site.base}/api/sessions/knots")).body.get("state") == state)

    return look


async def _attended(site: Site, instructor: Outsider, seconds: int) -> list[dict[str, int]]:
    answer = await instructor.call("GET", f"{site.base}/api/sessions/knots/attendance")
    return [row for row in answer.body["attendance"] if row["totalDuration"] >= seconds]


async def test_a_second_ctrl_c_ends_at_once_and_loses_nothing(tmp_path: Path) -> None:
    """While the drain waits for a relay that hangs, a second Ctrl-C ends the process; what was written is there."""
    number = signal.SIGINT
    site = await _site(tmp_path, embedded__port=free_port())
    daemon = await site.start()
    await daemon.until_ready()
    created = await site.podium("session", "create", "Knots", "--at", "+2h", "--id", "knots")
    assert created.code == 0, created
    (relay,) = _children(daemon.pid)
    os.kill(relay, signal.SIGSTOP)  # its own relay does not end when it is told to
    try:
        daemon.signal(number)
        await until(lambda: _is_draining(tmp_path, number), "the drain began")
        assert daemon.process.returncode is None
        daemon.signal(number)
        assert await daemon.ended() == 128 + number
    finally:
        os.kill(relay, signal.SIGCONT)
        await daemon.stop()
    site.set(embedded__port=free_port())
    async with site.running():
        (session,) = (await site.read("session", "list"))["sessions"]
        assert session["title"] == "Knots"


def _children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def _is_draining(folder: Path, number: signal.Signals) -> bool:
    lines = (json.loads(line) for line in (folder / "daemon.log").read_text().splitlines() if line.startswith("{"))
    return any(line.get("action") == "supervisor.stopping" and line.get("why") == number.name for line in lines)


async def _status_of(url: str) -> int:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        return (await client.get(url)).status_code

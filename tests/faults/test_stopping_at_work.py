"""SIGTERM while there is much to do: the daemon ends with 0 in ten seconds, leaves no process, and loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest

from podium_protocol import kinds
from podium_protocol.events import Pubkey, Rejected, SignedEvent, verify_json
from podium_protocol.keys import SecretKey
from podium_protocol.nips import nip59
from podium_protocol.nips.nip46 import Request, Response
from podium_storage import migrations
from podium_storage.database import Database
from tests.support.bunker import ScriptedBunker, serving
from tests.support.events import key_of
from tests.support.installed import Daemon, Site, offsets
from tests.support.memory_relay import MemoryRelay
from tests.support.processes import adopting, runs
from tests.support.relays import running_relay, signed
from tests.support.scripted_relay import Talk, scripted_relay
from tests.support.stopping import stopped_by_sigterm
from tests.support.until import until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

INSTRUCTOR: Final = key_of(1)


@pytest.fixture(autouse=True)
def _adopting() -> Iterator[None]:
    with adopting():
        yield


async def made_site(folder: Path, *relays: str, **settings: object) -> tuple[Site, Pubkey]:
    """A daemon's folder, and its public key."""
    site = Site(folder, relays=list(relays), settings={"instructors.allow": [INSTRUCTOR.pubkey]})
    service = Pubkey(await site.make_key())
    site.set(**settings)
    return site, service


def session_event(service: str, relay: str, number: int, starts_at: int) -> SignedEvent:
    """A session as a calendar client publishes it."""
    tags = (
        ("d", f"session-{number}"),
        ("title", f"Session {number}"),
        ("start", str(starts_at)),
        ("end", str(starts_at + 3600)),
        ("D", str(starts_at // 86400)),
        ("p", service, relay, "service"),
    )
    return signed(INSTRUCTOR, kind=kinds.SESSION, tags=tags)


# -- what comes in


@pytest.mark.parametrize("ends", [True, False], ids=["after the past", "within the past"])
async def test_while_sessions_keep_arriving(tmp_path: Path, *, ends: bool) -> None:
    """A relay that feeds one session after the other, live or before any EOSE, is left in the middle of it."""
    service, starts_at = "", int(time.time()) + 7200

    async def feed(talk: Talk, name: str) -> None:
        for number in itertools.count():
            event = session_event(service, talk.relay.url, number, starts_at + number)
            await talk.send("EVENT", name, msgspec.to_builtins(event))

    async def behave(talk: Talk) -> None:
        feeding: list[asyncio.Task[None]] = []
        try:
            while True:
                match await talk.receive():
                    case ["REQ", name, *filters]:
                        has_sessions = any(kinds.SESSION in one.get("kinds", ()) for one in filters)
                        if ends or not has_sessions:
                            await talk.send("EOSE", name)
                        if has_sessions:
                            feeding.append(asyncio.create_task(feed(talk, name)))
                    case ["EVENT", event]:
                        await talk.send("OK", event["id"], True, "")
        finally:
            for task in feeding:
                task.cancel()
            await asyncio.gather(*feeding, return_exceptions=True)

    async with scripted_relay(behave) as relay:
        site, service = await made_site(tmp_path, relay.url)
        async with stopped_by_sigterm(site, is_ready=ends):
            await until(lambda: _knows(site, 50), "sessions are taken in")
    with closing(sqlite3.connect(site.state / "podium.sqlite3")) as database:
        ((stored,),) = database.execute('SELECT count(*) FROM "trainingLiveSessions"')
    assert stored >= 50


async def _knows(site: Site, count: int) -> bool:
    try:
        with closing(sqlite3.connect(f"{(site.state / 'podium.sqlite3').as_uri()}?mode=ro", uri=True)) as database:
            ((stored,),) = database.execute('SELECT count(*) FROM "trainingLiveSessions"')
    except sqlite3.OperationalError:  # there is no such file, or table, yet
        return False
    return bool(stored >= count)


# -- what goes out

PEOPLE: Final = 800


class Post(MemoryRelay):
    """A relay whose messages can be looked at."""

    def messages(self) -> list[bytes]:
        """The gift wraps that clients published, each once by its bytes."""
        sent = (message[1] for message in self.wire.messages if message[0] == "EVENT")
        return list({json.dumps(event).encode(): None for event in sent if event["kind"] == kinds.GIFT_WRAP})


async def test_while_the_workers_wrap_what_was_not_sent_goes_out_after_the_next_start(tmp_path: Path) -> None:
    """Many people's reminders at once: no worker is left, and each person gets one, by the rumor's id."""
    people = {key.pubkey: key for key in map(key_of, range(10, 10 + PEOPLE))}
    starts_at = int(time.time()) + 7200
    post = Post()
    async with scripted_relay(post.serve) as post.wire:
        post.url = post.wire.url
        # confirmations would be wrapped by the same workers, of those who answered after the database was made
        site, service = await made_site(tmp_path, post.url, reminders__confirmation=False, **_quarter(60))
        session = session_event(service, post.url, 0, starts_at)
        post.events = [session, *itertools.chain(*(_answered(key, post.url) for key in people.values()))]
        async with stopped_by_sigterm(site) as daemon:
            await until(lambda: _are_planned(site, PEOPLE), "all messages are planned")  # then all change at once
            site.set(**_quarter(starts_at - int(time.time()) - 5))
            daemon.signal(signal.SIGHUP)  # by the new settings the reminder of all is due in five seconds
            await until(lambda: _has_workers(daemon), "workers wrap", pause=0.01)
        assert len(post.messages()) < PEOPLE, "it was over before it was stopped"
        async with site.running():
            await until(lambda: _have_come(post, PEOPLE), "all are told", seconds=120)
        told = [_opened(raw, people) for raw in post.messages()]
    assert set(Counter(recipient for recipient, _ in told).values()) == {1}
    assert len({rumor for _, rumor in told}) == PEOPLE


def _quarter(before: int) -> dict[str, object]:
    """The last reminder so many seconds before the start, and none before it."""
    return {name.replace(".", "__"): value for name, value in offsets(90_000, 80_000, before).items()}


def _answered(key: SecretKey, relay: str) -> list[SignedEvent]:
    tags = (("a", f"{kinds.SESSION}:{INSTRUCTOR.pubkey}:session-0"), ("d", "x"), ("status", "accepted"))
    return [
        signed(key, kind=kinds.RSVP, tags=tags),
        signed(key, kind=kinds.DM_RELAY_LIST, tags=(("relay", relay),)),
    ]


async def _are_planned(site: Site, count: int) -> bool:
    with closing(sqlite3.connect(f"{(site.state / 'podium.sqlite3').as_uri()}?mode=ro", uri=True)) as database:
        ((stored,),) = database.execute("""SELECT count(*) FROM "reminderLedger" WHERE message = 'start'""")
    return bool(stored == count)


async def _has_workers(daemon: Daemon) -> bool:
    return runs(daemon.pid, "wrapping_child")


async def _have_come(post: Post, count: int) -> bool:
    return len(post.messages()) >= count


def _opened(raw: bytes, people: dict[Pubkey, SecretKey]) -> tuple[str, str]:
    wrap = verify_json(raw)
    assert not isinstance(wrap, Rejected)
    recipient = Pubkey(next(tag[1] for tag in wrap.tags if tag[0] == "p"))
    letter = nip59.unwrap(wrap, people[recipient], now=int(time.time()))
    assert isinstance(letter, nip59.Unwrapped)
    return recipient, letter.rumor.id


# -- what is waited for


async def test_while_a_remote_signer_is_asked(tmp_path: Path) -> None:
    """A page waits for a signature that the person has not given: the request is cut off, which is no failure."""
    asked = asyncio.Event()

    def say_nothing(request: Request) -> list[Response | bytes] | None:
        if request.method != "sign_event":
            return None
        asked.set()
        return []

    bunker = ScriptedBunker(say_nothing)
    async with running_relay() as relay, serving(bunker, relay.url), httpx.AsyncClient(timeout=60) as client:
        site, _ = await made_site(tmp_path, relay.url)
        async with stopped_by_sigterm(site):
            opened = (await client.post(f"{site.base}/api/signers", json={"bunker": bunker.url(relay.url)})).json()
            page = Page(client, f"{site.base}/api/signers/{opened['signer']['id']}", opened["secret"])
            await page.until_connected()
            template = {"pubkey": bunker.user.pubkey, "created_at": 1, "kind": 31925, "tags": [], "content": ""}
            answer = await client.post(f"{page.url}/requests", json={"id": "a", "event": template}, headers=page.login)
            assert answer.status_code == httpx.codes.OK, answer.text
            waiting = asyncio.create_task(page.news(wait=25))
            async with asyncio.timeout(60):
                await asked.wait()
        await asyncio.wait([waiting])


class Page:
    """The page that has opened a connection to a signer."""

    def __init__(self, client: httpx.AsyncClient, url: str, secret: str) -> None:
        self.url = url
        self.login = {"Authorization": f"Podium-Signer {secret}"}
        self._client = client
        self._seen = -1

    async def news(self, *, wait: int) -> dict[str, Any] | None:
        """The newer state of the connection; None where the line was cut."""
        with contextlib.suppress(httpx.HTTPError):
            answer = await self._client.get(f"{self.url}?seen={self._seen}&wait={wait}", headers=self.login)
            view: dict[str, Any] = answer.json()
            self._seen = view.get("version", self._seen)
            return view
        return None

    async def until_connected(self) -> None:
        """Wait for the signer."""

        async def connected() -> bool:
            return (await self.news(wait=5) or {}).get("state") == "connected"

        await until(connected, "the signer is connected")


# -- the database

ROWS: Final = 100_000
BEFORE_VOTES: Final = 24  # the migration after it copies a table


async def test_while_a_migration_runs(tmp_path: Path) -> None:
    """A long copy is broken off and rolled back: the file is as the older version left it, and is migrated later."""
    site, _ = await made_site(tmp_path, "ws://127.0.0.1:1")
    site.state.mkdir(mode=0o700)
    file = site.state / "podium.sqlite3"
    async with await Database.open(file, migrations.shipped()[:BEFORE_VOTES]):
        pass
    with closing(sqlite3.connect(file)) as database:
        database.execute("INSERT INTO atoms VALUES (1, 'a')")
        database.execute(_MANY_QUESTIONS, (ROWS,))
        database.commit()
    began = 0.0
    async with stopped_by_sigterm(site, is_ready=False):
        await until(lambda: _is_locked(file), "it migrates")
        began = time.monotonic()
    assert time.monotonic() - began < 10
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT max(number) FROM migrations").fetchall() == [(BEFORE_VOTES,)]
        assert database.execute('SELECT count(*) FROM "liveQuestions"').fetchall() == [(ROWS,)]
    async with running_relay() as relay:
        site.set(relays=[relay.url])
        async with site.running():
            pass
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT max(number) FROM migrations").fetchall() == [(len(migrations.shipped()),)]
        assert database.execute('SELECT count(*) FROM "liveQuestions"').fetchall() == [(ROWS,)]


_MANY_QUESTIONS: Final = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
INSERT INTO "liveQuestions" ("lessonId", "pubkey", "eventId", "text", "createdAt", "firstSeenAt", "state", "pinned")
SELECT 1, 1, lower(hex(randomblob(32))), 'Why?', 1, 1, 'approved', 0 FROM numbers
"""


async def _is_locked(file: Path) -> bool:
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as database:
        try:
            ((newest,),) = database.execute("SELECT max(number) FROM migrations")
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
    assert newest == BEFORE_VOTES, "it was over before it was stopped"
    return False

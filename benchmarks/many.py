"""sessions: a daemon with ten thousand sessions and a million answers in its store, and one that is told thousands."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import httpx
import msgspec

from benchmarks.child import ROOT, keep_quiet
from benchmarks.interleave import Progress, Result, Row, quantile
from benchmarks.settings import Settings
from podium_daemon.app.core import Core, Current
from podium_daemon.app.run import Daemon
from podium_daemon.config import Config
from podium_daemon.runtime.clock import SystemClock
from podium_daemon.signers.signer import LocalSigner
from podium_daemon.web.server import listen
from podium_protocol import kinds
from podium_protocol.events import Pubkey, Rejected, VerifiedEvent, verify
from podium_protocol.keys import SecretKey
from podium_protocol.live.session import SessionSpec, write_session
from podium_protocol.nips import nip19
from podium_storage.changes import ChangeSubscription
from podium_storage.database import Transaction
from podium_storage.meta import Meta
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow

ANSWERS: Final = 100  # a session
_PEOPLE: Final = 2_000
_AHEAD: Final = 20  # one session in so many is still to come
_DAY: Final = 24 * 3600
_RELAY: Final = "ws://127.0.0.1:9"  # a port on which nothing listens: no relay is measured
_READ_IN: Final = 500  # events a transaction, as from a relay
_SETTLED: Final = 300.0  # seconds after which it is measured whether or not the daemon is idle
_DUE_AFTER: Final = 2  # seconds
_LIMITS: Final = {"start": 5.0, "memory": 300.0, "list": 20.0, "idle": 0.5, "due": 1.0}
_NOTE: Final = (
    "sessions: {sessions:,} in the store with {answers} answers each by {people:,} people, one in {ahead} still to "
    "come. The limit is what is allowed. Before the idle CPU is measured the daemon has planned the messages of the "
    "sessions that come."
)
_ANSWERED: Final = """
INSERT INTO trainingLiveSessionRSVPs
  (lessonId, pubkey, status, rsvpTime, reminderSent, eventId, needsReconfirmation, firstSeen, firstSeenAt, seat)
SELECT s.lessonId, person.id, 'confirmed', s.adoptedAt, 0, printf('%064x', s.id * 1000 + n.value), 0,
  s.id * 1000 + n.value, s.adoptedAt, 'held'
FROM trainingLiveSessions AS s CROSS JOIN json_each(?) AS n
CROSS JOIN atoms AS person ON person.value = printf('%064x', (s.id * 7 + n.value) % ?)"""

_COUNTED: Final = """
INSERT INTO sequences (name, last) SELECT 'trainingLiveSessionRSVPs', max(id) FROM trainingLiveSessionRSVPs"""


class Figures(msgspec.Struct, frozen=True):
    """What one run gave: seconds, MB, milliseconds, percent."""

    start: float
    memory: float
    list: float
    idle: float
    due: float


async def run(settings: Settings, progress: Progress) -> Result:
    """The work."""
    with TemporaryDirectory() as folder:
        progress(f"filling a store with {settings.sessions:,} sessions")
        await _fill(Path(folder), settings.sessions)
        progress("running a daemon on it")
        found = await _measured(folder, settings.told, settings.idle)
    lines = (
        ("start with many sessions", "s", found.start, _LIMITS["start"]),
        ("memory with many sessions", "MB", found.memory, _LIMITS["memory"]),
        ("list of sessions p99", "ms", found.list, _LIMITS["list"]),
        ("idle CPU with many sessions", "%", found.idle, _LIMITS["idle"]),
        ("a due start while sessions are read in", "s late", found.due, _LIMITS["due"]),
    )
    rows = (Row(work, unit, ours, limit=limit, ratio_to_limit=ours / limit) for work, unit, ours, limit in lines)
    note = _NOTE.format(sessions=settings.sessions, answers=ANSWERS, people=_PEOPLE, ahead=_AHEAD)
    return Result(tuple(rows), (note, f"sessions: the start is due while {settings.told:,} others are read in."))


async def _measured(folder: str, told: int, idle: float) -> Figures:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.many", folder, str(told), str(idle)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    answer, _ = await process.communicate()
    return msgspec.json.decode(answer.splitlines()[-1], type=Figures)  # the log may stand before it


async def _fill(folder: Path, sessions: int) -> None:
    now = int(time.time())
    instructor = SecretKey(secrets.token_bytes(32)).pubkey
    async with await Store.open(folder / "podium.sqlite3") as store:
        for start in range(0, sessions, _READ_IN):
            numbers = range(start, min(sessions, start + _READ_IN))
            await store.sessions.bulk_put([_row(number, instructor, now) for number in numbers])
        await store.database.transact(_answer)


async def _answer(tx: Transaction) -> None:
    """Have every session answered, with a few statements for all of them."""
    await tx.execute_many("INSERT INTO atoms (value) VALUES (?)", ((f"{one:064x}",) for one in range(_PEOPLE)))
    await tx.execute(_ANSWERED, (msgspec.json.encode(list(range(ANSWERS))).decode(), _PEOPLE))
    await tx.execute(_COUNTED)


def _row(number: int, instructor: Pubkey, now: int) -> LiveSessionRow:
    is_ahead = number % _AHEAD == 0
    starts_at = now + 2 * _DAY + number * 60 if is_ahead else now - 20 * _DAY - number * 60
    run = (starts_at, starts_at + 3600)
    return LiveSessionRow(
        session_address=f"{kinds.SESSION}:{instructor}:session-{number}",
        conference_room_id=f"room-{number}",
        scheduled_at=starts_at,
        ends_at=starts_at + 3600,
        duration=60,
        instructor_pubkey=instructor,
        title=f"Session {number}",
        summary="",
        description="What is to be said about it. " * 10,
        requires_rsvp=False,
        waiting_room=False,
        allow_recording=False,
        e2ee_required=False,
        visibility="public",
        co_hosts=(),
        invited=(),
        state="scheduled" if is_ahead else "ended",
        epoch=0,
        event_id=f"{number:064x}",
        event_created_at=now - 30 * _DAY,
        runs=() if is_ahead else (run,),
        started_at=None if is_ahead else run[0],
        ended_at=None if is_ahead else run[1],
        adopted_at=now - 30 * _DAY,
        status_created_at=now - 30 * _DAY,
    )


class RunningDaemon:
    """The daemon on a store in this process."""

    def __init__(self, store: Store, folder: Path, relay: str = _RELAY, **sections: object) -> None:
        """`sections`: of the configuration, besides those that every benchmark has."""
        self.instructor, service = SecretKey(secrets.token_bytes(32)), SecretKey(secrets.token_bytes(32))
        self.service = service.pubkey
        self.config = Config.model_validate(
            {
                "storage": {"state_directory": str(folder)},
                "relays": [{"url": relay, "read": False, "write": True, "dm": False}],
                "instructors": {"allow": [nip19.encode_npub(self.instructor.pubkey)]},
                "conference": {"meeting_url": "https://meet.example.org/benchmark"},
                **sections,
            }
        )
        core = Core(
            current=Current(self.config),
            store=store,
            meta=Meta(store.database),
            signer=LocalSigner(service),
            clock=SystemClock(),
        )
        self._listener = listen("127.0.0.1", 0)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.host = self.config.public_url.split("//")[1].rstrip("/")  # people's, whatever free port it has here
        self.store = store
        self.daemon = Daemon(core, self._listener)

    def session(
        self, name: str, starts_at: int, *, title: str | None = None, written_at: int | None = None
    ) -> VerifiedEvent:
        """A session event of the instructor."""
        spec = SessionSpec(identifier=name, title=title or name, starts_at=starts_at, duration_minutes=60)
        draft = write_session(
            spec,
            instructor=self.instructor.pubkey,
            service=self.service,
            relay_hint=_RELAY,
            join_url=self.url,
            now=written_at or int(time.time()),
            previous=None,
        )
        event = verify(self.instructor.sign(draft, secrets.token_bytes(32)))
        assert not isinstance(event, Rejected)
        return event

    def client(self) -> httpx.AsyncClient:
        """A client that addresses the service as people do."""
        return httpx.AsyncClient(base_url=self.url, headers={"Host": self.host})

    async def idle(self, seconds: float) -> float:
        """Percent of a core that is used in so many seconds."""
        before = time.process_time()
        await asyncio.sleep(seconds)
        return (time.process_time() - before) / seconds * 100

    async def settle(self, seconds: float) -> None:
        """Wait until what follows from a start is done: until so many seconds in a row are nearly idle."""
        ends = time.monotonic() + _SETTLED
        while time.monotonic() < ends and await self.idle(seconds) > 1.0:
            pass

    async def lists(self) -> list[float]:
        """Milliseconds of some calls for the list of sessions, of its first parts and of later ones."""
        times: list[float] = []
        async with self.client() as client:
            for number in range(200):
                began = time.perf_counter()
                (await client.get("/api/sessions", params={"offset": number % 50 * 100})).raise_for_status()
                times.append((time.perf_counter() - began) * 1000)
        return times

    async def lateness(self, told: int) -> float:
        """Seconds by which a session starts late while others are read in."""
        events = [self.session(f"told-{number}", int(time.time()) + 3 * _DAY + number) for number in range(told)]
        due_at = int(time.time()) + _DUE_AFTER
        mirror = self.daemon.parts.mirror.mirror
        await mirror.ingest([self.session("due", due_at)], received_at=int(time.time()))
        await asyncio.sleep(_DUE_AFTER / 2)
        with self.store.changes.subscribe(self.store.sessions.name) as changes:
            for start in range(0, told, _READ_IN):
                await mirror.ingest(events[start : start + _READ_IN], received_at=int(time.time()))
            await _until_one_is_live(changes)
        return max(time.time() - due_at, 0.001)


async def _run(folder: Path, told: int, seconds: float) -> Figures:
    began = time.monotonic()
    async with await Store.open(folder / "podium.sqlite3") as store:
        here = RunningDaemon(store, folder)
        running = asyncio.create_task(here.daemon.supervisor.run())
        await here.daemon.supervisor.ready.wait()
        await here.daemon.parts.relays.syncer.caught_up.wait()
        async with here.client() as client:
            (await client.get("/readyz")).raise_for_status()
        start = time.monotonic() - began
        await here.settle(seconds / 5)
        idle, lists = await here.idle(seconds), await here.lists()
        memory, due = rss_mb(), await here.lateness(told)
        running.cancel()
    return Figures(start=start, memory=memory, list=quantile(lists, 0.99), idle=idle, due=due)


async def _until_one_is_live(changes: ChangeSubscription) -> None:
    async for batch in changes:
        rows = [change.after for change in batch.changes]
        if any(isinstance(row, LiveSessionRow) and row.state == "active" for row in rows):
            return


def rss_mb() -> float:
    """The memory that this process has now, in megabytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


async def _print(folder: str, told: str, seconds: str) -> None:
    found = await _run(Path(folder), int(told), float(seconds))
    sys.stdout.buffer.write(b"\n" + msgspec.json.encode(found) + b"\n")
    sys.stdout.flush()
    os._exit(0)  # the daemon was measured; its orderly stop is none of this work's business


if __name__ == "__main__":
    keep_quiet()
    asyncio.run(_print(*sys.argv[1:]))

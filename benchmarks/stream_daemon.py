"""A daemon with one session that pages listen to, and a bare server of the same bytes.

`python -m benchmarks.stream_daemon daemon FOLDER PEOPLE` or `… bare`. It writes where it listens, and answers each
`Order` it reads, one a line.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Final, Protocol

import msgspec

from benchmarks.child import keep_quiet
from benchmarks.many import RunningDaemon, rss_mb
from podium_daemon.app.run import shorten_waits
from podium_daemon.runtime.clock import SystemClock
from podium_daemon.web.login import Caller, LoginTokens
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import Rejected, VerifiedEvent, verify
from podium_protocol.keys import SecretKey
from podium_protocol.live.rsvp import RsvpStatus, write_rsvp
from podium_storage.logins import Logins
from podium_storage.slices import in_slices
from podium_storage.store import Store

_NAME: Final = "talk"
_AHEAD: Final = 30 * 24 * 3600  # seconds until it starts: no message is due meanwhile
_LONG_AGO: Final = 3600  # seconds: each change is dated a second after the one before, and none in the future
_SIGNED_AT_ONCE: Final = 20
_LOOK: Final = 0.002  # seconds between two looks at how late the loop is


class Begun(msgspec.Struct, frozen=True):
    """Where streams are opened, and with which logins: the first is the instructor's."""

    port: int
    host: str
    path: str
    tokens: tuple[str, ...] = ()


class Order(msgspec.Struct, frozen=True):
    """What to do: `session`, `answer` or `answers` change in a round, or `load` since the last order.

    `mark` and `size` are what a bare server sends.
    """

    what: str
    round: int = 0
    mark: str = ""
    size: int = 0


class Done(msgspec.Struct, frozen=True):
    """When it was committed (monotonic seconds); what the order before has taken: CPU seconds, MB, lags in ms."""

    at: float
    cpu: float = 0.0
    memory: float = 0.0
    lags: tuple[float, ...] = ()


def mark_of(what: str, number: int, people: int) -> str:
    """What only the view after this change has."""
    if what == "session":
        return f'"title":"Round {number}"'
    return '"declined":1' if what == "answer" else f'"{_answer_of(number).value}":{people}'


def _answer_of(number: int) -> RsvpStatus:
    return RsvpStatus.CONFIRMED if number % 2 else RsvpStatus.TENTATIVE


class _Changes(Protocol):
    async def change(self, order: Order) -> float:
        """Make one change; returns when it was there to be told (monotonic seconds)."""


class _Session:
    """The session, changed by its instructor and by the people who answer."""

    def __init__(self, here: RunningDaemon, people: int) -> None:
        self._here = here
        self.people = [SecretKey(secrets.token_bytes(32)) for _ in range(people)]
        self._starts_at = int(time.time()) + _AHEAD
        self._written_at = int(time.time()) - _LONG_AGO

    async def begin(self) -> None:
        await self._read_in([self._event("Round")])
        await self._read_in(await self._answers(self.people, RsvpStatus.CONFIRMED))

    async def change(self, order: Order) -> float:
        self._written_at += 1
        if order.what == "session":
            events = [self._event(f"Round {order.round}")]
        elif order.what == "answer":
            events = await self._answers(self.people[:1], RsvpStatus.DECLINED)
        else:
            events = await self._answers(self.people, _answer_of(order.round))
        await self._read_in(events)
        return time.monotonic()

    def _event(self, title: str) -> VerifiedEvent:
        return self._here.session(_NAME, self._starts_at, title=title, written_at=self._written_at)

    async def _answers(self, people: list[SecretKey], status: RsvpStatus) -> list[VerifiedEvent]:
        session = Address(kinds.SESSION, self._here.instructor.pubkey, _NAME)
        events: list[VerifiedEvent] = []
        async for part in in_slices(people, _SIGNED_AT_ONCE):  # what is none of the daemon's work is not to be its lag
            for person in part:
                draft = write_rsvp(session, status, pubkey=person.pubkey, now=self._written_at)
                event = verify(person.sign(draft, secrets.token_bytes(32)))
                assert not isinstance(event, Rejected)
                events.append(event)
        return events

    async def _read_in(self, events: list[VerifiedEvent]) -> None:
        await self._here.daemon.parts.mirror.mirror.ingest(events, received_at=int(time.time()))

    async def tokens(self) -> tuple[str, ...]:
        logins = LoginTokens(Logins(self._here.store.database), SystemClock())
        keys = [self._here.instructor, *self.people]
        return tuple([(await logins.issue(Caller(key.pubkey))).token for key in keys])


class _Bare:
    """Writes the same bytes to every connection, and does nothing else."""

    def __init__(self) -> None:
        self._writers: list[asyncio.StreamWriter] = []

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nevent: session\n")
        self._writers.append(writer)

    async def change(self, order: Order) -> float:
        began, text = time.monotonic(), order.mark.encode().rjust(order.size)
        for writer in self._writers:
            writer.write(text)
        return began


class _Meter:
    """What this process takes between two orders."""

    def __init__(self) -> None:
        self._lags: list[float] = []
        self._cpu = time.process_time()
        self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(_LOOK)
            self._lags.append(max(0.0, time.perf_counter() - began - _LOOK) * 1000)

    def taken(self) -> Done:
        """What was taken since the last time."""
        now, lags = time.process_time(), tuple(self._lags)
        took, self._cpu, self._lags = now - self._cpu, now, []
        return Done(time.monotonic(), took, rss_mb(), lags)


async def _answer(changes: _Changes) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    shorten_waits()
    meter = _Meter()
    while line := await reader.readline():
        order = msgspec.json.decode(line, type=Order)
        if order.what == "load":
            _say(meter.taken())
        else:
            _say(Done(await changes.change(order)))


async def _serve_daemon(folder: str, people: str) -> None:
    async with await Store.open(Path(folder) / "podium.sqlite3") as store:
        here = RunningDaemon(store, Path(folder))
        running = asyncio.create_task(here.daemon.supervisor.run())
        await here.daemon.supervisor.ready.wait()
        session = _Session(here, int(people))
        await session.begin()
        address = f"{kinds.SESSION}:{here.instructor.pubkey}:{_NAME}"
        _say(Begun(here.port, here.host, f"/api/sessions/{address}/events", await session.tokens()))
        await _answer(session)
        running.cancel()


async def _serve_bare() -> None:
    bare = _Bare()
    async with await asyncio.start_server(bare.take, "127.0.0.1", 0, backlog=1024) as server:
        _say(Begun(server.sockets[0].getsockname()[1], "127.0.0.1", "/"))
        await _answer(bare)


def _say(what: Begun | Done) -> None:
    sys.stdout.buffer.write(b"\n" + msgspec.json.encode(what) + b"\n")
    sys.stdout.flush()


if __name__ == "__main__":
    keep_quiet()
    asyncio.run(_serve_bare() if sys.argv[1] == "bare" else _serve_daemon(*sys.argv[2:]))
    os._exit(0)  # the daemon was measured; its orderly stop is none of this work's business

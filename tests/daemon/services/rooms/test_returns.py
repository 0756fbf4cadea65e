"""Ways back into rooms that outlive the daemon: for two minutes, once, unless a person left or was removed."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from podium_daemon.conference.events import Connection, ConnectionId, RoomId, RoomRole
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.services.rooms.resume_tokens import ResumeTokens
from podium_storage.resume_tokens import Returns
from podium_storage.store import Store
from podium_storage.table.models import IntervalRow
from tests.support.clock import ManualClock
from tests.support.conference import new_pubkey
from tests.support.until import until

ROOM = RoomId("r1")
SECONDS = 120


def connection(name: str = "c1") -> Connection:
    """A person's seat."""
    return Connection(ConnectionId(name), ROOM, new_pubkey(), "laptop", RoomRole.PARTICIPANT)


@asynccontextmanager
async def a_daemon(file: Path, clock: ManualClock) -> AsyncIterator[ResumeTokens]:
    """One daemon's life on a database; it ends in good order."""
    async with await Store.open(file) as store:
        ways, stop = ResumeTokens(store, clock=clock, random_bytes=os.urandom, seconds=SECONDS), Stop(clock)
        running = asyncio.create_task(ways.run(stop))
        try:
            yield ways
        finally:
            stop.set()
            await running


def is_in_a_file(text: str, folder: Path) -> bool:
    """Whether a file of a folder holds a text."""
    return any(text.encode() in path.read_bytes() for path in folder.iterdir())


async def seen(file: Path, seat: Connection, at: int) -> None:
    """Attendance wrote down that a person was there."""
    async with await Store.open(file) as store:
        await store.intervals.put(
            IntervalRow(
                connection_id=seat.id,
                session_address="31923:x:y",
                pubkey=seat.pubkey,
                device=seat.device,
                joined_at=at,
                last_evidence=at,
                source="presence",
            )
        )


async def redeemed(ways: ResumeTokens, secret: str) -> Connection | None:
    """The connection that a secret stood for."""
    kept = await ways.redeem(secret)
    return None if kept is None else kept.connection


async def test_who_lost_the_seat_comes_back_to_the_next_daemon_once(tmp_path: Path) -> None:
    """Within the time that was left, and not a second time, to this daemon or the one after it."""
    clock, seat, file = ManualClock(), connection(), tmp_path / "p.sqlite"
    async with a_daemon(file, clock) as ways:
        secret = ways.mint(seat)
        ways.connection_ended(seat.id, for_good=False)
    await clock.advance(SECONDS - 1)
    async with a_daemon(file, clock) as ways:
        assert await redeemed(ways, secret) == seat
        assert await redeemed(ways, secret) is None
    async with a_daemon(file, clock) as ways:
        assert await redeemed(ways, secret) is None


async def test_who_sat_when_the_daemon_was_killed_comes_back(tmp_path: Path) -> None:
    """The time runs from the last sign of life that was written down, and one interval of those."""
    clock, seat, file = ManualClock(), connection(), tmp_path / "p.sqlite"
    async with a_daemon(file, clock) as ways:
        secret = ways.mint(seat)
    await seen(file, seat, int(clock.now()))
    await clock.advance(SECONDS + 59)
    async with a_daemon(file, clock) as ways:
        assert await redeemed(ways, secret) == seat


async def test_who_had_just_sat_down_when_the_daemon_was_killed_comes_back(tmp_path: Path) -> None:
    """Attendance had not seen them yet: the time runs from when they took the seat."""
    clock, seat, file = ManualClock(), connection(), tmp_path / "p.sqlite"
    async with a_daemon(file, clock) as ways:
        secret = ways.mint(seat)
    await clock.advance(SECONDS + 59)
    async with a_daemon(file, clock) as ways:
        assert await redeemed(ways, secret) == seat


async def test_after_a_long_down_time_everybody_signs_again(tmp_path: Path) -> None:
    """Be it that the seat was lost before or with the daemon; nothing is kept of them any more."""
    clock, file = ManualClock(), tmp_path / "p.sqlite"
    lost, killed, never_seen = connection("c1"), connection("c2"), connection("c3")
    async with a_daemon(file, clock) as ways:
        secrets = [ways.mint(seat) for seat in (lost, killed, never_seen)]
        ways.connection_ended(lost.id, for_good=False)
    await seen(file, killed, int(clock.now()))
    await clock.advance(SECONDS + 61)
    async with a_daemon(file, clock) as ways:
        assert [await redeemed(ways, secret) for secret in secrets] == [None, None, None]
    async with await Store.open(file) as store:
        assert await Returns(store.database).all() == []


async def test_who_left_or_was_removed_does_not_come_back(tmp_path: Path) -> None:
    """Also not after a restart: the secret was withdrawn on the disk too."""
    clock, file = ManualClock(), tmp_path / "p.sqlite"
    gone, removed = connection("c1"), connection("c2")
    async with a_daemon(file, clock) as ways:
        secrets = [ways.mint(gone), ways.mint(removed)]
    async with a_daemon(file, clock) as ways:
        await seen(file, gone, int(clock.now()))
        await seen(file, removed, int(clock.now()))
    async with a_daemon(file, clock) as ways:
        assert await redeemed(ways, "unknown") is None  # it knows by now what was stored
        ways.connection_ended(gone.id, for_good=True)
        ways.forget(ROOM, removed.pubkey)
    async with a_daemon(file, clock) as ways:
        assert [await redeemed(ways, secret) for secret in secrets] == [None, None]


async def test_a_secret_reaches_the_disk_while_the_daemon_runs_and_only_as_its_digest(tmp_path: Path) -> None:
    """A kill right after loses nothing, and an attacker who reads the file can open no door with it."""
    clock, seat, file = ManualClock(), connection(), tmp_path / "p.sqlite"
    async with a_daemon(file, clock) as ways:
        secret = ways.mint(seat)

        async def is_kept() -> bool:
            async with await Store.open(file) as other:
                return [one.connection for one in await Returns(other.database).all()] == [seat.id]

        await until(is_kept, "it is written down")
        assert not await asyncio.to_thread(is_in_a_file, secret, tmp_path)


async def test_a_disk_that_fails_costs_a_way_back_and_no_room(tmp_path: Path) -> None:
    """The secret works as long as the daemon lives, and is written down with the next change."""
    clock, file = ManualClock(), tmp_path / "p.sqlite"
    one, other = connection("c1"), connection("c2")
    async with a_daemon(file, clock) as ways:
        with closing(sqlite3.connect(file)) as raw:
            raw.execute("CREATE TRIGGER refuse BEFORE INSERT ON returns BEGIN SELECT RAISE(ABORT, 'no'); END")
            raw.commit()
            secret = ways.mint(one)
            assert await redeemed(ways, secret) == one
            kept = ways.mint(other)
            raw.execute("DROP TRIGGER refuse")
            raw.commit()
        ways.connection_ended(other.id, for_good=False)
    async with a_daemon(file, clock) as ways:
        assert await redeemed(ways, kept) == other

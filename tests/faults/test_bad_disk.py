"""A disk that fills up, and one that fails, under a daemon that is at work: it says so, tells no lie, and goes on."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.support.faults import check_database, check_open_database
from tests.support.installed import Daemon, Site, offsets
from tests.support.outsiders import Outsider, outsiders, send
from tests.support.relays import running_relay
from tests.support.until import until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

_ON_A_SMALL_DISK: Final = 'mount -t tmpfs -o size=12m,mode=700 podium "$1" && shift && exec "$@"'


class Class:
    """A session with people who answer while the disk is bad and after it."""

    def __init__(self, site: Site, instructor: Outsider, people: list[Outsider]) -> None:
        self.site = site
        self.instructor = instructor
        self.people = people
        self.address = ""

    async def schedule(self, service: str) -> None:
        """Publish it, with a reminder that is due in the middle of the trouble."""
        starts_at = int(time.time()) + 60
        self.address = await self.instructor.schedule(service, "knots", starts_at, starts_at + 3600)
        await until(self.is_known, "it is known")
        await self.people[0].answer(self.address, "accepted")
        await until(lambda: self.has_answers(1), "the first answer is counted")

    async def is_known(self) -> bool:
        """Whether the daemon shows it."""
        return "state" in (await send("GET", f"{self.site.base}/api/sessions/knots")).body

    async def has_answers(self, count: int) -> bool:
        """Whether so many people are confirmed."""
        shown = (await send("GET", f"{self.site.base}/api/sessions/knots")).body
        return bool(shown["counts"]["confirmed"] == count)

    async def hand_in(self, person: Outsider) -> int:
        """Answer over HTTP; the status. Any 2xx promises that the answer is kept."""
        event = person.sign(31925, [["d", "by-http"], ["a", self.address], ["status", "accepted"]])
        return (await person.call("POST", f"{self.site.base}/api/events", {"events": [event]})).status

    async def readiness(self) -> str:
        """Status and words of `/readyz`."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            answer = await client.get(f"{self.site.base}/readyz")
        return f"{answer.status_code} {answer.text}"


@asynccontextmanager
async def lesson(folder: Path, under: tuple[str, ...] = ()) -> AsyncIterator[tuple[Class, Daemon]]:
    """The daemon at work, under a command of the test's choice."""
    async with running_relay() as relay, outsiders(relay.url, 4) as (instructor, *people):
        site = Site(folder, relays=[relay.url], settings=offsets(7200, 3600, 35))
        service = await site.make_key()
        site.set(instructors__allow=[instructor.npub])
        await asyncio.gather(*(person.open_inbox() for person in people))
        site.home.under = under
        async with site.running() as daemon:
            here = Class(site, instructor, people)
            await here.schedule(service)
            yield here, daemon


async def _survives(here: Class, mend: Callable[[], object], words: str) -> None:
    """While it is bad nothing is promised and everything is said; mended, all that was answered is counted, once."""
    _, by_relay, by_http = here.people
    refused = await here.hand_in(by_http)
    assert 500 <= refused < 600, refused
    await by_relay.answer(here.address, "accepted")
    await until(lambda: _says(here, words), "/readyz says what is wrong")
    assert (await send("GET", f"{here.site.base}/api/sessions/knots")).status == 200, "what is read is still there"
    mend()
    await until(lambda: _is_ready(here), "it goes on by itself", seconds=60)
    await until(lambda: here.has_answers(2), "what came by relay meanwhile is counted", seconds=60)
    assert await here.hand_in(by_http) == 200
    await until(lambda: here.has_answers(3), "and what is handed in again")
    await until(lambda: _all_reminded(here), "each is reminded", seconds=120)
    for person in here.people:
        told = [letter.subject for letter in person.letters]
        assert len(told) == len(set(told)) == len({letter.rumor_id for letter in person.letters}), told


async def _says(here: Class, words: str) -> bool:
    said = await here.readiness()
    return said.startswith("503") and words in said


async def _is_ready(here: Class) -> bool:
    return (await here.readiness()).startswith("200")


async def _all_reminded(here: Class) -> bool:
    return all(any("starting soon" in letter.subject for letter in person.letters) for person in here.people)


async def test_a_disk_that_fills_up_is_told_and_survived(tmp_path: Path) -> None:
    """ENOSPC in the middle of its work: 5xx to who writes, 503 at `/readyz`, and all goes on once there is room."""
    state = tmp_path / "podium" / "state"
    state.mkdir(parents=True, mode=0o700)
    under = ("unshare", "--map-root-user", "--mount", "sh", "-c", _ON_A_SMALL_DISK, "sh", str(state))
    if not await _can_run(*under[:4], "-c", "mount -t tmpfs podium /mnt"):
        pytest.skip("`unshare --map-root-user --mount` is not allowed here: no small disk")
    async with lesson(tmp_path / "podium", under) as (here, daemon):
        inside = Path(f"/proc/{daemon.pid}/root{state}")  # the file system that the daemon alone sees
        filler = inside / "filler"
        _fill(filler)
        await _survives(here, filler.unlink, "full")
        check_open_database(inside)
    assert "Traceback" not in here.site.texts()
    assert "full" in here.site.texts()


async def test_a_disk_that_fails_is_told_and_survived(tmp_path: Path) -> None:
    """EIO from every fsync for a while: nothing is called stored that may not be."""
    if not await _can_run("strace", "-f", "-qq", "true"):
        pytest.skip("needs strace and the right to trace")
    async with lesson(tmp_path) as (here, daemon):
        inject = ("-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO")
        tracer = await asyncio.create_subprocess_exec(
            *("strace", "-f", "-p", str(daemon.pid), "-o", "/dev/null", *inject), stderr=asyncio.subprocess.PIPE
        )
        assert tracer.stderr is not None
        assert b"attached" in await tracer.stderr.readline()
        try:
            await _survives(here, lambda: tracer.send_signal(signal.SIGINT), "takes no writes")
        finally:
            if tracer.returncode is None:
                tracer.kill()
            await tracer.wait()
    check_database(here.site.state)
    assert "Traceback" not in here.site.texts()
    assert "disk I/O error" in here.site.texts()


async def _can_run(*command: str) -> bool:
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    return await process.wait() == 0


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as filler:
        for size in (1 << 16, 1 << 12, 1):
            while True:
                try:
                    filler.write(b"x" * size)
                except OSError:
                    break

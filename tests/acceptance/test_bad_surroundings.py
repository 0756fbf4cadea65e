"""What a daemon finds around it and did not choose: another daemon, another's port, a newer database, bad relays."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.installed import PODIUM, Said, Site
from tests.support.outsiders import Event, Outsider, first, outsiders, send
from tests.support.relays import running_relay
from tests.support.scripted_relay import Talk, scripted_relay
from tests.support.until import until

FAILED, CONFIG, NO_RELAY = 1, 3, 4
SESSION, MEETING = 31923, 30313
NOBODY = "ws://127.0.0.1:1"


def is_one_complaint(said: Said) -> bool:
    """No traceback, and the program's name once."""
    return "Traceback" not in said.text and said.err.count("podium: ") == 1


async def test_a_second_daemon_on_the_same_state_is_refused(tmp_path: Path) -> None:
    """It exits with 3 and names the first one's pid; the first one goes on."""
    async with running_relay() as relay:
        site = Site(tmp_path, relays=[relay.url])
        await site.make_key()
        async with site.running() as daemon:
            same, elsewhere = await asyncio.gather(site.podium("run"), site.podium("run", "--port", "0"))
            for said in (same, elsewhere):
                assert said.code == CONFIG, said
                assert is_one_complaint(said)
            assert f"process {daemon.pid}" in same.err
            assert str(site.state) in same.err
            assert (await send("GET", f"{site.base}/api/sessions")).status == 200
        assert await daemon.ended() == 0


async def test_a_port_in_use_is_told_with_the_port(tmp_path: Path) -> None:
    """A daemon whose port is taken says which, and what to set; it leaves no lock behind."""
    site = Site(tmp_path, relays=[NOBODY])
    await site.make_key()
    with socket.create_server(("127.0.0.1", site.port)):
        said = await site.podium("run")
    assert said.code == CONFIG, said
    assert is_one_complaint(said)
    assert str(site.port) in said.err
    assert "web.port" in said.err


async def test_a_database_newer_than_the_program_is_left_alone(tmp_path: Path) -> None:
    """A database of a later version, or no database of ours at all, is refused and not changed by one byte."""
    async with running_relay() as relay:
        site = Site(tmp_path, relays=[relay.url])
        await site.make_key()
        async with site.running():
            pass
        database = site.state / "podium.sqlite3"
        with closing(sqlite3.connect(database)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute(f"PRAGMA user_version = {version + 1}")
        newer = await _refused_and_unchanged(site, database)
        assert "newer" in newer.err
        assert str(database) in newer.err
        database.write_bytes(b"SQLite format 3\0" + b"not really" * 500)
        damaged = await _refused_and_unchanged(site, database)
        assert str(database) in damaged.err
        assert "podium backup" in damaged.err


async def test_a_database_that_is_spoiled_while_it_is_used_ends_the_daemon(tmp_path: Path) -> None:
    """Trying again would never help: it exits with 1, and says which file it is and what to do."""
    async with running_relay() as relay:
        site = Site(tmp_path, relays=[relay.url])
        await site.make_key()
        async with site.running() as daemon:
            for name in ("podium.sqlite3", "podium.sqlite3-wal"):
                path = site.state / name
                with path.open("r+b") as file:
                    file.write(b"not a database. " * (path.stat().st_size // 16))
            with contextlib.suppress(httpx.TransportError):  # it may have noticed by itself, and be gone
                await send("POST", f"{site.base}/api/events", b"{}")
            assert await daemon.ended() == FAILED
        assert "podium.sqlite3 is damaged" in site.texts()
        assert "podium backup" in site.texts()


async def _refused_and_unchanged(site: Site, database: Path) -> Said:
    before = _bytes_of(database)
    said = await site.podium("run")
    assert said.code not in (0, -11), said
    assert is_one_complaint(said), said
    assert _bytes_of(database) == before
    return said


def _bytes_of(file: Path) -> bytes:
    return file.read_bytes()


# -- relays


async def _refuse_everything(talk: Talk) -> None:
    """A relay that lets nobody write."""
    while True:
        match await talk.receive():
            case ["REQ", name, *_]:
                await talk.send("EOSE", name)
            case ["EVENT", event]:
                await talk.send("OK", event["id"], False, "blocked: you are not on the list")


class Liar:
    """A relay that answers each question with forgeries of an event that another relay has."""

    def __init__(self, forgeries: list[Any]) -> None:
        self._forgeries = forgeries

    async def __call__(self, talk: Talk) -> None:
        """Lie, then go on."""
        while True:
            match await talk.receive():
                case ["REQ", name, *_]:
                    await talk.send_raw("{]")
                    await talk.send_raw(b"\x00\xff")
                    await talk.send("NOTICE", "nsec1" + "q" * 58)
                    for forgery in self._forgeries:
                        await talk.send("EVENT", name, forgery)
                        await talk.send("EVENT", "nobody-asked", forgery)
                    await talk.send("EOSE", name)
                case ["EVENT", event]:
                    await talk.send("OK", "0" * 64, True, "")
                    await talk.send("OK", event["id"], True, "")


def _forgeries(true: Event, stranger: Outsider) -> list[Any]:
    """Copies of a good event that are not good, some of them under its own id."""
    tags = [["title", "Forged"] if tag[0] == "title" else tag for tag in true["tags"]]
    later = [["start", str(int(tag[1]) + 60)] if tag[0] == "start" else tag for tag in true["tags"]]
    other = stranger.sign(SESSION, true["tags"])
    return [
        {**true, "tags": tags},
        {**true, "tags": later, "created_at": true["created_at"] + 1},
        {**true, "sig": other["sig"]},
        {**other, "pubkey": true["pubkey"]},
        {**true, "created_at": str(true["created_at"])},
        {**true, "id": true["id"].upper()},
        stranger.sign(1, [], "nobody asked for this kind"),
        other,
        None,
        [],
    ]


async def test_a_relay_that_refuses_and_one_that_lies_do_no_harm(tmp_path: Path) -> None:
    """Beside a good relay forgeries are dropped and their source is left alone; a refusal is logged and final."""
    async with running_relay() as relay, outsiders(relay.url, 2) as (instructor, stranger):
        starts_at = int(time.time()) + 3600
        site = Site(tmp_path, relays=[])
        service = await site.make_key()
        await instructor.schedule(service, "knots", starts_at, starts_at + 3600)
        (true,) = await instructor.find(SESSION)
        liar = Liar(_forgeries(true, stranger))
        async with scripted_relay(_refuse_everything) as refusing, scripted_relay(liar) as lying:
            # the liar comes first: its copy under the true id must not keep the true one out
            site.set(relays=[lying.url, refusing.url, relay.url], instructors__allow=[instructor.npub])
            async with site.running() as daemon:
                (meeting,) = await until(lambda: stranger.find(MEETING, author=service), "its status is published")
                await until(lambda: _is_settled(site, lying.url), "every relay has had its say")
                shown = await site.read("session", "list")
                relays = {row["url"].rstrip("/"): row for row in (await site.read("relays", "check"))["relays"]}
                (session,) = shown["sessions"]
                assert (session["title"], session["scheduledAt"]) == ("Knots", starts_at)
                assert first(meeting, "title") == "Knots"
                refused = await refusing.until_messages("EVENT")
                assert len({event["id"] for _, event in refused}) == len(refused), "a final refusal was tried again"
                assert (relays[lying.url]["state"], relays[relay.url]["state"]) == ("penalty", "open")
                assert "not in the language" in relays[lying.url]["answers"]
            assert await daemon.ended() == 0
        assert "you are not on the list" in site.texts()
        assert "Traceback" not in site.texts()


async def _is_settled(site: Site, liar: str) -> bool:
    relays = (await send("GET", f"{site.base}/api/relays")).body["relays"]
    caught = any(row["url"].rstrip("/") == liar and row["state"] == "penalty" for row in relays)
    # what is queued for a relay in the penalty box waits there
    return caught and all(row["pending"] == 0 or row["state"] == "penalty" for row in relays)


async def test_what_is_scheduled_while_the_relay_is_down_reaches_it_later(tmp_path: Path) -> None:
    """With its only relay dead the daemon says so everywhere, keeps working, and delivers once the relay is back."""
    async with running_relay() as relay:
        site = Site(tmp_path, relays=[relay.url])
        await site.make_key()
        async with site.running():
            await relay.kill()
            created = await site.podium("session", "create", "Knots", "--at", "+2h", "--id", "knots", "--json")
            assert created.code == 0, created
            check, doctor = await asyncio.gather(site.podium("relays", "check"), site.podium("doctor", "--json"))
            assert check.code == NO_RELAY, check
            assert relay.url in check.text
            assert doctor.code == FAILED, doctor
            assert relay.url in doctor.out
            assert (await send("GET", f"{site.base}/api/sessions/knots")).body["state"] == "scheduled"
            await relay.start()
            async with outsiders(relay.url, 1) as (stranger,):
                found = await until(lambda: stranger.find(SESSION), "the session is delivered")
                await until(lambda: stranger.find(MEETING), "its status is delivered")
        assert first(found[0], "title") == "Knots"


pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]


_ON_A_SMALL_DISK = """
mount -t tmpfs -o size=1m,mode=700 podium "$1" || exit 77
head -c "$(( ($(df --output=avail -k "$1" | tail -1) - $2) * 1024 ))" /dev/zero > "$1/filler"
if [ "$3" = ro ]; then mount -o remount,ro "$1"; fi
shift 3
exec "$@"
"""


@pytest.mark.parametrize(("free", "mode"), [(0, "rw"), (4, "rw"), (16, "rw"), (64, "rw"), (900, "ro")])
async def test_a_disk_that_takes_nothing_is_told_at_the_start(tmp_path: Path, free: int, mode: str) -> None:
    """With no room, with too little (KiB), or read-only: one sentence with the file and what to do, no traceback."""
    site = Site(tmp_path / "podium", relays=[NOBODY])
    await site.make_key()
    site.state.mkdir(mode=0o700)
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--map-root-user", "--mount", "sh", "-c", _ON_A_SMALL_DISK, "sh", str(site.state)),
        *(str(free), mode, str(PODIUM), "--config", str(site.config), "run"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=site.home.environment(),
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    if process.returncode in (77, 1) and b"unshare" in err:
        pytest.skip("`unshare --map-root-user --mount` is not allowed here: no small disk")
    said = Said(process.returncode or 0, out.decode(), err.decode())
    assert said.code in (FAILED, CONFIG), said
    assert is_one_complaint(said)
    assert str(site.state) in said.err
    assert "storage.state_directory" in said.err or "make room" in said.err, said.err

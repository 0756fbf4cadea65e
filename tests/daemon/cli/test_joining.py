"""`podium join` against the real door and the real link engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from podium_daemon.cli import joining
from podium_daemon.conference.engine import RoomId, Snapshot
from podium_daemon.keys.key_file import write_key_file
from podium_storage.table.models import LiveSessionRow
from tests.daemon.cli.conftest import CommandLine
from tests.support.relays import new_key
from tests.support.site import Site, site
from tests.support.until import until
from tests.support.world import world


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    """A running server, whose time is that of the commands."""
    async with world(now=time.time()) as found, site(found) as running:
        yield running


@pytest.fixture
async def live(here: Site) -> LiveSessionRow:
    """A session that has begun, and in which Ada sits."""
    row = await here.here.schedule(starts_in=600)
    started = await here.here.lifecycle.start(row.session_address, here.here.instructor.pubkey)
    assert isinstance(started, LiveSessionRow)
    assert (await here.join_as(new_key(), started, "Ada")).status_code == 200
    return started


@pytest.fixture
def podium(own_home: Path, here: Site) -> CommandLine:
    """The command line of a person; its commands run beside the test's own loop."""
    write_key_file(own_home / "caller.key", new_key())
    return CommandLine(own_home, here.base)


async def _is_present(here: Site, row: LiveSessionRow) -> bool:
    snapshot = await here.here.engine.snapshot(RoomId(row.conference_room_id or ""))
    return isinstance(snapshot, Snapshot) and len(snapshot.present) == 1


@pytest.mark.parametrize("is_asked", [False, True], ids=["with --name", "asked at the terminal"])
async def test_a_seat_is_taken_under_a_name_and_kept_until_the_end(
    podium: CommandLine, here: Site, live: LiveSessionRow, monkeypatch: pytest.MonkeyPatch, *, is_asked: bool
) -> None:
    """The notice and the meeting's address are shown; a name that is refused is said why, and another is asked for."""
    monkeypatch.setattr(joining, "can_ask", lambda: is_asked)
    name, typed = ("ADA", "x" * 41 + "\nBen\n") if is_asked else ("Ben", None)
    running = asyncio.create_task(asyncio.to_thread(podium, "join", live.session_address, "--name", name, given=typed))
    await until(lambda: _is_present(here, live), "the person is in the room")
    people = (await here.get(here.path_of(live, "room"), here.here.instructor)).json()["people"]
    assert {one["name"] for one in people if one["state"] == "present"} == {"Ben"}
    await here.here.lifecycle.end(live.session_address, here.here.instructor.pubkey)
    done = await running
    assert done.exit_code == 0, done.output
    assert "https://meet.example.org/room" in done.stdout
    assert "Your attendance" in done.stderr
    assert done.stderr.rstrip().endswith("The session has ended.")
    assert ("already a person called" in done.stderr) == is_asked
    assert ("A name has 1 to 40 characters" in done.stderr) == is_asked


@pytest.mark.parametrize(
    ("name", "reason"), [("ADA", "already a person called 'ADA'"), ("x" * 41, "1 to 40 characters"), (" ", "1 to 40")]
)
async def test_without_a_terminal_a_name_that_is_refused_ends_the_command(
    podium: CommandLine, live: LiveSessionRow, name: str, reason: str
) -> None:
    """It says why, and with which option another name is given."""
    done = await asyncio.to_thread(podium, "join", live.session_address, "--name", name)
    assert done.exit_code == 2
    assert reason in done.stderr
    assert "--name" in done.stderr


async def test_a_recording_policy_is_shown_and_answered(podium: CommandLine, here: Site) -> None:
    """Nobody agrees by silence: a script has to say which."""
    row = await here.here.schedule(starts_in=60, recording_allowed=True)
    done = await asyncio.to_thread(podium, "join", row.session_address)
    assert done.exit_code == 2
    assert "--consent or --no-consent" in done.stderr
    assert "This session may be recorded." in done.stderr
    assert await here.here.store.members.where("lessonId").equals(row.session_address).count() == 0

"""`podium demo --json` as a script sees it: alone, and with a relay that Podium did not start."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from tests.support.installed import PODIUM, Home, Said
from tests.support.outsiders import first, outsiders
from tests.support.relays import running_relay

pytestmark = pytest.mark.asyncio(loop_scope="module")

STEPS = 20
ATTENDANCE = 31953


class Played(msgspec.Struct, frozen=True):
    """Two demos, and what the relay held after the second one."""

    home: Path
    alone: Said
    pages: dict[str, int]
    with_relay: Said
    relay_url: str
    records: list[dict[str, Any]]


async def kept(home: Home) -> tuple[Said, dict[str, int]]:
    """A demo with --keep, ended by Ctrl-C: what it said before, and how its pages answered while they were open."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(PODIUM, "demo", "--json", "--keep"), stdout=pipe, stderr=pipe, env=home.environment(), cwd=home.folder
    )
    assert process.stdout is not None
    lines: list[bytes] = []
    try:
        async with asyncio.timeout(100):
            while not (line := await process.stdout.readline()).startswith(b'{"pages"'):
                assert line, (lines, process)
                lines.append(line)
            async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
                pages = {url: (await client.get(url)).status_code for url in json.loads(line)["pages"]}
            process.send_signal(signal.SIGINT)
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return Said(process.returncode, b"".join([*lines, out]).decode(), err.decode()), pages


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Played]:
    """Both at once: a demo waits most of its time."""
    home = Home(tmp_path_factory.mktemp("demo") / "home")
    async with running_relay() as relay, outsiders(relay.url, 1) as (stranger,):
        (alone, pages), with_relay = await asyncio.gather(
            kept(home),
            home.podium("demo", "--json", "--relay", relay.url, seconds=100),
        )
        yield Played(home.folder, alone, pages, with_relay, relay.url, await stranger.find(ATTENDANCE))


@pytest.mark.parametrize("which", ["alone", "with_relay"])
async def test_every_step_is_observed_and_the_last_line_is_the_sum(played: Played, which: str) -> None:
    """The demo exits with 0 after as many good steps as its last line says, in under 90 seconds."""
    said: Said = getattr(played, which)
    *steps, last = [json.loads(line) for line in said.out.splitlines()]
    assert said.code == 0, said
    assert [step for step in steps if not step["ok"]] == []
    assert (last["ok"], last["steps"], len(steps)) == (True, STEPS, STEPS), last
    assert 0 < last["seconds"] <= 90


@pytest.mark.parametrize("which", ["alone", "with_relay"])
async def test_nothing_but_json_lines_is_said(played: Played, which: str) -> None:
    """Each line names its step, in an order without repetition; nothing is written to standard error."""
    said: Said = getattr(played, which)
    names = [json.loads(line)["step"] for line in said.out.splitlines()[:-1]]
    assert said.err == ""
    assert len(set(names)) == len(names)
    assert names[0] == "daemon"


async def test_a_named_relay_is_the_one_that_is_used(played: Played) -> None:
    """With --relay the records of the demo's session are on that relay, where anybody reads them."""
    (daemon, *_) = [json.loads(line) for line in played.with_relay.out.splitlines()]
    assert played.relay_url in daemon["saw"]
    assert played.relay_url not in played.alone.out
    assert sorted(first(record, "completed") is not None for record in played.records) == [False, True]


async def test_kept_pages_stay_open_until_ctrl_c(played: Played) -> None:
    """With --keep the session's page and the list answer after the last step; Ctrl-C ends the demo's daemon with it."""
    assert list(played.pages.values()) == [200, 200]
    assert [url.count("/s/naddr1") for url in played.pages] == [1, 0]
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(next(iter(played.pages)))


async def test_the_demo_leaves_nothing_behind(played: Played) -> None:
    """A demo uses nothing of the person's and leaves no file in their home."""
    assert played.alone.code == 0
    assert list(played.home.rglob("*")) == []

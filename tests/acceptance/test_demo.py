"""`podium demo --json` as a script sees it: alone, and with a relay that Podium did not start."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from tests.support.installed import Home, Said
from tests.support.outsiders import first, outsiders
from tests.support.relays import running_relay

pytestmark = pytest.mark.asyncio(loop_scope="module")

STEPS = 20
ATTENDANCE = 31953


class Played(msgspec.Struct, frozen=True):
    """Two demos, and what the relay held after the second one."""

    home: Path
    alone: Said
    with_relay: Said
    relay_url: str
    records: list[dict[str, Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Played]:
    """Both at once: a demo waits most of its time."""
    home = Home(tmp_path_factory.mktemp("demo") / "home")
    async with running_relay() as relay, outsiders(relay.url, 1) as (stranger,):
        alone, with_relay = await asyncio.gather(
            home.podium("demo", "--json", seconds=100),
            home.podium("demo", "--json", "--relay", relay.url, seconds=100),
        )
        yield Played(home.folder, alone, with_relay, relay.url, await stranger.find(ATTENDANCE))


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


async def test_the_demo_leaves_nothing_behind(played: Played) -> None:
    """A demo uses nothing of the person's and leaves no file in their home."""
    assert played.alone.code == 0
    assert list(played.home.rglob("*")) == []

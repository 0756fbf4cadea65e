"""start: how soon the installed daemon serves its page and is ready, and what it takes when it has nothing to do."""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import httpx
import msgspec

from benchmarks.interleave import Progress, Result, Row
from benchmarks.settings import Settings

_LIMITS: Final = {"s": 1.0, "MB": 90.0}
_PAUSE: Final = 0.01  # seconds between two looks
_PODIUM: Final = Path(sys.executable).parent / "podium"
_NOTE: Final = (
    "start: medians of {rounds} starts of `podium run` on an empty state, beside its own relay. CPU and memory are "
    "those of the main process: until it is ready, and {idle:.0f} s later."
)


class Figures(msgspec.Struct, frozen=True):
    """What one start gave: seconds from exec, CPU seconds, MB."""

    listening: float
    ready: float
    cpu: float
    rss: float
    pss: float


async def run(settings: Settings, progress: Progress) -> Result:
    """The work."""
    found: list[Figures] = []
    for number in range(settings.rounds):
        progress(f"start {number + 1} of {settings.rounds}")
        with TemporaryDirectory() as folder:
            found.append(await _measured(Path(folder), settings.idle))
    lines = (
        ("start to the first connection", "s", [one.listening for one in found]),
        ("start to ready", "s", [one.ready for one in found]),
        ("CPU of a start", "s", [one.cpu for one in found]),
        ("idle memory, resident", "MB", [one.rss for one in found]),
        ("idle memory, its share", "MB", [one.pss for one in found]),
    )
    rows = (
        Row(work, unit, ours, limit=_LIMITS[unit], ratio_to_limit=ours / _LIMITS[unit])
        for work, unit, ours in ((work, unit, statistics.median(each)) for work, unit, each in lines)
    )
    return Result(tuple(rows), (_NOTE.format(rounds=settings.rounds, idle=settings.idle),))


async def _measured(folder: Path, idle: float) -> Figures:
    port = _free_port()
    (folder / "relays.toml").write_text(_CONFIGURATION.format(folder=folder, port=port))
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"]}
    made = await asyncio.create_subprocess_exec(
        *(_PODIUM, "key", "new", folder / "service.key"), env=environment, cwd=folder, stdout=asyncio.subprocess.DEVNULL
    )
    assert await made.wait() == 0, "a key is made"
    with (folder / "log").open("wb") as log:
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *(_PODIUM, "--config", folder / "relays.toml", "run"), env=environment, cwd=folder, stdout=log, stderr=log
        )
        try:
            return await _watched(process, port, began, idle)
        finally:
            process.terminate()
            await process.wait()


_CONFIGURATION: Final = """
relays = []
identity.key_file = "{folder}/service.key"
storage.state_directory = "{folder}/state"
web.port = {port}
"""


async def _watched(process: asyncio.subprocess.Process, port: int, began: float, idle: float) -> Figures:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        await _until_answered(process, client, "/healthz")
        listening = time.monotonic() - began
        await _until_answered(process, client, "/readyz")
    ready, cpu = time.monotonic() - began, _cpu_seconds(process.pid)
    await asyncio.sleep(idle)
    memory = _memory_mb(process.pid)
    return Figures(listening, ready, cpu, memory["Rss"], memory["Pss"])


async def _until_answered(process: asyncio.subprocess.Process, client: httpx.AsyncClient, path: str) -> None:
    while not await _answers(client, path):
        assert process.returncode is None, "the daemon runs"
        await asyncio.sleep(_PAUSE)


async def _answers(client: httpx.AsyncClient, path: str) -> bool:
    try:
        return (await client.get(path)).is_success
    except httpx.HTTPError:
        return False


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int) -> dict[str, float]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: int(value.split()[0]) / 1024 for name, _, value in (line.partition(":") for line in lines)}


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])

"""The daemon of the demo: a process of its own in a temporary directory, with reminders seconds apart."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import httpx
import msgspec

from podium_protocol.keys import SecretKey

START_SECONDS: Final = 60.0
MEETING_URL: Final = "https://meet.example.org/podium-demo"

_CONFIG: Final = """\
{relays}
[identity]
key_file = {key_file}
service_name = "Podium demo"
[instructors]
allow = [{instructor}]
[embedded]
port = {relay_port}
in_memory = true
[reminders]
confirmation_window = 0
debounce = 2
debounce_skip = 4
day = {{ before = {day}, window = 4 }}
hour = {{ before = {hour}, window = 4 }}
quarter = {{ before = {quarter}, window = 4 }}
[lifecycle]
doors = {doors}
warning = 5
overrun = 0
arrival_grace = 0
live_refresh = 5
[attendance]
poll = 1
bridge = 1
[conference]
meeting_url = "{meeting}"
heartbeat = 1
[web]
port = {web_port}
[storage]
state_directory = {state}
[logging]
level = "warning"
format = "json"
"""


class DemoPlan(msgspec.Struct, frozen=True):
    """Seconds: how long after scheduling it starts, how long it lasts, and when the reminders are due before it."""

    start_in: int = 22
    lasts: int = 20
    day: int = 16
    hour: int = 11
    quarter: int = 6


class DemoStage(msgspec.Struct, frozen=True):
    """Where the daemon is."""

    base_url: str
    relay_url: str
    service_pubkey: str
    log_file: Path


class DaemonFailed(Exception):
    """The daemon did not come up, or ended; the text has the end of its log."""


@asynccontextmanager
async def raised(
    plan: DemoPlan, *, instructor: SecretKey, service: SecretKey, relay: str | None
) -> AsyncIterator[DemoStage]:
    """Run `podium run` for as long as the block runs, and stop it with SIGTERM."""
    with TemporaryDirectory(prefix="podium-demo-") as folder:
        home = Path(folder)
        ports = _free_ports(2)
        config = _write_files(home, plan, instructor=instructor, service=service, relay=relay, ports=ports)
        stage = DemoStage(
            base_url=f"http://127.0.0.1:{ports[0]}",
            relay_url=relay or f"ws://127.0.0.1:{ports[1]}",
            service_pubkey=service.pubkey,
            log_file=home / "daemon.log",
        )
        with stage.log_file.open("wb") as log:
            command = (sys.executable, "-m", "podium_daemon", "--config", str(config), "run")
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )
            try:
                await _wait_until_ready(stage, process)
                yield stage
            finally:
                await _stopped(process)


def _write_files(
    home: Path, plan: DemoPlan, *, instructor: SecretKey, service: SecretKey, relay: str | None, ports: list[int]
) -> Path:
    web_port, relay_port = ports
    key_file = home / "service.key"
    with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(service.expose().hex())
    config = home / "relays.toml"
    config.write_text(
        _CONFIG.format(
            relays=f"[[relays]]\nurl = {json.dumps(relay)}\n" if relay else "",
            key_file=json.dumps(str(key_file)),
            instructor=json.dumps(instructor.pubkey),
            relay_port=relay_port,
            day=plan.day,
            hour=plan.hour,
            quarter=plan.quarter,
            doors=plan.start_in,
            meeting=MEETING_URL,
            web_port=web_port,
            state=json.dumps(str(home / "state")),
        )
    )
    return config


async def _wait_until_ready(stage: DemoStage, process: asyncio.subprocess.Process) -> None:
    until = time.monotonic() + START_SECONDS
    async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
        while time.monotonic() < until and process.returncode is None:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(f"{stage.base_url}/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.1)
    raise DaemonFailed(f"the daemon is not ready; its log ends:\n{_end_of(stage.log_file)}")


async def _stopped(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(12):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _end_of(log_file: Path) -> str:
    return log_file.read_text(errors="replace")[-2000:]


def _free_ports(wanted: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(wanted)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports

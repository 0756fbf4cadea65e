"""The installed `podium`, used as people use it: a home directory, the command, and the daemon as a process.

Nothing in here imports Podium: what a test learns, it learns from exit codes, output, files, HTTP and relays.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from tests.support.until import until

PODIUM: Final = Path(sys.executable).with_name("podium")
MEETING_URL: Final = "https://meet.example.org/acceptance"
START_SECONDS: Final = 60.0

QUICK: Final[dict[str, object]] = {
    "reminders.confirmation_window": 0,
    "reminders.debounce": 1,
    "reminders.debounce_skip": 4,
    "lifecycle.doors": 3600,
    "lifecycle.warning": 5,
    "lifecycle.overrun": 0,
    "lifecycle.arrival_grace": 0,
    "lifecycle.live_refresh": 5,
    "attendance.poll": 1,
    "attendance.bridge": 1,
    "conference.meeting_url": MEETING_URL,
    "conference.heartbeat": 1,
    "logging.format": "json",
}
"""Settings under which a session's life takes seconds."""


def offsets(day: int, hour: int, quarter: int) -> dict[str, object]:
    """Reminders that many seconds before the start, each with a window until the next one."""
    return {
        "reminders.day.before": day,
        "reminders.day.window": day - hour,
        "reminders.hour.before": hour,
        "reminders.hour.window": hour - quarter,
        "reminders.quarter.before": quarter,
        "reminders.quarter.window": quarter,
    }


class Said(msgspec.Struct, frozen=True):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both streams."""
        return self.out + self.err

    def json(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.out)


class Home:
    """A person's empty home directory, from which `podium` is called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.under: tuple[str, ...] = ()  # a command that runs the daemon, such as one that sets a limit
        folder.mkdir(parents=True, exist_ok=True)

    def environment(self, **variables: str) -> dict[str, str]:
        """What the command sees: nothing of the machine's but the path."""
        passed_on = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
        base = {"HOME": str(self.folder), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "Europe/Berlin"}
        return base | passed_on | variables

    async def podium(self, *arguments: str | Path, stdin: bytes = b"", seconds: float = 120, **variables: str) -> Said:
        """Run a command to its end."""
        process = await asyncio.create_subprocess_exec(
            *(PODIUM, *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment(**variables),
            cwd=self.folder,
        )
        try:
            async with asyncio.timeout(seconds):
                out, err = await process.communicate(stdin)
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode is not None
        return Said(process.returncode, out.decode(), err.decode())

    async def ok(self, *arguments: str | Path, **variables: str) -> Said:
        """Run a command that must succeed."""
        said = await self.podium(*arguments, **variables)
        assert said.code == 0, (arguments, said)
        return said

    async def read(self, *arguments: str | Path) -> Any:
        """What a reading command says with `--json`."""
        return (await self.ok(*arguments, "--json")).json()


class Site:
    """A daemon's own folder: its configuration, key, state and log, all of it for the test to look at and to spoil."""

    def __init__(self, folder: Path, *, relays: list[str], settings: Mapping[str, object] | None = None) -> None:
        self.home = Home(folder)
        self.folder = folder
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.state = folder / "state"
        self.key_file = folder / "service.key"
        self.config = folder / "relays.toml"
        self._settings: dict[str, object] = {
            "relays": relays,
            "identity.key_file": str(self.key_file),
            "storage.state_directory": str(self.state),
            "web.port": self.port,
            **QUICK,
            **(settings or {}),
        }
        self.set()

    def set(self, **settings: object) -> None:
        """Write the configuration, with `section__key=value` changed."""
        self._settings |= {name.replace("__", "."): value for name, value in settings.items()}
        lines = (f"{name} = {json.dumps(value)}" for name, value in self._settings.items())
        self.config.write_text("\n".join(lines) + "\n")

    async def make_key(self) -> str:
        """Make the service's key with the installed command; its public half."""
        made = await self.home.ok("key", "new", self.key_file, "--json")
        return str(made.json()["pubkey"])

    async def podium(
        self, *arguments: str | Path, key: Path | None = None, stdin: bytes = b"", **variables: str
    ) -> Said:
        """A command of a second process that speaks to this daemon."""
        signer = () if key is None else ("--key", str(key))
        return await self.home.podium("--config", str(self.config), *signer, *arguments, stdin=stdin, **variables)

    async def read(self, *arguments: str | Path, key: Path | None = None) -> Any:
        """What a reading command says with `--json`."""
        said = await self.podium(*arguments, "--json", key=key)
        assert said.code == 0, (arguments, said)
        return said.json()

    @contextlib.asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator[Daemon]:
        """The daemon, ready; stopped at the end of the block."""
        async with self.started(*arguments) as daemon:
            await daemon.until_ready()
            yield daemon

    @contextlib.asynccontextmanager
    async def started(self, *arguments: str, **variables: str) -> AsyncIterator[Daemon]:
        """The daemon, perhaps not ready yet; stopped at the end of the block."""
        daemon = await self.start(*arguments, **variables)
        try:
            yield daemon
        finally:
            await daemon.stop()

    async def start(self, *arguments: str, **variables: str) -> Daemon:
        """Start `podium run`."""
        return await Daemon.start(self.home, self.base, "--config", str(self.config), "run", *arguments, **variables)

    def texts(self) -> str:
        """Everything that daemons said here so far."""
        return said_in(self.folder)


class Daemon:
    """One run of the daemon."""

    def __init__(self, process: asyncio.subprocess.Process, home: Home, base: str) -> None:
        self.process = process
        self.pid = process.pid
        self._home = home
        self._base = base

    @classmethod
    async def start(cls, home: Home, base: str, *arguments: str, **variables: str) -> Daemon:
        """Run `podium` with these arguments; what it says is appended to `daemon.out` and `daemon.log` in the home."""
        out, log = _outputs(home.folder)
        with out.open("ab") as out_file, log.open("ab") as log_file:
            process = await asyncio.create_subprocess_exec(
                *(*home.under, PODIUM, *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out_file,
                stderr=log_file,
                env=home.environment(**variables),
                cwd=home.folder,
            )
        return cls(process, home, base)

    async def until_ready(self) -> None:
        """Wait until it has caught up with its relays."""
        async with httpx.AsyncClient(trust_env=False, timeout=START_SECONDS) as client:

            async def ready() -> bool:
                assert self.process.returncode is None, f"the daemon ended:\n{said_in(self._home.folder)[-3000:]}"
                with contextlib.suppress(httpx.HTTPError):
                    return (await client.get(f"{self._base}/readyz")).status_code == httpx.codes.OK
                return False

            await until(ready, "the daemon is ready", seconds=START_SECONDS)

    async def ended(self, seconds: float = 60.0) -> int:
        """Wait for its end; the exit status."""
        async with asyncio.timeout(seconds):
            return await self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def kill(self) -> None:
        """Kill it, as a power cut would, and wait until it is gone."""
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """Stop it as a service manager would; the exit status."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                return await self.ended()
            finally:
                if self.process.returncode is None:
                    await self.kill()
        return self.process.returncode


def said_in(folder: Path) -> str:
    """Everything that daemons of this home wrote, first to standard output, then to standard error."""
    return "".join(file.read_text(errors="replace") for file in _outputs(folder) if file.exists())


def _outputs(folder: Path) -> tuple[Path, Path]:
    return folder / "daemon.out", folder / "daemon.log"


def free_port() -> int:
    """A free port of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])

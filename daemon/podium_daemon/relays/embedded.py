"""The embedded relay: keeps a child process with nostr-sdk's LocalRelay running, so that a fresh machine works.

With a data directory its events survive restarts and crashes: LocalRelay says OK after LMDB has committed
(200 kills in a row lost none). A child that dies is started again on the same port, with backoff.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import structlog

from podium_daemon.relays.embedded_child import Announcement, RelaySettings
from podium_daemon.runtime.child_process import kill, python_environment
from podium_daemon.runtime.clock import Clock, SystemClock
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import wait_for_first
from podium_protocol.errors import PodiumError
from podium_protocol.events import Pubkey
from podium_protocol.limits import MAX_FILTERS
from podium_protocol.relay import backoff

START_WITHIN: Final = 20.0  # seconds until it listens; it takes 0.3 on an idle machine
_STOP_WITHIN: Final = 4.0  # one more than the child gives itself

_log = structlog.get_logger(__name__)


class EmbeddedRelayFailed(PodiumError):
    """The relay's process could not start; the text gives its reason and the next step."""


class RelayProcess:
    """One run of the child process."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, inside: int | None = None) -> None:
        """`inside`: the port on loopback that the gate does not limit, if there is a gate."""
        self._process = process
        self.url = url
        self.inside = inside
        self.pid = process.pid

    @classmethod
    async def start(cls, settings: RelaySettings) -> RelayProcess:
        """Start a relay and wait until it listens.

        Raises:
            EmbeddedRelayFailed: it could not: the port is taken, the data directory unusable, a setting wrong.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "podium_daemon.relays.embedded_child", msgspec.json.encode(settings)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=python_environment("RUST_BACKTRACE"),
        )
        try:
            announced = await _announcement(process)
            assert announced.url is not None
            return cls(process, announced.url, announced.inside)
        except BaseException:
            await kill(process)
            raise

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return urlsplit(self.url).port or 0

    async def wait(self) -> int:
        """Wait for the process to end and return its exit status; negative: the signal that ended it."""
        return await self._process.wait()

    async def stop(self) -> None:
        """Ask the process to finish, and kill it after a few seconds."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_WITHIN):
                await self._process.wait()
        except TimeoutError:
            _log.warning("the embedded relay had to be killed", action="relay.embedded_killed", pid=self.pid)
        finally:
            await self.kill()

    async def kill(self) -> None:
        """End it at once, as a crash would."""
        await kill(self._process)


class EmbeddedRelay:
    """The service that keeps the relay running. `ready` is set when it listened for the first time."""

    name = "embedded relay"

    def __init__(self, settings: RelaySettings, *, clock: Clock | None = None) -> None:
        """`settings.port` None: a free port is taken at the first start and kept from then on."""
        self._settings = settings
        self._clock = clock or SystemClock()
        self._process: RelayProcess | None = None
        self.ready = asyncio.Event()
        self.restarts = 0
        self.last_error: str | None = None

    @property
    def url(self) -> str | None:
        """The URL at which it listens, or None before its first start. It does not change afterwards."""
        return None if self._settings.port is None else f"ws://{_in_url(self._settings.host)}:{self._settings.port}"

    @property
    def inside(self) -> int | None:
        """The port on loopback at which the daemon itself reaches it, without the limits for others."""
        return None if self._process is None else self._process.inside

    @property
    def pid(self) -> int | None:
        """The process that runs now, if one does."""
        return None if self._process is None else self._process.pid

    async def run(self, stop: Stop) -> None:
        """Run the relay until the stop, starting it again when it dies.

        Raises:
            EmbeddedRelayFailed: the first start failed, which waiting would not repair.
        """
        if (process := await self._started(stop)) is None:
            return
        self._settings = msgspec.structs.replace(self._settings, port=process.port)
        self.ready.set()
        delays = backoff.delays(random.random)
        while True:
            started = self._clock.monotonic()
            if await self._watch(process, stop):
                return
            if backoff.is_proven(self._clock.monotonic() - started, answered=True):
                delays = backoff.delays(random.random)
            again = await self._start_again(delays, stop)
            if again is None:
                return
            process = again

    async def _watch(self, process: RelayProcess, stop: Stop) -> bool:
        """Wait for the stop (True) or for the death of the process (False)."""
        self._process = process
        _log.info("the embedded relay listens", action="relay.embedded_started", url=process.url, pid=process.pid)
        dead = asyncio.ensure_future(process.wait())
        try:
            _, is_stopped = await wait_for_first(dead, stop.wait())
            if is_stopped:
                await process.stop()
                return True
            self._failed(f"ended with status {dead.result()}")
            return False
        finally:
            await process.kill()
            self._process = None

    async def _start_again(self, delays: Iterator[float], stop: Stop) -> RelayProcess | None:
        while not await stop.wait_for(next(delays)):
            self.restarts += 1
            try:
                return await self._started(stop)
            except EmbeddedRelayFailed as error:
                self._failed(str(error))
        return None

    async def _started(self, stop: Stop) -> RelayProcess | None:
        """Start the relay, or kill what there is of it when the stop comes: it has nothing to lose yet."""
        starting = asyncio.ensure_future(RelayProcess.start(self._settings))
        has_started, _ = await wait_for_first(starting, stop.wait())
        return starting.result() if has_started else None

    def _failed(self, why: str) -> None:
        self.last_error = why
        _log.error("the embedded relay is down", action="relay.embedded_down", why=why)


async def _announcement(process: asyncio.subprocess.Process) -> Announcement:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_WITHIN):
            line = await process.stdout.readline()
    except TimeoutError:
        raise EmbeddedRelayFailed(f"the embedded relay did not listen within {START_WITHIN:g} s") from None
    if not line:
        raise EmbeddedRelayFailed(f"the embedded relay ended with status {await process.wait()} before it listened")
    announcement = msgspec.json.decode(line, type=Announcement)
    if announcement.url is None:
        raise EmbeddedRelayFailed(
            f"the embedded relay cannot start: {announcement.error}; choose another port or data directory for it"
        )
    return announcement


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


_NIPS: Final = (1, 9, 11, 42)
_EVENTS_OF_A_REQ: Final = 500  # LocalRelay's own default


def document_of(settings: RelaySettings, *, name: str, service: Pubkey, version: str) -> dict[str, Any]:
    """The relay's name and limits for NIP-11; `service` is the key of the service that runs it."""
    return {
        "name": f"{name}: relay",
        "description": "The relay of a Podium service: sessions, answers, messages and attendance records.",
        "pubkey": service,
        "supported_nips": list(_NIPS),
        "software": "podium",
        "version": version,
        "limitation": {
            "max_subscriptions": settings.max_subscriptions,
            "max_filters": MAX_FILTERS,
            **({} if settings.gate is None else {"max_message_length": settings.gate.message_bytes}),
            "max_limit": settings.max_filter_limit or _EVENTS_OF_A_REQ,
            "min_pow_difficulty": settings.min_pow or 0,
            "auth_required": settings.login != "none",
        },
    }

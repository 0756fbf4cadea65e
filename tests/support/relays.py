"""Real relays on loopback for all tests: `async with running_relay() as relay: ... relay.url`."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator

import msgspec

from podium_daemon.relays.addresses import is_usual
from podium_daemon.relays.embedded import RelayProcess
from podium_daemon.relays.embedded_child import RelaySettings
from podium_protocol.events import SignedEvent, UnsignedEvent
from podium_protocol.keys import SecretKey
from podium_protocol.tags import Tags


class RunningRelay:
    """A nostr-sdk LocalRelay in a process of its own, which a test may kill and start again on the same port."""

    def __init__(self, process: RelayProcess, settings: RelaySettings) -> None:
        self._process = process
        self._settings = msgspec.structs.replace(settings, port=process.port)
        self.url = process.url
        self.port = process.port

    @property
    def pid(self) -> int:
        """The process that runs now."""
        return self._process.pid

    async def stop(self) -> None:
        """Stop it as the daemon would."""
        await self._process.stop()

    async def kill(self) -> None:
        """Kill it with SIGKILL."""
        await self._process.kill()

    async def start(self) -> None:
        """Start it again on the same port, after `stop` or `kill`."""
        self._process = await RelayProcess.start(self._settings)


@contextlib.asynccontextmanager
async def running_relay(settings: RelaySettings | None = None) -> AsyncIterator[RunningRelay]:
    """A relay on a free port of loopback, in memory unless the settings name a data directory."""
    settings = settings or RelaySettings()
    relay = RunningRelay(await _started(settings), settings)
    try:
        yield relay
    finally:
        await relay.kill()


async def _started(settings: RelaySettings) -> RelayProcess:
    """Start one, at another port if it picked one that belongs to another protocol, where no relay is looked for."""
    while True:
        process = await RelayProcess.start(settings)
        if settings.port is not None or is_usual(process.port):
            return process
        await process.kill()


def new_key() -> SecretKey:
    """A fresh key."""
    return SecretKey(os.urandom(32))


def signed(
    key: SecretKey, content: str = "", *, kind: int = 1, tags: Tags = (), created_at: int | None = None
) -> SignedEvent:
    """An event by `key`, dated now unless told otherwise."""
    now = int(time.time()) if created_at is None else created_at
    return key.sign(UnsignedEvent(key.pubkey, now, kind, tags, content), os.urandom(32))

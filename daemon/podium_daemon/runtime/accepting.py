"""Takes connections from a listening socket, and pauses while the system has no descriptor for another.

asyncio's own loop calls `accept` another 1,024 times after the first EMFILE and logs each with a traceback.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

import structlog

from podium_daemon.runtime.clock import Clock, SystemClock
from podium_daemon.runtime.connections import SAY_AGAIN, Connections

PAUSE: Final = 0.5
"""Seconds to pause after an `accept` that failed for want of a descriptor."""

_AT_ONCE: Final = 16  # connections accepted before the event loop gets a turn
_log = structlog.get_logger(__name__)


class Acceptor:
    """Hands accepted connections to protocols, as long as `connections` has room for them."""

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        connections: Connections,
        clock: Clock | None = None,
    ) -> None:
        self._listener = listener
        self._protocol = protocol
        self._connections = connections
        self._clock = clock or SystemClock()
        self._loop = asyncio.get_running_loop()
        self._coming: set[asyncio.Task[None]] = set()
        self._resuming: asyncio.TimerHandle | None = None
        self._quiet_until = float("-inf")

    def start(self) -> None:
        """Begin to accept."""
        self._resuming = None
        self._loop.add_reader(self._listener, self._accept)

    def close(self) -> None:
        """Accept no more, and close the listening socket."""
        if self._resuming is not None:
            self._resuming.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, address = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue  # closed before we accepted it
            except OSError as error:  # EMFILE, ENFILE, ENOBUFS, ENOMEM
                self._pause(error)
                return
            if self._connections.has_room_for(str(address[0]), len(self._coming)):
                self._take(connection)
            else:
                connection.close()

    def _take(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        task = self._loop.create_task(self._connect(connection), name="accept a connection")
        self._coming.add(task)
        task.add_done_callback(self._coming.discard)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:
            connection.close()  # the peer had closed it already

    def _pause(self, error: OSError) -> None:
        self._loop.remove_reader(self._listener)
        self._resuming = self._loop.call_later(PAUSE, self.start)
        now = self._clock.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + SAY_AGAIN
            words = "no connections are accepted for a moment: raise the limit of open files (LimitNOFILE)"
            _log.error(
                words, action=f"{self._connections.of}.no_descriptors", error=str(error), open=len(self._connections)
            )

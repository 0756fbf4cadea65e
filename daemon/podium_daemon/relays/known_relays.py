"""The relays that the pool knows, and their running connections.

Configured relays are kept open. Others, such as the message relays of recipients, are opened when there is something to
do there and closed again, and have a limited number of places (`places`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from podium_daemon.relays.addresses import AddressRefused
from podium_daemon.relays.connection import RelayConnection
from podium_daemon.relays.places import MAX_STRANGERS, NoPlace, Places
from podium_daemon.relays.relay_state import PoolRelay, relays_by_url
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import uncancelled
from podium_protocol import relay_url


class KnownRelays:
    """The connections by the relays' URLs in their one spelling (`relay_url`)."""

    def __init__(self, connect: Callable[[PoolRelay, bool], RelayConnection], clock: Clock) -> None:
        """`connect` makes the connection to a relay, configured or not, which is opened here."""
        self.configured: dict[str, RelayConnection] = {}
        self._strangers: dict[str, RelayConnection] = {}
        self._connect = connect
        self._clock = clock
        self._places = Places()
        self._stops: dict[RelayConnection, Stop] = {}
        self._group: asyncio.TaskGroup | None = None
        self._is_over = False

    def configure(self, relays: Iterable[PoolRelay]) -> None:
        """Replace the list of configured relays; connections to unchanged relays stay open.

        Raises:
            InvalidInput: a relay's URL is none, or is listed twice. Nothing has changed then.
        """
        wanted = relays_by_url(relays)
        for url, connection in tuple(self.configured.items()):
            if wanted.get(url) != connection.relay:
                del self.configured[url]
                self._end(connection)
        for url, relay in wanted.items():
            if url not in self.configured:
                if (stranger := self._strangers.pop(url, None)) is not None:
                    self._end(stranger)
                self.configured[url] = self._add(relay, is_configured=True)

    def ensure(self, url: str, whose: str) -> str | AddressRefused:
        """Add a relay that is not configured; return its normalised URL, or why there is no place for it now."""
        if (normal := relay_url.normalise(url)) is None:
            return AddressRefused(url[:200], "it is no ws or wss URL")
        if normal in self.configured or normal in self._strangers:
            return normal
        answer = self._places.request_place(normal, whose, self._strangers, self._clock.monotonic())
        if isinstance(answer, NoPlace):
            reason = f"the {MAX_STRANGERS} places for recipients' relays are in use: later"
            return AddressRefused(normal, reason, is_lasting=False, retry_after=answer.seconds)
        if answer.instead_of is not None:
            self._end(self._strangers.pop(answer.instead_of), "others needed its place")
        self._strangers[normal] = self._add(PoolRelay(normal, auth=False), is_configured=False)
        return normal

    def all(self) -> tuple[RelayConnection, ...]:
        """The configured relays, then the others."""
        return (*self.configured.values(), *self._strangers.values())

    def known(self, normal: str) -> RelayConnection:
        """The relay with this normalised URL.

        Raises:
            KeyError: it is not known.
        """
        return self.configured.get(normal) or self._strangers[normal]

    def find(self, url: str) -> RelayConnection | None:
        """The relay with this URL in any spelling, if it is known."""
        normal = relay_url.normalise(url) or ""
        return self.configured.get(normal) or self._strangers.get(normal)

    # -- running -------------------------------------------------------------------------------------------------------

    async def run(self, stop: Stop) -> None:
        """Keep the connections until the stop."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for connection in self.all():
                    self._start(connection)
                await stop.wait()
                self._group, self._is_over = None, True
                for connection in tuple(self._stops):
                    self._end(connection)
        finally:
            self._group, self._is_over = None, True

    def _add(self, relay: PoolRelay, *, is_configured: bool) -> RelayConnection:
        connection = self._connect(relay, is_configured)
        self._start(connection)
        return connection

    def _start(self, connection: RelayConnection) -> None:
        if self._is_over:
            connection.never_run()
        elif self._group is not None:
            stop = self._stops[connection] = Stop(self._clock)
            name = f"relay {connection.url}"
            task = self._group.create_task(uncancelled(connection.run(stop), name), name=name)
            task.add_done_callback(lambda _: self._stops.pop(connection, None))

    def _end(self, connection: RelayConnection, why: str | None = None) -> None:
        if why is not None:
            connection.farewell = why
        if (stop := self._stops.get(connection)) is not None:
            stop.set()
        else:
            connection.never_run()

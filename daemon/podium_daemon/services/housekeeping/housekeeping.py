"""The hourly cleaning: it deletes expired events, settled rows and sessions past their retention."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.supervisor import Stop
from podium_protocol.errors import PodiumError
from podium_storage.errors import StoreDamaged
from podium_storage.mirror.mirror import Mirror, OpenedWraps
from podium_storage.outbox.outbox import Outbox
from podium_storage.retention import Retention
from podium_storage.store import Store

_log = structlog.get_logger(__name__)
_EVERY: Final = 3600.0
_KEEP_SETTLED: Final = 30 * 24 * 3600
_KEEP_OPENED: Final = 30 * 24 * 3600  # relays are asked for gift wraps two days back; this covers a longer outage too
_DAY: Final = 24 * 3600
_KEEP_EVENTS: Final = 90 * _DAY  # of people who are in no session: they may answer to one that is announced long before
_OVER: Final = ("ended", "cancelled")


ForgetRecordings = Callable[[str], Awaitable[bool]]
"""Deletes the files of a session's recordings, by its `lessonId`; returns whether all of them are gone."""


class Housekeeping:
    """The service that deletes old data once an hour."""

    name = "housekeeping"

    def __init__(
        self,
        *,
        store: Store,
        mirror: Mirror,
        outbox: Outbox,
        opened_wraps: OpenedWraps,
        retention: Retention,
        forget_recordings: ForgetRecordings,
        retention_days: int,
        clock: Clock,
        look_at_the_room: Callable[[], Awaitable[bool]],
    ) -> None:
        """Take the parts that hold old data.

        Args:
            store: holds the sessions.
            mirror: holds events that expire.
            outbox: holds settled rows.
            opened_wraps: holds the ids of opened gift wraps.
            retention: deletes sessions.
            forget_recordings: deletes their files.
            retention_days: how long a session and all that belongs to it is kept after its end; 0: for ever.
            clock: the daemon's.
            look_at_the_room: measures the database (`DiskBudget.is_used_up`).
        """
        self._store = store
        self._mirror = mirror
        self._outbox = outbox
        self._opened_wraps = opened_wraps
        self._retention = retention
        self._forget_recordings = forget_recordings
        self._look_at_the_room = look_at_the_room
        self._evidence = (store.recordings.name, store.consents.name, store.members.name)
        self.retention_days = retention_days
        self._clock = clock

    async def run(self, stop: Stop) -> None:
        """Clean now and every hour until the stop."""
        while True:
            try:
                await self.sweep()
            except StoreDamaged:
                raise  # trying again is no use
            except PodiumError as error:
                _log.warning("sweeping failed and is tried again", action="sweep.retry", error=str(error))
            if await stop.wait_for(_EVERY):
                return

    async def sweep(self) -> None:
        """Delete all data past its time, once."""
        now = int(self._clock.now())
        await self._mirror.sweep_expired(now)
        await self._outbox.sweep(now - _KEEP_SETTLED)
        await self._opened_wraps.sweep(now - _KEEP_OPENED)
        await self._retention.delete_unused()
        if self.retention_days:
            before = kept_from(now, self.retention_days)
            await self._begin_to_forget(before, now)
            await self._retention.delete_old(min(before, now - _KEEP_EVENTS))
        await self._go_on_forgetting()
        await self._look_at_the_room()  # measure the room again after the deletion, even if no request comes to ask

    async def _begin_to_forget(self, before: int, now: int) -> None:
        for row in await self._store.sessions.where("scheduledAt").below(before).to_list():
            if row.state in _OVER and max(row.ended_at or 0, row.ends_at) < before:
                await self._retention.begin(row, now)
                _log.info("a session is forgotten", action="retention.session", session=row.session_address)

    async def _go_on_forgetting(self) -> None:
        for session in await self._retention.begun():
            # who agreed to be recorded is kept as long as the recording is there (semantics.md, "Room, consent,
            # recording"): its file may be on a server that is away
            gone = await self._forget_recordings(session.session_address)
            await self._retention.delete(session, but=() if gone else self._evidence)


def kept_from(now: int, retention_days: int) -> int:
    """The Unix second before which no session is kept; 0 if all are kept."""
    return now - retention_days * _DAY if retention_days else 0

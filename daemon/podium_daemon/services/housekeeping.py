"""What is done once an hour: expired events, settled rows and attendance past its retention are forgotten."""

from __future__ import annotations

from typing import Final

import structlog

from podium_daemon.clock import Clock
from podium_daemon.supervisor import Stop
from podium_protocol.errors import PodiumError
from podium_storage.errors import StoreDamaged
from podium_storage.mirror import Mirror
from podium_storage.opened_wraps import OpenedWraps
from podium_storage.outbox import Outbox
from podium_storage.store import Store

_log = structlog.get_logger(__name__)
_EVERY: Final = 3600.0
_KEEP_SETTLED: Final = 30 * 24 * 3600
_KEEP_OPENED: Final = 30 * 24 * 3600  # relays are asked for gift wraps two days back; a restart after longer comes late
_DAY: Final = 24 * 3600
_OVER: Final = ("ended", "cancelled")


class Housekeeping:
    """Sweeps."""

    name = "housekeeping"

    def __init__(
        self,
        *,
        store: Store,
        mirror: Mirror,
        outbox: Outbox,
        opened_wraps: OpenedWraps,
        retention_days: int,
        clock: Clock,
    ) -> None:
        """`retention_days`: how long attendance is kept after a session; 0 keeps it for ever."""
        self._store = store
        self._mirror = mirror
        self._outbox = outbox
        self._opened_wraps = opened_wraps
        self.retention_days = retention_days
        self._clock = clock

    async def run(self, stop: Stop) -> None:
        """Sweep now and every hour until told to stop."""
        while True:
            try:
                await self.sweep()
            except StoreDamaged:
                raise  # it will be so the next time
            except PodiumError as error:
                _log.warning("sweeping failed and is tried again", action="sweep.retry", error=str(error))
            if await stop.wait_for(_EVERY):
                return

    async def sweep(self) -> None:
        """Forget what nobody needs any more."""
        now = int(self._clock.now())
        await self._mirror.sweep_expired(now)
        await self._outbox.sweep(now - _KEEP_SETTLED)
        await self._opened_wraps.sweep(now - _KEEP_OPENED)
        if self.retention_days:
            await self._forget_attendance(now - self.retention_days * _DAY)

    async def _forget_attendance(self, before: int) -> None:
        old = await self._store.sessions.where("scheduledAt").below(before).to_list()
        over = [row for row in old if row.state in _OVER and (row.ended_at or row.ends_at) < before]
        lessons = [row.lesson_id for row in over]
        store = self._store
        # attendance last: as long as there is a stay or a completion without its row, a record of it is owed
        for table in (store.watches, store.intervals, store.attendance, store.questions, store.controls):
            await table.where("lessonId").any_of(lessons).delete()
        await store.calendar_entries.where("lessonId").any_of(lessons).delete()
        # who agreed to be recorded is kept as long as the recording is there (semantics.md, "Room, consent, recording")
        unrecorded = [row.lesson_id for row in over if row.recording_state != "available"]
        for kept in (store.members, store.consents):
            await kept.where("lessonId").any_of(unrecorded).delete()

"""What one person's attendance of an ended session consists of, and what is missing to its completion."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from podium_daemon.services.attendance.attestation import AttendanceSettings
from podium_daemon.services.attendance.observation import REMEMBERED, actual_seconds, rule_interval, runs_of
from podium_protocol.events import Pubkey
from podium_protocol.live.attendance import Span, attend
from podium_protocol.live.completion import missing_seconds
from podium_protocol.live.lifecycle import SessionState
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow


class Participation(msgspec.Struct, frozen=True):
    """The credited `intervals`, in order (Unix seconds), and the seconds missing to the completion by attendance.

    `missing` is None for a person who has completed the session, by attendance or by the recording.
    """

    intervals: tuple[Span, ...]
    missing: int | None


class Participations:
    """Reads the participation of single people."""

    def __init__(self, store: Store, *, settings: Callable[[], AttendanceSettings], has_engine: bool) -> None:
        """Measure by `settings`; `has_engine`: presence events are no evidence, since an engine observes the room."""
        self._store = store
        self._settings = settings
        self._has_engine = has_engine

    async def of(self, session: LiveSessionRow, pubkey: Pubkey) -> Participation | None:
        """The participation of `pubkey`, also of a person who was absent; None unless the session was held and ended.

        While the session lasts, what it asks for in the end is not known.
        """
        if session.state != SessionState.ENDED or not session.runs or session.ended_at is None:
            return None
        key = [session.session_address, pubkey]
        attended = await self._store.attendance.where("[lessonId+pubkey]").equals(key).first()
        watched = await self._store.watches.where("[lessonId+pubkey]").equals(key).to_list()
        completed = [row.completed_at for row in (attended, *watched) if row is not None]
        missing = missing_seconds(
            attended.total_duration if attended is not None else 0,
            scheduled_seconds=session.ends_at - session.scheduled_at,
            actual_seconds=actual_seconds(session, session.ended_at),
            policy=self._settings().completion,
        )
        is_complete = any(at is not None for at in completed)
        return Participation(await self._credited(session, key, session.ended_at), None if is_complete else missing)

    async def _credited(self, session: LiveSessionRow, key: list[str], ended_at: int) -> tuple[Span, ...]:
        rows = await self._store.intervals.where("[lessonId+pubkey]").equals(key).to_list()
        if all(row.leave_reason == REMEMBERED for row in rows):
            return ()  # a record that was read back from the relays has the first join and the last leave alone
        seen = attend(
            [rule_interval(row) for row in rows],
            runs_of(session),
            now=ended_at,
            has_engine=self._has_engine,
            policy=self._settings().policy,
        )
        return () if seen is None else seen.credited

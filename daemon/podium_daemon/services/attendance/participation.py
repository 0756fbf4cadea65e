"""What one person's attendance of an ended session consists of, and what is missing to its completion."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence

import msgspec

from podium_daemon.services.attendance.attestation import AttendanceSettings
from podium_daemon.services.attendance.observation import REMEMBERED, actual_seconds, rule_interval, runs_of
from podium_protocol.events import Pubkey
from podium_protocol.live.attendance import Span, attend
from podium_protocol.live.completion import missing_seconds
from podium_protocol.live.lifecycle import SessionState
from podium_storage.store import Store
from podium_storage.table.models import AttendanceRow, IntervalRow, LiveSessionRow, WatchRow


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

    async def of(self, session: LiveSessionRow, people: Collection[Pubkey]) -> dict[Pubkey, Participation]:
        """The participation of each of `people`, also of those who were absent; of no one unless it was held and ended.

        While the session lasts, what it asks for in the end is not known. Three queries, however many people.
        """
        if session.state != SessionState.ENDED or not session.runs or session.ended_at is None or not people:
            return {}
        keys = [[session.session_address, pubkey] for pubkey in people]
        attended = await self._store.attendance.where("[lessonId+pubkey]").any_of(keys).to_list()
        watched = await self._store.watches.where("[lessonId+pubkey]").any_of(keys).to_list()
        intervals = defaultdict[str, list[IntervalRow]](list)
        for one in await self._store.intervals.where("[lessonId+pubkey]").any_of(keys).to_list():
            intervals[one.pubkey].append(one)
        seconds = {row.pubkey: row.total_duration for row in attended}
        completed: list[AttendanceRow | WatchRow] = [*attended, *watched]
        complete = {row.pubkey for row in completed if row.completed_at is not None}
        return {
            pubkey: Participation(
                self._credited(session, intervals[pubkey], session.ended_at),
                None if pubkey in complete else self._missing(session, seconds.get(pubkey, 0), session.ended_at),
            )
            for pubkey in people
        }

    def _missing(self, session: LiveSessionRow, attended: int, ended_at: int) -> int:
        return missing_seconds(
            attended,
            scheduled_seconds=session.ends_at - session.scheduled_at,
            actual_seconds=actual_seconds(session, ended_at),
            policy=self._settings().completion,
        )

    def _credited(self, session: LiveSessionRow, rows: Sequence[IntervalRow], ended_at: int) -> tuple[Span, ...]:
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

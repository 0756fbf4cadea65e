"""Interval rows from the engine's reports: joins, leaves, and the list it gives when asked. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from podium_daemon.conference.engine import Joined, LeaveReason, Left, MediaUp, Present
from podium_protocol.live.attendance import AttendancePolicy, Evidence, Interval, Span, credit_windows, seconds
from podium_protocol.live.lifecycle import Run, SessionState
from podium_storage.table.models import IntervalRow, LiveSessionRow

_ALIVE: Final = "attendance.alive_at"
_GAPS: Final = "attendance.gaps"
_KEPT: Final = 100  # the newest gaps; older ones belong to sessions long settled
_decode_gaps = msgspec.json.Decoder(tuple[Span, ...]).decode


class Memory(Protocol):
    """Durable storage for small texts."""

    async def get(self, key: str) -> str | None: ...
    async def set(self, key: str, value: str) -> None: ...


class ObservationLog:
    """Remembers, across restarts, when the daemon was observing."""

    def __init__(self, memory: Memory, *, tolerance: int) -> None:
        """A silence of up to `tolerance` seconds counts as a slow poll, not as a gap."""
        self._memory = memory
        self._tolerance = tolerance
        self.spans: tuple[Span, ...] = ()

    async def on_start(self, now: int) -> None:
        """Note the start of the daemon: the time since its last sign of life is a gap. `now` is Unix seconds."""
        stored = await self._memory.get(_GAPS)
        self.spans = _decode_gaps(stored) if stored else ()
        alive = int(await self._memory.get(_ALIVE) or now)
        if now - alive > self._tolerance:
            self.spans = (*self.spans, Span(alive, now))[-_KEPT:]
            await self._memory.set(_GAPS, msgspec.json.encode(self.spans).decode())
        await self.heartbeat(now)

    async def heartbeat(self, now: int) -> None:
        """Note that the daemon is observing at `now` (Unix seconds)."""
        await self._memory.set(_ALIVE, str(now))


REMEMBERED = "remembered"
"""Leave reason of the interval that stands for an attendance record read back from the relays."""

BY_EVENT: Final = "presence:"
"""The prefix of connection ids of intervals from presence events (kind 10312); no engine uses it."""


def is_by_event(row: IntervalRow) -> bool:
    """Whether the interval comes from presence events and not from an engine, whose list says nothing about it."""
    return row.connection_id.startswith(BY_EVENT)


def credited_until(row: IntervalRow, policy: AttendancePolicy) -> int:
    """When the interval ended, or will end (Unix seconds) without further evidence."""
    if row.left_at is not None:
        return row.left_at
    return row.last_evidence + (policy.presence_heartbeat if is_by_event(row) else policy.engine_heartbeat)


def lapsed(row: IntervalRow, *, ended_at: int | None, now: int, policy: AttendancePolicy) -> IntervalRow | None:
    """The open row, closed if its credit has run out by `now` or its session ended; None if it goes on."""
    until = credited_until(row, policy)
    until = until if ended_at is None else min(until, ended_at)
    return closed(row, until, LeaveReason.UNKNOWN) if until <= now else None


def reconciled(
    open_rows: Mapping[str, IntervalRow],
    present: Sequence[Present],
    *,
    session_address: str,
    source: str,
    now: int,
    heartbeat: int,
) -> list[IntervalRow]:
    """The changes from a snapshot: evidence for people present, missed joins, and missed leaves."""
    seen = {one.connection.id: one for one in present}
    changed = []
    for connection, one in seen.items():
        row = open_rows.get(connection) or IntervalRow(
            connection_id=connection,
            session_address=session_address,
            pubkey=one.connection.pubkey,
            device=one.connection.device,
            joined_at=one.joined_at,
            last_evidence=one.joined_at,
            source=source,
        )
        last = max(row.last_evidence, one.last_evidence)
        changed.append(msgspec.structs.replace(row, last_evidence=last, media=row.media or one.has_media))
    missed = [row for connection, row in open_rows.items() if connection not in seen and row.source == source]
    changed += [closed(row, min(row.last_evidence + heartbeat, now), LeaveReason.UNKNOWN) for row in missed]
    return changed


def after_move(
    row: IntervalRow | None, move: Joined | MediaUp | Left, *, session_address: str, source: str
) -> IntervalRow | None:
    """The row after a join, the first media or a leave; None if it changes nothing since the event came before."""
    if isinstance(move, Joined):
        if row is not None:
            return None
        return IntervalRow(
            connection_id=move.connection.id,
            session_address=session_address,
            pubkey=move.connection.pubkey,
            device=move.connection.device,
            joined_at=move.at,
            last_evidence=move.at,
            source=source,
        )
    if isinstance(move, MediaUp):
        return msgspec.structs.replace(row, media=True) if row is not None and not row.media else None
    # a leave without a join is dropped (semantics.md): there is nothing to close
    return closed(row, max(move.at, row.joined_at), move.reason) if row is not None and row.left_at is None else None


def closed(row: IntervalRow, at: int, reason: str) -> IntervalRow:
    """The row, ended at `at` (Unix seconds) for `reason`."""
    return msgspec.structs.replace(row, left_at=max(at, row.joined_at), leave_reason=reason)


def rule_interval(row: IntervalRow) -> Interval:
    """The row as an `Interval` for the arithmetic."""
    return Interval(
        start=row.joined_at,
        end=row.left_at,
        last_seen=row.last_evidence,
        connection=row.connection_id,
        evidence=Evidence(row.source),
        media=row.media,
    )


def runs_of(session: LiveSessionRow) -> tuple[Run, ...]:
    """The runs of a session, of which the last one may be open."""
    return tuple(Run(*run) for run in session.runs)


def actual_seconds(session: LiveSessionRow, now: int) -> int | None:
    """The seconds in which the session credited attendance; None while it lasts. `now` is Unix seconds."""
    return None if session.state == SessionState.ACTIVE else seconds(credit_windows(runs_of(session), now))

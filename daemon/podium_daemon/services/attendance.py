"""Attendance as the service observes it: engine events become intervals, intervals become rows and signed records."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import structlog

from podium_daemon.clock import Clock
from podium_daemon.conference.base import (
    ConferenceEngine,
    EngineEvent,
    EngineHealth,
    Joined,
    LeaveReason,
    Left,
    Present,
    RoomId,
    Snapshot,
)
from podium_daemon.refusals import Refused
from podium_daemon.services.attendance_gaps import GapBook
from podium_daemon.services.outgoing import Outgoing
from podium_daemon.signers.base import Signer
from podium_daemon.supervisor import Stop
from podium_daemon.turns import take_turns
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Pubkey, VerifiedEvent
from podium_protocol.live import attendance as rules
from podium_protocol.live.attendance_record import AttendanceRecord, write_attendance_record
from podium_protocol.live.completion import Completion, CompletionPolicy, CompletionWay, by_attendance
from podium_protocol.live.lifecycle import Run, State
from podium_protocol.live.session import Visibility
from podium_storage.changes import Batch
from podium_storage.database import Transaction
from podium_storage.rows import AttendanceRow, IntervalRow, LiveSessionRow, RoomMemberRow
from podium_storage.store import Store

_log = structlog.get_logger(__name__)
_BATCH: Final = 200  # people computed and signed before the loop gets its turn: about 15 ms
_ALL: Final[frozenset[str]] = frozenset()  # stands for everybody of a session


class AttendanceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`poll` in seconds."""

    poll: int = 60
    policy: rules.AttendancePolicy = rules.AttendancePolicy()
    completion: CompletionPolicy = CompletionPolicy()


class Attendance:
    """Owns intervals and attendance rows."""

    name = "attendance"

    def __init__(
        self,
        settings: AttendanceSettings,
        *,
        store: Store,
        outgoing: Outgoing,
        engine: ConferenceEngine,
        signer: Signer,
        gaps: GapBook,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self._store = store
        self._outgoing = outgoing
        self._engine = engine
        self._signer = signer
        self._gaps = gaps
        self._clock = clock
        self._poll_at = clock.now()

    async def run(self, stop: Stop) -> None:
        """Observe until told to stop."""
        await self._close_what_a_former_run_left_open()
        reader = asyncio.create_task(self._read_events(), name="engine events")
        tables = (self._store.sessions.name, self._store.intervals.name)
        try:
            with self._store.database.changes.subscribe(*tables) as changes:
                turns = asyncio.create_task(
                    take_turns(self.name, self._turn, changes, clock=self._clock, stop=stop), name="attendance turns"
                )
                await asyncio.wait((reader, turns), return_when=asyncio.FIRST_COMPLETED)
                if reader.done() and not stop.is_set():
                    turns.cancel()
                    await reader  # raises what ended it
                await turns
                await self._turn(Batch((), resync=False))
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def track(self, lesson_id: str, pubkey: Pubkey, joined_at: int, left_at: int | None) -> Refused | None:
        """Record an interval that the instructor saw (the model's `trackLiveAttendance`); the same twice counts once."""
        if await self._session(lesson_id) is None:
            return Refused("unknown-session", "there is no such session here", "`podium session list` shows them.")
        row = IntervalRow(
            connection_id=f"manual:{lesson_id}:{pubkey}:{joined_at}",
            lesson_id=lesson_id,
            pubkey=pubkey,
            device="manual",
            joined_at=joined_at,
            left_at=left_at,
            last_evidence=left_at or joined_at,
            source=rules.Evidence.MANUAL,
        )
        await self._store.intervals.upsert([row], by="connectionId")
        return None

    # -- from the engine to intervals

    async def _read_events(self) -> None:
        waiting: list[EngineEvent] = []
        arrived = asyncio.Event()

        async def collect() -> None:
            async for event in self._engine.events():
                waiting.append(event)
                arrived.set()

        collector = asyncio.create_task(collect(), name="collect engine events")
        try:
            while not collector.done():
                await asyncio.wait(
                    (collector, woken := asyncio.ensure_future(arrived.wait())), return_when="FIRST_COMPLETED"
                )
                woken.cancel()
                arrived.clear()
                batch, waiting[:] = list(waiting), []
                await self._record(batch)
            await collector
        finally:
            collector.cancel()
            await asyncio.gather(collector, return_exceptions=True)

    async def _record(self, events: Sequence[EngineEvent]) -> None:
        """Write a batch of events; each names its connection, so a copy changes nothing."""
        moves = [event for event in events if isinstance(event, Joined | Left)]
        if any(isinstance(event, EngineHealth) and not event.up for event in events):
            await self._close_all(int(self._clock.now()), "engine_lost")
        if any(isinstance(event, EngineHealth) and event.up for event in events):
            self._poll_at = self._clock.now()
        if not moves:
            return
        lessons = await self._lessons_of({move.connection.room for move in moves})
        known = await self._intervals_of([move.connection.id for move in moves])
        for move in moves:
            lesson_id = lessons.get(move.connection.room)
            if lesson_id is not None and (row := _after(known.get(move.connection.id), move, lesson_id, self._source)):
                known[move.connection.id] = row
        await self._store.intervals.upsert(list(known.values()), by="connectionId")

    async def _poll(self, now: int) -> None:
        """Compare with the engine's own list: engines lose and reorder events (semantics.md)."""
        await self._gaps.alive(now)
        active = (
            await self._store.intervals.where("lessonId")
            .any_of([row.lesson_id for row in await self._open_sessions(now)])
            .to_list()
        )
        open_rows = {row.connection_id: row for row in active if row.left_at is None}
        for session in await self._open_sessions(now):
            if session.conference_room_id is None:
                continue
            snapshot = await self._engine.snapshot(RoomId(session.conference_room_id))
            if isinstance(snapshot, Snapshot):
                mine = {key: row for key, row in open_rows.items() if row.lesson_id == session.lesson_id}
                changed = reconciled(mine, snapshot.present, session.lesson_id, self._source, now, self.settings.poll)
                await self._store.intervals.upsert(changed, by="connectionId")

    async def _close_what_a_former_run_left_open(self) -> None:
        now = int(self._clock.now())
        await self._gaps.woke(now)
        if not self._engine.history:
            await self._close_all(now, "daemon_down")

    async def _close_all(self, now: int, reason: str) -> None:
        rows = await self._store.intervals.where("lessonId").above("").and_(lambda row: row.left_at is None).to_list()
        closed = [_closed(row, min(row.last_evidence + self.settings.poll, now), reason) for row in rows]
        await self._store.intervals.upsert(closed, by="connectionId")

    # -- from intervals to rows and records

    async def _turn(self, batch: Batch) -> float | None:
        now = int(self._clock.now())
        if self._clock.now() >= self._poll_at:
            await self._poll(now)
            self._poll_at = self._clock.now() + self.settings.poll
            batch = msgspec.structs.replace(batch, resync=True)  # time passed: those present have more credit now
        for lesson_id, people in (await self._touched(batch, now)).items():
            session = await self._session(lesson_id)
            if session is not None and session.runs:
                await self._settle(session, people, now)
        return self._poll_at

    async def _touched(self, batch: Batch, now: int) -> dict[str, frozenset[str]]:
        touched: dict[str, set[str]] = defaultdict(set)
        everybody = {row.lesson_id for row in await self._open_sessions(now)} if batch.resync else set()
        for change in batch.changes:
            row = change.after or change.before
            if isinstance(row, LiveSessionRow):
                everybody.add(row.lesson_id)
            elif isinstance(row, IntervalRow):
                touched[row.lesson_id].add(row.pubkey)
        return {lesson: frozenset(people) for lesson, people in touched.items()} | dict.fromkeys(everybody, _ALL)

    async def _settle(self, session: LiveSessionRow, people: frozenset[str], now: int) -> None:
        by_person = await self._by_person(session, people)
        before = await self._rows_of(session, by_person)
        members = await self._members_of(session, by_person)
        over = session.state != State.ACTIVE
        rows: list[AttendanceRow] = []
        records: list[VerifiedEvent] = []
        for done, (pubkey, intervals) in enumerate(by_person.items(), 1):
            row = self._computed(session, pubkey, intervals, before.get(pubkey), members.get(pubkey), now)
            if row is not None:
                if self._is_to_attest(row, before.get(pubkey), over):
                    record = await self._attested(session, row, now)
                    records.append(record)
                    row = msgspec.structs.replace(row, record_created_at=record.created_at, final=over)
                if row != before.get(pubkey):
                    rows.append(row)
            if done % _BATCH == 0:
                await asyncio.sleep(0)
        await self._store_rows(session, rows, records)

    def _is_to_attest(self, row: AttendanceRow, before: AttendanceRow | None, over: bool) -> bool:
        newly_completed = row.completed_at is not None and (before is None or before.completed_at is None)
        changed_since_final = before is None or not before.final or row != before
        return newly_completed or (over and changed_since_final)

    def _computed(
        self,
        session: LiveSessionRow,
        pubkey: str,
        intervals: Sequence[IntervalRow],
        before: AttendanceRow | None,
        member: RoomMemberRow | None,
        now: int,
    ) -> AttendanceRow | None:
        runs = tuple(Run(*run) for run in session.runs)
        seen = rules.attend(
            [_rule_interval(row) for row in intervals],
            runs,
            scheduled_start=session.scheduled_at,
            now=now,
            gaps=self._gaps.spans,
            has_engine=self._engine.evidence == "engine",
            policy=self.settings.policy,
        )
        if seen is None:
            return _gone(before, intervals)
        completed = self._completed(session, seen, before)
        return AttendanceRow(
            id=before.id if before else None,
            lesson_id=session.lesson_id,
            pubkey=pubkey,
            joined_at=seen.joined_at,
            left_at=seen.left_at,
            total_duration=seen.total_duration,
            join_count=seen.join_count,
            evidence=seen.evidence,
            proof_id=member.proof_id if member else before.proof_id if before else None,
            completed_at=completed.at if completed else None,
            completed_by=completed.way if completed else None,
            record_created_at=before.record_created_at if before else 0,
            final=before.final if before else False,
        )

    def _completed(
        self, session: LiveSessionRow, seen: rules.Attendance, before: AttendanceRow | None
    ) -> Completion | None:
        if before is not None and before.completed_at is not None:
            return Completion(CompletionWay(before.completed_by or CompletionWay.LIVE), before.completed_at)
        return by_attendance(
            seen.credited,
            scheduled_seconds=session.ends_at - session.scheduled_at,
            actual_seconds=None if session.state == State.ACTIVE else _actual_seconds(session),
            policy=self.settings.completion,
        )

    async def _attested(self, session: LiveSessionRow, row: AttendanceRow, now: int) -> VerifiedEvent:
        address = Address.parse(session.lesson_id)
        assert address is not None, "a row's lessonId was parsed before it was stored"
        completed = (
            Completion(CompletionWay(row.completed_by), row.completed_at)
            if row.completed_at is not None and row.completed_by is not None
            else None
        )
        record = AttendanceRecord(
            session=address,
            participant=Pubkey(row.pubkey),
            total_duration=row.total_duration,
            join_count=row.join_count,
            evidence=rules.Evidence(row.evidence),
            joined_at=row.joined_at,
            left_at=row.left_at,
            completed=completed,
            proof_id=EventId(row.proof_id) if row.proof_id else None,
        )
        event = write_attendance_record(
            record,
            service=self._signer.pubkey,
            title=session.title,
            now=now,
            previous_created_at=row.record_created_at or None,
        )
        return await self._signer.sign(event)

    async def _store_rows(
        self, session: LiveSessionRow, rows: Sequence[AttendanceRow], records: Sequence[VerifiedEvent]
    ) -> None:
        if not rows:
            return

        async def scope(tx: Transaction) -> None:
            await self._store.attendance.within(tx).upsert(rows, by="[lessonId+pubkey]")
            if session.visibility != Visibility.PRIVATE:
                await self._outgoing.add(tx, records, lesson_id=session.lesson_id)

        await self._store.database.transact(scope)
        _log.info("attendance settled", action="attendance.settled", session=session.lesson_id, people=len(rows))

    # -- reads

    @property
    def _source(self) -> str:
        return self._engine.evidence

    async def _open_sessions(self, now: int) -> list[LiveSessionRow]:
        """Sessions whose people may be in the room now, and those that ended a moment ago."""
        rows = await self._store.sessions.where("scheduledAt").above(now - 3 * 24 * 3600).to_list()
        return [row for row in rows if row.state in (State.SCHEDULED, State.ACTIVE) or self._just_ended(row, now)]

    def _just_ended(self, row: LiveSessionRow, now: int) -> bool:
        return row.state == State.ENDED and row.ended_at is not None and now - row.ended_at < 2 * self.settings.poll

    async def _session(self, lesson_id: str) -> LiveSessionRow | None:
        return await self._store.sessions.where("lessonId").equals(lesson_id).first()

    async def _lessons_of(self, rooms: set[RoomId]) -> dict[RoomId, str]:
        rows = await self._store.sessions.where("conferenceRoomId").any_of(sorted(rooms)).to_list()
        return {RoomId(row.conference_room_id): row.lesson_id for row in rows if row.conference_room_id is not None}

    async def _intervals_of(self, connections: Sequence[str]) -> dict[str, IntervalRow]:
        rows = await self._store.intervals.where("connectionId").any_of(list(dict.fromkeys(connections))).to_list()
        return {row.connection_id: row for row in rows}

    async def _by_person(self, session: LiveSessionRow, people: frozenset[str]) -> dict[str, list[IntervalRow]]:
        if people:
            keys = [[session.lesson_id, pubkey] for pubkey in people]
            rows = await self._store.intervals.where("[lessonId+pubkey]").any_of(keys).to_list()
        else:
            rows = await self._store.intervals.where("lessonId").equals(session.lesson_id).to_list()
        found: dict[str, list[IntervalRow]] = defaultdict(list)
        for row in rows:
            found[row.pubkey].append(row)
        return found

    async def _rows_of(self, session: LiveSessionRow, people: Mapping[str, object]) -> dict[str, AttendanceRow]:
        keys = [[session.lesson_id, pubkey] for pubkey in people]
        rows = await self._store.attendance.where("[lessonId+pubkey]").any_of(keys).to_list()
        return {row.pubkey: row for row in rows}

    async def _members_of(self, session: LiveSessionRow, people: Mapping[str, object]) -> dict[str, RoomMemberRow]:
        keys = [[session.lesson_id, pubkey] for pubkey in people]
        rows = await self._store.members.where("[lessonId+pubkey]").any_of(keys).to_list()
        return {row.pubkey: row for row in rows}


def _gone(before: AttendanceRow | None, intervals: Sequence[IntervalRow]) -> AttendanceRow | None:
    """The row of somebody who left within the second in which they came: it says that they are not there."""
    ends = [row.left_at for row in intervals if row.left_at is not None]
    if before is None or before.left_at is not None or len(ends) < len(intervals):
        return before
    return msgspec.structs.replace(before, left_at=max(ends, default=before.joined_at))


def reconciled(
    open_rows: Mapping[str, IntervalRow],
    present: Sequence[Present],
    lesson_id: str,
    source: str,
    now: int,
    heartbeat: int,
) -> list[IntervalRow]:
    """What a snapshot changes: evidence for those present, a join that was missed, a leave that was missed."""
    seen = {one.connection.id: one for one in present}
    changed = []
    for connection, one in seen.items():
        row = open_rows.get(connection) or IntervalRow(
            connection_id=connection,
            lesson_id=lesson_id,
            pubkey=one.connection.pubkey,
            device=one.connection.device,
            joined_at=one.joined_at,
            last_evidence=one.joined_at,
            source=source,
        )
        changed.append(msgspec.structs.replace(row, last_evidence=max(row.last_evidence, one.last_evidence)))
    missed = [row for connection, row in open_rows.items() if connection not in seen and row.source == source]
    changed += [_closed(row, min(row.last_evidence + heartbeat, now), LeaveReason.UNKNOWN) for row in missed]
    return changed


def _after(row: IntervalRow | None, move: Joined | Left, lesson_id: str, source: str) -> IntervalRow | None:
    if isinstance(move, Joined):
        if row is not None:
            return None
        return IntervalRow(
            connection_id=move.connection.id,
            lesson_id=lesson_id,
            pubkey=move.connection.pubkey,
            device=move.connection.device,
            joined_at=move.at,
            last_evidence=move.at,
            source=source,
        )
    # a leave without a join is dropped (semantics.md): there is nothing to close
    return _closed(row, max(move.at, row.joined_at), move.reason) if row is not None and row.left_at is None else None


def _closed(row: IntervalRow, at: int, reason: str) -> IntervalRow:
    return msgspec.structs.replace(row, left_at=max(at, row.joined_at), leave_reason=reason)


def _rule_interval(row: IntervalRow) -> rules.Interval:
    return rules.Interval(
        start=row.joined_at,
        end=row.left_at,
        last_seen=row.last_evidence,
        connection=row.connection_id,
        evidence=rules.Evidence(row.source),
    )


def _actual_seconds(session: LiveSessionRow) -> int:
    return sum((end or start) - start for start, end in session.runs)

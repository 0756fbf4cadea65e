"""Attendance as the service observes it: engine events become intervals, intervals become rows and signed records."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import msgspec
import structlog

from podium_daemon.conference.engine import (
    ConferenceEngine,
    EngineEvent,
    EngineHealth,
    Joined,
    Left,
    MediaUp,
    RoomId,
    Snapshot,
)
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug
from podium_daemon.runtime.reconcile_loop import RETRY_SECONDS, run_reconcile_loop
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import wait_for_first
from podium_daemon.services.attendance.attestation import AttendanceSettings, Attestation
from podium_daemon.services.attendance.observation import (
    ObservationLog,
    after_move,
    closed,
    is_by_event,
    lapsed,
    reconciled,
)
from podium_daemon.signers.signer import Signer
from podium_daemon.writers.event_writer import EventWriter
from podium_daemon.writers.private_outbox import PrivateOutbox
from podium_protocol.events import Pubkey
from podium_protocol.live.attendance import Evidence
from podium_protocol.live.lifecycle import SessionState
from podium_storage.changed_sessions import session_with_attendance
from podium_storage.changes import Batch, ChangeSubscription
from podium_storage.errors import StoreDamaged, StoreError
from podium_storage.projections.attendance import sessions_with_owed_attendance
from podium_storage.store import Store
from podium_storage.table.models import IntervalRow, LiveSessionRow, WatchRow

_log = structlog.get_logger(__name__)

_LOOK_BACK: Final = 3 * 24 * 3600  # seconds; sessions that began longer ago are over
_STATES: Final = (
    (SessionState.SCHEDULED, 24 * 3600),  # seconds before the start, longer than doors are open
    (SessionState.ACTIVE, 24 * 3600),
    (SessionState.ENDED, 24 * 3600),
)
_FORGET_AFTER: Final = 60.0  # seconds from a change until it is noted that it was dealt with: not a commit for each
_ALL: Final[frozenset[str]] = frozenset()  # stands for all people of a session


class AttendanceService:
    """Owns intervals and attendance rows."""

    name = "attendance"

    def __init__(
        self,
        settings: AttendanceSettings,
        *,
        store: Store,
        event_writer: EventWriter,
        private_outbox: PrivateOutbox,
        engine: ConferenceEngine,
        signer: Signer,
        gaps: ObservationLog,
        clock: Clock,
    ) -> None:
        self._attestation = Attestation(
            settings,
            store=store,
            event_writer=event_writer,
            private_outbox=private_outbox,
            engine=engine,
            signer=signer,
            gaps=gaps,
        )
        self._store = store
        self._engine = engine
        self._gaps = gaps
        self._clock = clock
        self._poll_at = clock.now()
        self._changes: ChangeSubscription | None = None
        self._forget_at = math.inf  # when what is attested by now is forgotten as changed

    @property
    def settings(self) -> AttendanceSettings:
        """The settings in force; a reload replaces them."""
        return self._attestation.settings

    @settings.setter
    def settings(self, settings: AttendanceSettings) -> None:
        self._attestation.settings = settings

    async def run(self, stop: Stop) -> None:
        """Observe until the stop."""
        tables = (self._store.sessions.name, self._store.intervals.name, self._store.watches.name)
        # subscribed before anything is written: intervals that a former run left open have to be settled
        with self._store.database.changes.subscribe(*tables) as self._changes:
            await self._until_stored(self._close_what_a_former_run_left_open, stop)
            await self._observe(self._changes, stop)

    async def _observe(self, changes: ChangeSubscription, stop: Stop) -> None:
        reader = asyncio.create_task(self._read_events(stop), name="engine events")
        try:
            turns = asyncio.create_task(
                # once more: the engine tells of those who were there at the stop
                run_reconcile_loop(self.name, self._turn, changes, clock=self._clock, stop=stop, once_more=True),
                name="attendance turns",
            )
            await asyncio.wait((reader, turns), return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and not stop.is_set():
                turns.cancel()
                await reader  # raises what ended it
            await turns
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def track(
        self, session_address: str, pubkey: Pubkey, joined_at: int, left_at: int | None, note: str | None = None
    ) -> Rejection | None:
        """Record an interval by hand (the model's `trackLiveAttendance`); the same one twice counts once."""
        if await self._session(session_address) is None:
            return Rejection(Slug.UNKNOWN_SESSION, "there is no such session here", "`podium session list` shows them.")
        row = IntervalRow(
            connection_id=f"manual:{session_address}:{pubkey}:{joined_at}",
            session_address=session_address,
            pubkey=pubkey,
            device="manual",
            joined_at=joined_at,
            left_at=left_at,
            last_evidence=left_at or joined_at,
            source=Evidence.MANUAL,
            note=note,
        )
        await self._store.intervals.upsert([row], by="connectionId")
        return None

    # -- from the engine to intervals

    async def _until_stored(self, write: Callable[[], Awaitable[None]], stop: Stop) -> None:
        """Repeat the write until there is room on the disk: an engine reports each join only once."""
        while not stop.is_set():
            try:
                await write()
            except StoreDamaged:
                raise
            except StoreError as error:
                _log.warning("attendance is written again", action="attendance.retry", error=str(error))
                await stop.wait_for(RETRY_SECONDS)
            else:
                return

    async def _read_events(self, stop: Stop) -> None:
        waiting: list[EngineEvent] = []
        arrived = asyncio.Event()

        async def collect() -> None:
            async for event in self._engine.events():
                waiting.append(event)
                arrived.set()

        collector = asyncio.create_task(collect(), name="collect engine events")
        try:
            while not collector.done():
                await wait_for_first(asyncio.wait([collector]), arrived.wait())
                arrived.clear()
                batch, waiting[:] = list(waiting), []
                await self._until_stored(partial(self._record, batch), stop)
            await collector
        finally:
            collector.cancel()
            await asyncio.gather(collector, return_exceptions=True)

    async def _record(self, events: Sequence[EngineEvent]) -> None:
        """Write a batch of events; each names its connection, so a repeated event changes nothing."""
        moves = [event for event in events if isinstance(event, Joined | MediaUp | Left)]
        if any(isinstance(event, EngineHealth) and not event.up for event in events):
            await self._close_all(int(self._clock.now()), "engine_lost")
        if any(isinstance(event, EngineHealth) and event.up for event in events):
            self._poll_at = self._clock.now()
        if not moves:
            return
        addresses = await self._addresses_of({move.connection.room for move in moves})
        known = await self._intervals_of([move.connection.id for move in moves])
        for move in moves:
            session_address = addresses.get(move.connection.room)
            if session_address is not None and (
                row := after_move(
                    known.get(move.connection.id), move, session_address=session_address, source=self._source
                )
            ):
                known[move.connection.id] = row
        await self._store.intervals.upsert(list(known.values()), by="connectionId")

    async def _poll(self, now: int) -> None:
        """Compare with the engine's own list: engines lose and reorder events (semantics.md)."""
        await self._gaps.heartbeat(now)
        sessions = await self._open_sessions(now)
        active = (
            await self._store.intervals.where("lessonId").any_of([row.session_address for row in sessions]).to_list()
        )
        open_rows = {row.connection_id: row for row in active if row.left_at is None and not is_by_event(row)}
        await self._close_lapsed([row for row in active if row.left_at is None and is_by_event(row)], now)
        for session in sessions:
            if session.conference_room_id is None:
                continue
            snapshot = await self._engine.snapshot(RoomId(session.conference_room_id))
            if isinstance(snapshot, Snapshot):
                mine = {key: row for key, row in open_rows.items() if row.session_address == session.session_address}
                changed = reconciled(
                    mine,
                    snapshot.present,
                    session_address=session.session_address,
                    source=self._source,
                    now=now,
                    heartbeat=self.settings.poll,
                )
                await self._store.intervals.upsert(changed, by="connectionId")

    async def _close_lapsed(self, rows: Sequence[IntervalRow], now: int) -> None:
        """Close intervals from presence events that stopped coming: no event reports the end of such a stay."""
        addresses = sorted({row.session_address for row in rows})
        sessions = await self._store.sessions.where("lessonId").any_of(addresses).to_list() if addresses else []
        ends = {row.session_address: row.ended_at for row in sessions if row.state == SessionState.ENDED}
        policy = self.settings.policy
        found = [lapsed(row, ended_at=ends.get(row.session_address), now=now, policy=policy) for row in rows]
        await self._store.intervals.upsert([row for row in found if row is not None], by="connectionId")

    async def _close_what_a_former_run_left_open(self) -> None:
        now = int(self._clock.now())
        await self._gaps.on_start(now)
        if not self._engine.history:
            await self._close_all(now, "daemon_down")

    async def _close_all(self, now: int, reason: str) -> None:
        rows = await self._store.intervals.where("leftAt").equals(None).to_list()
        by_engine = [row for row in rows if not is_by_event(row)]
        ended = [closed(row, min(row.last_evidence + self.settings.poll, now), reason) for row in by_engine]
        await self._store.intervals.upsert(ended, by="connectionId")
        await self._close_lapsed([row for row in rows if is_by_event(row)], now)  # presence still comes from relays

    # -- from intervals to rows and records

    async def _turn(self, batch: Batch) -> float | None:
        now = int(self._clock.now())
        owed = await self._owed() if batch.resync else []
        if batch.resync or batch.changes:
            self._forget_at = min(self._forget_at, self._clock.monotonic() + _FORGET_AFTER)
        if self._clock.now() >= self._poll_at:
            await self._poll(now)
            self._poll_at = self._clock.now() + self.settings.poll
            batch = msgspec.structs.replace(batch, resync=True)  # time passed: people present have more credit now
        for session_address, people in (await self._touched(batch, now) | dict.fromkeys(owed, _ALL)).items():
            session = await self._session(session_address)
            if session is not None and session.runs:
                await self._attestation.attest(session, people, now)
        if self._clock.monotonic() >= self._forget_at:
            await self._forget_changes()
        return self._poll_at

    async def _owed(self) -> list[str]:
        """At the start and after a failure: sessions that are not settled, whatever their age."""
        return await sessions_with_owed_attendance(self._store.database, await self._store.unattested.addresses())

    async def _forget_changes(self) -> None:
        """Note that all is attested, for the next start, unless something changed meanwhile."""
        self._forget_at = self._clock.monotonic() + _FORGET_AFTER
        if self._changes is not None and await self._store.unattested.clear(self._changes):
            self._forget_at = math.inf

    async def _touched(self, batch: Batch, now: int) -> dict[str, frozenset[str]]:
        touched: dict[str, set[str]] = defaultdict(set)
        whole = {row.session_address for row in await self._open_sessions(now)} if batch.resync else set()
        for change in batch.changes:
            address, row = session_with_attendance(change), change.after or change.before
            if address is not None and isinstance(row, LiveSessionRow):
                whole.add(address)
            elif address is not None and isinstance(row, IntervalRow | WatchRow):
                touched[address].add(row.pubkey)
        return {address: frozenset(people) for address, people in touched.items()} | dict.fromkeys(whole, _ALL)

    # -- reads

    @property
    def _source(self) -> str:
        return self._engine.evidence

    async def _open_sessions(self, now: int) -> list[LiveSessionRow]:
        """Sessions whose people may be in the room now, and those that ended a moment ago."""
        entered = await self._store.intervals.where("leftAt").equals(None).to_list()  # staff may enter long before
        addresses = sorted({row.session_address for row in entered})
        rows = [row for state, until in _STATES for row in await self._began_lately(state, now, until)]
        rows += await self._store.sessions.where("lessonId").any_of(addresses).to_list() if addresses else []
        return [
            row
            for row in {row.session_address: row for row in rows}.values()
            if row.state in (SessionState.SCHEDULED, SessionState.ACTIVE) or self._just_ended(row, now)
        ]

    async def _began_lately(self, state: SessionState, now: int, until: int) -> list[LiveSessionRow]:
        by_state = self._store.sessions.where("[state+scheduledAt]")
        return await by_state.between([state.value, now - _LOOK_BACK], [state.value, now + until]).to_list()

    def _just_ended(self, row: LiveSessionRow, now: int) -> bool:
        return (
            row.state == SessionState.ENDED and row.ended_at is not None and now - row.ended_at < 2 * self.settings.poll
        )

    async def _session(self, session_address: str) -> LiveSessionRow | None:
        return await self._store.sessions.where("lessonId").equals(session_address).first()

    async def _addresses_of(self, rooms: set[RoomId]) -> dict[RoomId, str]:
        rows = await self._store.sessions.where("conferenceRoomId").any_of(sorted(rooms)).to_list()
        return {
            RoomId(row.conference_room_id): row.session_address for row in rows if row.conference_room_id is not None
        }

    async def _intervals_of(self, connections: Sequence[str]) -> dict[str, IntervalRow]:
        rows = await self._store.intervals.where("connectionId").any_of(list(dict.fromkeys(connections))).to_list()
        return {row.connection_id: row for row in rows}

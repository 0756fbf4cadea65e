"""The lifecycle of sessions: doors, start, warning, end, cancellation, reopening; each with its status event."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgspec
import structlog

from podium_daemon.conference.engine import ConferenceEngine, EngineUnavailable, RoomOpen, RoomSpec
from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.outcomes import Rejection, Slug, slug_of
from podium_daemon.runtime.reconcile_loop import run_reconcile_loop
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.tasks import wait_for_first
from podium_daemon.services.sessions.agenda import Agenda
from podium_daemon.services.sessions.moves import SessionMoves
from podium_daemon.writers.event_writer import EventWriter
from podium_daemon.writers.live_status import StatusEvents
from podium_daemon.writers.private_outbox import PrivateOutbox
from podium_protocol.events import Pubkey
from podium_protocol.live.lifecycle import SessionState, Trigger
from podium_protocol.live.lifecycle_rules import (
    Blocked,
    BlockReason,
    Cancel,
    End,
    Facts,
    LifecyclePolicy,
    Start,
    StartPolicy,
    TakeBack,
    Warn,
    check_manual_start,
    check_reopen,
    decide,
    doors_open,
    next_wakeup,
)
from podium_storage.changes import Batch
from podium_storage.store import Store
from podium_storage.table.models import IntervalRow, LiveSessionRow

_log = structlog.get_logger(__name__)
_LOOK_EVERY: Final = 30  # seconds; the list of instructors changes without a change of any row
_LOOK_AT_ALL_EVERY: Final = 3600  # seconds; in between only changed and due sessions are read
_TURN: Final = 1.0  # seconds after which the loop takes in what changed meanwhile
_TRIES: Final = 3
_WORDS: Final = {
    BlockReason.INSTRUCTOR_UNVERIFIED: "the instructor is not on the list of verified instructors",
    BlockReason.INSTRUCTOR_ABSENT: "the instructor is not in the room yet",
    BlockReason.DOORS_CLOSED: "the doors are not open yet",
    BlockReason.CANCELLED: "the session was cancelled",
    BlockReason.TOO_LATE: "it is too late for that",
    BlockReason.WRONG_STATE: "the session is in another state",
}
_NEEDED: Final = {
    Trigger.MANUAL_START: "only a session that is scheduled can be started",
    Trigger.MANUAL_END: "only a session that runs can be ended",
    Trigger.REOPEN: "only a session that has ended can be opened again",
}

Notify = Callable[[str, str], Awaitable[None]]
"""Shows a line of text to all people in a session's room: `await notify(session_address, text)`."""


FIRST_READ: Final = 2.0
"""Seconds that the relays have to tell of moved and withdrawn sessions before what is due is started."""


class CaughtUp(Protocol):
    """Set once the past has been read; an `asyncio.Event` is one."""

    async def wait(self) -> object:
        """Wait until the past has been read."""


class LifecycleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When sessions change state, and what their rooms are."""

    policy: LifecyclePolicy
    start_policy: StartPolicy = StartPolicy.CLOCK
    room_of: Callable[[LiveSessionRow], RoomSpec]


class Lifecycle:
    """Owns the state of every session: moves it when time, facts or a leader ask for it."""

    name = "lifecycle"

    def __init__(
        self,
        settings: LifecycleSettings,
        *,
        store: Store,
        event_writer: EventWriter,
        private_outbox: PrivateOutbox,
        status: StatusEvents,
        engine: ConferenceEngine,
        is_instructor: Callable[[Pubkey], bool],
        notify: Notify,
        clock: Clock,
        caught_up: CaughtUp,
        at_start: Callable[[], Awaitable[bool]] | None = None,
        at_end: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        """`caught_up`: set when the past has been read; then `at_start` publishes the service's other events.

        `at_start` returns whether it could publish all of them; if not, it is called again.
        `at_end` is called with the address of a session that has ended, before its room is closed.
        """
        self._settings = settings
        self._at_start = at_start
        self._is_announced = True
        self._announce_at = 0.0
        self._room_at: float | None = None  # when the room is checked again; None before it was announced
        self._store = store
        self._status = status
        self._engine = engine
        self._is_instructor = is_instructor
        self._notify = notify
        self._clock = clock
        self._caught_up = caught_up
        self._up_since = int(clock.now())
        self._agenda = Agenda(store)
        self._moves = SessionMoves(
            store,
            self._agenda,
            event_writer=event_writer,
            private_outbox=private_outbox,
            status=status,
            engine=engine,
            clock=clock,
            at_end=at_end,
        )
        self._look_at_all_at = 0
        self._reading: asyncio.Future[object] | None = None  # while the past is being read, and sessions are started

    @property
    def settings(self) -> LifecycleSettings:
        """The settings in force; a reload replaces them, and every session is checked again."""
        return self._settings

    @settings.setter
    def settings(self, settings: LifecycleSettings) -> None:
        self._settings = settings
        self._look_at_all_at = 0

    async def run(self, stop: Stop) -> None:
        """Change the state of sessions until the stop.

        While a slow relay still tells the past, only sessions that the store knew before are started.
        """
        reading = asyncio.ensure_future(self._caught_up.wait())
        try:
            await wait_for_first(asyncio.wait([reading]), self._clock.sleep(FIRST_READ), stop.wait())
            if stop.is_set():
                return
            if reading.done():
                await self._announce()
            else:
                self._reading = reading
            tables = (self._store.sessions.name, self._store.intervals.name)
            with self._store.database.changes.subscribe(*tables) as changes:
                await run_reconcile_loop(self.name, self._turn, changes, clock=self._clock, stop=stop)
        finally:
            reading.cancel()

    async def start(self, session_address: str, by: Pubkey) -> LiveSessionRow | Rejection:
        """Start by the signed command of a leader, from doors-open on."""
        return await self._command(session_address, by, Trigger.MANUAL_START, check_manual_start)

    async def reopen(self, session_address: str, by: Pubkey) -> LiveSessionRow | Rejection:
        """Reopen a session by the signed command of a leader, shortly after its end."""
        return await self._command(session_address, by, Trigger.REOPEN, check_reopen)

    async def end(self, session_address: str, by: Pubkey) -> LiveSessionRow | Rejection:
        """End by the signed command of a leader."""

        def check(facts: Facts, _policy: LifecyclePolicy, _now: int) -> Blocked | None:
            return None if facts.state is SessionState.ACTIVE else Blocked(BlockReason.WRONG_STATE, None)

        return await self._command(session_address, by, Trigger.MANUAL_END, check)

    async def _command(
        self,
        session_address: str,
        by: Pubkey,
        trigger: Trigger,
        check: Callable[[Facts, LifecyclePolicy, int], Blocked | None],
    ) -> LiveSessionRow | Rejection:
        for _ in range(_TRIES):  # its own event may come back from a relay at the same moment
            answer = await self._try(session_address, by, trigger, check)
            if answer is not None:
                return answer
        return Rejection(Slug.BUSY, "the session changed meanwhile", "Try again.")

    async def _try(
        self,
        session_address: str,
        by: Pubkey,
        trigger: Trigger,
        check: Callable[[Facts, LifecyclePolicy, int], Blocked | None],
    ) -> LiveSessionRow | Rejection | None:
        """Try one move; None if the row changed between the read and the write."""
        row = await self._store.sessions.where("lessonId").equals(session_address).first()
        if row is None:
            return Rejection(Slug.UNKNOWN_SESSION, "there is no such session here", "`podium session list` shows them.")
        if by not in (row.instructor_pubkey, *row.co_hosts):
            detail = "only the instructor and co-hosts start and end a session"
            return Rejection(Slug.NOT_ALLOWED, detail, "Use the key of one of them.")
        now = int(self._clock.now())
        blocked = check(await self._facts(row), self.settings.policy, now)
        if blocked is not None:
            why = _NEEDED[trigger] if blocked.reason is BlockReason.WRONG_STATE else _WORDS[blocked.reason]
            detail = f"the session is {row.state}: {why}"
            opens = blocked.until if blocked.reason is BlockReason.DOORS_CLOSED else None
            values = {} if opens is None else {"opensAt": opens}
            return Rejection(slug_of(blocked.reason), detail, "`podium session show` says when it may.", values)
        if trigger is not Trigger.MANUAL_END and (refused := await self._open(row)):
            return refused
        return await self._moves.move(row, trigger, now)

    async def _turn(self, batch: Batch) -> float | None:
        now = int(self._clock.now())
        if self._reading is not None and self._reading.done():
            self._reading, self._look_at_all_at = None, 0
            self.announce_again()
        if not self._is_announced and now >= self._announce_at:
            await self._announce()
        if batch.resync or now >= self._look_at_all_at:
            await self._agenda.note_all(now)
            self._look_at_all_at = now + _LOOK_AT_ALL_EVERY
        self._agenda.note_changes(batch)
        is_any = await self._look_at_some()
        if self._room_at is not None and (is_any or now >= self._room_at):
            await self._keep_room()
        announce = None if self._is_announced else self._announce_at
        reads = None if self._reading is None else now + 1
        times = (self._agenda.next_at, self._look_at_all_at, announce, self._room_at, reads)
        return min(at for at in times if at is not None)

    async def _look_at_some(self) -> bool:
        """Look at what is due or has changed, for a second at most; return whether there was anything."""
        until, is_any = self._clock.monotonic() + _TURN, False
        self._agenda.begin()
        while rows := await self._agenda.take(now := int(self._clock.now())):
            is_any, stale = True, []
            for row in rows:
                wakeup, is_stale = (now + 1, False) if await self._waits(row, now) else await self._attend(row, now)
                self._agenda.note(row, wakeup)
                stale += [row] if is_stale else []
            await self._moves.commit([(row, row) for row in stale])
            if self._clock.monotonic() >= until:
                break
        return is_any

    def announce_again(self) -> None:
        """Compare the service's own events with those on the relays, at the next turn."""
        self._is_announced, self._announce_at = False, 0.0

    async def _announce(self) -> None:
        self._is_announced = True  # set before it is done: a reload meanwhile asks for another
        try:
            if self._at_start is not None and not await self._at_start():
                self._is_announced, self._announce_at = False, self._clock.now() + _LOOK_EVERY
            await self._keep_room()
        except BaseException:
            self._is_announced = False
            raise

    async def _keep_room(self) -> None:
        due = await self._status.keep_space()
        self._room_at = float("inf") if due is None else due

    async def _waits(self, row: LiveSessionRow, now: int) -> bool:
        """Whether the session has to wait for the past, which may say that it was moved or ended.

        What the store knew when the daemon started is started in time; on an empty disk nothing is.
        """
        if self._reading is None:
            return False
        is_due = isinstance(decide(await self._facts(row), self.settings.policy, now), Start)
        return not is_due or row.adopted_at >= self._up_since

    async def _attend(self, row: LiveSessionRow, now: int) -> tuple[int | None, bool]:
        """Do what the session needs now; return when to check it next, and whether its status is to be told anew."""
        facts = await self._facts(row)
        looks_again: int | None = None
        match decide(facts, self.settings.policy, now):
            case Start(trigger):
                if refused := await self._open(row):
                    await self._block(row, refused.detail)
                    return now + 30, False
                await self._moves.move(row, trigger, now)
                return now, False
            case End(trigger, at):
                await self._moves.move(row, trigger, at)
                return now, False
            case Cancel() | TakeBack() as decision:
                await self._moves.move(row, Trigger.CANCEL if isinstance(decision, Cancel) else Trigger.TAKEN_BACK, now)
                return now, False
            case Warn(ends_at):
                await self._warn(row, ends_at, now)
                return now, False
            case Blocked(reason, _):
                await self._block(row, _WORDS[reason])
                looks_again = now + _LOOK_EVERY
        status_due = self._status.due_at(row)
        if is_stale := status_due is not None and status_due <= now:
            status_due = self._status.due_at(self._status.refreshed_at(row, now))
        if doors_open(facts, self.settings.policy, now):
            await self._open(row)
        due = (next_wakeup(facts, self.settings.policy, now), status_due, looks_again)
        return min((time for time in due if time is not None and time > now), default=None), is_stale

    async def _facts(self, row: LiveSessionRow) -> Facts:
        seen: Sequence[IntervalRow] = ()
        if row.state == SessionState.ACTIVE or row.scheduled_at <= self._clock.now():  # before that no presence counts
            key = [row.session_address, row.instructor_pubkey]
            seen = await self._store.intervals.where("[lessonId+pubkey]").equals(key).to_list()
        return Facts(
            state=SessionState(row.state),
            scheduled_start=row.scheduled_at,
            scheduled_end=row.ends_at,
            started_at=row.started_at,
            ended_at=row.ended_at,
            cancelled=row.withdrawn,
            instructor_verified=self._is_instructor(Pubkey(row.instructor_pubkey)),
            instructor_present=any(interval.left_at is None for interval in seen),
            instructor_last_seen=max((interval.left_at or interval.last_evidence for interval in seen), default=None),
            start_policy=self.settings.start_policy,
            warned=row.warned_at is not None,
            ended_by_withdrawal=row.end_reason == Trigger.WITHDRAWN,
            observed_since=self._up_since,
        )

    async def _open(self, row: LiveSessionRow) -> Rejection | None:
        try:
            opened = await self._engine.open_room(self.settings.room_of(row))
        except EngineUnavailable as error:
            return Rejection(Slug.ENGINE, str(error), "It is tried again every half minute.")
        return None if isinstance(opened, RoomOpen) else opened

    async def _warn(self, row: LiveSessionRow, ends_at: int, now: int) -> None:
        # stored first: a daemon that dies in between must not warn twice
        if await self._moves.put(row, msgspec.structs.replace(row, warned_at=now, version=row.version + 1)):
            await self._notify(row.session_address, f"This session ends in {max(1, round((ends_at - now) / 60))} min.")

    async def _block(self, row: LiveSessionRow, reason: str) -> None:
        if row.blocked_reason != reason:
            _log.warning("a session cannot start", action="session.blocked", session=row.session_address, reason=reason)
            await self._moves.put(row, msgspec.structs.replace(row, blocked_reason=reason, version=row.version + 1))

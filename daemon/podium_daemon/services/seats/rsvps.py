"""Seats and the waiting list: it assigns seats and places, and plans the message that tells each person."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import msgspec
import structlog

from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.reconcile_loop import Moment, comes, run_reconcile_loop
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.runtime.wakeups import Wakeups
from podium_protocol.events import EventId, Pubkey
from podium_protocol.live import reminders as messages
from podium_protocol.live import seats
from podium_protocol.live.lifecycle import SessionState
from podium_protocol.live.rsvp import Rsvp, RsvpStatus, needs_reconfirmation
from podium_storage.changes import Batch
from podium_storage.database import Transaction
from podium_storage.projections.rsvps import unsettled_sessions
from podium_storage.slices import in_slices
from podium_storage.store import Store
from podium_storage.table.models import LedgerRow, LiveSessionRow, RoomMemberRow, RsvpRow

_log = structlog.get_logger(__name__)
_OPEN: Final = (SessionState.SCHEDULED, SessionState.ACTIVE)
_LOOK_BACK: Final = 3 * 24 * 3600  # seconds; sessions that began longer ago are over
_SESSIONS: Final = 100  # read at a time
_BY_PERSON: Final = "[lessonId+pubkey]"
_ROWS_PER_SECOND: Final = 2_000  # a capped session of 10,000 is settled as a whole once in 5 s, not for each batch
_HELD: Final = "held"
_WAITING: Final = "waiting"
_NONE: Final = "none"
_MESSAGE: Final = {
    seats.SeatChangeKind.PROMOTED: messages.ReminderMessage.PROMOTED,
    seats.SeatChangeKind.WAITLISTED: messages.ReminderMessage.WAITLISTED,
}


class SeatService:
    """Owns the seat columns of the RSVP rows."""

    name = "rsvps"

    def __init__(
        self, *, store: Store, policy: seats.SeatPolicy, clock: Clock, past: Moment | None = None, since: int = 0
    ) -> None:
        """`past`: when all earlier answers are read; None: they are. `since`: see `PlannerSettings`."""
        self._past = past
        self._since = since
        self._store = store
        self.policy = policy
        """When unclaimed seats become free; a reload replaces it."""
        self._clock = clock
        self._rests: dict[str, float] = {}
        self._put_off: dict[str, None] = {}
        self._frees: Wakeups[str] = Wakeups()  # when unclaimed seats become free, of sessions with a cap

    async def run(self, stop: Stop) -> None:
        """Assign seats until the stop; begins once all earlier answers are read."""
        if self._past is not None and not await comes(self._past, stop):
            return
        tables = (self._store.sessions.name, self._store.rsvps.name, self._store.members.name)
        with self._store.changes.subscribe(*tables) as changes:
            await run_reconcile_loop(self.name, self._turn, changes, clock=self._clock, stop=stop)

    async def _turn(self, batch: Batch) -> float | None:
        now = self._clock.now()
        self._rests = {session_address: at for session_address, at in self._rests.items() if at > now}
        touched = await self._all_to_settle(int(now)) if batch.resync else self._touched(batch, now)
        resting = {session_address for session_address in touched if session_address in self._rests}
        self._put_off |= dict.fromkeys(resting)
        async for part in in_slices(sorted(touched.keys() - resting), _SESSIONS):
            for session in await self._open(part, int(now)):
                people = None if session.max_participants is not None else touched[session.session_address]
                seen = await self._settle(session, None if people is None else frozenset(people), int(now))
                self._rests[session.session_address] = now + seen / _ROWS_PER_SECOND
        later = [self._rests[session_address] for session_address in self._put_off]
        frees = [] if self._frees.next_at is None else [self._frees.next_at]
        return min((at for at in (*later, *frees) if at > now), default=None)

    async def _all_to_settle(self, now: int) -> dict[str, set[str] | None]:
        """Sessions in whose rows something may not be settled, whenever that came about."""
        self._frees, capped = Wakeups(), []
        since = now - _LOOK_BACK
        async for session in (
            self._store.sessions.where("scheduledAt").above(since).and_("maxParticipants").above(0).each()
        ):
            self._note(session, now)
            capped.append(session)
        freed = [row.session_address for row in capped if row.state in _OPEN and self._frees_at(row) <= now]
        return dict.fromkeys((*self._put_off, *freed, *await unsettled_sessions(self._store.database, since)))

    def _touched(self, batch: Batch, now: float) -> dict[str, set[str] | None]:
        """Sessions to settle, with the people concerned; None stands for all people."""
        touched: dict[str, set[str] | None] = dict.fromkeys(self._put_off)
        for change in batch.changes:
            row = change.after or change.before
            if isinstance(row, LiveSessionRow):
                if _concerns_seats(change.before, change.after):
                    touched[row.session_address] = None
            elif (
                isinstance(row, RsvpRow | RoomMemberRow)
                and (people := touched.setdefault(row.session_address, set())) is not None
            ):
                people.add(row.pubkey)
        # no row changes at the time when unclaimed seats become free
        return touched | dict.fromkeys(self._frees.due(now))

    async def _open(self, addresses: Sequence[str], now: int) -> list[LiveSessionRow]:
        """Read these sessions; of those that are over nothing is remembered."""
        for session_address in addresses:
            self._put_off.pop(session_address, None)
            self._frees.discard(session_address)
        rows = await self._store.sessions.where("lessonId").any_of(addresses).to_list()
        found = [row for row in rows if row.state in _OPEN and row.scheduled_at > now - _LOOK_BACK]
        for row in found:
            self._note(row, now)
        return found

    def _note(self, row: LiveSessionRow, now: int) -> None:
        if row.state in _OPEN and row.max_participants is not None and self._frees_at(row) > now:
            self._frees.set(row.session_address, self._frees_at(row))

    def _frees_at(self, row: LiveSessionRow) -> int:
        return row.scheduled_at + self.policy.unclaimed_after

    async def _settle(self, session: LiveSessionRow, people: frozenset[str] | None, now: int) -> int:
        """Read, decide and write in one transaction, so that a seat is never given twice; returns the rows read.

        Without a cap each person who confirms has a seat, and only the rows of `people` are read.
        """

        async def scope(tx: Transaction) -> int:
            rsvps = self._store.rsvps.within(tx)
            if people is None:
                rows = await rsvps.where("lessonId").equals(session.session_address).to_list()
            else:
                rows = (
                    await rsvps.where(_BY_PERSON).any_of([[session.session_address, key] for key in people]).to_list()
                )
            before = _allocation(rows)
            after = await self._allocate(tx, session, rows, now)
            changed = _seated(_flagged(rows, session), after, rows)
            await rsvps.bulk_put(changed)
            told = [] if session.max_participants is None else seats.changes(before, after)
            old = _old_answers(rows, self._since)
            await self._tell(tx, session, [change for change in told if change.kind in _MESSAGE], old, now)
            if changed:
                _log.info(
                    "seats settled", action="seats.settled", session=session.session_address, changed=len(changed)
                )
            return len(rows)

        return await self._store.database.transact(scope)

    async def _allocate(
        self, tx: Transaction, session: LiveSessionRow, rows: Sequence[RsvpRow], now: int
    ) -> seats.Allocation:
        came: set[str] = set()
        if session.max_participants is not None:
            members = await self._store.members.within(tx).where("lessonId").equals(session.session_address).to_list()
            came = {member.pubkey for member in members if member.proof_id is not None}
        requests = (
            seats.SeatRequest(
                pubkey=Pubkey(row.pubkey),
                status=RsvpStatus(row.status),
                first_seen=row.first_seen_at,
                sequence=row.first_seen,
                holds_seat=row.seat == _HELD,
                claimed=row.pubkey in came,
            )
            for row in rows
        )
        return seats.allocate(
            requests, session.max_participants, now=now, starts_at=session.scheduled_at, policy=self.policy
        )

    async def _tell(
        self,
        tx: Transaction,
        session: LiveSessionRow,
        changes: Sequence[seats.SeatChange],
        old: Collection[str],
        now: int,
    ) -> None:
        rows = []
        for change in changes:
            plan = _planned(change, session, is_old=change.pubkey in old, now=now)
            rows.append(
                LedgerRow(
                    session_address=session.session_address,
                    epoch=session.epoch,
                    message=plan.message,
                    pubkey=change.pubkey,
                    state=plan.state,
                    due_at=plan.due_at,
                    window_ends_at=plan.window_ends_at,
                    relays=(),
                    updated_at=now,
                )
            )
        await self._store.ledger.within(tx).upsert(rows, by="[lessonId+epoch+message+pubkey]")


def _concerns_seats(before: object, after: object) -> bool:
    """Whether a change of a session row changes a seat or its flag; a refreshed status does not."""
    if not isinstance(before, LiveSessionRow) or not isinstance(after, LiveSessionRow):
        return True
    named = ("state", "scheduled_at", "max_participants", "revisions", "epoch")
    return any(getattr(before, name) != getattr(after, name) for name in named)


def _planned(change: seats.SeatChange, session: LiveSessionRow, *, is_old: bool, now: int) -> messages.PlannedMessage:
    if _MESSAGE[change.kind] is messages.ReminderMessage.PROMOTED:
        return messages.plan_promotion(now=now, ends_at=session.ends_at)
    plan = messages.plan_answer(messages.Standing.WAITLISTED, now=now, ends_at=session.ends_at, is_old=is_old)
    assert plan is not None, "waitlisted people are told so"
    return plan


def _old_answers(rows: Sequence[RsvpRow], since: int) -> frozenset[str]:
    """The people who get their first place now, but answered before this database was there."""
    return frozenset(row.pubkey for row in rows if row.seat == _NONE and messages.is_old_answer(row.rsvp_time, since))


def _allocation(rows: Sequence[RsvpRow]) -> seats.Allocation:
    seated = sorted((row for row in rows if row.seat == _HELD), key=lambda row: row.first_seen)
    waiting = sorted((row for row in rows if row.seat == _WAITING), key=lambda row: row.position or 0)
    return seats.Allocation(tuple(Pubkey(row.pubkey) for row in seated), tuple(Pubkey(row.pubkey) for row in waiting))


def _flagged(rows: Sequence[RsvpRow], session: LiveSessionRow) -> list[RsvpRow]:
    """The rows, with a flag on answers that were given to another start (wire-formats.md)."""
    starts = {EventId(event_id): start for event_id, start in session.revisions}
    return [
        msgspec.structs.replace(
            row, needs_reconfirmation=needs_reconfirmation(_answer(row), session.scheduled_at, starts)
        )
        for row in rows
    ]


def _answer(row: RsvpRow) -> Rsvp:
    return Rsvp(
        session_address=row.session_address,
        pubkey=Pubkey(row.pubkey),
        status=RsvpStatus(row.status),
        created_at=row.rsvp_time,
        event_id=EventId(row.event_id),
        revision_id=EventId(row.revision_id) if row.revision_id else None,
    )


def _seated(rows: Sequence[RsvpRow], after: seats.Allocation, before: Sequence[RsvpRow]) -> list[RsvpRow]:
    """The rows that have changed."""
    seated, positions = frozenset(after.seated), after.positions()
    changed = []
    for row, old in zip(rows, before, strict=True):
        position = positions.get(Pubkey(row.pubkey))
        seat = _HELD if row.pubkey in seated else _WAITING if position is not None else _NONE
        new = msgspec.structs.replace(row, seat=seat, position=position)
        if new != old:
            changed.append(new)
    return changed

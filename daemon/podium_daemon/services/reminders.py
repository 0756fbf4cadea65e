"""Private messages to people: planned into the ledger, wrapped before they are due, sent once, and accounted for."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from podium_daemon.clock import Clock
from podium_daemon.services.reminder_planner import PlannerSettings, Recipient, by_person, plan_for
from podium_daemon.services.reminder_wrapping import Wrapper, inboxes_of, stored_wrap
from podium_daemon.supervisor import Stop
from podium_daemon.turns import take_turns
from podium_protocol import kinds
from podium_protocol.events import Pubkey, SignedEvent, VerifiedEvent
from podium_protocol.live import reminder_ledger as rules
from podium_protocol.live.lifecycle import State
from podium_protocol.live.reminders import LedgerState, Message, ReminderPolicy
from podium_storage import mirror as mirror_module
from podium_storage import outbox as outbox_module
from podium_storage.changes import Batch
from podium_storage.database import Transaction
from podium_storage.deliveries import Delivery, DeliveryState, OutboxItem, Priority
from podium_storage.mirror import Mirror
from podium_storage.outbox import Outbox
from podium_storage.rows import AttendanceRow, LedgerRow, LiveSessionRow, OptOutRow, RsvpRow
from podium_storage.store import Store

_log = structlog.get_logger(__name__)
_BY_KEY: Final = "[lessonId+epoch+message+pubkey]"
_REFERENCE: Final = "reminder:"
_BATCH: Final = 25  # wraps made before the loop gets its turn: about 10 ms
_LOOK_BACK: Final = 15 * 24 * 3600  # seconds; the longest window, that of a recording, is 14 days


class ReminderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds."""

    planner: PlannerSettings
    prepare_ahead: int = 600


class Reminders:
    """Owns the ledger."""

    name = "reminders"

    def __init__(
        self,
        settings: ReminderSettings,
        *,
        store: Store,
        mirror: Mirror,
        outbox: Outbox,
        wrapper: Wrapper,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self._store = store
        self._mirror = mirror
        self._outbox = outbox
        self._wrapper = wrapper
        self._clock = clock

    @property
    def _policy(self) -> ReminderPolicy:
        return self.settings.planner.policy

    async def run(self, stop: Stop) -> None:
        """Plan, prepare and send until told to stop."""
        names = (table.name for table in (self._store.sessions, self._store.rsvps, self._store.attendance))
        tables = (*names, self._store.ledger.name, mirror_module.TABLE, outbox_module.TABLE)
        with self._store.changes.subscribe(*tables) as changes:
            await take_turns(self.name, self._turn, changes, clock=self._clock, stop=stop)

    async def _turn(self, batch: Batch) -> float | None:
        now = int(self._clock.now())
        await self._account(batch, now)
        await self._plan(batch, now)
        await self._retry_undeliverable(batch, now)
        await self._send_due(now)
        await self._prepare(now)
        return await self._next_due(now)

    # -- planning

    async def _plan(self, batch: Batch, now: int) -> None:
        rows = await self._store.sessions.where("scheduledAt").above(now - _LOOK_BACK).to_list()
        sessions = {row.lesson_id: row for row in rows}
        for lesson_id, people in self._touched(batch, sessions).items():
            await self._plan_session(sessions[lesson_id], people, now)

    def _touched(self, batch: Batch, sessions: dict[str, LiveSessionRow]) -> dict[str, set[str] | None]:
        """Sessions to plan again, with the people concerned, or None for everybody."""
        if batch.resync:
            return dict.fromkeys(sessions)
        touched: dict[str, set[str] | None] = {}
        for change in batch.changes:
            row = change.after or change.before
            if isinstance(row, LiveSessionRow) and _concerns_everybody(change.before, change.after):
                touched[row.lesson_id] = None
            elif isinstance(row, RsvpRow | AttendanceRow):
                people = touched.setdefault(row.lesson_id, set())
                if people is not None:
                    people.add(row.pubkey)
        return {lesson_id: people for lesson_id, people in touched.items() if lesson_id in sessions}

    async def _plan_session(self, session: LiveSessionRow, people: set[str] | None, now: int) -> None:
        async def scope(tx: Transaction) -> int:
            bound = self._store.within(tx)
            if people is None:
                lesson = session.lesson_id
                rsvps = await bound.rsvps.where("lessonId").equals(lesson).to_list()
                came = await bound.attendance.where("lessonId").equals(lesson).to_list()
                ledger = await bound.ledger.where("lessonId").equals(lesson).to_list()
            else:
                keys = [[session.lesson_id, pubkey] for pubkey in people]
                rsvps = await bound.rsvps.where("[lessonId+pubkey]").any_of(keys).to_list()
                came = await bound.attendance.where("[lessonId+pubkey]").any_of(keys).to_list()
                whole = await bound.ledger.where("pubkey").any_of(list(people)).to_list()
                ledger = [row for row in whole if row.lesson_id == session.lesson_id]
            planned = self._planned(session, rsvps, came, ledger, now)
            await bound.ledger.upsert(planned, by=_BY_KEY)
            return len(planned)

        await self._store.database.transact(scope)

    def _planned(
        self,
        session: LiveSessionRow,
        rsvps: Sequence[RsvpRow],
        came: Sequence[AttendanceRow],
        ledger: Sequence[LedgerRow],
        now: int,
    ) -> list[LedgerRow]:
        answers = {row.pubkey: row for row in rsvps}
        attended = {row.pubkey for row in came}
        owed = by_person(ledger)
        return [
            row
            for pubkey in dict.fromkeys([*answers, *attended, *owed])
            for row in plan_for(
                session,
                Recipient(pubkey=pubkey, rsvp=answers.get(pubkey), attended=pubkey in attended),
                owed.get(pubkey, ()),
                settings=self.settings.planner,
                now=now,
            )
        ]

    # -- sending

    async def _send_due(self, now: int) -> None:
        rows = [row for state in (LedgerState.SCHEDULED, LedgerState.PREPARED) for row in await self._due(state, now)]
        for lesson_id, own in _by_lesson(rows).items():
            session = await self._store.sessions.where("lessonId").equals(lesson_id).first()
            if session is not None:
                await self._send(session, own, now)

    async def _send(self, session: LiveSessionRow, rows: Sequence[LedgerRow], now: int) -> None:
        rsvps = await self._rsvps_of(session, rows)
        inboxes = await inboxes_of(self._mirror, [row.pubkey for row in rows])
        facts = await self._facts(session, rows, rsvps)
        by_fact = dict(zip(facts, rows, strict=True))
        settled: list[LedgerRow] = []
        items: list[OutboxItem] = []
        for done, resolution in enumerate(rules.resolve_due(facts, now, self._policy), 1):
            row = by_fact[resolution.row]
            if resolution.verdict is rules.Verdict.SEND:
                relays = inboxes.get(row.pubkey, ())
                fresh = row if not resolution.late else msgspec.structs.replace(row, wrap=None)
                claimed, item = self._claimed(fresh, session, rsvps.get(row.pubkey), relays=relays, now=now)
                settled.append(claimed)
                items += item
            elif (state := resolution.verdict.state) is not None:
                settled.append(
                    msgspec.structs.replace(row, state=state, wrap=None, reason=resolution.reason, updated_at=now)
                )
            if done % _BATCH == 0:
                await asyncio.sleep(0)
        await self._commit(settled, items)

    def _claimed(
        self, row: LedgerRow, session: LiveSessionRow, rsvp: RsvpRow | None, *, relays: tuple[str, ...], now: int
    ) -> tuple[LedgerRow, list[OutboxItem]]:
        if not relays:
            return _undeliverable(row, now), []
        kept = stored_wrap(row) if row.revision == session.event_id else None
        prepared = row if kept is not None else self._prepared(row, session, rsvp, now)
        event: SignedEvent | VerifiedEvent | None = kept or stored_wrap(prepared)
        assert event is not None, "a prepared row keeps its wrap"
        assert prepared.id is not None, "it came from the store"
        item = OutboxItem(
            event=event,
            relays=relays,
            not_before=row.due_at,
            expires_at=row.window_ends_at,
            priority=Priority.URGENT if row.message == Message.START else Priority.NORMAL,
            lesson_id=row.lesson_id,
            reference=f"{_REFERENCE}{prepared.id}",
        )
        claimed = msgspec.structs.replace(
            prepared, state=LedgerState.CLAIMED, attempts=row.attempts + 1, reason=None, updated_at=now
        )
        return claimed, [item]

    async def _prepare(self, now: int) -> None:
        """Wrap what will be due soon, so that the moment itself costs only the sending."""
        rows = await self._due(LedgerState.SCHEDULED, now + self.settings.prepare_ahead)
        for lesson_id, own in _by_lesson(rows).items():
            session = await self._store.sessions.where("lessonId").equals(lesson_id).first()
            if session is None or session.state in (State.ENDED, State.CANCELLED):
                continue
            rsvps = await self._rsvps_of(session, own)
            inboxes = await inboxes_of(self._mirror, [row.pubkey for row in own])
            prepared: list[LedgerRow] = []
            for done, row in enumerate(own, 1):
                reachable = row.pubkey in inboxes
                prepared.append(
                    self._prepared(row, session, rsvps.get(row.pubkey), now) if reachable else _undeliverable(row, now)
                )
                if done % _BATCH == 0:
                    await asyncio.sleep(0)
            await self._commit(prepared, [])

    def _prepared(self, row: LedgerRow, session: LiveSessionRow, rsvp: RsvpRow | None, now: int) -> LedgerRow:
        wrapped = self._wrapper.wrap(row, session, rsvp)
        return msgspec.structs.replace(
            row,
            state=LedgerState.PREPARED,
            wrap=wrapped.event.to_json(),
            rumor_id=wrapped.rumor_id,
            revision=session.event_id,
            updated_at=now,
        )

    async def _commit(self, rows: Sequence[LedgerRow], items: Sequence[OutboxItem]) -> None:
        """The wrap is stored before it is first sent (semantics.md, "Once"): both in one transaction."""
        if not rows:
            return

        async def scope(tx: Transaction) -> None:
            current = await self._store.ledger.within(tx).bulk_get([row.id for row in rows if row.id is not None])
            untouched = {row.id for row in current if row is not None and LedgerState(row.state).is_unsent}
            await self._store.ledger.within(tx).bulk_put([row for row in rows if row.id in untouched])
            going = [item for item in items if _ledger_id(item.reference) in untouched]
            await self._outbox.add_many_within(tx, going)

        await self._store.database.transact(scope)

    # -- accounting

    async def _account(self, batch: Batch, now: int) -> None:
        """Write down what the relays said."""
        if batch.resync:
            claimed = (
                await self._store.ledger.where("[state+dueAt]")
                .between([LedgerState.CLAIMED, 0], [LedgerState.CLAIMED, now + 1])
                .to_list()
            )
            references = {f"{_REFERENCE}{row.id}" for row in claimed}
        else:
            changed = (change.after for change in batch.changes if isinstance(change.after, Delivery))
            references = {one.reference for one in changed if one.reference and one.reference.startswith(_REFERENCE)}
        deliveries = await self._outbox.status_of_references(sorted(references))
        if deliveries:
            await self._store.database.transact(lambda tx: self._write_down(tx, deliveries, now))

    async def _write_down(self, tx: Transaction, deliveries: Sequence[Delivery], now: int) -> None:
        told: dict[int, list[Delivery]] = defaultdict(list)
        for one in deliveries:
            if (ledger_id := _ledger_id(one.reference)) is not None:
                told[ledger_id].append(one)
        rows = await self._store.ledger.within(tx).bulk_get(list(told))
        after = [_accounted(row, told[row.id], now) for row in rows if row is not None and row.id is not None]
        await self._store.ledger.within(tx).bulk_put(after)
        reminded = [[row.lesson_id, row.pubkey] for row in after if _is_reminder(row)]
        if reminded:
            await self._store.rsvps.within(tx).where("[lessonId+pubkey]").any_of(reminded).modify(reminder_sent=True)

    async def _retry_undeliverable(self, batch: Batch, now: int) -> None:
        """Look again where people read messages: at once when they say so, else hourly."""
        lists = {
            change.after.pubkey
            for change in batch.changes
            if isinstance(change.after, VerifiedEvent) and change.after.kind == kinds.DM_RELAY_LIST
        }
        rows = (
            await self._store.ledger.where("[state+dueAt]")
            .between([LedgerState.UNDELIVERABLE, 0], [LedgerState.UNDELIVERABLE, now + self.settings.prepare_ahead + 1])
            .to_list()
        )
        again = [
            row
            for row in rows
            if now < row.window_ends_at
            and (batch.resync or row.pubkey in lists or now - row.updated_at >= self._policy.recheck_every)
        ]
        fresh = [
            msgspec.structs.replace(row, state=LedgerState.SCHEDULED, reason=None, updated_at=now) for row in again
        ]
        await self._commit(fresh, [])

    # -- reads

    async def _due(self, state: LedgerState, until: int) -> list[LedgerRow]:
        query = self._store.ledger.where("[state+dueAt]")
        return await query.between([state, 0], [state, until + 1]).to_list()

    async def _next_due(self, now: int) -> float | None:
        """When a message is to be wrapped or sent next."""
        times: list[float] = []
        for state, ahead in ((LedgerState.SCHEDULED, self.settings.prepare_ahead), (LedgerState.PREPARED, 0)):
            query = self._store.ledger.where("[state+dueAt]").between([state, now + 1], [state, 2**53])
            row = await query.first()
            if row is not None:
                times.append(max(row.due_at - ahead, now + 1))
        return min(times, default=None)

    async def _rsvps_of(self, session: LiveSessionRow, rows: Sequence[LedgerRow]) -> dict[str, RsvpRow]:
        keys = [[session.lesson_id, pubkey] for pubkey in {row.pubkey for row in rows}]
        found = await self._store.rsvps.where("[lessonId+pubkey]").any_of(keys).to_list()
        return {row.pubkey: row for row in found}

    async def _facts(
        self, session: LiveSessionRow, rows: Sequence[LedgerRow], rsvps: dict[str, RsvpRow]
    ) -> list[rules.LedgerRow]:
        people = sorted({row.pubkey for row in rows})
        keys = [[session.lesson_id, pubkey] for pubkey in people]
        intervals = await self._store.intervals.where("[lessonId+pubkey]").any_of(keys).to_list()
        came = await self._store.attendance.where("[lessonId+pubkey]").any_of(keys).to_list()
        quiet = await self._store.opt_outs.where("pubkey").any_of(people).to_list()
        present = {interval.pubkey for interval in intervals if interval.left_at is None}
        attended = {row.pubkey for row in came}
        stopped = {row.pubkey for row in quiet if _covers(row, session)}
        return [
            rules.LedgerRow(
                lesson_id=row.lesson_id,
                epoch=row.epoch,
                message=Message(row.message),
                pubkey=Pubkey(row.pubkey),
                due_at=row.due_at,
                window_ends_at=row.window_ends_at,
                state=LedgerState(row.state),
                standing=Recipient(
                    pubkey=row.pubkey, rsvp=rsvps.get(row.pubkey), attended=row.pubkey in attended
                ).standing,
                opted_out=row.pubkey in stopped,
                present=row.pubkey in present,
                live=session.state == State.ACTIVE,
            )
            for row in rows
        ]


def _concerns_everybody(before: object, after: object) -> bool:
    """Whether a change of a session row changes what people are owed; a refreshed status does not."""
    if not isinstance(before, LiveSessionRow) or not isinstance(after, LiveSessionRow):
        return True
    named = ("epoch", "state", "withdrawn", "moved_at", "recording_state", "title")
    return any(getattr(before, name) != getattr(after, name) for name in named)


def _by_lesson(rows: Sequence[LedgerRow]) -> dict[str, list[LedgerRow]]:
    found: dict[str, list[LedgerRow]] = defaultdict(list)
    for row in rows:
        found[row.lesson_id].append(row)
    return found


def _undeliverable(row: LedgerRow, now: int) -> LedgerRow:
    return msgspec.structs.replace(
        row,
        state=LedgerState.UNDELIVERABLE,
        wrap=None,
        reason="the recipient names no relays for private messages (kind 10050)",
        updated_at=now,
    )


def _ledger_id(reference: str | None) -> int | None:
    number = (reference or "").removeprefix(_REFERENCE)
    return int(number) if number.isascii() and number.isdigit() else None


def _accounted(row: LedgerRow, deliveries: Sequence[Delivery], now: int) -> LedgerRow:
    states = {one.state for one in deliveries}
    state = row.state
    if DeliveryState.DONE in states:
        state = LedgerState.SENT
    elif DeliveryState.READY not in states:
        state = LedgerState.FAILED
    said = tuple((one.relay, one.last_message or one.state.value) for one in deliveries)
    return msgspec.structs.replace(row, state=state, relays=said, updated_at=now)


def _is_reminder(row: LedgerRow) -> bool:
    return row.state == LedgerState.SENT and Message(row.message).is_offset


def _covers(row: OptOutRow, session: LiveSessionRow) -> bool:
    return row.lesson_id in ("*", session.lesson_id)

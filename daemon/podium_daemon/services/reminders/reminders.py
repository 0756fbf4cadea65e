"""Private messages to people: planned in the ledger, wrapped before they are due, sent once, with delivery recorded."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version
from itertools import islice
from typing import Final, TypeVar

import msgspec
import structlog

from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.reconcile_loop import Moment, comes, run_reconcile_loop
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.services.reminders.planner import Recipient, by_person, plan_for
from podium_daemon.services.reminders.rewrapping import Rewrapper
from podium_daemon.services.reminders.sending import LOOK_BACK, REFERENCE, ReminderSettings, Sender, ledger_id
from podium_daemon.writers.gift_wrapper import ListsRead, Wrapper
from podium_protocol import kinds
from podium_protocol.events import VerifiedEvent
from podium_protocol.live.reminders import LedgerState, ReminderMessage, ReminderPolicy
from podium_storage.changed_sessions import session_with_messages
from podium_storage.changes import Batch, ChangeSubscription
from podium_storage.database import Transaction
from podium_storage.meta import Meta
from podium_storage.mirror import mirror as mirror_module
from podium_storage.mirror.mirror import Mirror
from podium_storage.outbox import outbox as outbox_module
from podium_storage.outbox.outbox import Outbox
from podium_storage.outbox.values import Delivery, DeliveryState
from podium_storage.slices import in_slices
from podium_storage.store import Store
from podium_storage.table.models import AttendanceRow, GuestRow, LedgerRow, LiveSessionRow, RsvpRow

_log = structlog.get_logger(__name__)
_BY_KEY: Final = "[lessonId+epoch+message+pubkey]"
_PLANNING: Final = 0.5  # seconds in one turn
_MOMENT: Final = 0.05  # seconds between two turns that plan
_AT_ONCE: Final = 20  # sessions read at a time
_PEOPLE: Final = 100  # planned for before the event loop gets a turn: some 3 ms
_FORGET_AFTER: Final = 60.0  # seconds from a change until it is noted that it was dealt with: not a commit for each
_PLANNED_WITH: Final = "messagesPlannedWith"


P = TypeVar("P", RsvpRow, AttendanceRow)


class ReminderService:
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
        past: Moment | None = None,
        lists_read: ListsRead = lambda _: True,
    ) -> None:
        """`past`: when all `stop` messages of the past are read; None: they are.

        `lists_read`: whether all relays were read for a person's message relays; only then is the person unreachable.
        """
        self._past = past
        self._wrapper = wrapper
        self._sender = Sender(
            settings, store=store, mirror=mirror, outbox=outbox, wrapper=wrapper, lists_read=lists_read
        )
        self._rewrapper = Rewrapper(store=store, outbox=outbox, wrapper=wrapper)
        self._store = store
        self._meta = Meta(store.database)
        self._outbox = outbox
        self._clock = clock
        self._look_again_at = 0
        self._to_plan: dict[str, set[str] | None] = {}  # sessions to plan, and for which people; None: for all
        self._unplanned: deque[int] = deque()  # sessions that were not looked at since the settings changed
        self._changes: ChangeSubscription | None = None
        self._forget_at: float | None = None  # when what is planned by now is forgotten as changed; None: nothing is

    @property
    def settings(self) -> ReminderSettings:
        """The settings in force; a reload replaces them."""
        return self._sender.settings

    @settings.setter
    def settings(self, settings: ReminderSettings) -> None:
        self._sender.settings = settings
        self._wrapper.policy = settings.planner.policy

    @property
    def _policy(self) -> ReminderPolicy:
        return self.settings.planner.policy

    async def run(self, stop: Stop) -> None:
        """Plan, prepare and send until the stop; begins once it is known who wants no messages (any more)."""
        if self._past is not None and not await comes(self._past, stop):
            return
        names = (table.name for table in (self._store.sessions, self._store.rsvps, self._store.attendance))
        tables = (*names, self._store.ledger.name, mirror_module.TABLE, outbox_module.TABLE)
        with self._store.changes.subscribe(*tables) as self._changes:
            await run_reconcile_loop(self.name, self._turn, self._changes, clock=self._clock, stop=stop)

    async def _turn(self, batch: Batch) -> float | None:
        now = int(self._clock.now())
        await self._account(batch, now)
        await self._plan(batch, now)
        await self._retry_undeliverable(batch, now)
        self._sender.unread.look_again(now, told_more=batch.resync or bool(_message_relay_lists(batch)))
        await self._sender.send_due(now)
        await self._sender.prepare(now)
        if self._forget_at is not None and self._clock.monotonic() >= self._forget_at:
            await self._forget_changes()
        return await self._next_due(now)

    # -- planning

    async def _plan(self, batch: Batch, now: int) -> None:
        """Plan what changed, then all that is left to plan, for a second at most: what is due must not wait for it."""
        if batch.resync:
            await self._plan_anew(now)
        touched = _touched(batch)
        if self._forget_at is None and (touched or batch.resync):
            self._forget_at = self._clock.monotonic() + _FORGET_AFTER
        for address, people in touched.items():
            known = self._to_plan.get(address, set())
            self._to_plan[address] = None if people is None or known is None else known | people
        until = self._clock.monotonic() + _PLANNING
        while rows := await self._next_to_plan():
            for row in rows:
                if row.scheduled_at > now - LOOK_BACK:
                    await self._plan_session(row, self._to_plan.get(row.session_address), now)
                self._to_plan.pop(row.session_address, None)
            if self._clock.monotonic() >= until:
                return

    async def _plan_anew(self, now: int) -> None:
        """Plan the sessions that changed since all was planned; under other settings, every session."""
        before = await self._meta.get(_PLANNED_WITH)
        if before == self._planned_with():
            self._to_plan |= dict.fromkeys(await self._store.unplanned.addresses())
        else:
            if before:
                await self._meta.set(_PLANNED_WITH, "")  # should they be changed back before all is planned
            since = self._store.sessions.where("scheduledAt").above(now - LOOK_BACK)
            self._unplanned = deque(await since.primary_keys())

    async def _forget_changes(self) -> None:
        """Note that all is planned, for the next start, unless something changed meanwhile."""
        if self._changes is None or self._to_plan or self._unplanned or self._forget_at is None:
            return
        self._forget_at = self._clock.monotonic() + _FORGET_AFTER
        if await self._store.unplanned.clear(self._changes):
            self._forget_at = None
            if await self._meta.get(_PLANNED_WITH) != self._planned_with():
                await self._meta.set(_PLANNED_WITH, self._planned_with())

    def _planned_with(self) -> str:
        """What the plan of a session depends on besides its rows."""
        return f"{version('podium-nostr')} {self.settings.planner}"

    async def _next_to_plan(self) -> list[LiveSessionRow]:
        """Read some of the sessions that are to be planned; none: there is no other."""
        sessions = self._store.sessions
        while self._to_plan:
            addresses = list(islice(self._to_plan, _AT_ONCE))
            rows = await sessions.where("lessonId").any_of(addresses).to_list()
            for gone in set(addresses) - {row.session_address for row in rows}:
                del self._to_plan[gone]
            if rows:
                return rows
        while self._unplanned:
            keys = [self._unplanned.popleft() for _ in range(min(_AT_ONCE, len(self._unplanned)))]
            if rows := [row for row in await sessions.bulk_get(keys) if row is not None]:
                return rows
        return []

    async def _plan_session(self, session: LiveSessionRow, people: set[str] | None, now: int) -> None:
        async def scope(tx: Transaction) -> int:
            bound = self._store.within(tx)
            if people is None:
                address = session.session_address
                rsvps = await bound.rsvps.where("lessonId").equals(address).to_list()
                came = await bound.attendance.where("lessonId").equals(address).to_list()
                ledger = await bound.ledger.where("lessonId").equals(address).to_list()
            else:
                keys = [[session.session_address, pubkey] for pubkey in people]
                rsvps = await bound.rsvps.where("[lessonId+pubkey]").any_of(keys).to_list()
                came = await bound.attendance.where("[lessonId+pubkey]").any_of(keys).to_list()
                ledger = await bound.ledger.where("[lessonId+pubkey]").any_of(keys).to_list()
            guests = await bound.guests.where("lessonId").equals(session.session_address).to_list()
            planned = await self._planned(session, _with_relays(rsvps, guests), _with_relays(came, guests), ledger, now)
            await bound.ledger.upsert(planned, by=_BY_KEY)
            return len(planned)

        await self._store.database.transact(scope)

    async def _planned(
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
        planned: list[LedgerRow] = []
        async for part in in_slices([*dict.fromkeys([*answers, *attended, *owed])], _PEOPLE):
            for pubkey in part:
                recipient = Recipient(pubkey=pubkey, rsvp=answers.get(pubkey), attended=pubkey in attended)
                own = owed.get(pubkey, ())
                planned += plan_for(session, recipient, own, settings=self.settings.planner, now=now)
        return planned

    # -- accounting

    async def _account(self, batch: Batch, now: int) -> None:
        """Store the relays' answers."""
        if batch.resync:
            claimed = (
                await self._store.ledger.where("[state+dueAt]")
                .between([LedgerState.CLAIMED, 0], [LedgerState.CLAIMED, now + 1])
                .to_list()
            )
            references = {f"{REFERENCE}{row.id}" for row in claimed}
        else:
            changed = (change.after for change in batch.changes if isinstance(change.after, Delivery))
            references = {one.reference for one in changed if one.reference and one.reference.startswith(REFERENCE)}
        told = await self._told(references)
        if await self._rewrapper.send_again(told, now, recent=self.settings.rewrap_recent):
            told = await self._told(references)
        if told:
            await self._store.database.transact(lambda tx: self._write_down(tx, told, now))

    async def _told(self, references: Collection[str]) -> dict[int, list[Delivery]]:
        """The relays' answers by ledger row."""
        told: dict[int, list[Delivery]] = defaultdict(list)
        for one in await self._outbox.status_of_references(sorted(references)):
            if (row_id := ledger_id(one.reference)) is not None:
                told[row_id].append(one)
        return told

    async def _write_down(self, tx: Transaction, told: Mapping[int, Sequence[Delivery]], now: int) -> None:
        rows = await self._store.ledger.within(tx).bulk_get(list(told))
        after = [_accounted(row, told[row.id], now) for row in rows if row is not None and row.id is not None]
        await self._store.ledger.within(tx).bulk_put(after)
        reminded = [[row.session_address, row.pubkey] for row in after if _is_reminder(row)]
        if reminded:
            await self._store.rsvps.within(tx).where("[lessonId+pubkey]").any_of(reminded).modify(reminder_sent=True)

    async def _retry_undeliverable(self, batch: Batch, now: int) -> None:
        """Look people's message relays up again: at once when a list comes, else hourly, until it is too late.

        A person who still names none costs a read and no write.
        """
        if batch.resync or now >= self._look_again_at:
            self._look_again_at = now + self._policy.recheck_every
            rows = await self._sender.undeliverable(now)
        elif lists := _message_relay_lists(batch):
            owed = await self._store.ledger.where("pubkey").any_of(sorted(lists)).to_list()
            rows = [row for row in owed if row.state == LedgerState.UNDELIVERABLE and now < row.window_ends_at]
        else:
            return
        await self._sender.send_to_those_found(rows, now)

    # -- reads

    async def _next_due(self, now: int) -> float | None:
        """The next time at which a message is to be wrapped or sent."""
        # a moment later, so that what changed meanwhile is taken in
        times: list[float] = [self._clock.now() + _MOMENT] if self._to_plan or self._unplanned else []
        for state, ahead in ((LedgerState.SCHEDULED, self.settings.prepare_ahead), (LedgerState.PREPARED, 0)):
            query = self._store.ledger.where("[state+dueAt]").between([state, now + 1], [state, 2**53])
            row = await query.first()
            if row is not None:
                times.append(max(row.due_at - ahead, now + 1))
        if self._sender.work.is_put_off:
            times.append(now + 1)
        if self._sender.unread:
            times.append(self._sender.unread.again_at)
        return min(times, default=None)


def _with_relays(rows: Sequence[P], guests: Sequence[GuestRow]) -> list[P]:
    """The rows of people with a key of their own: no relay knows guests, whom the page and the calendar remind."""
    without = {one.pubkey for one in guests}
    return [row for row in rows if row.pubkey not in without]


def _touched(batch: Batch) -> dict[str, set[str] | None]:
    """Sessions to plan again after a batch, with the people concerned; None for all people."""
    touched: dict[str, set[str] | None] = {}
    for change in batch.changes:
        address, row = session_with_messages(change), change.after or change.before
        if address is not None and isinstance(row, LiveSessionRow):
            touched[address] = None
        elif address is not None and isinstance(row, RsvpRow | AttendanceRow):
            people = touched.setdefault(address, set())
            if people is not None:
                people.add(row.pubkey)
    return touched


def _message_relay_lists(batch: Batch) -> set[str]:
    """The people whose list of message relays (kind 10050) came."""
    events = (change.after for change in batch.changes)
    return {event.pubkey for event in events if isinstance(event, VerifiedEvent) and event.kind == kinds.DM_RELAY_LIST}


def _accounted(row: LedgerRow, deliveries: Sequence[Delivery], now: int) -> LedgerRow:
    states = {one.state for one in deliveries}
    state = row.state
    if DeliveryState.DONE in states:
        state = LedgerState.SENT
    elif DeliveryState.READY not in states:
        state = LedgerState.FAILED
    # of a relay that got a second wrap, the answer to that one counts
    said = tuple({one.relay: one.last_message or one.state.value for one in deliveries}.items())
    if (state, said) == (row.state, row.relays):
        return row  # after a resync most rows are known already
    return msgspec.structs.replace(row, state=state, relays=said, updated_at=now)


def _is_reminder(row: LedgerRow) -> bool:
    return row.state == LedgerState.SENT and ReminderMessage(row.message).is_offset

"""Sends due messages: wrapped ahead of time, judged when due, stored with their outbox rows in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from podium_daemon.services.reminders.planner import PlannerSettings, Recipient
from podium_daemon.writers.gift_wrapper import (
    NOT_READ,
    ListsRead,
    RecipientsUnread,
    Work,
    Wrapper,
    inboxes_of,
    stored_wrap,
)
from podium_daemon.writers.wrapping_child import WrapOrder
from podium_protocol.events import Pubkey, SignedEvent
from podium_protocol.live import reminder_ledger as rules
from podium_protocol.live.lifecycle import OVER, SessionState
from podium_protocol.live.reminders import LedgerState, ReminderMessage
from podium_protocol.live.said import ALL
from podium_storage.database import Transaction
from podium_storage.languages import Languages
from podium_storage.mirror.mirror import Mirror
from podium_storage.outbox.outbox import Outbox
from podium_storage.outbox.values import OutboxItem, Priority
from podium_storage.slices import in_slices
from podium_storage.store import Store
from podium_storage.table.models import LedgerRow, LiveSessionRow, OptOutRow, RsvpRow

REFERENCE: Final = "reminder:"
"""The prefix of a ledger row's reference in the outbox, before its number."""

LOOK_BACK: Final = 15 * 24 * 3600  # seconds; the longest window, that of a recording, is 14 days
_ROWS: Final = 500  # rows a transaction
_BATCH: Final = 25  # messages written, or wraps read, before the event loop gets a turn: some 3 ms


class ReminderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds. `rewrap_recent`: a relay that refuses a back-dated wrap gets one from the last ten minutes.

    `language`: the service's, for people of whom none is known.
    """

    planner: PlannerSettings
    prepare_ahead: int = 600
    rewrap_recent: bool = True
    language: str = "en"


class _Recipients(msgspec.Struct, frozen=True):
    """What wrapping needs to know of people, each by their public key."""

    rsvps: Mapping[str, RsvpRow]
    inboxes: Mapping[str, tuple[str, ...]]
    languages: Mapping[str, str]


class Sender:
    """Moves ledger rows from scheduled to claimed."""

    def __init__(
        self,
        settings: ReminderSettings,
        *,
        store: Store,
        mirror: Mirror,
        outbox: Outbox,
        wrapper: Wrapper,
        lists_read: ListsRead,
    ) -> None:
        self.settings = settings
        self.unread = RecipientsUnread(lists_read)
        self.work = Work()
        self._store = store
        self._mirror = mirror
        self._outbox = outbox
        self._wrapper = wrapper
        self._languages = Languages(store.database)

    async def send_due(self, now: int) -> None:
        """Judge every due row and queue the messages to send; begins a turn. `now` is Unix seconds."""
        self.work.begin()
        rows = [row for state in (LedgerState.SCHEDULED, LedgerState.PREPARED) for row in await self.due(state, now)]
        for session_address, own in _by_session(rows).items():
            session = await self._store.sessions.where("lessonId").equals(session_address).first()
            if session is not None:
                await self._send(session, own, now)

    async def _send(self, session: LiveSessionRow, rows: Sequence[LedgerRow], now: int) -> None:
        recipients = await self._recipients(session, rows)
        facts = await self._facts(session, rows, recipients.rsvps, now)
        by_fact = dict(zip(facts, rows, strict=True))
        settled: list[LedgerRow] = []
        going: list[LedgerRow] = []
        async for part in in_slices(rules.resolve_due(facts, now, self.settings.planner.policy)):
            for resolution in part:
                row = by_fact[resolution.row]
                if resolution.verdict is rules.ReminderVerdict.SEND and row.pubkey in recipients.inboxes:
                    going.append(row if not resolution.late else msgspec.structs.replace(row, wrap=None))
                elif resolution.verdict is rules.ReminderVerdict.SEND:
                    settled += self._unreachable(row, now)
                elif (state := resolution.verdict.state) is not None:
                    settled.append(_as_settled(row, state, resolution.reason, now))
        claimed, items = await self._claimed(going, session, recipients, now)
        await self.commit([*settled, *claimed], items)

    def _unreachable(self, row: LedgerRow, now: int) -> list[LedgerRow]:
        """The row of a person without known message relays, if it changes."""
        if not self.unread.keeps(row.id, row.pubkey, row.updated_at, now):
            return [_undeliverable(row, now)]
        # with the reason, unless it has it already; `updated_at` stays, since its state is the same
        return [] if row.reason == NOT_READ else [msgspec.structs.replace(row, reason=NOT_READ)]

    async def _claimed(
        self, rows: Sequence[LedgerRow], session: LiveSessionRow, recipients: _Recipients, now: int
    ) -> tuple[list[LedgerRow], list[OutboxItem]]:
        """The rows as they are sent now; those that are put off for the work that their relays ask for are left out."""
        ready: dict[int | None, tuple[LedgerRow, SignedEvent]] = {}
        async for part in in_slices(rows, _BATCH):
            for row in part:
                if row.revision == session.event_id and (kept := stored_wrap(row)) is not None:
                    ready[row.id] = row, kept
        for one in await self._prepared([row for row in rows if row.id not in ready], session, recipients, now):
            ready[one[0].id] = one
        claimed: list[LedgerRow] = []
        items: list[OutboxItem] = []
        async for going in in_slices([ready[row.id] for row in rows if row.id in ready]):
            items += [outbox_item(row, event, recipients.inboxes[row.pubkey]) for row, event in going]
            claimed += [_as_claimed(row, now) for row, _ in going]
        return claimed, items

    async def prepare(self, now: int) -> None:
        """Wrap messages that will be due soon, so that they only have to be sent at that time."""
        rows = await self.due(LedgerState.SCHEDULED, now + self.settings.prepare_ahead)
        for session_address, own in _by_session(rows).items():
            session = await self._store.sessions.where("lessonId").equals(session_address).first()
            if session is None or session.state in OVER:
                continue
            recipients = await self._recipients(session, own)
            going = [row for row in own if row.pubkey in recipients.inboxes]
            rest = [row for row in own if row.pubkey not in recipients.inboxes]
            prepared = [row for row, _ in await self._prepared(going, session, recipients, now)]
            await self.commit([*prepared, *(after for row in rest for after in self._unreachable(row, now))], [])

    async def _prepared(
        self, rows: Sequence[LedgerRow], session: LiveSessionRow, recipients: _Recipients, now: int
    ) -> list[tuple[LedgerRow, SignedEvent]]:
        """Rows with their wraps; those that are put off for the work that their relays ask for are left out."""
        written: list[LedgerRow] = []
        orders: list[WrapOrder] = []
        async for part in in_slices(rows, _BATCH):
            for row in part:
                asked = self._wrapper.asked_by(recipients.inboxes[row.pubkey])
                if not self.work.puts_off(asked):
                    # a message that was written once stays in its language
                    tag = row.language or recipients.languages.get(row.pubkey, self.settings.language)
                    written.append(msgspec.structs.replace(row, language=tag))
                    orders.append(self._wrapper.order(written[-1], session, recipients.rsvps.get(row.pubkey), asked))
        events = await self._wrapper.wrap_all(orders)
        prepared: list[tuple[LedgerRow, SignedEvent]] = []
        async for made in in_slices(list(zip(written, orders, events, strict=True))):
            prepared += [(_as_prepared(row, order, event, session, now), event) for row, order, event in made]
        return prepared

    async def commit(self, rows: Sequence[LedgerRow], items: Sequence[OutboxItem]) -> None:
        """Store the wraps and queue them in one transaction, before they are first sent (semantics.md, "Once")."""
        if not rows:
            return

        async def scope(tx: Transaction) -> None:
            current = await self._store.ledger.within(tx).bulk_get([row.id for row in rows if row.id is not None])
            untouched = {row.id for row in current if row is not None and LedgerState(row.state).is_unsent}
            await self._store.ledger.within(tx).bulk_put([row for row in rows if row.id in untouched])
            going = [item for item in items if ledger_id(item.reference) in untouched]
            await self._outbox.add_many_within(tx, going)

        await self._store.database.transact(scope)

    async def send_to_those_found(self, rows: Sequence[LedgerRow], now: int) -> None:
        """Schedule undeliverable messages of people who name message relays by now."""
        inboxes = await inboxes_of(self._mirror, [row.pubkey for row in rows])
        found = [row for row in rows if row.pubkey in inboxes]
        for start in range(0, len(found), _ROWS):
            part = found[start : start + _ROWS]
            scheduled = LedgerState.SCHEDULED
            fresh = [msgspec.structs.replace(row, state=scheduled, reason=None, updated_at=now) for row in part]
            await self.commit(fresh, [])

    # -- reads

    async def undeliverable(self, now: int) -> list[LedgerRow]:
        """Rows that wait for their recipient to name message relays, and are not too late yet."""
        state, soon = LedgerState.UNDELIVERABLE, now + self.settings.prepare_ahead + 1
        query = self._store.ledger.where("[state+dueAt]").between([state, now - LOOK_BACK], [state, soon])
        return await query.and_("windowEndsAt").above(now).to_list()

    async def due(self, state: LedgerState, until: int) -> list[LedgerRow]:
        """Rows in a state that are due by `until`."""
        query = self._store.ledger.where("[state+dueAt]")
        rows = await query.between([state, 0], [state, until + 1]).to_list()
        return [row for row in rows if not self.unread.holds(row.id)]

    async def _recipients(self, session: LiveSessionRow, rows: Sequence[LedgerRow]) -> _Recipients:
        people = {row.pubkey for row in rows}
        keys = [[session.session_address, pubkey] for pubkey in people]
        found = await self._store.rsvps.where("[lessonId+pubkey]").any_of(keys).to_list()
        return _Recipients(
            rsvps={row.pubkey: row for row in found},
            inboxes=await inboxes_of(self._mirror, people),
            languages=await self._languages.of_people(people),
        )

    async def _facts(
        self, session: LiveSessionRow, rows: Sequence[LedgerRow], rsvps: Mapping[str, RsvpRow], now: int
    ) -> list[rules.DueReminder]:
        people = sorted({row.pubkey for row in rows})
        keys = [[session.session_address, pubkey] for pubkey in people]
        intervals = await self._store.intervals.where("[lessonId+pubkey]").any_of(keys).to_list()
        came = await self._store.attendance.where("[lessonId+pubkey]").any_of(keys).to_list()
        quiet = await self._store.opt_outs.where("pubkey").any_of(people).to_list()
        present = {interval.pubkey for interval in intervals if interval.left_at is None}
        attended = {row.pubkey for row in came}
        stopped = {row.pubkey for row in quiet if _covers(row, session)}
        facts: list[rules.DueReminder] = []
        async for part in in_slices(rows):
            facts += [
                rules.DueReminder(
                    session_address=row.session_address,
                    epoch=row.epoch,
                    message=ReminderMessage(row.message),
                    pubkey=Pubkey(row.pubkey),
                    due_at=row.due_at,
                    window_ends_at=_window_of(row, session, now),
                    state=LedgerState(row.state),
                    standing=Recipient(
                        pubkey=row.pubkey, rsvp=rsvps.get(row.pubkey), attended=row.pubkey in attended
                    ).standing,
                    opted_out=row.pubkey in stopped,
                    present=row.pubkey in present,
                    live=session.state == SessionState.ACTIVE,
                )
                for row in part
            ]
        return facts


def _window_of(row: LedgerRow, session: LiveSessionRow, now: int) -> int:
    """The window of "Live now" is counted from the actual start: before that it has no end."""
    waits = row.message == ReminderMessage.START and session.state == SessionState.SCHEDULED and not session.withdrawn
    return max(row.window_ends_at, now + 1) if waits else row.window_ends_at


def _as_settled(row: LedgerRow, state: LedgerState, reason: str | None, now: int) -> LedgerRow:
    return msgspec.structs.replace(row, state=state, wrap=None, reason=reason, updated_at=now)


def _as_prepared(row: LedgerRow, order: WrapOrder, event: SignedEvent, session: LiveSessionRow, now: int) -> LedgerRow:
    return msgspec.structs.replace(
        row,
        state=LedgerState.PREPARED,
        wrap=event.to_json(),
        rumor_id=order.rumor.id,
        revision=session.event_id,
        updated_at=now,
    )


def _as_claimed(row: LedgerRow, now: int) -> LedgerRow:
    attempts = row.attempts + 1
    return msgspec.structs.replace(row, state=LedgerState.CLAIMED, attempts=attempts, reason=None, updated_at=now)


def outbox_item(row: LedgerRow, event: SignedEvent, relays: tuple[str, ...]) -> OutboxItem:
    """Make the outbox item of a row's message."""
    assert row.id is not None, "it came from the store"
    return OutboxItem(
        event=event,
        relays=relays,
        not_before=row.due_at,
        expires_at=row.window_ends_at,
        priority=Priority.URGENT if row.message == ReminderMessage.START else Priority.NORMAL,
        session_address=row.session_address,
        reference=f"{REFERENCE}{row.id}",
    )


def ledger_id(reference: str | None) -> int | None:
    """The number of the ledger row that an outbox reference names, or None."""
    number = (reference or "").removeprefix(REFERENCE)
    return int(number) if number.isascii() and number.isdigit() else None


def _by_session(rows: Sequence[LedgerRow]) -> dict[str, list[LedgerRow]]:
    found: dict[str, list[LedgerRow]] = defaultdict(list)
    for row in rows:
        found[row.session_address].append(row)
    return found


def _undeliverable(row: LedgerRow, now: int) -> LedgerRow:
    return msgspec.structs.replace(
        row,
        state=LedgerState.UNDELIVERABLE,
        wrap=None,
        reason="the recipient names no relays for private messages (kind 10050)",
        updated_at=now,
    )


def _covers(row: OptOutRow, session: LiveSessionRow) -> bool:
    return row.session_address in (ALL, session.session_address)

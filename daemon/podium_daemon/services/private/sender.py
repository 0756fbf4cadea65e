"""Sends the messages of private sessions: letters are sealed and wrapped when due, and their delivery is recorded.

They go only to the relays on which the recipient reads private messages (kind 10050). A recipient who names none is
looked up again each hour, and at once when their list comes (semantics.md, "Reminders").
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog

from podium_daemon.runtime.clock import Clock
from podium_daemon.runtime.reconcile_loop import Moment, comes, run_reconcile_loop
from podium_daemon.runtime.supervisor import Stop
from podium_daemon.writers.gift_wrapper import (
    NOT_READ,
    AskedBy,
    ListsRead,
    RecipientsUnread,
    Work,
    inboxes_of,
    nothing_asked,
)
from podium_daemon.writers.private_outbox import rumor_of
from podium_daemon.writers.wrapping import MessageWrapping
from podium_daemon.writers.wrapping_child import WrapOrder
from podium_protocol import kinds
from podium_protocol.events import Pubkey, SignedEvent, VerifiedEvent
from podium_protocol.live.reminders import LedgerState
from podium_protocol.nips.nip11 import RequiredByRelays
from podium_storage.changes import Batch
from podium_storage.database import Transaction
from podium_storage.mirror import mirror as mirror_module
from podium_storage.mirror.mirror import Mirror
from podium_storage.outbox import outbox as outbox_module
from podium_storage.outbox.outbox import Outbox
from podium_storage.outbox.values import Delivery, DeliveryState, OutboxItem
from podium_storage.store import Store
from podium_storage.table.models import LetterRow

_log = structlog.get_logger(__name__)
REFERENCE: Final = "letter:"
"""The prefix of a letter's reference in the outbox, before its number and the beginning of its rumor's id."""

_BATCH: Final = 50  # letters read before the event loop gets a turn
_AT_ONCE: Final = 400  # letters of one turn
_RECHECK_EVERY: Final = 3600  # seconds
_WAITS: Final = 15 * 24 * 3600  # seconds after which an undeliverable letter stays so; sessions end long before
_NO_INBOX: Final = "the recipient names no relays for private messages (kind 10050)"


class PrivateSender:
    """Moves letters from scheduled to sent. `own_inbox` gives the relays on which the service reads messages."""

    name = "private post"

    def __init__(
        self,
        wrapping: MessageWrapping,
        *,
        store: Store,
        mirror: Mirror,
        outbox: Outbox,
        own_inbox: Callable[[], Sequence[str]],
        clock: Clock,
        past: Moment | None = None,
        lists_read: ListsRead = lambda _: True,
        asked_by: AskedBy = nothing_asked,
    ) -> None:
        """`past`: when all `stop` messages of the past are read; None: they are.

        `lists_read`: whether all relays were read for a person's message relays; only then is the person unreachable.
        `asked_by`: what the recipients' relays are known to ask of a wrap.
        """
        self._past = past
        self._wrapping = wrapping
        self._store = store
        self._mirror = mirror
        self._outbox = outbox
        self._own_inbox = own_inbox
        self._clock = clock
        self._asked_by = asked_by
        self._work = Work()
        self._look_again_at = 0
        self._unread = RecipientsUnread(lists_read)

    async def run(self, stop: Stop) -> None:
        """Send until the stop; begins once it is known who wants no messages (any more)."""
        if self._past is not None and not await comes(self._past, stop):
            return
        tables = (self._store.letters.name, mirror_module.TABLE, outbox_module.TABLE)
        with self._store.changes.subscribe(*tables) as changes:
            await run_reconcile_loop(self.name, self._turn, changes, clock=self._clock, stop=stop)

    async def _turn(self, batch: Batch) -> float | None:
        now = int(self._clock.now())
        await self._account(batch, now)
        await self._look_again(batch, now)
        self._unread.look_again(now, told_more=batch.resync or bool(_message_relay_lists(batch)))
        rows = await self._in_state(LedgerState.SCHEDULED, _AT_ONCE + len(self._unread))
        due = [row for row in rows if not self._unread.holds(row.id)][:_AT_ONCE]
        await self._send(due, now)
        if len(due) == _AT_ONCE or self._work.is_put_off:
            return now
        return min(self._look_again_at, self._unread.again_at) if self._unread else self._look_again_at

    async def _in_state(self, state: LedgerState, limit: int) -> list[LetterRow]:
        query = self._store.letters.where("[state+dueAt]").between([state, 0], [state, 2**53])
        return await query.limit(limit).to_list()

    # -- sending

    async def _send(self, rows: Sequence[LetterRow], now: int) -> None:
        """Store each wrap with its outbox rows before it is first sent: a retry sends the same bytes."""
        inboxes = await inboxes_of(self._mirror, [row.pubkey for row in rows])
        inboxes[self._wrapping.service] = tuple(self._own_inbox())
        settled: list[LetterRow] = []
        going: list[tuple[LetterRow, tuple[str, ...], WrapOrder]] = []
        self._work.begin()
        for done, row in enumerate(rows, 1):
            relays = inboxes.get(row.pubkey, ())
            if _is_expired(row, now):
                settled.append(_settled(row, LedgerState.MISSED, now, reason="its time had passed"))
            elif not relays and self._unread.keeps(row.id, row.pubkey, row.updated_at, now):
                if row.reason != NOT_READ:
                    settled.append(msgspec.structs.replace(row, reason=NOT_READ))
            elif not relays:
                settled.append(_settled(row, LedgerState.UNDELIVERABLE, now, reason=_NO_INBOX))
            elif not self._work.puts_off(asked := self._asked_by(relays)):
                settled.append(_settled(row, LedgerState.CLAIMED, now))
                going.append((row, relays, self._order(row, asked, now)))
            if done % _BATCH == 0:
                await asyncio.sleep(0)
        wraps = await self._wrapping.wrap_all([order for _, _, order in going])
        items = [_item(row, relays, wrap, now) for (row, relays, _), wrap in zip(going, wraps, strict=True)]
        await self._commit(rows, settled, items)

    def _order(self, row: LetterRow, asked: RequiredByRelays, now: int) -> WrapOrder:
        expiration = row.expires_at
        return self._wrapping.order(rumor_of(row), Pubkey(row.pubkey), now=now, expiration=expiration, asked=asked)

    async def _commit(
        self, before: Sequence[LetterRow], after: Sequence[LetterRow], items: Sequence[OutboxItem]
    ) -> None:
        if not after:
            return

        async def scope(tx: Transaction) -> None:
            table = self._store.letters.within(tx)
            current = await table.bulk_get([row.id for row in before if row.id is not None])
            # the letter may have been replaced or dropped while it was wrapped: then it is due again, or not at all
            untouched = {row.id for row, read in zip(current, before, strict=True) if row == read}
            await table.bulk_put([row for row in after if row.id in untouched])
            going = {_reference(row) for row in after if row.id in untouched}
            await self._outbox.add_many_within(tx, [item for item in items if item.reference in going])

        await self._store.database.transact(scope)

    # -- accounting

    async def _account(self, batch: Batch, now: int) -> None:
        """Store the relays' answers."""
        if batch.resync:
            references = {_reference(row) for row in await self._in_state(LedgerState.CLAIMED, 2**31)}
        else:
            changed = (change.after for change in batch.changes if isinstance(change.after, Delivery))
            references = {one.reference for one in changed if one.reference and one.reference.startswith(REFERENCE)}
        deliveries = await self._outbox.status_of_references(sorted(references))
        told: dict[str, list[Delivery]] = {}
        for one in deliveries:
            told.setdefault(one.reference or "", []).append(one)
        if told:
            await self._store.database.transact(lambda tx: self._write_down(tx, told, now))

    async def _write_down(self, tx: Transaction, told: dict[str, list[Delivery]], now: int) -> None:
        table = self._store.letters.within(tx)
        rows = await table.bulk_get([_number(reference) for reference in told])
        known = {_reference(row): row for row in rows if row is not None and row.state != LedgerState.SCHEDULED}
        await table.bulk_put([_accounted(known[name], said, now) for name, said in told.items() if name in known])

    async def _look_again(self, batch: Batch, now: int) -> None:
        """Look recipients' relays up again: one who names none costs a read and no write, until it is too late."""
        if batch.resync or now >= self._look_again_at:
            self._look_again_at = now + _RECHECK_EVERY
            state = LedgerState.UNDELIVERABLE
            query = self._store.letters.where("[state+dueAt]").between([state, now - _WAITS], [state, 2**53])
            away = [row for row in await query.to_list() if batch.resync or not _is_expired(row, now)]
        elif lists := _message_relay_lists(batch):
            owed = await self._store.letters.where("pubkey").any_of(sorted(lists)).to_list()
            away = [row for row in owed if row.state == LedgerState.UNDELIVERABLE and now - row.due_at < _WAITS]
        else:
            return
        inboxes = await inboxes_of(self._mirror, [row.pubkey for row in away])
        found = [row for row in away if row.pubkey in inboxes]
        for start in range(0, len(found), _AT_ONCE):
            part = found[start : start + _AT_ONCE]
            await self._commit(part, [_settled(row, LedgerState.SCHEDULED, now) for row in part], [])


def _message_relay_lists(batch: Batch) -> set[str]:
    """The people whose list of message relays (kind 10050) came."""
    events = (change.after for change in batch.changes)
    return {event.pubkey for event in events if isinstance(event, VerifiedEvent) and event.kind == kinds.DM_RELAY_LIST}


def _item(row: LetterRow, relays: tuple[str, ...], wrap: SignedEvent, now: int) -> OutboxItem:
    return OutboxItem(
        event=wrap,
        relays=relays,
        not_before=now,
        expires_at=row.expires_at,
        session_address=row.session_address,
        reference=_reference(row),
    )


def _is_expired(row: LetterRow, now: int) -> bool:
    return row.expires_at is not None and row.expires_at <= now


def _reference(row: LetterRow) -> str:
    return f"{REFERENCE}{row.id}:{row.rumor_id[:16]}"


def _number(reference: str) -> int:
    return int(reference.removeprefix(REFERENCE).partition(":")[0])


def _settled(row: LetterRow, state: LedgerState, now: int, reason: str | None = None) -> LetterRow:
    return msgspec.structs.replace(row, state=state, reason=reason, updated_at=now)


def _accounted(row: LetterRow, deliveries: Sequence[Delivery], now: int) -> LetterRow:
    states = {one.state for one in deliveries}
    said = tuple((one.relay, one.last_message or one.state.value) for one in deliveries)
    state, rumor = row.state, row.rumor
    if DeliveryState.DONE in states:
        state, rumor = LedgerState.SENT, b""
    elif DeliveryState.READY not in states:
        state = LedgerState.FAILED
    if (state, said) == (row.state, row.relays):
        return row  # after a resync most rows are known already
    return msgspec.structs.replace(row, state=state, rumor=rumor, relays=said, updated_at=now)

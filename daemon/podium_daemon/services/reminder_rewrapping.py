"""Messages that a relay refused for their date: wrapped once more, with a recent one, around the same rumor.

NIP-59 dates wraps up to two days back, and some relays take nothing that old (docs/wire-formats.md, trap 5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import structlog

from podium_daemon.services.reminder_sending import outbox_item
from podium_daemon.services.reminder_wrapping import Wrapper, stored_wrap
from podium_protocol import verdicts
from podium_protocol.events import SignedEvent, VerifiedEvent
from podium_protocol.live.reminders import LedgerState
from podium_protocol.verdicts import Invalid
from podium_storage.database import Transaction
from podium_storage.deliveries import Delivery, DeliveryState, OutboxItem
from podium_storage.outbox import Outbox
from podium_storage.rows import LedgerRow
from podium_storage.store import Store

_log = structlog.get_logger(__name__)
_BATCH: Final = 25  # wraps made before the loop gets its turn: about 10 ms


class Rewrapper:
    """Gives each message one recent wrap, for all relays that want one."""

    def __init__(self, *, store: Store, outbox: Outbox, wrapper: Wrapper) -> None:
        self._store = store
        self._outbox = outbox
        self._wrapper = wrapper

    async def send_again(self, told: Mapping[int, Sequence[Delivery]], now: int) -> bool:
        """Answer complaints among what relays said of ledger rows (by their ids). Whether anything goes out again."""
        complaining = [row_id for row_id, said in told.items() if _is_complaining(said)]
        rows = await self._store.ledger.bulk_get(complaining) if complaining else []
        items: dict[int, tuple[LedgerRow, OutboxItem]] = {}
        for done, row in enumerate(rows, 1):
            if row is None or row.id is None or row.state != LedgerState.CLAIMED or now >= row.window_ends_at:
                continue
            if (again := await self._again(row)) is not None and (relays := _unserved(told[row.id], again[1])):
                items[row.id] = again[0], outbox_item(again[0], again[1], relays)
                _log.warning("a relay wants a recent wrap", action="reminders.rewrapped", relays=relays)
            if done % _BATCH == 0:
                await asyncio.sleep(0)
        return await self._commit(items, now)

    async def _again(self, row: LedgerRow) -> tuple[LedgerRow, SignedEvent | VerifiedEvent] | None:
        """The row with its one recent wrap, which is made now unless it was made before."""
        if row.attempts > 1:
            return None if (kept := stored_wrap(row)) is None else (row, kept)
        session = await self._store.sessions.where("lessonId").equals(row.lesson_id).first()
        rsvp = await self._store.rsvps.where("[lessonId+pubkey]").equals([row.lesson_id, row.pubkey]).first()
        if session is None or (wrapped := self._wrapper.wrap_again(row, session, rsvp)) is None:
            return None
        again = msgspec.structs.replace(row, wrap=wrapped.event.to_json(), attempts=row.attempts + 1)
        return again, wrapped.event

    async def _commit(self, items: Mapping[int, tuple[LedgerRow, OutboxItem]], now: int) -> bool:
        """The wrap is stored before it is first sent (semantics.md, "Once"): both in one transaction."""

        async def scope(tx: Transaction) -> bool:
            ledger = self._store.ledger.within(tx)
            current = [row for row in await ledger.bulk_get(list(items)) if row is not None]
            claimed = [row.id for row in current if row.id is not None and row.state == LedgerState.CLAIMED]
            going = [items[row_id] for row_id in claimed]
            await ledger.bulk_put([msgspec.structs.replace(row, updated_at=now) for row, _ in going])
            await self._outbox.add_many_within(tx, [item for _, item in going])
            return bool(going)

        return bool(items) and await self._store.database.transact(scope)


def _is_complaining(said: Iterable[Delivery]) -> bool:
    """Whether a relay complained of the time, while none has the message: a copy would only show its real time."""
    return any(_is_complaint(one) for one in said) and all(one.state is not DeliveryState.DONE for one in said)


def _is_complaint(delivery: Delivery) -> bool:
    if delivery.state is not DeliveryState.FAILED:
        return False
    verdict = verdicts.of_ok(accepted=False, message=delivery.last_message or "")
    return isinstance(verdict, Invalid) and verdict.about_time


def _unserved(said: Sequence[Delivery], event: SignedEvent | VerifiedEvent) -> tuple[str, ...]:
    """The relays that complained and were not given `event` yet."""
    given = {one.relay for one in said if one.event_id == event.id}
    return tuple(dict.fromkeys(one.relay for one in said if _is_complaint(one) and one.relay not in given))

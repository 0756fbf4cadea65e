"""Messages that a relay refused for their date or for missing proof of work: the same rumor is wrapped once more.

NIP-59 dates wraps up to two days back, and some relays accept no event that old (docs/wire-formats.md, trap 5). What a
relay asks for without having named it in advance (NIP-11), such as proof of work, is done in the second wrap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec
import structlog

from podium_daemon.services.reminders.sending import outbox_item
from podium_daemon.writers.gift_wrapper import Work, Wrapper, made, stored_wrap
from podium_protocol.events import SignedEvent
from podium_protocol.live.reminders import LedgerState
from podium_protocol.nips import nip59
from podium_protocol.nips.nip11 import RequiredByRelays
from podium_protocol.relay import verdicts
from podium_protocol.relay.verdicts import Invalid, Pow
from podium_storage.database import Transaction
from podium_storage.outbox.outbox import Outbox
from podium_storage.outbox.values import Delivery, DeliveryState, OutboxItem
from podium_storage.store import Store
from podium_storage.table.models import LedgerRow

_log = structlog.get_logger(__name__)
_BATCH: Final = 25  # wraps made before the event loop gets a turn: about 10 ms


class Rewrapper:
    """Makes one other wrap of a message, for all relays that ask for one."""

    def __init__(self, *, store: Store, outbox: Outbox, wrapper: Wrapper) -> None:
        self._store = store
        self._outbox = outbox
        self._wrapper = wrapper
        self._work = Work()

    async def send_again(self, told: Mapping[int, Sequence[Delivery]], now: int, *, recent: bool = True) -> bool:
        """Answer the complaints among relays' answers (by ledger row id); whether any message is sent again.

        `recent`: whether complaints about the date are answered; otherwise they are final.
        """
        self._work.begin()
        complaints = {row_id: self._complaints(said, recent=recent) for row_id, said in told.items()}
        complaining = [row_id for row_id, found in complaints.items() if found]
        rows = await self._store.ledger.bulk_get(complaining) if complaining else []
        items: dict[int, tuple[LedgerRow, OutboxItem]] = {}
        for done, row in enumerate(rows, 1):
            if row is None or row.id is None or row.state != LedgerState.CLAIMED or now >= row.window_ends_at:
                continue
            found = complaints[row.id]
            again = await self._again(row, _all_of(found.values()))
            if again is not None and (relays := _unserved(told[row.id], found, again[1])):
                items[row.id] = again[0], outbox_item(again[0], again[1], relays)
                _log.warning("a relay wants another wrap", action="reminders.rewrapped", relays=relays)
            if done % _BATCH == 0:
                await asyncio.sleep(0)
        return await self._commit(items, now)

    def _complaints(self, said: Sequence[Delivery], *, recent: bool) -> dict[str, RequiredByRelays]:
        """What relays ask of another wrap; nothing once a relay has the message: a copy would reveal its real time."""
        most_work = self._wrapper.most_work()
        found = {one.relay: _asked_for(one, recent=recent, most_work=most_work) for one in said}
        if any(one.state is DeliveryState.DONE for one in said):
            return {}
        return {relay: asked for relay, asked in found.items() if asked is not None}

    async def _again(self, row: LedgerRow, asked: RequiredByRelays) -> tuple[LedgerRow, SignedEvent] | None:
        """The row with its other wrap, which is made now unless it was made before."""
        if row.attempts > 1:
            return None if (kept := stored_wrap(row)) is None else (row, kept)
        session = await self._store.sessions.where("lessonId").equals(row.session_address).first()
        rsvp = await self._store.rsvps.where("[lessonId+pubkey]").equals([row.session_address, row.pubkey]).first()
        if session is None or self._work.puts_off(asked):
            return None  # too many wraps need work in this turn: the refusals stay
        if (wrapped := await made(asked, lambda: self._wrapper.wrap_again(row, session, rsvp, asked))) is None:
            return None
        again = msgspec.structs.replace(row, wrap=wrapped.event.to_json(), attempts=row.attempts + 1)
        return again, wrapped.event

    async def _commit(self, items: Mapping[int, tuple[LedgerRow, OutboxItem]], now: int) -> bool:
        """Store the wraps and queue them in one transaction, before they are first sent (semantics.md, "Once")."""

        async def scope(tx: Transaction) -> bool:
            ledger = self._store.ledger.within(tx)
            current = [row for row in await ledger.bulk_get(list(items)) if row is not None]
            claimed = [row.id for row in current if row.id is not None and row.state == LedgerState.CLAIMED]
            going = [items[row_id] for row_id in claimed]
            await ledger.bulk_put([msgspec.structs.replace(row, updated_at=now) for row, _ in going])
            await self._outbox.add_many_within(tx, [item for _, item in going])
            return bool(going)

        return bool(items) and await self._store.database.transact(scope)


def _asked_for(delivery: Delivery, *, recent: bool, most_work: int) -> RequiredByRelays | None:
    """What a relay that refused asks of another wrap; None if it asks for nothing, or for more than we do."""
    if delivery.state is not DeliveryState.FAILED:
        return None
    verdict = verdicts.of_ok(accepted=False, message=delivery.last_message or "")
    if isinstance(verdict, Invalid) and verdict.about_time and recent:
        return RequiredByRelays(backdating=nip59.RECENT)
    if isinstance(verdict, Pow) and verdict.bits is not None and verdict.bits <= most_work:
        return RequiredByRelays(work=verdict.bits)
    return None


def _all_of(asked: Collection[RequiredByRelays]) -> RequiredByRelays:
    return RequiredByRelays(backdating=min(one.backdating for one in asked), work=max(one.work for one in asked))


def _unserved(said: Sequence[Delivery], complaining: Collection[str], event: SignedEvent) -> tuple[str, ...]:
    """The relays that complained and were not sent `event` yet."""
    given = {one.relay for one in said if one.event_id == event.id}
    return tuple(relay for relay in complaining if relay not in given)

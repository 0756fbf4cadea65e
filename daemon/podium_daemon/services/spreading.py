"""Sessions that a relay has in an older revision: it is given the newest, as long as it takes events from us.

An instructor's client writes to its own relays; whoever reads on another one would come at the old hour.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from podium_daemon.services.outgoing import Outgoing
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import VerifiedEvent
from podium_protocol.live import private
from podium_storage.database import Transaction
from podium_storage.store import Store

_log = structlog.get_logger(__name__)


class Spreading:
    """Queues the newest revisions; one that a relay was given before is not queued again."""

    def __init__(self, store: Store, outgoing: Outgoing) -> None:
        self._store = store
        self._outgoing = outgoing

    async def catch_up(self, outdated: Sequence[VerifiedEvent], relay: str) -> None:
        """`relay` gave these events, which newer ones have replaced; of private sessions it is given nothing."""
        if relay not in self._outgoing.relays:
            return
        addresses = {str(Address.of(event)) for event in outdated if event.kind == kinds.SESSION}
        rows = await self._store.sessions.where("lessonId").any_of(sorted(addresses)).to_list()
        for row in rows:
            address = Address.parse(row.lesson_id)
            newest = None if address is None or private.is_private(row) else await self._outgoing.held(address)
            if newest is None:
                continue
            _log.info("a relay has an older revision", action="session.spread", session=row.lesson_id, relay=relay)
            await self._queue(newest, row.lesson_id, relay)

    async def _queue(self, event: VerifiedEvent, lesson_id: str, relay: str) -> None:
        async def scope(tx: Transaction) -> None:
            await self._outgoing.add(tx, [event], lesson_id=lesson_id, relays=(relay,))

        await self._store.database.transact(scope)

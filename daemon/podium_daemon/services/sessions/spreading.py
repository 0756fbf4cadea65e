"""Sends relays what they lack: newer revisions of sessions, and to indexers the service's own lists.

An instructor's client writes to its own relays; a participant who reads another relay would come at the old time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import structlog

from podium_daemon.writers.event_writer import EventWriter
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import EventId, Pubkey, VerifiedEvent
from podium_protocol.live import private
from podium_storage.database import Transaction
from podium_storage.store import Store

_log = structlog.get_logger(__name__)

_LISTS: Final = (kinds.METADATA, kinds.RELAY_LIST, kinds.DM_RELAY_LIST)


class Spreading:
    """Queues the newest revisions; one that was sent to a relay before is not queued again."""

    def __init__(self, store: Store, event_writer: EventWriter) -> None:
        self._store = store
        self._event_writer = event_writer
        self._given: dict[int, tuple[EventId, tuple[str, ...]]] = {}

    async def catch_up(self, outdated: Sequence[VerifiedEvent], relay: str) -> None:
        """Queue the newest revisions for `relay`, which sent these outdated ones; none of private sessions."""
        if relay not in self._event_writer.relays:
            return
        addresses = {str(Address.from_event(event)) for event in outdated if event.kind == kinds.SESSION}
        rows = await self._store.sessions.where("lessonId").any_of(sorted(addresses)).to_list()
        for row in rows:
            address = Address.parse(row.session_address)
            newest = None if address is None or private.is_private(row) else await self._event_writer.held(address)
            if newest is None:
                continue
            _log.info(
                "a relay has an older revision", action="session.spread", session=row.session_address, relay=relay
            )
            await self._queue(newest, row.session_address, relay)

    async def give_lists(self, relays: Sequence[str], service: Pubkey) -> None:
        """Queue the service's profile and relay lists for `relays`, where people look for such lists."""
        for kind in _LISTS if relays else ():
            newest = await self._event_writer.held(Address(kind, service, ""))
            if newest is None or self._given.get(kind) == (newest.id, tuple(relays)):
                continue
            await self._queue(newest, None, *relays)
            self._given[kind] = newest.id, tuple(relays)

    async def _queue(self, event: VerifiedEvent, session_address: str | None, *relays: str) -> None:
        async def scope(tx: Transaction) -> None:
            await self._event_writer.add(tx, [event], session_address=session_address, relays=relays)

        await self._store.database.transact(scope)

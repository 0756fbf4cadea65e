"""Writes a signed event to the mirror and the outbox, inside the transaction that changes the state."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from podium_daemon.runtime.clock import Clock
from podium_protocol.addresses import Address
from podium_protocol.events import VerifiedEvent
from podium_storage.database import Transaction
from podium_storage.mirror.fold import IngestOutcome
from podium_storage.mirror.mirror import Mirror
from podium_storage.outbox.outbox import Outbox
from podium_storage.outbox.values import OutboxItem

Targets = Callable[[], Sequence[str]]
"""The relays of our own events: those configured with `write`."""


class EventWriter:
    """Takes the events that services have signed."""

    def __init__(self, mirror: Mirror, outbox: Outbox, targets: Targets, clock: Clock) -> None:
        self._mirror = mirror
        self._outbox = outbox
        self._targets = targets
        self._clock = clock

    @property
    def relays(self) -> tuple[str, ...]:
        """The relays to which our own events go now."""
        return tuple(self._targets())

    async def relays_of(self, session_address: str) -> tuple[str, ...]:
        """Every relay that ever got the session's events, and the present ones: a deletion goes to all of them."""
        return tuple(dict.fromkeys((*self.relays, *await self._outbox.relays_of(session_address))))

    async def add(
        self,
        tx: Transaction,
        events: Sequence[VerifiedEvent],
        *,
        session_address: str | None = None,
        relays: Sequence[str] | None = None,
    ) -> list[IngestOutcome]:
        """Mirror `events` and queue them for `relays` (every write relay), in the caller's transaction.

        Returns the mirror's outcome for each. A caller that needs every event to count must check them, and raise to
        roll the transaction back.
        """
        return await self._add(tx, [(session_address, events)], self.relays if relays is None else tuple(relays))

    async def add_many(
        self, tx: Transaction, told: Sequence[tuple[str, Sequence[VerifiedEvent]]]
    ) -> list[IngestOutcome]:
        """As `add`, for the events of several sessions, each with its address."""
        return await self._add(tx, told, self.relays)

    async def _add(
        self,
        tx: Transaction,
        told: Sequence[tuple[str | None, Sequence[VerifiedEvent]]],
        targets: tuple[str, ...],
    ) -> list[IngestOutcome]:
        now = int(self._clock.now())
        outcomes = await self.mirror_only(tx, [event for _, events in told for event in events])
        items = [
            OutboxItem(event=event, relays=targets, not_before=now, session_address=session_address)
            for session_address, events in told
            for event in events
        ]
        await self._outbox.add_many_within(tx, items)
        return outcomes

    async def mirror_only(self, tx: Transaction, events: Sequence[VerifiedEvent]) -> list[IngestOutcome]:
        """Mirror `events` and send them to no relay: those of private sessions are sent in gift wraps."""
        return await self._mirror.ingest_within(tx, events, received_at=int(self._clock.now()))

    async def held(self, address: Address) -> VerifiedEvent | None:
        """The revision of an address that counts, or None."""
        return await self._mirror.newest(address)

"""State first: what is signed goes into the mirror and the outbox in the transaction that makes it true."""

from __future__ import annotations

import pytest

from podium_daemon.writers.event_writer import EventWriter
from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import EventId, UnsignedEvent, VerifiedEvent
from podium_storage.database import Transaction
from podium_storage.mirror.fold import IngestOutcome
from tests.support.world import RELAY, World, signed, world

OTHER = "wss://other.example.org"


def status(here: World, *, at: int = 0, d: str = "x") -> VerifiedEvent:
    """An addressable event of the service."""
    draft = UnsignedEvent(here.service.pubkey, here.now + at, kinds.MEETING, (("d", d),), "")
    return signed(here.service, draft)


async def added(here: World, *events: VerifiedEvent, **fields: object) -> list[IngestOutcome]:
    """Hand over in a transaction of its own."""

    async def scope(tx: Transaction) -> list[IngestOutcome]:
        return await here.event_writer.add(tx, events, **fields)  # type: ignore[arg-type]  # tests name the fields they mean

    return await here.store.database.transact(scope)


async def test_an_event_is_mirrored_and_queued_for_every_write_relay() -> None:
    """Both happen together, and the event's session is known to the outbox."""
    async with world() as here:
        event = status(here)
        here.event_writer._targets = lambda: [RELAY, OTHER]
        assert await added(here, event, session_address="31923:x:y") == [IngestOutcome.STORED]
        assert await here.mirror.newest(Address(kinds.MEETING, here.service.pubkey, "x")) == event
        deliveries = await here.outbox.status_of(EventId(event.id))
        assert {one.relay: one.session_address for one in deliveries} == {RELAY: "31923:x:y", OTHER: "31923:x:y"}


async def test_a_failed_transaction_leaves_neither() -> None:
    """What is rolled back is neither mirrored nor sent."""
    async with world() as here:
        event = status(here)

        async def scope(tx: Transaction) -> None:
            await here.event_writer.add(tx, [event])
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await here.store.database.transact(scope)
        assert await here.outbox.status_of(EventId(event.id)) == []
        assert await here.mirror.newest(Address(kinds.MEETING, here.service.pubkey, "x")) is None


async def test_the_outcome_of_each_event_is_told() -> None:
    """The caller of an event that does not count learns it, and may end the transaction."""
    async with world() as here:
        new, old = status(here, at=5), status(here)
        assert await added(here, new, new) == [IngestOutcome.STORED, IngestOutcome.DUPLICATE]
        assert await added(here, old) == [IngestOutcome.SUPERSEDED]


async def test_named_relays_are_taken_instead() -> None:
    """A deletion goes where the session ever went."""
    async with world() as here:
        event = status(here)
        await added(here, event, relays=[OTHER])
        assert [one.relay for one in await here.outbox.status_of(EventId(event.id))] == [OTHER]


async def test_a_session_s_relays_are_all_that_ever_had_it() -> None:
    """Relays that were configured once are remembered with the session."""
    async with world() as here:
        row = await here.schedule()
        await added(here, status(here), relays=[OTHER], session_address=row.session_address)
        assert set(await here.event_writer.relays_of(row.session_address)) == {RELAY, OTHER}
        assert await here.event_writer.relays_of("31923:nobody:x") == (RELAY,)


async def test_an_event_without_a_relay_is_a_mistake() -> None:
    """Nothing is signed to go nowhere, and nothing is kept of it."""
    async with world() as here:
        nowhere = EventWriter(here.mirror, here.outbox, list, here.clock)
        event = status(here)
        with pytest.raises(LocalProtocolError):
            await here.store.database.transact(lambda tx: nowhere.add(tx, [event]))
        assert await here.mirror.newest(Address(kinds.MEETING, here.service.pubkey, "x")) is None

"""A mirror with its projection and queues on a temporary database, and short ways to write the events for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import VerifiedEvent
from podium_protocol.filters import Filter
from podium_protocol.keys import SecretKey
from podium_storage.mirror.mirror import Mirror
from podium_storage.outbox.outbox import Outbox
from podium_storage.projections.rsvps import RsvpProjection
from podium_storage.store import Store
from tests.support.events import NOW, verified


class Mirrored:
    """One open database and what stands on it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.projection = RsvpProjection(store.rsvps, store.database, store.interner)
        self.mirror = Mirror(store.database, store.interner, [self.projection])
        self.outbox = Outbox(store.database, store.interner)

    async def held(self) -> set[str]:
        """The ids of all events that the mirror holds."""
        return {event.id for event in await self.mirror.by_filter(Filter())}

    async def answers(self) -> dict[tuple[str, str], tuple[str, str]]:
        """Status and event of the RSVP of each (session, person)."""
        return {
            (row.session_address, row.pubkey): (row.status, row.event_id) for row in await self.store.rsvps.to_list()
        }

    async def ingest(self, *events: VerifiedEvent, at: int = NOW) -> list[str]:
        """The outcomes of one batch."""
        return [outcome.value for outcome in await self.mirror.ingest(events, received_at=at)]


@asynccontextmanager
async def mirrored(path: Path | None = None) -> AsyncIterator[Mirrored]:
    """Open a mirror on a database of its own, or on the one at `path`."""
    with TemporaryDirectory() as folder:
        async with await Store.open(path or Path(folder) / "podium.sqlite") as store:
            yield Mirrored(store)


def session(key: SecretKey, d: str = "s", *, at: int = NOW, title: str = "t") -> VerifiedEvent:
    """A session event, as far as the mirror looks at it."""
    return verified(key, kind=kinds.SESSION, tags=(("d", d), ("title", title)), created_at=at)


def lesson(key: SecretKey, d: str = "s") -> str:
    """The address of such a session."""
    return str(Address(kinds.SESSION, key.pubkey, d))


def rsvp(
    key: SecretKey,
    session_address: str,
    status: str = "accepted",
    *,
    d: str = "r",
    at: int = NOW,
    more: Sequence[str] = (),
) -> VerifiedEvent:
    """An RSVP; `more` is one further tag."""
    tags = (("a", session_address), ("d", d), ("status", status), *((tuple(more),) if more else ()))
    return verified(key, kind=kinds.RSVP, tags=tags, created_at=at)


def deletion(key: SecretKey, *, e: Sequence[str] = (), a: Sequence[str] = (), at: int = NOW) -> VerifiedEvent:
    """A deletion request."""
    tags = (*(("e", event_id) for event_id in e), *(("a", address) for address in a))
    return verified(key, kind=kinds.DELETION, tags=tags, created_at=at)

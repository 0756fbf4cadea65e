"""When rows are deleted: every table has its rule here, and a test fails for a table that has none.

A session is forgotten as a whole. First its row goes, so that no service acts on a half-deleted session; then all rows
that name it, a few hundred in a transaction, also after a restart in between. Relays keep its events and may send them
again: events from before the retention period are not taken in (`podium_protocol.live.retention`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from podium_protocol import kinds
from podium_protocol.addresses import Address
from podium_protocol.events import Pubkey
from podium_protocol.filters import Filter
from podium_storage.database import Transaction
from podium_storage.mirror.mirror import Mirror
from podium_storage.outbox.outbox import Outbox
from podium_storage.projections.rsvps import RSVP_FLOORS
from podium_storage.store import Store
from podium_storage.table import schema
from podium_storage.table.columns import StoredRow
from podium_storage.table.models import LiveSessionRow
from podium_storage.table.schema import TableSchema
from podium_storage.table.table import Table

RULES: Final = {
    "trainingLiveSessions": "with the session",
    "events": "with the session; of people who are in none and when they expire, by age; all by the budget of the disk",
    "eventTags": "with their event",
    "tombstones": "with the deletion that made them",
    "addressFloors": "with the session, the others by age",
    "outbox": "a month after the relay's last word",
    "outboxEvents": "with their last row in the outbox",
    "outboxRelays": "with their last row in the outbox",
    "openedWraps": "a month after they were opened",
    "unopenedWraps": "a month after they were seen, and the oldest past 100,000",
    "returns": "two minutes after the connection",
    "viewings": "half a day after the player was opened, and the oldest past a bound",
    "logins": "with their end, a week after signing in, and the oldest of one key past fifty",
    "languages": "a year after the person was last seen with it, and those seen longest ago past 100,000",
    "endedLinks": "two years after the person ended them: no session is planned so far ahead",
    "changedSessions": "once the services have dealt with the change",
    "forgottenSessions": "once nothing belongs to them any more",
    "watermarks": "one for each relay and subscription of the configuration",
    "meta": "one for each name in the code",
    "sequences": "one for each table",
    "migrations": "one for each migration",
    "atoms": "never: a key or an address that no row points to any more says nothing of anybody",
}
"""How the rows of each table come to an end; tables that are declared with a `lessonId` go with their session."""

_ROWS: Final = 500  # rows a transaction
_OF_SESSIONS: Final = (
    *(kinds.SESSION, kinds.MEETING, kinds.RSVP, kinds.ATTENDANCE),
    *(kinds.LIVE_CHAT, kinds.LIVE_EVENT, kinds.DELETION, kinds.ROOM_PRESENCE),
)
_NOTE: Final = "INSERT INTO forgottenSessions (lessonId, room) VALUES (?, ?) ON CONFLICT DO NOTHING"
_NOTED: Final = "SELECT lessonId, room FROM forgottenSessions ORDER BY id"
_DONE: Final = "DELETE FROM forgottenSessions WHERE lessonId = ?"
_DROP_FLOOR: Final = """
DELETE FROM addressFloors WHERE identifier = ? AND kind = ? AND author = (SELECT id FROM atoms WHERE value = ?)"""
_DROP_OLD_FLOORS: Final = """
DELETE FROM addressFloors WHERE id IN (
  SELECT id FROM addressFloors WHERE createdAt < ? AND kind NOT IN (31923, 30313) LIMIT 500
)"""
_DROP_RELAYS: Final = """
DELETE FROM outboxRelays WHERE id IN (
  SELECT r.id FROM outboxRelays AS r WHERE NOT EXISTS (SELECT 1 FROM outbox AS o WHERE o.relay = r.id) LIMIT 500
)"""
# people who are in no session that is kept; the index answers it without reading the events themselves
_OLD_EVENTS: Final = """
SELECT e.id FROM events AS e INDEXED BY eventsByAuthor
WHERE e.createdAt < ? AND (
  e.kind = 5 OR e.author NOT IN (
    SELECT pubkey FROM trainingLiveSessionRSVPs UNION SELECT pubkey FROM roomMembers
    UNION SELECT pubkey FROM privateLetters UNION SELECT instructorPubkey FROM trainingLiveSessions
    UNION SELECT id FROM atoms WHERE value = ?
  )
) LIMIT 500"""


class Forgotten(msgspec.Struct, frozen=True):
    """A session that is being forgotten; `room` is the `d` of its status events (30313)."""

    session_address: str
    room: str


def of_a_session() -> list[TableSchema[StoredRow]]:
    """The declared tables whose rows name a session."""
    named = [table for table in (*schema.TABLES, RSVP_FLOORS) if "lessonId" in table.by_name]
    return [table for table in named if table is not schema.SESSIONS]


class Retention:
    """Deletes rows past their retention. Every step is short and safe to repeat."""

    def __init__(self, store: Store, mirror: Mirror, outbox: Outbox, *, service: Pubkey) -> None:
        self._store = store
        self._mirror = mirror
        self._outbox = outbox
        self._service = service
        self._tables = {
            table.name: Table.from_schema(table, store.database, store.interner) for table in of_a_session()
        }

    async def begin(self, row: LiveSessionRow, now: int) -> None:
        """Delete a session's row, and note in the same transaction that the rest is to follow."""

        async def scope(tx: Transaction) -> None:
            assert row.id is not None, "rows that were read have an id"
            await tx.execute(_NOTE, (row.session_address, row.conference_room_id or ""))
            await self._outbox.cancel_within(tx, now=now, session_address=row.session_address)
            await self._store.sessions.within(tx).delete(row.id)

        await self._store.database.transact(scope)

    async def begun(self) -> list[Forgotten]:
        """Sessions whose deletion was begun, of which rows may be left."""
        return [Forgotten(str(address), str(room)) for address, room in await self._store.database.fetch_all(_NOTED)]

    async def delete(self, session: Forgotten, *, but: Collection[str] = ()) -> None:
        """Delete the rows of a session, except in the tables `but`, which are left for the next time."""
        for name, table in self._tables.items():
            if name not in but:
                while await table.where("lessonId").equals(session.session_address).limit(_ROWS).delete() == _ROWS:
                    pass
        await self._forget_events(session)
        if not but:
            await self._in_steps(_DONE, session.session_address)

    async def delete_old(self, before: int) -> None:
        """Delete events of people who are in no session any more, and deletions and floors, all from before a time."""
        while rows := await self._store.database.fetch_all(_OLD_EVENTS, (before, self._service)):
            await self._mirror.forget([int(str(row[0])) for row in rows])
        await self._in_steps(_DROP_OLD_FLOORS, before)

    async def delete_unused(self) -> None:
        """Delete the names of relays to which no row refers any more."""
        await self._in_steps(_DROP_RELAYS)

    async def _forget_events(self, session: Forgotten) -> None:
        own = [Address.parse(session.session_address), Address(kinds.MEETING, self._service, session.room)]
        addresses = [address for address in own if address is not None and address.identifier]
        named = tuple(str(address) for address in addresses)
        while await self._mirror.forget_answering(Filter(kinds=_OF_SESSIONS, tags=(("a", named),), limit=_ROWS)):
            pass
        for address in addresses:
            one = Filter(kinds=(address.kind,), authors=(address.pubkey,), tags=(("d", (address.identifier,)),))
            await self._mirror.forget_answering(one)
            await self._in_steps(_DROP_FLOOR, address.identifier, address.kind, address.pubkey)

    async def _in_steps(self, sql: str, *parameters: int | str) -> None:
        while await self._store.database.transact(lambda tx: tx.execute(sql, parameters)) == _ROWS:
            pass

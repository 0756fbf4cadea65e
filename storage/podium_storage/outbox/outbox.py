"""The outbox: signed events on their way to relays, one row for each relay, kept until its outcome is final.

A row is written in the transaction that changes the state the event publishes (hardening.md, rule 1), and every attempt
sends the bytes that were stored then (rule 4). Nothing marks a row as being sent: after a crash it is simply due again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import Final

import msgspec

from podium_protocol.addresses import Address
from podium_protocol.errors import LocalProtocolError
from podium_protocol.events import EventId, SignedEvent
from podium_protocol.limits import MAX_MESSAGE_CHARS
from podium_storage.backend import SqlRow, Value
from podium_storage.changes import Change, ChangeKind
from podium_storage.database import Database, Transaction
from podium_storage.mirror.queries import id_bytes
from podium_storage.outbox.values import (
    Delivery,
    DeliveryState,
    OutboxItem,
    OutboxRow,
    Priority,
    PublishResult,
    RelayAccepted,
    RelayRefused,
    TryAgain,
)
from podium_storage.slices import in_slices
from podium_storage.sqlite import SqliteDialect
from podium_storage.table.interning import Interner

_ADD_EVENT: Final = """
INSERT INTO outboxEvents (eventId, json, createdAt, address) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"""
_ADD_RELAY: Final = "INSERT INTO outboxRelays (url) VALUES (?) ON CONFLICT DO NOTHING"
_ADD: Final = """
INSERT INTO outbox (event, relay, state, priority, notBefore, nextAttemptAt, expiresAt, lesson, reference)
SELECT e.id, r.id, 'ready', ?3, ?4, ?4, ?5, ?6, ?7 FROM outboxEvents AS e CROSS JOIN outboxRelays AS r
WHERE e.eventId = ?1 AND r.url = ?2
ON CONFLICT DO NOTHING"""

# Relays that something waits for, one index seek each, however many rows wait.
WAITING: Final = """
WITH RECURSIVE waiting (relay) AS (
  SELECT min(relay) FROM outbox WHERE settledAt IS NULL
  UNION ALL
  SELECT (SELECT min(o.relay) FROM outbox AS o WHERE o.settledAt IS NULL AND o.relay > w.relay)
  FROM waiting AS w WHERE w.relay IS NOT NULL
), priorities (priority) AS (VALUES (0), (1), (2))"""
# What relay w may be sent at priority p: ?1 is now, ?3 the rows in flight.
_DUE_THERE: Final = """
    SELECT i.id FROM outbox AS i
    WHERE i.settledAt IS NULL AND i.relay = w.relay AND i.priority = p.priority AND i.nextAttemptAt <= ?1
      AND (i.expiresAt IS NULL OR i.expiresAt > ?1) AND +i.id NOT IN (SELECT value FROM json_each(?3))
    ORDER BY i.nextAttemptAt"""
# ?2 is the most for one relay, ?4 the relays that pause, ?5 the most in all. The share of each relay is reckoned first:
# a fan-out has tens of thousands of rows due, and a few hundred are asked for.
_DUE: Final = f"""{WAITING}, ready (relay) AS MATERIALIZED (
  SELECT w.relay FROM waiting AS w
  WHERE w.relay NOT IN (SELECT id FROM outboxRelays WHERE url IN (SELECT value FROM json_each(?4)))
    AND EXISTS (SELECT 1 FROM priorities AS p WHERE EXISTS ({_DUE_THERE}))
), share (most) AS MATERIALIZED (
  SELECT min(?2, (?5 + count(*) - 1) / max(count(*), 1)) FROM ready
), due (id, place) AS (
  SELECT o.id, row_number() OVER (PARTITION BY o.relay ORDER BY o.priority, o.nextAttemptAt, o.id)
  FROM ready AS w CROSS JOIN priorities AS p CROSS JOIN outbox AS o
  WHERE o.id IN ({_DUE_THERE} LIMIT (SELECT most FROM share))
), chosen (id, place) AS MATERIALIZED (
  SELECT o.id, row_number() OVER (ORDER BY d.place, o.priority, o.nextAttemptAt, o.id)
  FROM due AS d CROSS JOIN outbox AS o ON o.id = d.id WHERE d.place <= (SELECT most FROM share) LIMIT ?5
)
SELECT c.place, o.id, lower(hex(e.eventId)), e.json, r.url, o.priority, o.attempts, o.nextAttemptAt, o.expiresAt
FROM chosen AS c
CROSS JOIN outbox AS o ON o.id = c.id
CROSS JOIN outboxEvents AS e ON e.id = o.event
CROSS JOIN outboxRelays AS r ON r.id = o.relay"""  # put in order afterwards: SQLite would copy every event for it
_NEXT_DUE: Final = f"""{WAITING}
SELECT min((
  SELECT i.nextAttemptAt FROM outbox AS i
  WHERE i.settledAt IS NULL AND i.relay = w.relay AND i.priority = p.priority AND i.nextAttemptAt > ?
  ORDER BY i.nextAttemptAt LIMIT 1))
FROM waiting AS w CROSS JOIN priorities AS p"""
_PENDING: Final = """
SELECT r.url, count(*) FROM outbox AS o JOIN outboxRelays AS r ON r.id = o.relay
WHERE o.settledAt IS NULL GROUP BY o.relay ORDER BY r.url"""
# Messages have a reference, and are left out: the relays on which a person reads them are private.
_RELAYS_OF_SESSION: Final = """
SELECT DISTINCT r.url FROM outbox AS o JOIN outboxRelays AS r ON r.id = o.relay
WHERE o.lesson = (SELECT id FROM atoms WHERE value = ?) AND o.reference IS NULL AND o.state <> 'failed'
ORDER BY r.url"""
_KNOWN: Final = "SELECT lower(hex(eventId)) FROM outboxEvents WHERE eventId IN ({ids})"
_DELIVERIES: Final = """
SELECT lower(hex(e.eventId)), r.url, o.state, o.attempts, o.nextAttemptAt, o.lastMessage,
  (SELECT value FROM atoms WHERE id = o.lesson), o.reference
FROM outbox AS o JOIN outboxEvents AS e ON e.id = o.event JOIN outboxRelays AS r ON r.id = o.relay
WHERE {where} ORDER BY o.id"""

# What is done stays done. A row that was cancelled while it was being sent, and arrived, is done.
_ACCEPT: Final = """
UPDATE outbox SET state = 'done', attempts = attempts + 1, settledAt = ?, lastMessage = ?
WHERE id = ? AND state <> 'done'"""
_REFUSE: Final = """
UPDATE outbox SET state = 'failed', attempts = attempts + 1, settledAt = ?, lastMessage = ?
WHERE id = ? AND state = 'ready'"""
_TRY_AGAIN: Final = """
UPDATE outbox SET attempts = attempts + 1, nextAttemptAt = ?, lastMessage = ? WHERE id = ? AND state = 'ready'"""
# A relay that knows the newer revision may answer the older one with `error:` for ever (LocalRelay does).
_SUPERSEDE: Final = """
UPDATE outbox SET state = 'cancelled', settledAt = ?1
WHERE id = ?2 AND state = 'ready' AND EXISTS (
  SELECT 1 FROM outboxEvents AS mine
  JOIN outboxEvents AS newer ON newer.address = mine.address AND (
    newer.createdAt > mine.createdAt OR newer.createdAt = mine.createdAt AND newer.eventId < mine.eventId)
  JOIN outbox AS other ON other.event = newer.id AND other.relay = outbox.relay
  WHERE mine.id = outbox.event)"""
_CANCEL: Final = """
UPDATE outbox SET state = 'cancelled', settledAt = ? WHERE settledAt IS NULL AND {which} RETURNING id"""
_HAS_EXPIRED: Final = """
SELECT 1 FROM outbox WHERE settledAt IS NULL AND expiresAt IS NOT NULL AND expiresAt <= ? LIMIT 1"""
_EXPIRE: Final = """
UPDATE outbox SET state = 'failed', settledAt = ?1, lastMessage = 'expired' || coalesce(': ' || lastMessage, '')
WHERE id IN (SELECT id FROM outbox WHERE settledAt IS NULL AND expiresAt IS NOT NULL AND expiresAt <= ?1 LIMIT ?2)
RETURNING id"""
_SWEEP_ROWS: Final = """
DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE settledAt IS NOT NULL AND settledAt < ? LIMIT ?)
RETURNING event"""
_SWEEP_EVENTS: Final = """
DELETE FROM outboxEvents WHERE id IN ({ids}) AND NOT EXISTS (SELECT 1 FROM outbox WHERE event = outboxEvents.id)"""


TABLE: Final = "outbox"
"""The outbox' name in the change feed: keys are event ids; `after` is a `Delivery`, or None for a new event."""

_STATES: Final = {state.value: state for state in DeliveryState}
DEFAULT_LIMIT: Final = 500
DEFAULT_PER_RELAY: Final = 100
_SWEEP: Final = 1_000  # rows a transaction


class Outbox:
    """The outbox of one database. Times are Unix seconds, relays are normalised URLs."""

    def __init__(self, database: Database, interner: Interner) -> None:
        """Keep the queue in this database."""
        self._database = database
        self._interner = interner

    async def add_within(
        self,
        tx: Transaction,
        event: SignedEvent,
        relays: Sequence[str],
        *,
        not_before: int = 0,
        expires_at: int | None = None,
        priority: Priority = Priority.NORMAL,
        session_address: str | None = None,
        reference: str | None = None,
    ) -> None:
        """Queue one event for each relay, in the transaction that stores what it says; see `add_many_within`."""
        item = OutboxItem(
            event=event,
            relays=tuple(relays),
            not_before=not_before,
            expires_at=expires_at,
            priority=priority,
            session_address=session_address,
            reference=reference,
        )
        await self.add_many_within(tx, [item])

    async def add_many_within(self, tx: Transaction, items: Sequence[OutboxItem]) -> None:
        """Queue events with a constant number of statements. An event that a relay was already given stays as it is.

        Raises:
            LocalProtocolError: an item names no relay, so that it would be lost.
        """
        if any(not item.relays for item in items):
            raise LocalProtocolError("an event was to be published and no relay was named for it")
        if not items:
            return
        addresses = await self._interner.ids(
            tx, {item.session_address for item in items if item.session_address is not None}
        )
        relays = dict.fromkeys(relay for item in items for relay in item.relays)
        await tx.execute_many(_ADD_EVENT, (_event_row(item.event) for item in items))
        await tx.execute_many(_ADD_RELAY, ((relay,) for relay in relays))
        if await tx.execute_many(_ADD, _new_rows(items, addresses)):
            tx.queue_changes(*(Change(TABLE, ChangeKind.CREATED, item.event.id) for item in items))

    async def due(
        self,
        now: int,
        *,
        limit: int = DEFAULT_LIMIT,
        per_relay: int = DEFAULT_PER_RELAY,
        in_flight: Collection[int] = (),
        paused: Collection[str] = (),
    ) -> list[OutboxRow]:
        """Return rows to send at `now`: relays take turns, and for each relay rows go by priority and then by time.

        Args:
            now: rows that are due and have not expired by then.
            limit: rows at most.
            per_relay: rows at most for one relay.
            in_flight: rows (`OutboxRow.id`) that are being sent already.
            paused: relays that cannot be reached, or asked for a pause.
        """
        rows = await self._database.fetch_all(_DUE, (now, per_relay, _json(in_flight), _json(paused), limit))
        return [_outbox_row(row[1:]) for row in sorted(rows)]

    async def next_due(self, after: int = -1) -> int | None:
        """The first time later than `after` at which a row falls due, or None."""
        row = await self._database.fetch_one(_NEXT_DUE, (after,))
        return row[0] if row is not None and isinstance(row[0], int) else None

    async def record(self, results: Sequence[PublishResult], *, now: int) -> list[Delivery]:
        """Record the outcomes of attempts in one transaction, and return the delivery state of each.

        A row that is done stays done, and a cancelled one stays cancelled unless the relay has the event. An attempt
        that would be repeated is cancelled if a newer revision (NIP-01) goes to the same relay.
        """
        if not results:
            return []
        return await self._database.transact(lambda tx: self._record(tx, results, now), in_one_hop=True)

    async def cancel_within(
        self, tx: Transaction, *, now: int, references: Collection[str] = (), session_address: str | None = None
    ) -> int:
        """Cancel rows that have not arrived yet, by reference and by session; return their number."""
        rows: list[SqlRow] = []
        if references:
            values, parameters = SqliteDialect.values(list(references))
            rows += await tx.fetch_all(_CANCEL.format(which=f"reference IN ({values})"), (now, *parameters))
        if session_address is not None:
            which = "lesson = (SELECT id FROM atoms WHERE value = ?)"
            rows += await tx.fetch_all(_CANCEL.format(which=which), (now, session_address))
        await self._tell(tx, rows)
        return len(rows)

    async def status_of(self, event_id: EventId) -> list[Delivery]:
        """The delivery state of an event on each of its relays."""
        where = "o.event = (SELECT id FROM outboxEvents WHERE eventId = ?)"
        return await _deliveries(await self._database.fetch_all(_DELIVERIES.format(where=where), (id_bytes(event_id),)))

    async def known(self, event_ids: Collection[EventId]) -> set[EventId]:
        """The ids among `event_ids` that were queued and not forgotten since."""
        values, parameters = SqliteDialect.values([id_bytes(one) for one in event_ids])
        rows = await self._database.fetch_all(_KNOWN.format(ids=values), parameters) if event_ids else []
        return {EventId(str(row[0])) for row in rows}

    async def status_of_references(self, references: Collection[str]) -> list[Delivery]:
        """The delivery states of the events with these references, in the order in which they were queued."""
        if not references:
            return []
        values, parameters = SqliteDialect.values(list(references))
        found = await self._database.fetch_all(_DELIVERIES.format(where=f"o.reference IN ({values})"), parameters)
        return await _deliveries(found)

    async def relays_of(self, session_address: str) -> tuple[str, ...]:
        """Every relay to which a session's public events were sent: its deletion must go there too."""
        rows = await self._database.fetch_all(_RELAYS_OF_SESSION, (session_address,))
        return tuple(str(row[0]) for row in rows)

    async def pending_by_relay(self) -> dict[str, int]:
        """Number of rows that wait, for each relay that has any."""
        rows = await self._database.fetch_all(_PENDING)
        return {str(url): count for url, count in rows if isinstance(count, int)}

    async def expire(self, now: int) -> int:
        """Give up rows that expired before they arrived; return their number. If there are none, no writer waits."""
        if await self._database.fetch_one(_HAS_EXPIRED, (now,)) is None:
            return 0
        return await self._in_steps(lambda tx: self._expire(tx, now))

    async def sweep(self, settled_before: int) -> int:
        """Forget rows that became final before that time, and events without a row; return the number of rows.

        An event that was forgotten can be queued again, and is then sent again.
        """
        return await self._in_steps(lambda tx: self._sweep(tx, settled_before))

    async def _in_steps(self, step: Callable[[Transaction], Awaitable[int]]) -> int:
        total = 0
        while True:
            done = await self._database.transact(step)
            total += done
            if done < _SWEEP:
                return total

    async def _record(self, tx: Transaction, results: Sequence[PublishResult], now: int) -> list[Delivery]:
        texts = [result.message[:MAX_MESSAGE_CHARS] for result in results]
        pairs = list(zip(results, texts, strict=True))
        await tx.execute_many(_ACCEPT, [(now, text, one.row) for one, text in pairs if isinstance(one, RelayAccepted)])
        await tx.execute_many(_REFUSE, [(now, text, one.row) for one, text in pairs if isinstance(one, RelayRefused)])
        if again := [(one, text) for one, text in pairs if isinstance(one, TryAgain)]:
            await tx.execute_many(_TRY_AGAIN, [(one.at, text, one.row) for one, text in again])
            await tx.execute_many(_SUPERSEDE, [(now, one.row) for one, _ in again])
        return await self._tell(tx, [(result.row,) for result in results])

    async def _expire(self, tx: Transaction, now: int) -> int:
        rows = await tx.fetch_all(_EXPIRE, (now, _SWEEP))
        await self._tell(tx, rows)
        return len(rows)

    async def _sweep(self, tx: Transaction, settled_before: int) -> int:
        rows = await tx.fetch_all(_SWEEP_ROWS, (settled_before, _SWEEP))
        values, parameters = SqliteDialect.values(list({row[0] for row in rows}))
        await tx.execute(_SWEEP_EVENTS.format(ids=values), parameters)
        return len(rows)

    async def _tell(self, tx: Transaction, rows: Sequence[SqlRow]) -> list[Delivery]:
        """Read the delivery states of these rows, and note them for the change feed."""
        if not rows:
            return []
        values, parameters = SqliteDialect.values([row[0] for row in rows])
        found = await tx.fetch_all(_DELIVERIES.format(where=f"o.id IN ({values})"), parameters)
        deliveries = await _deliveries(found)
        tx.queue_changes(*(Change(TABLE, ChangeKind.UPDATED, one.event_id, after=one) for one in deliveries))
        return deliveries


def _event_row(event: SignedEvent) -> tuple[Value, ...]:
    address = Address.from_event(event)
    return id_bytes(event.id), event.to_json(), event.created_at, None if address is None else str(address)


def _new_rows(items: Sequence[OutboxItem], addresses: dict[str, int]) -> Iterator[tuple[Value, ...]]:
    for item in items:
        address = None if item.session_address is None else addresses[item.session_address]
        event_id = id_bytes(item.event.id)
        for relay in item.relays:
            yield event_id, relay, item.priority, item.not_before, item.expires_at, address, item.reference


def _outbox_row(row: SqlRow) -> OutboxRow:
    key, event_id, event_json, relay, priority, *rest = row
    # the columns are of these types (STRICT tables), and a fan-out reads tens of thousands
    return OutboxRow(key, event_id, event_json, relay, Priority(priority), *rest)  # type: ignore[arg-type]


async def _deliveries(rows: Sequence[SqlRow]) -> list[Delivery]:
    deliveries: list[Delivery] = []
    async for part in in_slices(rows):  # a session that is cancelled may have tens of thousands
        deliveries += map(_delivery, part)
    return deliveries


def _delivery(row: SqlRow) -> Delivery:
    event_id, relay, state, *rest = row
    return Delivery(event_id, relay, _STATES[state], *rest)  # type: ignore[arg-type, index]  # as in _outbox_row


def _json(values: Collection[int] | Collection[str]) -> str:
    return msgspec.json.encode(list(values)).decode()

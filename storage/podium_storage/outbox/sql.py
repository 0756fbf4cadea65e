"""The statements of the outbox; `{..}` takes a condition or a query that is ours."""

from __future__ import annotations

from typing import Final

ADD_EVENT: Final = """
INSERT INTO outboxEvents (eventId, json, createdAt, address) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"""
ADD_RELAY: Final = "INSERT INTO outboxRelays (url) VALUES (?) ON CONFLICT DO NOTHING"
ADD: Final = """
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
DUE: Final = f"""{WAITING}, ready (relay) AS MATERIALIZED (
  SELECT w.relay FROM waiting AS w
  WHERE w.relay NOT IN (SELECT id FROM outboxRelays WHERE url IN (SELECT value FROM json_each(?4)))
    AND EXISTS (SELECT 1 FROM priorities AS p WHERE EXISTS ({_DUE_THERE}))
), share (most) AS MATERIALIZED (
  SELECT min(?2, (?5 + count(*) - 1) / max(count(*), 1)) FROM ready
), due (id, place) AS (
  SELECT o.id, row_number() OVER (PARTITION BY o.relay ORDER BY o.priority, o.nextAttemptAt, o.id)
  FROM ready AS w CROSS JOIN priorities AS p CROSS JOIN outbox AS o
  WHERE o.id IN ({_DUE_THERE} LIMIT (SELECT most FROM share))
)
SELECT o.id, lower(hex(e.eventId)), e.json, r.url, o.priority, o.attempts, o.nextAttemptAt, o.expiresAt
FROM due AS d
CROSS JOIN outbox AS o ON o.id = d.id
CROSS JOIN outboxEvents AS e ON e.id = o.event
CROSS JOIN outboxRelays AS r ON r.id = o.relay
WHERE d.place <= (SELECT most FROM share)
ORDER BY d.place, o.priority, o.nextAttemptAt, o.id LIMIT ?5"""
NEXT_DUE: Final = f"""{WAITING}
SELECT min((
  SELECT i.nextAttemptAt FROM outbox AS i
  WHERE i.settledAt IS NULL AND i.relay = w.relay AND i.priority = p.priority AND i.nextAttemptAt > ?
  ORDER BY i.nextAttemptAt LIMIT 1))
FROM waiting AS w CROSS JOIN priorities AS p"""
PENDING: Final = """
SELECT r.url, count(*) FROM outbox AS o JOIN outboxRelays AS r ON r.id = o.relay
WHERE o.settledAt IS NULL GROUP BY o.relay ORDER BY r.url"""
# Messages have a reference, and are left out: the relays on which a person reads them are private.
RELAYS_OF_LESSON: Final = """
SELECT DISTINCT r.url FROM outbox AS o JOIN outboxRelays AS r ON r.id = o.relay
WHERE o.lesson = (SELECT id FROM atoms WHERE value = ?) AND o.reference IS NULL AND o.state <> 'failed'
ORDER BY r.url"""
KNOWN: Final = "SELECT lower(hex(eventId)) FROM outboxEvents WHERE eventId IN ({ids})"
DELIVERIES: Final = """
SELECT lower(hex(e.eventId)), r.url, o.state, o.attempts, o.nextAttemptAt, o.lastMessage,
  (SELECT value FROM atoms WHERE id = o.lesson), o.reference
FROM outbox AS o JOIN outboxEvents AS e ON e.id = o.event JOIN outboxRelays AS r ON r.id = o.relay
WHERE {where} ORDER BY o.id"""

# What is done stays done. A row that was cancelled while it was being sent, and arrived, is done.
ACCEPT: Final = """
UPDATE outbox SET state = 'done', attempts = attempts + 1, settledAt = ?, lastMessage = ?
WHERE id = ? AND state <> 'done'"""
REFUSE: Final = """
UPDATE outbox SET state = 'failed', attempts = attempts + 1, settledAt = ?, lastMessage = ?
WHERE id = ? AND state = 'ready'"""
TRY_AGAIN: Final = """
UPDATE outbox SET attempts = attempts + 1, nextAttemptAt = ?, lastMessage = ? WHERE id = ? AND state = 'ready'"""
# A relay that knows the newer revision may answer the older one with `error:` for ever (LocalRelay does).
SUPERSEDE: Final = """
UPDATE outbox SET state = 'cancelled', settledAt = ?1
WHERE id = ?2 AND state = 'ready' AND EXISTS (
  SELECT 1 FROM outboxEvents AS mine
  JOIN outboxEvents AS newer ON newer.address = mine.address AND (
    newer.createdAt > mine.createdAt OR newer.createdAt = mine.createdAt AND newer.eventId < mine.eventId)
  JOIN outbox AS other ON other.event = newer.id AND other.relay = outbox.relay
  WHERE mine.id = outbox.event)"""
CANCEL: Final = """
UPDATE outbox SET state = 'cancelled', settledAt = ? WHERE settledAt IS NULL AND {which} RETURNING id"""
EXPIRE: Final = """
UPDATE outbox SET state = 'failed', settledAt = ?1, lastMessage = 'expired' || coalesce(': ' || lastMessage, '')
WHERE id IN (SELECT id FROM outbox WHERE settledAt IS NULL AND expiresAt IS NOT NULL AND expiresAt <= ?1 LIMIT ?2)
RETURNING id"""
SWEEP_ROWS: Final = """
DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE settledAt IS NOT NULL AND settledAt < ? LIMIT ?)
RETURNING event"""
SWEEP_EVENTS: Final = """
DELETE FROM outboxEvents WHERE id IN ({ids}) AND NOT EXISTS (SELECT 1 FROM outbox WHERE event = outboxEvents.id)"""

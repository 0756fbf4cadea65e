-- The mirror of events and the durable queues. Pubkeys, addresses and tag values are the integers of `atoms`:
-- an index of integers is written twice as fast as one of texts. No WITHOUT ROWID: it is slower here.

-- Every event that counts, once. `identifier` is the `d` of an addressable event, '' of a replaceable one, else NULL.
CREATE TABLE events (
  id INTEGER PRIMARY KEY,  -- in the order of arrival
  eventId BLOB NOT NULL CHECK (length(eventId) = 32),
  author INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  identifier TEXT,
  createdAt INTEGER NOT NULL,
  expiresAt INTEGER,  -- NIP-40
  json BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX eventsById ON events (eventId);
CREATE UNIQUE INDEX eventsByAddress ON events (identifier, kind, author) WHERE identifier IS NOT NULL;
CREATE INDEX eventsByAuthor ON events (author, kind, createdAt);
CREATE INDEX eventsByKind ON events (kind, createdAt);
CREATE INDEX eventsByExpiry ON events (expiresAt) WHERE expiresAt IS NOT NULL;

-- The indexed tags. `id` is the event's id times 65536 plus a number, so that an event's tags lie together and are
-- found without an index of their own.
CREATE TABLE eventTags (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  value INTEGER NOT NULL
) STRICT;
CREATE INDEX eventTagsByValue ON eventTags (value, name);

-- Ids that an author has deleted (NIP-09); they wait for events that come later.
CREATE TABLE tombstones (
  id INTEGER PRIMARY KEY,
  eventId BLOB NOT NULL CHECK (length(eventId) = 32),
  author INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX tombstonesById ON tombstones (eventId, author);

-- The newest position of an address that is dead; `eventId` is empty where a whole second is.
CREATE TABLE addressFloors (
  id INTEGER PRIMARY KEY,
  identifier TEXT NOT NULL,
  kind INTEGER NOT NULL,
  author INTEGER NOT NULL,
  createdAt INTEGER NOT NULL,
  eventId BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX addressFloorsByAddress ON addressFloors (identifier, kind, author);

-- The newest answer of one person to one session that is dead, where none is alive: older ones must not come back.
CREATE TABLE "rsvpFloors" (
  "id" INTEGER PRIMARY KEY,
  "lessonId" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "pubkey" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "createdAt" INTEGER NOT NULL,
  "eventId" TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX "rsvpFloors.[lessonId+pubkey]" ON "rsvpFloors" ("lessonId", "pubkey");

-- What is to be published: the signed bytes once, and one row for each relay they go to.
CREATE TABLE outboxEvents (
  id INTEGER PRIMARY KEY,
  eventId BLOB NOT NULL CHECK (length(eventId) = 32),
  json BLOB NOT NULL,
  createdAt INTEGER NOT NULL,
  address TEXT -- of replaceable and addressable events: relays keep the newest of each only
) STRICT;
CREATE UNIQUE INDEX outboxEventsById ON outboxEvents (eventId);
CREATE INDEX outboxEventsByAddress ON outboxEvents (address, createdAt) WHERE address IS NOT NULL;

CREATE TABLE outboxRelays (id INTEGER PRIMARY KEY, url TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE outbox (
  id INTEGER PRIMARY KEY,
  event INTEGER NOT NULL REFERENCES outboxEvents (id),
  relay INTEGER NOT NULL REFERENCES outboxRelays (id),
  state TEXT NOT NULL CHECK (state IN ('ready', 'done', 'failed', 'cancelled')),
  priority INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 2),
  notBefore INTEGER NOT NULL,
  nextAttemptAt INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  expiresAt INTEGER,
  settledAt INTEGER CHECK ((settledAt IS NULL) = (state = 'ready')),
  lastMessage TEXT,
  lesson INTEGER,
  reference TEXT
) STRICT;
CREATE UNIQUE INDEX outboxByEvent ON outbox (event, relay);
CREATE INDEX outboxDue ON outbox (relay, priority, nextAttemptAt) WHERE settledAt IS NULL;
CREATE INDEX outboxExpiring ON outbox (expiresAt) WHERE settledAt IS NULL AND expiresAt IS NOT NULL;
CREATE INDEX outboxSettled ON outbox (settledAt) WHERE settledAt IS NOT NULL;
CREATE INDEX outboxByLesson ON outbox (lesson) WHERE lesson IS NOT NULL;
CREATE INDEX outboxByReference ON outbox (reference) WHERE reference IS NOT NULL;

-- When a relay last said that a subscription has no more stored events (EOSE).
CREATE TABLE watermarks (
  id INTEGER PRIMARY KEY,
  relay TEXT NOT NULL,
  subscription TEXT NOT NULL,
  eoseAt INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX watermarksBySubscription ON watermarks (relay, subscription);

-- What the database knows about itself, and counters.
CREATE TABLE meta (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, value TEXT NOT NULL) STRICT;

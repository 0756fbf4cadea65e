-- Gift wraps to the service that were dealt with. Relays are asked for them again two days back, since they are
-- back-dated, and a reply must not be answered twice.
CREATE TABLE openedWraps (
  id INTEGER PRIMARY KEY,
  eventId TEXT NOT NULL CHECK (length(eventId) = 64),
  openedAt INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX openedWrapsById ON openedWraps (eventId);
CREATE INDEX openedWrapsByTime ON openedWraps (openedAt);

-- Gift wraps that could not be opened: relays give them back at each start, and opening one costs two decryptions.

CREATE TABLE unopenedWraps (
  id INTEGER PRIMARY KEY,
  eventId TEXT NOT NULL CHECK (length(eventId) = 64),
  seenAt INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX unopenedWrapsById ON unopenedWraps (eventId);

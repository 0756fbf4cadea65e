-- With what secret somebody whose socket was lost comes back to which room: only its SHA-256, and for two minutes.
-- `until` is NULL while the connection is open.
CREATE TABLE returns (
  id INTEGER PRIMARY KEY,
  digest BLOB NOT NULL CHECK (length(digest) = 32),
  connection TEXT NOT NULL,
  room TEXT NOT NULL,
  pubkey TEXT NOT NULL,
  device TEXT NOT NULL,
  role TEXT NOT NULL,
  until INTEGER
) STRICT;
CREATE UNIQUE INDEX returnsByDigest ON returns (digest);

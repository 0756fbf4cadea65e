-- Open players of recordings: only the SHA-256 of a secret, for half a day.
CREATE TABLE viewings (
  id INTEGER PRIMARY KEY,
  digest BLOB NOT NULL CHECK (length(digest) = 32),
  lesson TEXT NOT NULL,
  pubkey TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  length INTEGER NOT NULL,
  until INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX viewingsByDigest ON viewings (digest);
CREATE INDEX viewingsByEnd ON viewings (until);

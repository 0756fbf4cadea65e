-- Who signed in: only the SHA-256 of a token. `assurance` says how the person was known; `lesson` limits the login to
-- one session. Revoked ones stay until they would have ended, so that they can be told from unknown ones.
CREATE TABLE logins (
  id INTEGER PRIMARY KEY,
  digest BLOB NOT NULL CHECK (length(digest) = 32),
  pubkey TEXT NOT NULL,
  assurance TEXT NOT NULL CHECK (assurance IN ('key', 'link', 'guest')),
  lesson TEXT,
  createdAt INTEGER NOT NULL,
  expiresAt INTEGER NOT NULL,
  revokedAt INTEGER,
  CHECK (assurance = 'key' OR lesson IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX loginsByDigest ON logins (digest);
CREATE INDEX loginsByPubkey ON logins (pubkey);
CREATE INDEX loginsByEnd ON logins (expiresAt);

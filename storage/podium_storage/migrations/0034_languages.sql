-- The language in which a person is written to: the one their page used last (`fromPage`), else that of their replies. And
-- of each message the language in which it was written, since it may have to be written again word for word.

CREATE TABLE languages (
  id INTEGER PRIMARY KEY,
  pubkey TEXT NOT NULL,
  language TEXT NOT NULL,
  fromPage INTEGER NOT NULL CHECK (fromPage IN (0, 1)),
  seenAt INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX languagesByPubkey ON languages (pubkey);
CREATE INDEX languagesBySeenAt ON languages (seenAt);

ALTER TABLE "reminderLedger" ADD COLUMN "language" TEXT;

-- Polls of a session, and the votes; of an anonymous poll these are deleted when it is closed.

CREATE TABLE "polls" (
  "id" INTEGER PRIMARY KEY,
  "lessonId" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "question" TEXT NOT NULL,
  "options" TEXT NOT NULL,
  "multiple" INTEGER NOT NULL CHECK ("multiple" IN (0, 1)),
  "named" INTEGER NOT NULL CHECK ("named" IN (0, 1)),
  "live" INTEGER NOT NULL CHECK ("live" IN (0, 1)),
  "right" TEXT NOT NULL,
  "stage" TEXT NOT NULL,
  "counts" TEXT NOT NULL,
  "voters" INTEGER NOT NULL,
  "createdAt" INTEGER NOT NULL,
  "closedAt" INTEGER
) STRICT;

CREATE INDEX "polls.lessonId" ON "polls" ("lessonId");

CREATE TABLE "pollVotes" (
  "id" INTEGER PRIMARY KEY,
  "lessonId" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "pollId" INTEGER NOT NULL,
  "pubkey" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "choices" TEXT NOT NULL
) STRICT;

CREATE INDEX "pollVotes.lessonId" ON "pollVotes" ("lessonId");

CREATE UNIQUE INDEX "pollVotes.[pollId+pubkey]" ON "pollVotes" ("pollId", "pubkey");

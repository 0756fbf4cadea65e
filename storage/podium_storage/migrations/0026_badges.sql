-- Participants who asked for a session's badge (NIP-58), and the award that each got.

CREATE TABLE "badges" (
  "id" INTEGER PRIMARY KEY,
  "lessonId" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "pubkey" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "askedAt" INTEGER NOT NULL,
  "awardId" TEXT
) STRICT;

CREATE INDEX "badges.lessonId" ON "badges" ("lessonId");

CREATE UNIQUE INDEX "badges.[lessonId+pubkey]" ON "badges" ("lessonId", "pubkey");

-- Gift-wrapped rumors of private sessions on their way to people, and to ourselves.

CREATE TABLE "privateLetters" (
  "id" INTEGER PRIMARY KEY,
  "lessonId" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "pubkey" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "topic" TEXT NOT NULL,
  "state" TEXT NOT NULL,
  "rumor" BLOB NOT NULL,
  "rumorId" TEXT NOT NULL,
  "dueAt" INTEGER NOT NULL,
  "expiresAt" INTEGER,
  "relays" TEXT NOT NULL,
  "reason" TEXT,
  "updatedAt" INTEGER NOT NULL
) STRICT;

CREATE INDEX "privateLetters.lessonId" ON "privateLetters" ("lessonId");

CREATE INDEX "privateLetters.pubkey" ON "privateLetters" ("pubkey");

CREATE INDEX "privateLetters.[state+dueAt]" ON "privateLetters" ("state", "dueAt");

CREATE UNIQUE INDEX "privateLetters.[lessonId+pubkey+topic]" ON "privateLetters" ("lessonId", "pubkey", "topic");

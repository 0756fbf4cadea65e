-- Questions to a session and their answers, and what whoever leads wants of the room.

CREATE TABLE "liveQuestions" (
  "id" INTEGER PRIMARY KEY,
  "lessonId" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "pubkey" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "eventId" TEXT NOT NULL,
  "text" TEXT NOT NULL,
  "createdAt" INTEGER NOT NULL,
  "firstSeenAt" INTEGER NOT NULL,
  "replyTo" TEXT,
  "state" TEXT NOT NULL,
  "hold" TEXT,
  "pinned" INTEGER NOT NULL CHECK ("pinned" IN (0, 1))
) STRICT;

CREATE UNIQUE INDEX "liveQuestions.eventId" ON "liveQuestions" ("eventId");

CREATE INDEX "liveQuestions.state" ON "liveQuestions" ("state");

CREATE INDEX "liveQuestions.[lessonId+pubkey]" ON "liveQuestions" ("lessonId", "pubkey");

CREATE TABLE "roomControls" (
  "id" INTEGER PRIMARY KEY,
  "lessonId" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "muted" INTEGER NOT NULL CHECK ("muted" IN (0, 1)),
  "silenced" TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX "roomControls.lessonId" ON "roomControls" ("lessonId");

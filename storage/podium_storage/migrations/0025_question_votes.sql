-- Votes for questions, a row a person and question; `votes` counts them. Known questions have none and are not answered.

DROP INDEX "liveQuestions.eventId";
DROP INDEX "liveQuestions.state";
DROP INDEX "liveQuestions.[lessonId+pubkey]";

ALTER TABLE "liveQuestions" RENAME TO "liveQuestionsBefore";

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
  "pinned" INTEGER NOT NULL CHECK ("pinned" IN (0, 1)),
  "answered" INTEGER NOT NULL CHECK ("answered" IN (0, 1)),
  "votes" INTEGER NOT NULL
) STRICT;

INSERT INTO "liveQuestions" SELECT *, 0, 0 FROM "liveQuestionsBefore";

DROP TABLE "liveQuestionsBefore";

CREATE UNIQUE INDEX "liveQuestions.eventId" ON "liveQuestions" ("eventId");

CREATE INDEX "liveQuestions.state" ON "liveQuestions" ("state");

CREATE INDEX "liveQuestions.[lessonId+pubkey]" ON "liveQuestions" ("lessonId", "pubkey");

CREATE TABLE "questionVotes" (
  "id" INTEGER PRIMARY KEY,
  "lessonId" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "pubkey" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "eventId" TEXT NOT NULL
) STRICT;

CREATE INDEX "questionVotes.[lessonId+pubkey]" ON "questionVotes" ("lessonId", "pubkey");

CREATE UNIQUE INDEX "questionVotes.[eventId+pubkey]" ON "questionVotes" ("eventId", "pubkey");

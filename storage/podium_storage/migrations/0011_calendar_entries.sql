-- Which version of each entry somebody's calendar was given, so that its numbers never go back.

CREATE TABLE "calendarEntries" (
  "id" INTEGER PRIMARY KEY,
  "lessonId" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "pubkey" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "digest" TEXT NOT NULL,
  "sequence" INTEGER NOT NULL,
  "revisedAt" INTEGER NOT NULL
) STRICT;

CREATE INDEX "calendarEntries.lessonId" ON "calendarEntries" ("lessonId");

CREATE UNIQUE INDEX "calendarEntries.[pubkey+lessonId]" ON "calendarEntries" ("pubkey", "lessonId");

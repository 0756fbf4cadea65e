-- The chat of a room, and since when it is switched off.

CREATE TABLE "chatLines" (
  "id" INTEGER PRIMARY KEY,
  "lessonId" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "pubkey" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "text" TEXT NOT NULL,
  "private" INTEGER NOT NULL CHECK ("private" IN (0, 1)),
  "sealed" INTEGER NOT NULL CHECK ("sealed" IN (0, 1)),
  "sentAt" INTEGER NOT NULL
) STRICT;

CREATE INDEX "chatLines.lessonId" ON "chatLines" ("lessonId");

ALTER TABLE "roomControls" ADD COLUMN "chatClosedAt" INTEGER;

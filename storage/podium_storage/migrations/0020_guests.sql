-- People without a key of their own; the service keeps one for each, encrypted.

CREATE TABLE "sessionGuests" (
  "id" INTEGER PRIMARY KEY,
  "lessonId" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "pubkey" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "name" TEXT NOT NULL,
  "sealed" BLOB NOT NULL,
  "assurance" TEXT NOT NULL,
  "linkDigest" TEXT,
  "createdAt" INTEGER NOT NULL,
  "openedAt" INTEGER,
  "revokedAt" INTEGER
) STRICT;

CREATE INDEX "sessionGuests.lessonId" ON "sessionGuests" ("lessonId");

CREATE UNIQUE INDEX "sessionGuests.pubkey" ON "sessionGuests" ("pubkey");

CREATE INDEX "sessionGuests.linkDigest" ON "sessionGuests" ("linkDigest");

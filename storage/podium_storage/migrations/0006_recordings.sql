-- Recordings, the signed answers to their policy, and who has watched how much of them.

CREATE TABLE "recordings" (
  "id" INTEGER PRIMARY KEY,
  "lessonId" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "run" INTEGER NOT NULL,
  "state" TEXT NOT NULL,
  "takes" TEXT NOT NULL,
  "recorded" TEXT NOT NULL,
  "consents" TEXT NOT NULL,
  "engineOn" INTEGER NOT NULL CHECK ("engineOn" IN (0, 1)),
  "reason" TEXT,
  "progress" INTEGER NOT NULL,
  "attempts" INTEGER NOT NULL,
  "sha256" TEXT,
  "size" INTEGER,
  "length" INTEGER,
  "mediaType" TEXT,
  "store" TEXT,
  "url" TEXT,
  "notes" TEXT NOT NULL,
  "createdAt" INTEGER NOT NULL,
  "updatedAt" INTEGER NOT NULL,
  "publishedAt" INTEGER,
  "attachAt" INTEGER,
  "attachedAt" INTEGER
) STRICT;

CREATE INDEX "recordings.state" ON "recordings" ("state");

CREATE INDEX "recordings.sha256" ON "recordings" ("sha256");

CREATE UNIQUE INDEX "recordings.[lessonId+run]" ON "recordings" ("lessonId", "run");

CREATE TABLE "recordingConsents" (
  "id" INTEGER PRIMARY KEY,
  "lessonId" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "pubkey" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "eventId" TEXT NOT NULL,
  "given" INTEGER NOT NULL CHECK ("given" IN (0, 1)),
  "policyHash" TEXT NOT NULL,
  "event" TEXT NOT NULL,
  "keptAt" INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX "recordingConsents.eventId" ON "recordingConsents" ("eventId");

CREATE INDEX "recordingConsents.[lessonId+pubkey]" ON "recordingConsents" ("lessonId", "pubkey");

CREATE TABLE "recordingWatches" (
  "id" INTEGER PRIMARY KEY,
  "lessonId" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "pubkey" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "sha256" TEXT NOT NULL,
  "spans" TEXT NOT NULL,
  "watched" INTEGER NOT NULL,
  "completedAt" INTEGER,
  "proofId" TEXT,
  "recordCreatedAt" INTEGER NOT NULL,
  "updatedAt" INTEGER NOT NULL
) STRICT;

CREATE INDEX "recordingWatches.pubkey" ON "recordingWatches" ("pubkey");

CREATE UNIQUE INDEX "recordingWatches.[lessonId+pubkey+sha256]" ON "recordingWatches" ("lessonId", "pubkey", "sha256");

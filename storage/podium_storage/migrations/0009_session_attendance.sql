-- Whether the attendance records of a session are published, or sealed to the person and the instructor.

DROP INDEX "trainingLiveSessions.lessonId";
DROP INDEX "trainingLiveSessions.conferenceRoomId";
DROP INDEX "trainingLiveSessions.scheduledAt";

ALTER TABLE "trainingLiveSessions" RENAME TO "trainingLiveSessionsBefore";

CREATE TABLE "trainingLiveSessions" (
  "id" INTEGER PRIMARY KEY,
  "lessonId" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "conferenceRoomId" TEXT,
  "scheduledAt" INTEGER NOT NULL,
  "endsAt" INTEGER NOT NULL,
  "duration" INTEGER NOT NULL,
  "instructorPubkey" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "title" TEXT NOT NULL,
  "summary" TEXT NOT NULL,
  "description" TEXT NOT NULL,
  "timezone" TEXT,
  "location" TEXT,
  "maxParticipants" INTEGER,
  "requiresRSVP" INTEGER NOT NULL CHECK ("requiresRSVP" IN (0, 1)),
  "waitingRoom" INTEGER NOT NULL CHECK ("waitingRoom" IN (0, 1)),
  "allowRecording" INTEGER NOT NULL CHECK ("allowRecording" IN (0, 1)),
  "e2eeRequired" INTEGER NOT NULL CHECK ("e2eeRequired" IN (0, 1)),
  "visibility" TEXT NOT NULL,
  "coHosts" TEXT NOT NULL,
  "invited" TEXT NOT NULL,
  "state" TEXT NOT NULL,
  "withdrawn" INTEGER NOT NULL CHECK ("withdrawn" IN (0, 1)),
  "epoch" INTEGER NOT NULL,
  "eventId" TEXT NOT NULL,
  "eventCreatedAt" INTEGER NOT NULL,
  "startedAt" INTEGER,
  "endedAt" INTEGER,
  "runs" TEXT NOT NULL,
  "endReason" TEXT,
  "recordingState" TEXT NOT NULL,
  "recordingUrl" TEXT,
  "blockedReason" TEXT,
  "statusCreatedAt" INTEGER NOT NULL,
  "statusDueAt" INTEGER,
  "revisions" TEXT NOT NULL,
  "movedFrom" INTEGER,
  "movedAt" INTEGER,
  "warnedAt" INTEGER,
  "adoptedAt" INTEGER NOT NULL,
  "version" INTEGER NOT NULL,
  "attendance" TEXT NOT NULL
) STRICT;

INSERT INTO "trainingLiveSessions" SELECT *, 'public' FROM "trainingLiveSessionsBefore";

DROP TABLE "trainingLiveSessionsBefore";

CREATE UNIQUE INDEX "trainingLiveSessions.lessonId" ON "trainingLiveSessions" ("lessonId");

CREATE INDEX "trainingLiveSessions.conferenceRoomId" ON "trainingLiveSessions" ("conferenceRoomId");

CREATE INDEX "trainingLiveSessions.scheduledAt" ON "trainingLiveSessions" ("scheduledAt");

-- The declared tables. A test holds this text against `podium_storage.schema`.

CREATE TABLE "atoms" ("id" INTEGER PRIMARY KEY, "value" TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE "sequences" ("name" TEXT PRIMARY KEY, "last" INTEGER NOT NULL) STRICT;

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
  "version" INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX "trainingLiveSessions.lessonId" ON "trainingLiveSessions" ("lessonId");

CREATE INDEX "trainingLiveSessions.conferenceRoomId" ON "trainingLiveSessions" ("conferenceRoomId");

CREATE INDEX "trainingLiveSessions.scheduledAt" ON "trainingLiveSessions" ("scheduledAt");

CREATE TABLE "trainingLiveSessionRSVPs" (
  "id" INTEGER PRIMARY KEY,
  "lessonId" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "pubkey" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "status" TEXT NOT NULL,
  "rsvpTime" INTEGER NOT NULL,
  "reminderSent" INTEGER NOT NULL CHECK ("reminderSent" IN (0, 1)),
  "eventId" TEXT NOT NULL,
  "revisionId" TEXT,
  "needsReconfirmation" INTEGER NOT NULL CHECK ("needsReconfirmation" IN (0, 1)),
  "firstSeen" INTEGER NOT NULL,
  "firstSeenAt" INTEGER NOT NULL,
  "seat" TEXT NOT NULL,
  "position" INTEGER
) STRICT;

CREATE INDEX "trainingLiveSessionRSVPs.lessonId" ON "trainingLiveSessionRSVPs" ("lessonId");

CREATE INDEX "trainingLiveSessionRSVPs.pubkey" ON "trainingLiveSessionRSVPs" ("pubkey");

CREATE INDEX "trainingLiveSessionRSVPs.status" ON "trainingLiveSessionRSVPs" ("status");

CREATE UNIQUE INDEX "trainingLiveSessionRSVPs.[lessonId+pubkey]" ON "trainingLiveSessionRSVPs" ("lessonId", "pubkey");

CREATE TABLE "trainingLiveSessionAttendance" (
  "id" INTEGER PRIMARY KEY,
  "lessonId" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "pubkey" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "joinedAt" INTEGER NOT NULL,
  "leftAt" INTEGER,
  "totalDuration" INTEGER NOT NULL,
  "joinCount" INTEGER NOT NULL,
  "evidence" TEXT NOT NULL,
  "proofId" TEXT,
  "completedAt" INTEGER,
  "completedBy" TEXT,
  "recordCreatedAt" INTEGER NOT NULL,
  "final" INTEGER NOT NULL CHECK ("final" IN (0, 1))
) STRICT;

CREATE INDEX "trainingLiveSessionAttendance.lessonId" ON "trainingLiveSessionAttendance" ("lessonId");

CREATE INDEX "trainingLiveSessionAttendance.pubkey" ON "trainingLiveSessionAttendance" ("pubkey");

CREATE INDEX "trainingLiveSessionAttendance.joinedAt" ON "trainingLiveSessionAttendance" ("joinedAt");

CREATE UNIQUE INDEX "trainingLiveSessionAttendance.[lessonId+pubkey]" ON "trainingLiveSessionAttendance" ("lessonId", "pubkey");

CREATE TABLE "reminderLedger" (
  "id" INTEGER PRIMARY KEY,
  "lessonId" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "epoch" INTEGER NOT NULL,
  "message" TEXT NOT NULL,
  "pubkey" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "state" TEXT NOT NULL,
  "dueAt" INTEGER NOT NULL,
  "windowEndsAt" INTEGER NOT NULL,
  "wrap" BLOB,
  "rumorId" TEXT,
  "relays" TEXT NOT NULL,
  "reason" TEXT,
  "attempts" INTEGER NOT NULL,
  "updatedAt" INTEGER NOT NULL,
  "toldStart" INTEGER,
  "revision" TEXT
) STRICT;

CREATE INDEX "reminderLedger.lessonId" ON "reminderLedger" ("lessonId");

CREATE INDEX "reminderLedger.pubkey" ON "reminderLedger" ("pubkey");

CREATE INDEX "reminderLedger.[state+dueAt]" ON "reminderLedger" ("state", "dueAt");

CREATE UNIQUE INDEX "reminderLedger.[lessonId+epoch+message+pubkey]" ON "reminderLedger" ("lessonId", "epoch", "message", "pubkey");

CREATE TABLE "attendanceIntervals" (
  "id" INTEGER PRIMARY KEY,
  "connectionId" TEXT NOT NULL,
  "lessonId" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "pubkey" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "device" TEXT NOT NULL,
  "joinedAt" INTEGER NOT NULL,
  "leftAt" INTEGER,
  "lastEvidence" INTEGER NOT NULL,
  "source" TEXT NOT NULL,
  "leaveReason" TEXT,
  "note" TEXT
) STRICT;

CREATE UNIQUE INDEX "attendanceIntervals.connectionId" ON "attendanceIntervals" ("connectionId");

CREATE INDEX "attendanceIntervals.lessonId" ON "attendanceIntervals" ("lessonId");

CREATE INDEX "attendanceIntervals.[lessonId+pubkey]" ON "attendanceIntervals" ("lessonId", "pubkey");

CREATE TABLE "roomMembers" (
  "id" INTEGER PRIMARY KEY,
  "lessonId" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "pubkey" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "state" TEXT NOT NULL,
  "role" TEXT NOT NULL,
  "proofId" TEXT,
  "proofEvent" TEXT,
  "consent" INTEGER CHECK ("consent" IN (0, 1)),
  "device" TEXT,
  "updatedAt" INTEGER NOT NULL,
  "assurance" TEXT NOT NULL
) STRICT;

CREATE INDEX "roomMembers.lessonId" ON "roomMembers" ("lessonId");

CREATE UNIQUE INDEX "roomMembers.[lessonId+pubkey]" ON "roomMembers" ("lessonId", "pubkey");

CREATE TABLE "optOuts" (
  "id" INTEGER PRIMARY KEY,
  "pubkey" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "lessonId" INTEGER NOT NULL REFERENCES "atoms" ("id"),
  "createdAt" INTEGER NOT NULL
) STRICT;

CREATE INDEX "optOuts.pubkey" ON "optOuts" ("pubkey");

CREATE UNIQUE INDEX "optOuts.[pubkey+lessonId]" ON "optOuts" ("pubkey", "lessonId");

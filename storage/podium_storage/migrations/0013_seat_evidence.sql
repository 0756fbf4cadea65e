-- Whether the media of a seat was ever up, and how its person proved who they are. What was attested stays so.

DROP INDEX "attendanceIntervals.connectionId";
DROP INDEX "attendanceIntervals.lessonId";
DROP INDEX "attendanceIntervals.[lessonId+pubkey]";

ALTER TABLE "attendanceIntervals" RENAME TO "attendanceIntervalsBefore";

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
  "note" TEXT,
  "media" INTEGER NOT NULL CHECK ("media" IN (0, 1))
) STRICT;

INSERT INTO "attendanceIntervals" SELECT *, source = 'engine' FROM "attendanceIntervalsBefore";

DROP TABLE "attendanceIntervalsBefore";

CREATE UNIQUE INDEX "attendanceIntervals.connectionId" ON "attendanceIntervals" ("connectionId");

CREATE INDEX "attendanceIntervals.lessonId" ON "attendanceIntervals" ("lessonId");

CREATE INDEX "attendanceIntervals.[lessonId+pubkey]" ON "attendanceIntervals" ("lessonId", "pubkey");

DROP INDEX "trainingLiveSessionAttendance.lessonId";
DROP INDEX "trainingLiveSessionAttendance.pubkey";
DROP INDEX "trainingLiveSessionAttendance.joinedAt";
DROP INDEX "trainingLiveSessionAttendance.[lessonId+pubkey]";

ALTER TABLE "trainingLiveSessionAttendance" RENAME TO "trainingLiveSessionAttendanceBefore";

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
  "final" INTEGER NOT NULL CHECK ("final" IN (0, 1)),
  "assurance" TEXT NOT NULL
) STRICT;

INSERT INTO "trainingLiveSessionAttendance" SELECT *, 'signature' FROM "trainingLiveSessionAttendanceBefore";

DROP TABLE "trainingLiveSessionAttendanceBefore";

CREATE INDEX "trainingLiveSessionAttendance.lessonId" ON "trainingLiveSessionAttendance" ("lessonId");

CREATE INDEX "trainingLiveSessionAttendance.pubkey" ON "trainingLiveSessionAttendance" ("pubkey");

CREATE INDEX "trainingLiveSessionAttendance.joinedAt" ON "trainingLiveSessionAttendance" ("joinedAt");

CREATE UNIQUE INDEX "trainingLiveSessionAttendance.[lessonId+pubkey]" ON "trainingLiveSessionAttendance" ("lessonId", "pubkey");

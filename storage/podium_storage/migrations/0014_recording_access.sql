-- Who may see a recording: as the session says, and as those were told who agreed to be recorded.

ALTER TABLE "trainingLiveSessions" ADD COLUMN "recordingAccess" TEXT;

ALTER TABLE "recordings" ADD COLUMN "access" TEXT;

-- Why the instructor cancelled a session, in their words.

ALTER TABLE "trainingLiveSessions" ADD COLUMN "cancelReason" TEXT;

-- A newer revision that cannot be read no longer ends a session: the one before stays in force, and is remembered.

ALTER TABLE "trainingLiveSessions" ADD COLUMN "guests" TEXT;
ALTER TABLE "trainingLiveSessions" ADD COLUMN "unreadEventId" TEXT;
ALTER TABLE "trainingLiveSessions" ADD COLUMN "unreadCreatedAt" INTEGER;
ALTER TABLE "trainingLiveSessions" ADD COLUMN "unreadReason" TEXT;
ALTER TABLE "trainingLiveSessions" ADD COLUMN "rulesAt" INTEGER;
ALTER TABLE "trainingLiveSessions" ADD COLUMN "lengthAt" INTEGER;
